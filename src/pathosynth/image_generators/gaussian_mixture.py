"""Images from labels without training: every tissue is a mixture of Gaussians, then the scanner's faults are added.

The idea is that of SynthSeg (Billot et al., https://doi.org/10.1016/j.media.2023.102789); this is a separate
implementation. Intensities are drawn in the units of `data.intensity`, so a change of one label changes the image
there and nowhere else.
"""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pydantic
from scipy import ndimage

from pathosynth.data.labels import Label, LabelScheme
from pathosynth.data.pairs import Pair
from pathosynth.data.requests import Request
from pathosynth.data.volume import Spacing
from pathosynth.runs.config import Config as BaseConfig
from pathosynth.runs.errors import ConfigError, InputError
from pathosynth.runs.seeds import numpy_generator

FWHM_TO_SIGMA = 1 / 2.3548

MAKES = "T2w"
"""What the images look like unless `contrast` is set."""


class Contrast(BaseConfig):
    """Intensity of one tissue, in units of the robust range of the image."""

    mean: float
    """Centre."""
    between: float = pydantic.Field(0.0, ge=0)
    """Standard deviation from image to image."""
    within: float = pydantic.Field(0.0, ge=0)
    """Standard deviation inside one image: shared between the subclasses and the texture."""


T2W_FETAL: dict[str, Contrast] = {
    "csf": Contrast(mean=0.71, between=0.06, within=0.16),
    "external_csf": Contrast(mean=0.64, between=0.06, within=0.18),
    "grey_matter": Contrast(mean=0.18, between=0.02, within=0.08),
    "white_matter": Contrast(mean=0.34, between=0.03, within=0.08),
    "deep_grey_matter": Contrast(mean=0.24, between=0.03, within=0.06),
    "brainstem": Contrast(mean=0.19, between=0.03, within=0.08),
    "cerebellum": Contrast(mean=0.36, between=0.04, within=0.07),
    "corpus_callosum": Contrast(mean=0.17, between=0.02, within=0.06),
    "other": Contrast(mean=0.30, between=0.05, within=0.08),
}
"""T2-weighted fetal brain, by label name or else by tissue; `measure_contrast` on a CC0 spina bifida atlas, rounded."""


class Config(BaseConfig):
    """What the images look like. Lengths in mm, intensities in units of the robust range."""

    contrast: str = "t2w_fetal"
    """One of t2w_fetal, random (each label drawn from 0.05 to 1), or the path of a JSON table of `measure_contrast`."""
    subclasses: int = pydantic.Field(4, ge=1, le=16)
    """Patches of different mean intensity every tissue is split into; they lie where smooth random fields win."""
    subclass_size_mm: float = pydantic.Field(8.0, gt=0)
    """Typical size of a patch."""
    subclass_share: float = pydantic.Field(0.75, ge=0, le=1)
    """Share of a tissue's inner variance that lies between its subclasses; the rest is texture."""
    texture_size_mm: float = pydantic.Field(2.0, gt=0)
    """Full width at half maximum of the texture's grain."""
    bias: float = pydantic.Field(0.06, ge=0, le=1)
    """Standard deviation of the logarithm of the smooth multiplicative field of the coils."""
    bias_size_mm: float = pydantic.Field(50.0, gt=0)
    """Correlation length of that field."""
    blur_mm: float = pydantic.Field(1.2, ge=0)
    """Full width at half maximum of the point spread, the same in all directions."""
    slice_thickness_mm: float = pydantic.Field(0.0, ge=0)
    """Simulates an acquisition in slices this thick along a random axis, resampled to the grid; 0 for none."""
    noise: float = pydantic.Field(0.012, ge=0)
    """Standard deviation of the noise of the measurement."""


def generate(model: Config, requests: Sequence[Request], seeds: Sequence[int]) -> list[np.ndarray]:
    """Render one image per request.

    Args:
        model: the settings; nothing is learnt.
        requests: labels to be rendered; parent images and displacements are not used.
        seeds: one per request; it alone decides what is drawn.

    Returns:
        (I, J, K) float32 images, 0 where there is no label.

    Raises:
        ConfigError: the contrast table cannot be read or lacks a label.
        InputError: a label map is empty or has values outside its scheme.
    """
    return [_render(model, request, numpy_generator(seed)) for request, seed in zip(requests, seeds, strict=True)]


