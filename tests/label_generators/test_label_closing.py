"""Closing the loop: the next request, and volumes met by the decoder's own doubt."""

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from pathosynth.data.labels import load_scheme
from pathosynth.label_generators.latent_diffusion.closing import Draft, corrected, relative_error, reshaped
from pathosynth.label_generators.latent_diffusion.config import Grid
from pathosynth.label_generators.latent_diffusion.decision import moved_to
from pathosynth.runs.errors import MorphError

OFFSET = np.array([0.0, 0.137, 0.291])[:, None, None, None]  # few voxels lie equally far from the middle
PLACE = np.stack(np.meshgrid(*[np.arange(40) - 19.5] * 3, indexing="ij")) + OFFSET
RADIUS = np.linalg.norm(PLACE, axis=0)
SHARES = (0.0, 0.02, 0.02, 0.02)


def logits() -> np.ndarray:
    """Background, a head of radius 17, a structure of radius 8 whose two halves are classes 2 and 3."""
    inner = 8 - RADIUS
    left = np.where(PLACE[0] < 0, inner, inner - 1)
    right = np.where(PLACE[0] < 0, inner - 1, inner)
    return np.stack([RADIUS - 17, np.minimum(17 - RADIUS, 0), left, right]).astype(np.float32)


@pytest.mark.parametrize("factor", [0.85, 0.97, 1.0, 1.04, 1.15])
def test_a_structure_gets_the_wanted_number_of_voxels(factor: float) -> None:
    classes = logits().argmax(axis=0).astype(np.uint8)
    before = int((classes >= 2).sum())
    moved = moved_to(logits(), classes, {(2, 3): round(before * factor)}, 0.003, SHARES)
    assert int((moved >= 2).sum()) == pytest.approx(before * factor, rel=0.003)
    changed = moved != classes
    assert not changed[RADIUS < 6].any()
    assert not changed[RADIUS > 10].any()
    assert set(np.unique(moved[changed])) <= ({1} if factor < 1 else {2, 3})
    assert ((moved[::-1] == 2) != (moved == 3)).sum() <= 2  # both halves move alike, up to the last voxel


def test_nothing_asked_nothing_moved() -> None:
    classes = logits().argmax(axis=0).astype(np.uint8)
    assert np.array_equal(moved_to(logits(), classes, {}, 0.01, SHARES), classes)


def draft(request: float, got: float) -> Draft:
    return Draft({"ventricle_ml": request}, np.zeros(1, np.uint8), torch.zeros(1), {"ventricle_ml": got}, 0.0)


def test_the_secant_finds_the_request_of_a_straight_response() -> None:
    def response(request: float) -> float:
        return 1.8 * request - 30

    asked, drafts = {"ventricle_ml": 60.0}, [draft(60.0, response(60.0))]
    for _ in range(2):
        request = corrected(drafts, asked)["ventricle_ml"]
        drafts.append(draft(request, response(request)))
    assert drafts[-1].got["ventricle_ml"] == pytest.approx(60)


def test_a_response_that_goes_backwards_does_not_throw_the_request_far_off() -> None:
    drafts = [draft(50.0, 40.0), draft(60.0, 39.0)]
    assert corrected(drafts, {"ventricle_ml": 50.0})["ventricle_ml"] == pytest.approx(60 + 11 / 0.5)


def test_a_head_is_not_enlarged_beyond_the_grid() -> None:
    config = SimpleNamespace(grid=Grid(shape=(40, 40, 40), spacing_mm=(1.0, 1.0, 1.0)))
    model = SimpleNamespace(scheme=load_scheme("kcl8"), spacing_mm=(1.0, 1.0, 1.0), config=config)
    head = np.select([RADIUS < 8, RADIUS < 16], [2, 1], 0).astype(np.uint16)
    before = np.count_nonzero(head) / 1000
    steps: list[dict[str, Any]] = []
    larger = reshaped(model, head, {"intracranial_ml": 1.5 * before}, steps)  # type: ignore[arg-type]
    assert np.count_nonzero(larger) / 1000 == pytest.approx(1.5 * before, rel=0.02)
    with pytest.raises(
        MorphError, match=r"would be cut by the grid of \[40, 40, 40\] voxels, which holds this head up"
    ):
        reshaped(model, head, {"intracranial_ml": 3 * before}, steps)  # type: ignore[arg-type]


def test_requests_never_become_negative() -> None:
    assert corrected([draft(5.0, 40.0)], {"ventricle_ml": 5.0}) == {"ventricle_ml": 0.0}


def test_the_error_is_the_largest_relative_one() -> None:
    error = relative_error(
        {"ventricle_ml": 50.0, "cerebellum_ml": 100.0}, {"ventricle_ml": 49.0, "cerebellum_ml": 110.0}
    )
    assert error == pytest.approx(0.1)
