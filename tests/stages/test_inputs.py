"""What a path on the command line becomes."""

from collections.abc import Callable
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from pathosynth.data.volume import Volume
from pathosynth.stages.inputs import read_input

Maker = Callable[..., tuple[Volume, Volume]]


@pytest.mark.parametrize("ending", [".nii.gz", ".nii"])
def test_one_label_map_and_its_folder_give_the_same_case(ending: str, small_brain: Maker, tmp_path: Path) -> None:
    labels, image = small_brain()
    for name, volume, dtype in (("a_dseg", labels, np.int16), ("a_T2w", image, np.float32)):
        nib.save(nib.Nifti1Image(volume.array.astype(dtype), volume.affine), tmp_path / f"{name}{ending}")
    (tmp_path / "participants.tsv").write_text("participant_id\tga_weeks\na\t28.5\n")
    (single,) = read_input(tmp_path / f"a_dseg{ending}", "kcl8")
    assert single.age_weeks == 28.5
    assert single.images == {"T2w": tmp_path / f"a_T2w{ending}"}
    assert [single] == read_input(tmp_path, "kcl8")
