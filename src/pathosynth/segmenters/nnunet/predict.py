"""Prediction: images in RAS orientation in, label maps in the scheme's values on the same grid out."""

from pathlib import Path

import nibabel as nib
import numpy as np

from pathosynth.data.cases import Case
from pathosynth.data.nifti import check_same_grid
from pathosynth.data.volume import Volume
from pathosynth.runs.errors import InputError, ModelError
from pathosynth.segmenters.job import Machine, Prediction
from pathosynth.segmenters.nnunet.places import Places
from pathosynth.segmenters.nnunet.process import run, tail

_IMAGES, _PREDICTED = "images", "predicted"
_CHANNEL = "_0000.nii.gz"


def image_path(work: Path, case: str) -> Path:
    """Where the image of a case belongs for nnU-Net to find it."""
    return work / _IMAGES / f"{case}{_CHANNEL}"


def predict(asked: Prediction, machine: Machine) -> None:
    """Predict every image in a working folder; predictions of an earlier call that can be read are kept.

    A case nnU-Net fails on has no prediction afterwards; `labels_of` then tells what nnU-Net said last.

    Args:
        asked: the working folder holds the images, in RAS orientation, where `image_path` says.
        machine: device and processes.

    Raises:
        ModelError: the folder holds no trained nnU-Net.
        ConfigError: nnU-Net is not installed.
    """
    places, work, config = _places(asked), asked.work, asked.config
    trained = sorted(places.model.glob("fold_*/checkpoint_final.pth"))
    if not trained:
        raise ModelError(f"{asked.folder}: expected a trained nnU-Net, found none. Train it to the end first.")
    images = sorted((work / _IMAGES).glob(f"*{_CHANNEL}"))
    waiting = [path for path in images if _read(_prediction(work, path.name.removesuffix(_CHANNEL))) is None]
    for path in set(images) - set(waiting):
        path.unlink()
    if not waiting:
        return
    words = [
        "-i", str(work / _IMAGES), "-o", str(work / _PREDICTED), "-m", str(places.model),
        "-f", trained[0].parent.name.removeprefix("fold_"), "-device", machine.kind,
        "-npp", str(machine.jobs), "-nps", str(machine.jobs),
        "-step_size", str(config.tile_step), "--disable_progress_bar",
        *([] if config.test_time_mirroring else ["--disable_tta"]),
    ]  # fmt: skip
    run("predict", words, places, config, machine)


def labels_of(case: Case, like: Volume, asked: Prediction) -> Volume:
    """The predicted label map of a case.

    Args:
        case: the test case.
        like: its image in RAS orientation.
        asked: where it was predicted.

    Returns:
        Label values of the scheme on exactly the grid of `like`; nothing but background is an answer too.

    Raises:
        InputError: nnU-Net made no prediction, or not on this grid.
    """
    name, scheme = case.case, asked.scheme
    found = _read(_prediction(asked.work, name))
    if found is None:
        log = _places(asked).log
        raise InputError(f"Case '{name}': nnU-Net made no prediction. All it said is in {log}. The end:\n{tail(log)}")
    check_same_grid(found, like, f"case '{name}', its image and what nnU-Net predicted")
    values = np.array([0, *scheme.values], dtype=np.min_scalar_type(max(scheme.values)))
    if found.array.max() >= len(values):
        raise InputError(f"Case '{name}': nnU-Net predicted class {found.array.max()}, expected 0..{len(values) - 1}.")
    return like.with_array(values[found.array])


def _places(asked: Prediction) -> Places:
    if asked.folder is None:
        raise ModelError("nnU-Net predicts with a trained segmenter only. Give its folder.")
    return Places(asked.folder)


def _prediction(work: Path, case: str) -> Path:
    return work / _PREDICTED / f"{case}.nii.gz"


def _read(path: Path) -> Volume | None:
    """A prediction, or None where there is none or a killed process left half of one."""
    try:
        image = nib.load(path)
        return Volume(np.asarray(image.dataobj).astype(np.intp), np.asarray(image.affine, dtype=np.float64))  # type: ignore[attr-defined]
    except (OSError, EOFError, ValueError, nib.filebasedimages.ImageFileError):
        return None
