"""Shape measures of a morphed label map, and what counts as a change of each."""

from dataclasses import dataclass

import edt
import numpy as np

from comparison import dice
from head import Head, hindbrain_csf
from pathosynth.morphing import Morphed, biometry, measure

SULCUS_MM = 5.0
"""Half the widest gap between gyri that counts as a sulcus."""
FISSURE_MM = 4.0
"""External CSF this near to the midsagittal plane is the fissure between the hemispheres, no sulcus."""
MIDLINE_MM = 3.0
"""Ventricle this near to the midsagittal plane is third, fourth or cavum."""
SHARE = 0.01
"""A relative change up to this is noise."""


@dataclass(frozen=True)
class Measure:
    """How one measure is written, and the smallest absolute change that is no noise of voxels."""

    digits: int
    least: float


_ML, _LENGTH = Measure(2, 0.02), Measure(1, 0.2)
MEASURES = {
    "ventricle_left_ml": _ML,
    "ventricle_right_ml": _ML,
    "ventricle_midline_ml": _ML,
    "ventricle_centre_mm": Measure(1, 0.2),
    "ventricle_dice": Measure(2, 0.01),
    "atrial_width_left_mm": Measure(1, 0.25),
    "atrial_width_right_mm": Measure(1, 0.25),
    "mantle_p5_mm": Measure(1, 0.2),
    "mantle_median_mm": Measure(1, 0.2),
    "sulcal_csf_ml": Measure(1, 0.1),
    "external_csf_percent": Measure(0, 0.5),
    "hindbrain_csf_ml": Measure(1, 0.1),
    "intracranial_ml": Measure(0, 0.1),
    "head_circumference_mm": Measure(0, 0.5),
    "brain_ml": Measure(0, 0.1),
    "white_matter_ml": Measure(1, 0.1),
    "cortex_ml": Measure(1, 0.1),
    "cerebellum_ml": _ML,
    "cerebellum_left_ml": _ML,
    "cerebellum_right_ml": _ML,
    "cerebellum_dice": Measure(2, 0.01),
    "brainstem_ml": _ML,
    "transcerebellar_mm": _LENGTH,
    "vermis_height_mm": _LENGTH,
    "pons_ap_mm": _LENGTH,
    "descent_mm": _LENGTH,
    "tissue_moved_mm": Measure(2, 0.02),
    "cerebrum_moved_mm": Measure(2, 0.02),
    "ventricle_cortex_faces": Measure(0, 20),
    "jacobian_min": Measure(3, 0.01),
    "jacobian_max": Measure(1, 0.1),
    "cpu_s": Measure(1, float("inf")),
}


def differs(key: str, value: float, base: float) -> bool:
    """Whether a measure differs from the base's by more than 1 % and more than the voxels' noise."""
    return abs(value - base) > max(SHARE * abs(base), MEASURES[key].least)


def shape(made: Head, source: Head, base: Head) -> dict[str, float]:
    """Measures of the labels.

    Args:
        made: what is measured.
        source: what it was made from; the external CSF that is left is a share of its.
        base: what the base settings made of it; Dice is against this.
    """
    voxel_ml = float(np.prod(made.spacing_mm)) / 1000.0
    widths = measure.measured_widths_mm(made.labels, made.scheme, made.spacing_mm)
    size = biometry.biometry(made.labels, made.scheme, made.spacing_mm)
    values = {f"atrial_width_{side}_mm": width for side, width in widths.items()}
    for name, group in (("ventricle", "ventricles"), ("cerebellum", "cerebellum")):
        for side, mask in measure.side_masks(made.labels, made.scheme, group).items():
            values[f"{name}_{side}_ml"] = float(mask.sum()) * voxel_ml
        values[f"{name}_dice"] = dice(made.labels, base.labels, made.scheme.group(group))
    volumes = {"intracranial_ml": "intracranial", "brain_ml": "tissue"}
    volumes |= {f"{name}_ml": name for name in ("white_matter", "cortex", "cerebellum", "brainstem")}
    values |= {key: float(made.mask(group).sum()) * voxel_ml for key, group in volumes.items()}
    left = made.mask("external_csf").sum() / max(int(source.mask("external_csf").sum()), 1)
    _, mantle = made.mantle
    return values | {
        "ventricle_midline_ml": float((made.mask("ventricles") & near_midline(made, MIDLINE_MM)).sum()) * voxel_ml,
        "ventricle_centre_mm": centre_mm(made, "ventricles") - centre_mm(made, "intracranial"),
        "mantle_p5_mm": float(np.percentile(mantle, 5)),
        "mantle_median_mm": float(np.median(mantle)),
        "sulcal_csf_ml": float(sulci(made).sum()) * voxel_ml,
        "external_csf_percent": 100.0 * float(left),
        "hindbrain_csf_ml": hindbrain_csf(made)["hindbrain_csf_ml"],
        "head_circumference_mm": size["head_circumference_mm"],
        "transcerebellar_mm": size["transcerebellar_diameter_mm"],
        "vermis_height_mm": size["vermis_height_mm"],
        "pons_ap_mm": size["pons_ap_mm"],
        "descent_mm": size["hindbrain_descent_mm"],
        "ventricle_cortex_faces": float(measure.contact_faces(made.mask("ventricles"), made.mask("cortex"))),
    }


def motion(morphed: Morphed, made: Head) -> dict[str, float]:
    """Measures of the deformation: mean way of tissue and of the cerebrum, extreme Jacobians."""
    if morphed.displacement is None:
        raise TypeError("Expected a flow pathology, which returns a displacement; found None. Leave it out.")
    way = np.sqrt(sum((d * s) ** 2 for d, s in zip(morphed.displacement, made.spacing_mm, strict=True)))
    jacobian = morphed.report["validity"]["jacobian"]
    return {
        "tissue_moved_mm": float(way[made.mask("tissue")].mean()),
        "cerebrum_moved_mm": float(way[made.mask("white_matter", "cortex", "deep_grey_matter")].mean()),
        "jacobian_min": jacobian["min"],
        "jacobian_max": jacobian["max"],
    }


def near_midline(head: Head, distance_mm: float) -> np.ndarray:
    """(I, 1, 1) bool: sagittal slices this near to the midsagittal plane."""
    middle = measure.midline_index(head.mask("intracranial"))
    near = np.abs(np.arange(head.labels.shape[0]) - middle) * head.spacing_mm[0] <= distance_mm
    return np.asarray(near[:, None, None])


def centre_mm(head: Head, group: str) -> float:
    """Front-back centroid of a structure, larger to the front."""
    per_slice = head.mask(group).sum(axis=(0, 2))
    return float(per_slice @ np.arange(len(per_slice)) / per_slice.sum()) * head.spacing_mm[1]


def sulci(head: Head) -> np.ndarray:
    """External CSF inside the closing of the brain by a ball of `SULCUS_MM`, off the fissure at the midline."""
    brain = head.mask("tissue", "ventricles")
    near = edt.edt(~brain, anisotropy=head.spacing_mm) <= SULCUS_MM
    closed = edt.edt(near, anisotropy=head.spacing_mm) > SULCUS_MM
    return np.asarray(head.mask("external_csf") & closed & ~near_midline(head, FISSURE_MM))
