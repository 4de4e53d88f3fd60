"""BIDS derivative folders: segmentations and images under ``sub-*/[ses-*/]anat``.

Written folders follow BIDS derivatives (https://bids-specification.readthedocs.io, imaging derivatives): ``seg-``
tells segmentations apart and every subject, real or synthetic, has its own ``sub-`` name. What BIDS has no place
for (the case table, run records, displacement fields) lies beside it and is named in ``.bidsignore``.
"""

import json
import re
import shutil
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from pathosynth import __version__
from pathosynth.data.cases import CONTRASTS, Case, build_case, check_cases, write_cases
from pathosynth.data.color_tables import color_table
from pathosynth.data.labels import LabelScheme, load_scheme
from pathosynth.data.nifti import read_image, read_labels, write_image, write_labels
from pathosynth.data.participants import ages, facts, known, read_participants
from pathosynth.data.volume import Volume
from pathosynth.runs.config import Config as BaseConfig
from pathosynth.runs.errors import InputError
from pathosynth.runs.files import json_text, write_text

BIDS_VERSION = "1.10.0"

IGNORED = (
    "cases.csv", "checks.csv", "morphs.csv", "generated.csv", "run.json", "montage.png", "distributions.png",
    "rejected/", "segmenter/", "*_xfm.nii.gz", "*_xfm.json", "seg-*_itksnap.txt", "seg-*_freesurfer.txt",
)  # fmt: skip
"""What may lie in a data set beside the BIDS files."""

_TABLE = {
    "case": "Identifier in cases.csv",
    "subject": "Person or atlas the case stems from; several cases may stem from one",
    "split": "Side of the train, validation and test split",
    "origin": "real, morphed (labels reshaped from a parent) or generated",
    "parent": "Case this one was made from",
    "pathology": "Pathology put into the labels",
    "severity": "Severity as JSON",
    "seed": "Random seed of this case",
    "age_weeks": "Gestational or postmenstrual age in weeks",
}
"""Columns of participants.tsv beyond participant_id and age, with what they mean."""


_SCAN = ("acq", "ce", "rec", "dir", "run", "echo", "part", "chunk")
"""Entities that tell scans of one session apart."""


class Config(BaseConfig):
    """Which files of a BIDS folder are taken."""

    scheme: str
    """Label scheme of the segmentations."""
    seg: str = ""
    """Value of the seg- entity; empty: the scheme's name, else segmentations without one."""


def read(root: Path, config: Config) -> list[Case]:
    """Cases of a BIDS derivative folder: one per segmentation, with the images that lie beside it.

    Where several images have one contrast, the one with ``desc-synth``, then the one without ``desc-``, is taken.

    Raises:
        InputError: there is no segmentation of that scheme, or two of one subject and session.
    """
    root = Path(root).absolute()
    scheme = load_scheme(config.scheme)
    found = sorted(path for path in root.glob("sub-*/**/anat/sub-*_dseg.nii.gz") if path.is_file())
    wanted = config.seg or scheme.name
    chosen = [path for path in found if entities(path).get("seg") == wanted]
    if not chosen and not config.seg:
        chosen = [path for path in found if "seg" not in entities(path)]
    if not chosen:
        raise InputError(
            f"{root}: expected segmentations sub-*/anat/sub-*_seg-{wanted}_dseg.nii.gz, found {len(found)} others. "
            "Choose another --scheme, give --set seg=NAME, or check the folder."
        )
    people = read_participants(root / "participants.tsv")
    cases = [_case(path, people, config.scheme) for path in chosen]
    check_cases(cases, str(root))
    return cases


def write(root: Path, cases: Sequence[Case], *, name: str = "Brain MRI with labels", command: str = "") -> list[Case]:
    """Copy cases into a BIDS derivative folder and write all its tables.

    Args:
        root: folder of the data set.
        cases: with readable files; all volumes are read through the gate.
        name: title of the data set.
        command: what made it, for ``GeneratedBy``.

    Returns:
        The same cases with paths inside `root`.

    Raises:
        InputError: a file cannot be used, or two cases would get one ``sub-`` name.
    """
    root = Path(root).absolute()
    labels = [subject_label(case.case) for case in cases]
    if len({label.lower() for label in labels}) != len(labels):
        raise InputError(
            f"{root}: two cases would share one BIDS subject name. Rename cases that differ only in marks."
        )
    written = [_copy(root, case) for case in cases]
    write_tables(root, written, name=name, command=command)
    return written


