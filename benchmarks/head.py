"""A label map with what is measured on it alone, for the headline_* comparisons."""

import csv
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import scipy.ndimage as ndi

from pathosynth.data.grid import to_ras
from pathosynth.data.labels import LabelScheme
from pathosynth.data.nifti import read_labels
from pathosynth.data.volume import Spacing
from pathosynth.morphing import biometry, measure

SHELL_MM = 5.0
"""What lies this near to cerebellum and brainstem is around the hindbrain."""


@dataclass(frozen=True)
class Head:
    """A label map with what is measured on it once."""

    labels: np.ndarray
    scheme: LabelScheme
    spacing_mm: Spacing

    def mask(self, *groups: str) -> np.ndarray:
        """(I, J, K) bool: in any of the groups that the scheme names."""
        return np.isin(self.labels, [v for g in groups if self.scheme.has(g) for v in self.scheme.group(g)])

    def points_mm(self, mask: np.ndarray) -> np.ndarray:
        """(n, 3) centres of the voxels of a mask, in mm from the centre of the first voxel."""
        return np.asarray(np.argwhere(mask) * np.array(self.spacing_mm))

    @cached_property
    def mantle(self) -> tuple[np.ndarray, np.ndarray]:
        """Outer cortical voxels (n, 3) mm, and the distance from each to the ventricles (n,) mm."""
        outside, cortex = self.mask("external_csf") | (self.labels == 0), self.mask("cortex")
        points = self.points_mm(cortex & measure.touches(outside))
        return points, measure.mantle_mm(cortex, outside, self.mask("ventricles"), self.spacing_mm)

    @cached_property
    def volumes_ml(self) -> dict[int, float]:
        return measure.volumes_ml(self.labels, self.spacing_mm)

    @cached_property
    def alone(self) -> dict[str, float]:
        """Measures that need no second map."""
        widths = measure.measured_widths_mm(self.labels, self.scheme, self.spacing_mm)
        return {
            "atrial_width_mm": float(np.mean(list(widths.values()))),
            "contact_faces": float(measure.contact_faces(self.mask("ventricles"), self.mask("cortex"))),
            "transcerebellar_diameter_mm": biometry.transcerebellar_diameter_mm(
                self.labels, self.scheme, self.spacing_mm
            ),
            **hindbrain_csf(self),
        }


def hindbrain_csf(head: Head) -> dict[str, float]:
    """External CSF within `SHELL_MM` of cerebellum and brainstem: mL, and per cent of all that lies there."""
    hindbrain = head.mask("cerebellum", "brainstem")
    margin = int(np.ceil(SHELL_MM / min(head.spacing_mm))) + 1
    padded = np.pad(hindbrain, margin)
    box = measure.bounding_box(padded, margin)
    near = ndi.distance_transform_edt(~padded[box], sampling=head.spacing_mm) <= SHELL_MM
    shell = near & ~padded[box]
    csf = int((np.pad(head.mask("external_csf"), margin)[box] & shell).sum())
    voxel_ml = float(np.prod(head.spacing_mm)) / 1000.0
    return {"hindbrain_csf_ml": csf * voxel_ml, "hindbrain_csf_percent": 100.0 * csf / max(int(shell.sum()), 1)}


def participants(folder: Path) -> list[dict[str, str]]:
    """Rows of a data set's participants.tsv."""
    with (folder / "participants.tsv").open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file, delimiter="\t"))


def read_head(path: Path, scheme: LabelScheme) -> Head:
    volume = to_ras(read_labels(path, scheme))
    return Head(volume.array, scheme, volume.spacing_mm)
