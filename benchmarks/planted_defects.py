"""Ten kinds of defects planted in a labelled image, each at three strengths; the place is drawn."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
from scipy import ndimage

from pathosynth.data.findings import CheckInput
from pathosynth.data.labels import load_scheme
from pathosynth.metrics.image_quality import noise

SCHEME = load_scheme("kcl8")

Defect = Callable[[CheckInput, int, np.random.Generator], CheckInput]


def _range(case: CheckInput) -> tuple[float, float]:
    low, high = np.percentile(case.image[case.labels > 0], [0.5, 99.5])
    return float(low), float(high)


def _slice(case: CheckInput, axis: int, rng: np.random.Generator) -> int:
    """A slice of the middle half of the head, beside the midline on the first axis."""
    at = np.flatnonzero((case.labels > 0).any(axis=tuple({0, 1, 2} - {axis})))
    low, high = at[0] + (at[-1] - at[0]) * np.array([0.25, 0.75])
    if axis == 0:
        middle = (at[0] + at[-1]) / 2
        low, high = (
            (low, middle - 10 / case.spacing_mm[0]) if rng.random() < 0.5 else (middle + 10 / case.spacing_mm[0], high)
        )
    return int(rng.integers(int(low), max(int(high), int(low) + 1)))


def slice_step(case: CheckInput, strength: int, rng: np.random.Generator) -> CheckInput:
    low, high = _range(case)
    axis = int(rng.integers(3))
    image = case.image.copy()
    np.moveaxis(image, axis, 0)[_slice(case, axis, rng)] += (0.02, 0.04, 0.08)[strength] * (high - low)
    return replace(case, image=np.where(case.labels > 0, image, 0).astype(np.float32))


def slice_swap(case: CheckInput, strength: int, rng: np.random.Generator) -> CheckInput:
    axis = int(rng.integers(3))
    k, apart = _slice(case, axis, rng), (1, 2, 4)[strength]
    image = np.moveaxis(case.image, axis, 0).copy()
    image[[k, k + apart]] = image[[k + apart, k]]
    return replace(case, image=np.ascontiguousarray(np.moveaxis(image, 0, axis)))


def _ball(case: CheckInput, allowed: np.ndarray, ml: float, rng: np.random.Generator) -> np.ndarray:
    """A ball of so much volume about one of the deepest voxels of a mask."""
    depth = ndimage.distance_transform_edt(allowed, sampling=case.spacing_mm)
    deepest = np.argwhere(depth >= np.quantile(depth[allowed], 0.97))
    centre = deepest[rng.integers(len(deepest))]
    far = sum(((i - c) * e) ** 2 for i, c, e in zip(np.indices(allowed.shape), centre, case.spacing_mm, strict=True))
    count = max(1, round(ml * 1000 / float(np.prod(case.spacing_mm))))
    return far <= np.partition(far, count - 1, axis=None)[count - 1]


def island(case: CheckInput, strength: int, rng: np.random.Generator) -> CheckInput:
    ball = _ball(case, case.labels == 0, (0.1, 0.3, 1.0)[strength], rng) & (case.labels == 0)
    return replace(case, labels=np.where(ball, SCHEME.group("cortex")[0], case.labels).astype(case.labels.dtype))


def hole(case: CheckInput, strength: int, rng: np.random.Generator) -> CheckInput:
    ball = _ball(case, case.labels > 0, (0.1, 0.3, 1.0)[strength], rng)
    return replace(case, labels=np.where(ball, 0, case.labels).astype(case.labels.dtype))


def label_shift(case: CheckInput, strength: int, rng: np.random.Generator) -> CheckInput:
    move = (strength + 1) * int(rng.choice([-1, 1]))
    return replace(case, labels=np.roll(case.labels, move, int(rng.integers(3))))


def wrong_label(case: CheckInput, strength: int, rng: np.random.Generator) -> CheckInput:
    white = SCHEME.mask(case.labels, "white_matter")
    ball = _ball(case, white, (0.3, 1.0, 3.0)[strength], rng) & white
    return replace(case, labels=np.where(ball, SCHEME.group("ventricles")[0], case.labels).astype(case.labels.dtype))


def more_noise(case: CheckInput, strength: int, rng: np.random.Generator) -> CheckInput:
    head = case.labels > 0
    sigma = noise(case.image, head) * np.sqrt((1.5, 2.0, 3.0)[strength] ** 2 - 1)
    noisy = case.image + rng.normal(0, sigma, case.image.shape)
    return replace(case, image=np.where(head, noisy, 0).astype(np.float32))


def blur(case: CheckInput, strength: int, rng: np.random.Generator) -> CheckInput:
    head, width = case.labels > 0, (0.6, 1.0, 1.5)[strength]
    smooth = ndimage.gaussian_filter(case.image, width) / np.maximum(
        ndimage.gaussian_filter(head.astype(np.float32), width), 0.05
    )
    return replace(case, image=np.where(head, smooth, 0).astype(np.float32))


def blank(case: CheckInput, strength: int, rng: np.random.Generator) -> CheckInput:
    axis, head = int(rng.integers(3)), case.labels > 0
    place = np.moveaxis(
        np.broadcast_to(np.arange(head.shape[axis])[:, None, None], np.moveaxis(head, axis, 0).shape), 0, axis
    )
    share = (0.05, 0.15, 0.4)[strength]
    end = np.quantile(place[head], share if rng.random() < 0.5 else 1 - share)
    gone = place <= end if end < np.median(place[head]) else place >= end
    return replace(case, image=np.where(gone, case.image[head].min(), case.image).astype(np.float32))


def nan(case: CheckInput, strength: int, rng: np.random.Generator) -> CheckInput:
    image = case.image.copy()
    inside = np.flatnonzero(case.labels > 0)
    image.ravel()[rng.choice(inside, (1, 100, 10000)[strength], replace=False)] = np.nan
    return replace(case, image=image)


DEFECTS: dict[str, Defect] = {
    "slice step": slice_step, "slice swap": slice_swap, "floating island": island, "hole": hole,
    "label shift": label_shift, "wrong label": wrong_label, "noise": more_noise, "blur": blur,
    "blank": blank, "NaN": nan,
}  # fmt: skip
STRENGTHS = {
    "slice step": "2, 4, 8 % of the range", "slice swap": "1, 2, 4 slices apart", "floating island": "0.1, 0.3, 1 mL",
    "hole": "0.1, 0.3, 1 mL", "label shift": "1, 2, 3 voxels", "wrong label": "0.3, 1, 3 mL of white matter",
    "noise": "x 1.5, 2, 3", "blur": "sigma 0.6, 1, 1.5 voxels", "blank": "5, 15, 40 % of the head",
    "NaN": "1, 100, 10,000 voxels",
}  # fmt: skip