def write_tables(root: Path, cases: Sequence[Case], *, name: str, command: str = "") -> None:
    """Write what makes a folder with finished case files a BIDS derivative, and its case table."""
    schemes = [load_scheme(scheme) for scheme in sorted({case.scheme for case in cases})]
    write_text(root / "dataset_description.json", json_text(_description(name, command)))
    write_text(root / ".bidsignore", "".join(f"{entry}\n" for entry in IGNORED))
    write_text(root / "README.md", _readme(name, cases, schemes))
    write_text(root / "participants.tsv", _participants(cases))
    write_text(root / "participants.json", json_text({key: {"Description": text} for key, text in _TABLE.items()}))
    for scheme in schemes:
        write_text(root / f"seg-{scheme.name}_dseg.tsv", color_table(scheme, "bids"))
        write_text(root / f"seg-{scheme.name}_itksnap.txt", color_table(scheme, "itksnap"))
        write_text(root / f"seg-{scheme.name}_freesurfer.txt", color_table(scheme, "freesurfer"))
    write_cases(root / "cases.csv", cases)


def subject_label(case: str) -> str:
    """Letters and digits of a case name: its BIDS subject label, without ``sub-``."""
    return re.sub(r"[^A-Za-z0-9]", "", case.removeprefix("sub-"))


def case_paths(root: Path, case: str, scheme: LabelScheme, contrasts: Iterable[str], desc: str) -> dict[str, Path]:
    """Where the files of a case belong: by "labels", "displacement" and each contrast."""
    start = root / f"sub-{subject_label(case)}" / "anat" / f"sub-{subject_label(case)}"
    return {
        "labels": Path(f"{start}_seg-{scheme.name}_dseg.nii.gz"),
        "displacement": Path(f"{start}_desc-toparent_xfm.nii.gz"),
        **{contrast: Path(f"{start}_desc-{desc}_{contrast}.nii.gz") for contrast in contrasts},
    }


def write_sidecar(volume: Path, content: dict[str, Any]) -> None:
    """Write the JSON file that belongs to a volume."""
    write_text(volume.with_name(volume.name.removesuffix(".nii.gz") + ".json"), json_text(content))


def skull_stripped(image: Volume, labels: Volume | None) -> bool:
    """Whether what lies outside the head is zero: outside the labels, or on the faces of an image without labels.

    A share of 0.9 is enough, because masks and label maps of one case differ in a few voxels at the rim.
    """
    outside = np.ones(image.shape, dtype=bool)
    if labels is None:
        outside[1:-1, 1:-1, 1:-1] = False
    else:
        outside = labels.array == 0
    return bool(outside.any() and (image.array[outside] == 0).mean() >= 0.9)


def entities(path: Path) -> dict[str, str]:
    """Key-value pairs of a BIDS file name; its suffix under "suffix"."""
    *pairs, suffix = path.name.split(".")[0].split("_")
    found = dict(pair.partition("-")[::2] for pair in pairs)
    return found | {"suffix": suffix}


def _case(labels: Path, people: dict[str, dict[str, Any]], scheme: str) -> Case:
    parts = entities(labels)
    identifier = "_".join(f"{key}-{parts[key]}" for key in ("sub", "ses") if key in parts)
    row = people.get(f"sub-{parts['sub']}", {})
    stored = known(row, (key for key in _TABLE if key != "age_weeks")) | facts(row, str(labels))
    stored |= ages(_session(labels, parts), str(labels))
    files: dict[str, Any] = {"labels": labels, "images": _images(labels, identifier)}
    displacement = labels.parent / f"{identifier}_desc-toparent_xfm.nii.gz"
    files["displacement"] = displacement if displacement.is_file() else None
    defaults = {"case": identifier, "subject": f"sub-{parts['sub']}", "scheme": scheme}
    return build_case(defaults | stored | files, str(labels), "Correct participants.tsv")