def measure_contrast(pairs: Sequence[Pair], scheme: LabelScheme) -> dict[str, dict[str, float]]:
    """Per-label contrast of real images, ready to be written as JSON and named in `Config.contrast`.

    Medians and median absolute deviations are used, so vessels and partial volume do not count much.

    Raises:
        InputError: there is no pair.
    """
    if not pairs:
        raise InputError("Contrast: expected at least one image with labels to measure, found none.")
    table: dict[str, dict[str, float]] = {}
    for label in scheme.labels:
        values = [v for v in (pair.image[pair.labels == label.value] for pair in pairs) if v.size]
        if values:
            medians = np.array([np.median(v) for v in values])
            spreads = [1.4826 * np.median(np.abs(v - m)) for v, m in zip(values, medians, strict=True)]
            entry = Contrast(mean=medians.mean(), between=medians.std(), within=float(np.mean(spreads)))
            table[label.name] = {key: round(float(value), 4) for key, value in entry.model_dump().items()}
    return table


def _render(config: Config, request: Request, rng: np.random.Generator) -> np.ndarray:
    """Draw in a fixed order that does not depend on the labels, so that only the seed decides."""
    index, inside = request.scheme.indices(request.labels), request.labels > 0
    if not inside.any():
        raise InputError("Image generator 'gaussian_mixture': the label map is empty. Leave this case out.")
    means, textures = _draw_contrast(config, request.scheme, rng)
    shape, spacing = request.labels.shape, request.spacing_mm
    subclass = _subclasses(config, shape, spacing, rng)
    texture = _blurred(rng.standard_normal(shape, dtype=np.float32), config.texture_size_mm, spacing)
    image = means[index, subclass] + textures[index] * (texture / texture.std())
    image *= np.exp(config.bias * _smooth_noise(rng, shape, spacing, config.bias_size_mm))
    image = _blurred_inside(image, inside, config.blur_mm, spacing)
    axis, offset = int(rng.integers(3)), float(rng.random())
    if config.slice_thickness_mm > 0:
        image = _thick_slices(image, inside, axis, config.slice_thickness_mm / spacing[axis], offset)
    image += config.noise * rng.standard_normal(shape, dtype=np.float32)
    image[~inside] = 0
    return image.astype(np.float32, copy=False)


