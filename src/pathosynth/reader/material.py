"""The images of a study: found in case tables or folders, and the truth about each."""

from collections import Counter
from dataclasses import dataclass, replace
from pathlib import Path

from pathosynth.data.cases import read_cases
from pathosynth.formats.flat import VOLUME_SUFFIXES, stem
from pathosynth.reader.study import Arm, Study
from pathosynth.runs.errors import ConfigError, InputError
from pathosynth.runs.seeds import numpy_generator


@dataclass(frozen=True)
class Image:
    """One image of a study, and what readers must not know.

    Attributes:
        case: name in the results, unique in the study.
        subject: person it stems from.
        arm: kind of image.
        origin: real or synthetic.
        path: the file it is read from.
    """

    case: str
    subject: str
    arm: str
    origin: str
    path: Path


def find_images(study: Study) -> list[Image]:
    """The images of all arms, drawn by the seed where an arm takes only some.

    Raises:
        InputError: a source is missing, has too few images, or a table is damaged.
        ConfigError: an arm has two images of one name. Two arms may: their names then stand before the case's.
    """
    found = [image for name, arm in study.arms.items() for image in _drawn(study, name, arm)]
    counts = Counter(image.case for image in found)
    named = [replace(image, case=f"{image.arm}.{image.case}") if counts[image.case] > 1 else image for image in found]
    twice = sorted(case for case, count in Counter(image.case for image in named).items() if count > 1)
    if twice:
        raise ConfigError(f"Found the images {', '.join(twice[:5])} twice. Give every image a name of its own.")
    return named


def _drawn(study: Study, name: str, arm: Arm) -> list[Image]:
    source = Path(arm.source)
    table = source / "cases.csv" if source.is_dir() else source
    rows = _tabled(table, arm) if table.is_file() else _in_folder(source, arm)
    wanted = arm.cases or len(rows)
    if not rows or wanted > len(rows):
        raise InputError(
            f"{source}: expected {wanted or 'some'} images of contrast {arm.contrast} for arm '{name}', found "
            f"{len(rows)}. Check the source and the contrast, or lower cases."
        )
    order = numpy_generator(study.seed, "arm", name).permutation(len(rows))[:wanted]
    return [Image(*rows[index][:2], name, arm.origin, rows[index][2]) for index in sorted(int(i) for i in order)]


def _tabled(table: Path, arm: Arm) -> list[tuple[str, str, Path]]:
    return [
        (case.case, case.subject, case.images[arm.contrast])
        for case in read_cases(table)
        if arm.contrast in case.images
    ]


def _in_folder(folder: Path, arm: Arm) -> list[tuple[str, str, Path]]:
    """Images named ``NAME_CONTRAST.nii.gz``; each is its own subject."""
    if not folder.is_dir():
        raise InputError(f"{folder}: expected a cases.csv or a folder of images, found neither. Check the source.")
    images = [path for path in sorted(folder.iterdir()) if path.name.lower().endswith(VOLUME_SUFFIXES)]
    named = [(stem(path).removesuffix(f"_{arm.contrast}"), path) for path in images
             if stem(path).endswith(f"_{arm.contrast}")]  # fmt: skip
    return [(name, name, path) for name, path in named]
