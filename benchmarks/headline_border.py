"""Do two sets of labelled scans draw a border at the same place of the image?

    python benchmarks/headline_border.py NAME=FOLDER [NAME=FOLDER ...] [--inner ventricles] [--outer white_matter]

A segmenter learns where its training labels put a border. Where the test labels put it elsewhere, it errs by a shell
that no anatomy in the training set can take away. Along the distance from the border of two structures, the image is
told as a share of the way from the outer to the inner one; where it is half, the border of the image is. Per case: how
far outside the labels that is (mm, negative inside), the area of the border, and the volume of the shell between.
"""

import argparse
from pathlib import Path

import numpy as np
import scipy.ndimage as ndi

from pathosynth.data.labels import load_scheme
from pathosynth.stages.inputs import read_brain, read_input

REACH_MM = 3.0
"""Depth on both sides of the border that is looked at."""
FAR_MM = 2.5
"""Voxels nearer to any third structure than this are left out."""
SCHEME = load_scheme("kcl8")


def profile(image: np.ndarray, inner: np.ndarray, outer: np.ndarray, spacing: tuple[float, ...]) -> np.ndarray:
    """Signed distance to the border in mm, negative in `inner`, and share of the way to it: (N, 2), ordered.

    All three are (I, J, K). Half a voxel is taken off: distances are between centres of voxels.
    """
    half = min(spacing) / 2
    depth = {
        True: ndi.distance_transform_edt(inner, spacing) - half,
        False: ndi.distance_transform_edt(~inner, spacing) - half,
    }
    signed = np.where(inner, -depth[True], depth[False])
    apart = ndi.distance_transform_edt(inner | outer, spacing) > FAR_MM
    near = apart & (np.abs(signed) < REACH_MM)
    low, high = (np.median(image[part & apart & (np.abs(signed) > REACH_MM / 2)]) for part in (outer, inner))
    order = np.argsort(signed[near], kind="stable")
    return np.stack([signed[near], (image[near] - low) / (high - low)], axis=1)[order]


def half_way_mm(points: np.ndarray, width_mm: float = 0.3) -> float:
    """Where the share, averaged with a Gaussian along the distance, falls through one half; NaN where it does not."""
    places = np.arange(-REACH_MM / 2, REACH_MM / 2, 0.02)
    weights = np.exp(-((places[:, None] - points[None, :, 0]) ** 2) / (2 * width_mm**2))
    means = weights @ np.clip(points[:, 1], -1, 2) / weights.sum(axis=1)
    below = np.flatnonzero(means < 0.5)
    return float(places[below[0]]) if below.size and below[0] else float("nan")


def area_mm2(inner: np.ndarray, outer: np.ndarray, spacing: tuple[float, ...]) -> float:
    """Area between the two: faces of voxels, times 2/3, which is right for faces that point everywhere alike."""
    faces = 0.0
    for axis in range(3):
        one, other = (np.moveaxis(mask, axis, 0) for mask in (inner, outer))
        touching = np.count_nonzero(one[1:] & other[:-1]) + np.count_nonzero(one[:-1] & other[1:])
        faces += touching * float(np.prod(spacing)) / spacing[axis]
    return faces * 2 / 3


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("sets", nargs="+", metavar="NAME=FOLDER")
    parser.add_argument("--inner", default="ventricles")
    parser.add_argument("--outer", default="white_matter")
    options = parser.parse_args()
    for text in options.sets:
        name, _, folder = text.partition("=")
        found = []
        for case in read_input(Path(folder), "kcl8"):
            brain = read_brain(case, SCHEME, "T2w")
            if brain.image is None:
                raise SystemExit(f"{case.case}: expected a T2w image, found none")
            labels, spacing = brain.labels.array, brain.labels.spacing_mm
            inner, outer = (SCHEME.mask(labels, group) for group in (options.inner, options.outer))
            off = half_way_mm(profile(brain.image.array, inner, outer, spacing))
            area = area_mm2(inner, outer, spacing)
            found.append((off, area / 100, off * area / 1000))
            print(
                f"{name:<12} {case.case:<28} {off:+.2f} mm {area / 100:6.1f} cm2 {off * area / 1000:+.2f} mL",
                flush=True,
            )
        for what, column in zip(("mm", "cm2", "mL"), np.transpose(found), strict=True):
            known = column[np.isfinite(column)]
            print(f"{name:<12} {what:<4} mean {known.mean():+.2f}, SD {known.std(ddof=1):.2f}, n {len(known)}")


if __name__ == "__main__":
    main()