def _draw_contrast(config: Config, scheme: LabelScheme, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Mean of every subclass (1 + labels, subclasses) and strength of the texture (1 + labels); row 0 is background."""
    rows = [_contrast_of(scheme[value], _contrast_table(config.contrast), config.contrast) for value in scheme.values]
    drawn = rng.standard_normal((len(rows), config.subclasses + 1), dtype=np.float32)
    anywhere = rng.uniform(0.05, 1.0, len(rows))
    means = np.zeros((len(rows) + 1, config.subclasses), np.float32)
    textures = np.zeros(len(rows) + 1, np.float32)
    for i, row in enumerate(rows):
        centre = anywhere[i] if config.contrast == "random" else row.mean + row.between * drawn[i, -1]
        patches = drawn[i, :-1] - drawn[i, :-1].mean()
        means[i + 1] = centre + row.within * np.sqrt(config.subclass_share) * patches
        textures[i + 1] = row.within * np.sqrt(1 - config.subclass_share)
    return means, textures


def _contrast_table(name_or_path: str) -> Mapping[str, Contrast]:
    if name_or_path in ("random", "t2w_fetal"):
        return T2W_FETAL
    try:
        table: dict[str, Any] = json.loads(Path(name_or_path).read_text(encoding="utf-8"))
        return {name: Contrast.model_validate(entry) for name, entry in table.items()}
    except (OSError, UnicodeDecodeError, AttributeError, ValueError) as error:
        raise ConfigError(
            f"contrast = '{name_or_path}': expected t2w_fetal, random, or a JSON file with mean, between and within "
            f"for each label, found: {error}. Make one with measure_contrast."
        ) from None


def _contrast_of(label: Label, table: Mapping[str, Contrast], where: str) -> Contrast:
    for name in (label.name, label.tissue):
        if name in table:
            return table[name]
    raise ConfigError(f"contrast = '{where}': no entry for label '{label.name}' or tissue '{label.tissue}'. Add one.")


def _subclasses(config: Config, shape: tuple[int, ...], spacing: Spacing, rng: np.random.Generator) -> np.ndarray:
    """(I, J, K) number of the subclass at every voxel: the smooth random field that is highest there."""
    best = _smooth_noise(rng, shape, spacing, config.subclass_size_mm)
    subclass = np.zeros(shape, np.uint8)
    for i in range(1, config.subclasses):
        field = _smooth_noise(rng, shape, spacing, config.subclass_size_mm)
        subclass[field > best] = i
        np.maximum(best, field, out=best)
    return subclass


def _smooth_noise(rng: np.random.Generator, shape: tuple[int, ...], spacing: Spacing, size_mm: float) -> np.ndarray:
    """Gaussian field of about unit variance and correlation length `size_mm`, interpolated from a coarse lattice."""
    cell_mm = max(size_mm / 2, max(spacing))
    cells = [int(np.ceil(n * s / cell_mm)) + 4 for n, s in zip(shape, spacing, strict=True)]
    lattice = ndimage.gaussian_filter(rng.standard_normal(cells, dtype=np.float32), size_mm / cell_mm / 2, mode="wrap")
    lattice /= lattice.std()
    for axis, (n, s) in enumerate(zip(shape, spacing, strict=True)):
        at = np.arange(n) * s / cell_mm + 1.5
        low = at.astype(int)
        weight = (at - low).astype(np.float32).reshape([-1 if a == axis else 1 for a in range(3)])
        lattice = np.take(lattice, low, axis) * (1 - weight) + np.take(lattice, low + 1, axis) * weight
    return np.asarray(lattice)


def _blurred(image: np.ndarray, fwhm_mm: float, spacing: Spacing) -> np.ndarray:
    sigma = [fwhm_mm * FWHM_TO_SIGMA / s for s in spacing]
    blurred: np.ndarray = ndimage.gaussian_filter(image, sigma, truncate=3)
    return blurred


def _blurred_inside(image: np.ndarray, inside: np.ndarray, fwhm_mm: float, spacing: Spacing) -> np.ndarray:
    """Blur that does not mix in the background: both image and mask are blurred, and divided."""
    if fwhm_mm == 0:
        return image
    weight = _blurred(inside.astype(np.float32), fwhm_mm, spacing)
    return np.asarray(_blurred(np.where(inside, image, 0), fwhm_mm, spacing) / np.maximum(weight, 1e-3))


def _thick_slices(image: np.ndarray, inside: np.ndarray, axis: int, thickness: float, offset: float) -> np.ndarray:
    """Average over slices `thickness` voxels thick, keep one value per slice, interpolate linearly between slices."""
    if thickness <= 1:
        return image
    sigma = thickness * FWHM_TO_SIGMA
    weight = ndimage.gaussian_filter1d(inside.astype(np.float32), sigma, axis)
    image = ndimage.gaussian_filter1d(np.where(inside, image, 0), sigma, axis) / np.maximum(weight, 1e-3)
    last = image.shape[axis] - 1
    centres = np.arange(-thickness * offset, last + thickness, thickness)
    at = np.clip((np.arange(last + 1) - centres[0]) / thickness, 0, len(centres) - 1.001)
    low = at.astype(int)
    taken = [np.clip(np.round(centres[low + step]).astype(int), 0, last) for step in (0, 1)]
    share = (at - low).astype(np.float32).reshape([-1 if a == axis else 1 for a in range(3)])
    result: np.ndarray = np.take(image, taken[0], axis) * (1 - share) + np.take(image, taken[1], axis) * share
    return result