def _session(labels: Path, parts: dict[str, str]) -> dict[str, Any]:
    """What ``sub-X_sessions.tsv`` says of the session of a label map."""
    if "ses" not in parts:
        return {}
    folder = next((one for one in labels.parents if one.name == f"sub-{parts['sub']}"), labels.parent)
    return read_participants(folder / f"sub-{parts['sub']}_sessions.tsv", "session_id").get(f"ses-{parts['ses']}", {})


def _images(labels: Path, identifier: str) -> dict[str, Path]:
    """Image of every contrast beside a label map, of the same scan: no entity of the two says otherwise."""
    own = entities(labels)
    images = {}
    for contrast in CONTRASTS:
        found = sorted(labels.parent.glob(f"{identifier}_*{contrast}.nii.gz"))
        exact = [
            path for path in found
            if path.name.endswith(f"_{contrast}.nii.gz")
            and all(own.get(key, value) == value for key, value in entities(path).items() if key in _SCAN)
        ]  # fmt: skip
        ranked = sorted(exact, key=lambda path: (entities(path).get("desc", "~") != "synth", "desc" in entities(path)))
        if ranked:
            images[contrast] = ranked[0]
    return images


def _copy(root: Path, case: Case) -> Case:
    scheme = load_scheme(case.scheme)
    desc = "preproc" if case.origin == "real" else "synth"
    target = case_paths(root, case.case, scheme, case.images, desc)
    origin = {"Origin": case.origin, "Parent": case.parent or "n/a", "Subject": case.subject}
    labels = read_labels(case.labels, scheme) if case.labels is not None else None
    if labels is not None:
        write_labels(target["labels"], labels)
        write_sidecar(target["labels"], origin)
    for contrast, path in case.images.items():
        image = read_image(path)
        write_image(target[contrast], image)
        write_sidecar(target[contrast], origin | {"SkullStripped": skull_stripped(image, labels)})
    displacement = None
    if case.displacement is not None:
        displacement = target["displacement"]
        displacement.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(case.displacement, displacement)
    images = {contrast: target[contrast] for contrast in case.images}
    return case.model_copy(
        update={"labels": target["labels"] if labels else None, "images": images, "displacement": displacement}
    )


def _description(name: str, command: str) -> dict[str, Any]:
    made_by = {"Name": "pathosynth", "Version": __version__}
    return {
        "Name": name,
        "BIDSVersion": BIDS_VERSION,
        "DatasetType": "derivative",
        "GeneratedBy": [made_by | ({"Description": f"pathosynth {command}"} if command else {})],
    }


def _readme(name: str, cases: Sequence[Case], schemes: Sequence[LabelScheme]) -> str:
    synthetic = sum(case.origin != "real" for case in cases)
    legends = ", ".join(f"`seg-{scheme.name}` ({scheme.description})" for scheme in schemes)
    return (
        f"# {name}\n\n{len(cases)} cases, {synthetic} of them synthetic: see `origin` in participants.tsv and the JSON "
        f"file beside every volume.\nSegmentations: {legends}.\nLegends for ITK-SNAP (Segmentation > Import Label "
        "Descriptions) and FreeSurfer: `seg-*_itksnap.txt`, `seg-*_freesurfer.txt`.\n"
        f"Made with pathosynth {__version__}. For research only.\n"
    )


def _participants(cases: Sequence[Case]) -> str:
    lines = ["\t".join(("participant_id", "age", *_TABLE))]
    for case in cases:
        values = case.model_dump() | {"severity": json.dumps(case.severity, sort_keys=True) if case.severity else ""}
        cells = [f"sub-{subject_label(case.case)}", case.age_years, *(values[name] for name in _TABLE)]
        lines.append("\t".join("n/a" if cell in (None, "") else str(cell) for cell in cells))
    return "\n".join(lines) + "\n"
