"""Begin a study: encode the images, plan the orders, put the truth away and fix the protocol."""

import hashlib
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from pathosynth.data.grid import to_ras
from pathosynth.data.nifti import read_image
from pathosynth.reader.encode import Form, common_shape, common_spacing, encode, head_box, on_spacing
from pathosynth.reader.folder import Protocol, StudyFolder, Truth, TruthFile
from pathosynth.reader.material import Image, find_images
from pathosynth.reader.plan import Plan, Shown, make_plan, opaque
from pathosynth.reader.study import Study
from pathosynth.runs.errors import ConfigError, PathosynthError
from pathosynth.runs.files import json_text, sha256, write_bytes, write_text

PRIVATE = 0o700
"""Folders that other users of the machine may not enter."""

_SAME_TIME = 946_684_800
"""Modification time of every image (the year 2000), so that it tells nothing."""

Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class Begun:
    """What was made.

    Attributes:
        folder: of the study.
        images: how many.
        form: that all have.
        plan: who sees what.
        protocol_sha256: to be written down before the first rating.
    """

    folder: StudyFolder
    images: int
    form: Form
    plan: Plan
    protocol_sha256: str


def begin_study(study: Study, out: Path, *, truth: Path | None, progress: Progress) -> Begun:
    """Make the folder of a study.

    Args:
        study: what is asked.
        out: folder to make; must not exist or be empty.
        truth: file for the truth, where it shall not lie in ``truth/`` of the folder.
        progress: called with the number of images done and their total.

    Raises:
        ConfigError: the folder is in use, or the study asks for more than there is.
        InputError: an image or a table cannot be read.
    """
    folder = StudyFolder(out)
    target = truth or folder.truth
    if (out.exists() and (not out.is_dir() or any(out.iterdir()))) or target.exists():
        raise ConfigError(f"{out}: expected a new folder and no {target}. Choose another --output or --truth.")
    images = find_images(study)
    names = {opaque(): image for image in images}
    plan = make_plan(study, [Shown(f, i.arm, i.subject, i.origin) for f, i in names.items()])
    form = common_form(study, [image.path for image in images])
    for private in (folder.root, folder.volumes, folder.invites, target.parent):
        private.mkdir(parents=True, exist_ok=True, mode=PRIVATE)
    hashes = _encode_all(names, form, folder, progress)
    content = TruthFile(study=study.model_dump(mode="json"), images={f: _truth(names[f], hashes[f]) for f in hashes})
    write_text(target, json_text(content.model_dump(mode="json")))
    write_text(folder.plan, json_text(plan.model_dump(mode="json")))
    write_text(folder.protocol, json_text(_protocol(study, folder, target, hashes).model_dump(mode="json")))
    return Begun(folder, len(images), form, plan, sha256(folder.protocol))


def common_form(study: Study, paths: Sequence[Path]) -> Form:
    """The form that all images get: found from all of them, so the arms share it."""
    spacings, edges = [], []
    for path in paths:
        volume = to_ras(read_image(path))
        spacings.append(volume.spacing_mm)
        edges.append(np.array(head_box(volume).shape) * volume.spacing_mm)
    spacing_mm = common_spacing(spacings, study.grid)
    return Form(common_shape(np.array(edges), spacing_mm, study.grid), spacing_mm, study.grid.levels)


def _encode_all(names: dict[str, Image], form: Form, folder: StudyFolder, progress: Progress) -> dict[str, str]:
    """Write the images in the order of their random names; their SHA-256 by name."""
    hashes = {}
    for number, file in enumerate(sorted(names), start=1):
        image = names[file]
        try:
            data = encode(on_spacing(read_image(image.path), form.spacing_mm), form)
        except PathosynthError as error:
            raise type(error)(f"{image.path}: {error}") from None
        path = folder.volumes / f"{file}.nii"
        write_bytes(path, data)
        os.utime(path, (_SAME_TIME, _SAME_TIME))
        hashes[file] = hashlib.sha256(data).hexdigest()
        progress(number, len(names))
    return hashes


def _truth(image: Image, digest: str) -> Truth:
    return Truth(
        case=image.case, subject=image.subject, arm=image.arm, origin=image.origin,
        source=str(image.path), sha256=digest,
    )  # fmt: skip


def _protocol(study: Study, folder: StudyFolder, truth: Path, hashes: dict[str, str]) -> Protocol:
    listed = "".join(f"{file} {hashes[file]}\n" for file in sorted(hashes))
    return Protocol(
        title=study.title, instructions=study.instructions, convention=study.convention,
        questions=study.questions, windows=study.windows, washout_days=study.washout,
        study_sha256=hashlib.sha256(json_text(study.model_dump(mode="json")).encode()).hexdigest(),
        plan_sha256=sha256(folder.plan), truth_sha256=sha256(truth),
        volumes_sha256=hashlib.sha256(listed.encode()).hexdigest(),
    )  # fmt: skip
