"""Fixtures shared by all tests."""

import logging
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from pathosynth.data.volume import Volume

STARTED = time.monotonic()


def pytest_addoption(parser: pytest.Parser) -> None:
    """Slow tests run as far as time allows."""
    parser.addoption("--seconds", type=float, metavar="S", help="start no test later than this; those left are skipped")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What is marked `early` comes first, so that time suffices for it."""
    items.sort(key=lambda item: item.get_closest_marker("early") is None)


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Skip, saying so, what would start too late."""
    seconds = item.config.getoption("--seconds")
    if seconds is not None and time.monotonic() - STARTED > seconds:
        pytest.skip(f"the {seconds:g} s of --seconds are over")


@pytest.fixture(scope="session")
def real_data() -> Path:
    """Folder of real MRI: PATHOSYNTH_DATA, or shared/data beside the repository. Skips the test where there is none."""
    root = Path(os.environ.get("PATHOSYNTH_DATA", Path(__file__).parents[2] / "shared" / "data"))
    if not root.is_dir():
        pytest.skip(f"no real MRI: {root} is not a folder; set PATHOSYNTH_DATA to one")
    return root


@pytest.fixture(autouse=True)
def log_as_before() -> Iterator[None]:
    """A command that is run inside a test sets the log up on its own stream, which is closed when it ends."""
    handlers, level = set(logging.root.handlers), logging.root.level
    yield
    for handler in set(logging.root.handlers) - handlers:
        logging.root.removeHandler(handler)
    logging.root.setLevel(level)


@pytest.fixture
def rng() -> np.random.Generator:
    """Random numbers that are the same in every run."""
    return np.random.default_rng(20250115)


@pytest.fixture(scope="session")
def small_brain() -> Callable[..., tuple[Volume, Volume]]:
    """Maker of a kcl8 label map of nested ellipsoids and an image of it, both off centre and without symmetry."""
    return _small_brain


def _small_brain(
    shape: tuple[int, int, int] = (24, 28, 22), spacing_mm: float = 2.0, affine: np.ndarray | None = None
) -> tuple[Volume, Volume]:
    """Labels (csf, cortex, white matter, ventricle, cerebellum, brainstem) uint8 and an image float32 on one grid."""
    axes = [np.arange(n) - (n - 1) / 2 for n in shape]
    i, j, k = np.meshgrid(*axes, indexing="ij")
    radius = np.sqrt((i / (0.40 * shape[0])) ** 2 + (j / (0.42 * shape[1])) ** 2 + (k / (0.40 * shape[2])) ** 2)
    labels = np.zeros(shape, dtype=np.uint8)
    for value, limit in ((4, 1.0), (5, 0.85), (1, 0.7)):
        labels[radius < limit] = value
    labels[np.sqrt((i + 2) ** 2 + (j / 2) ** 2 + (k - 1) ** 2) < 2.2] = 2
    labels[(np.abs(i) < 4) & (j < -0.15 * shape[1]) & (k < -0.15 * shape[2]) & (radius < 0.85)] = 3
    labels[(np.abs(i) < 2) & (np.abs(j) < 2) & (k < -0.2 * shape[2]) & (radius < 0.85)] = 7
    means = np.array([0, 300, 900, 400, 1000, 450, 380, 350], dtype=np.float32)
    noise = np.random.default_rng(7).normal(0, 20, shape).astype(np.float32)
    image = np.where(labels > 0, means[labels] + noise, 0).astype(np.float32)
    if affine is None:
        affine = np.diag([spacing_mm, spacing_mm, spacing_mm, 1.0])
        affine[:3, 3] = (-20.0, -31.0, -17.5)
    return Volume(labels, affine), Volume(image, affine)
