"""A study's folder: nothing of the truth in what is served, and everything fixed by hashes."""

import json
from collections import Counter
from pathlib import Path

import pytest
from reader_served import begin
from reader_toy import write_toy

from pathosynth.reader.begin import begin_study
from pathosynth.reader.folder import StudyFolder, open_study, open_truth
from pathosynth.reader.material import find_images
from pathosynth.reader.study import load_study
from pathosynth.runs.errors import ConfigError, InputError


def test_what_is_served_tells_nothing(toy: Path) -> None:
    """No word of the truth in any served byte; files alike in size, time and kind of name."""
    truth = open_truth(open_study(toy), None)
    words = {word for image in truth.images.values() for word in (image.case, image.arm, image.source, image.sha256)}
    files = sorted((toy / "served").rglob("*.*"))
    for path in files:
        assert not [word for word in words if word.encode() in path.read_bytes()]
    volumes = sorted((toy / "served" / "volumes").iterdir())
    assert len(volumes) == 12
    assert len({(path.stat().st_size, path.stat().st_mtime, len(path.name)) for path in volumes}) == 1
    assert {path.stem for path in volumes} == set(truth.images)
    assert Counter(image.arm for image in truth.images.values()) == {"scanner": 6, "model": 6}


def test_only_the_owner_may_enter(toy_origin: Path) -> None:
    for folder in (toy_origin, toy_origin / "truth", toy_origin / "store" / "invites"):
        assert folder.stat().st_mode & 0o077 == 0


def test_the_truth_may_lie_elsewhere(tmp_path: Path) -> None:
    study = load_study(write_toy(tmp_path / "m", each=12, size=10))
    away = tmp_path / "locker" / "truth.json"
    begun = begin_study(study, tmp_path / "study", truth=away, progress=lambda done, total: None)
    assert not StudyFolder(tmp_path / "study").truth.exists()
    assert len(open_truth(open_study(begun.folder.root), away).images) == 24


@pytest.mark.parametrize("part", ["plan.json", "truth.json"])
def test_a_changed_plan_or_truth_is_refused(toy: Path, part: str) -> None:
    path = next(toy.rglob(part))
    content = json.loads(path.read_text())
    if part == "plan.json":
        content["readers"][0].reverse()
    else:
        first, second = list(content["images"])[:2]
        content["images"][first], content["images"][second] = content["images"][second], content["images"][first]
    path.write_text(json.dumps(content))
    with pytest.raises(InputError, match="is not the"):
        open_truth(open_study(toy), None)


def test_a_used_folder_is_left_alone(toy: Path, tmp_path: Path) -> None:
    study = load_study(write_toy(tmp_path / "m", each=12, size=10))
    before = (toy / "served" / "plan.json").read_bytes()
    with pytest.raises(ConfigError, match="new folder"):
        begin_study(study, toy, truth=None, progress=lambda done, total: None)
    assert (toy / "served" / "plan.json").read_bytes() == before


def test_an_arm_can_take_some_images_of_a_table(tmp_path: Path) -> None:
    path = write_toy(tmp_path / "m", each=4, size=10)
    folder = tmp_path / "m" / "real"
    lines = [f"{file.name[:-11]},person{n % 2},kcl8,{file.name}" for n, file in enumerate(sorted(folder.iterdir()))]
    (folder / "cases.csv").write_text("\n".join(["case,subject,scheme,T2w", *lines]))
    path.write_text(path.read_text().replace('origin = "real"', 'origin = "real"\ncases = 2'))
    images = find_images(load_study(path))
    assert Counter(image.arm for image in images) == {"scanner": 2, "model": 4}
    assert {image.subject for image in images if image.arm == "scanner"} <= {"person0", "person1"}


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ('source = "real"', 'source = "nowhere"', "neither"),
        ('contrast = "T2w"', 'contrast = "FLAIR"', "found 0"),
        ("seed = 7", "sead = 7", "sead"),
        ('origin = "real"', 'origin = "fake"', "origin"),
        ('origin = "real"', 'origin = "real"\ncases = 99', "expected 99"),
    ],
)
def test_a_wrong_study_file_is_told(tmp_path: Path, old: str, new: str, said: str) -> None:
    path = write_toy(tmp_path / "m", each=2, size=10)
    path.write_text(path.read_text().replace(old, new, 1))
    with pytest.raises((ConfigError, InputError), match=said):
        find_images(load_study(path))


def test_one_name_in_two_arms_gets_the_arm_before_it(tmp_path: Path) -> None:
    path = write_toy(tmp_path / "m", each=2, size=10)
    path.write_text(path.read_text().replace('source = "synthetic"', 'source = "real"'))
    cases = [image.case for image in find_images(load_study(path))]
    assert sorted(cases) == ["model.real000", "model.real001", "scanner.real000", "scanner.real001"]


def test_the_same_seed_is_the_same_study(tmp_path: Path) -> None:
    """Apart from the random names: the same images in the same order for everybody."""
    orders = []
    for name in ("a", "b"):
        opened = open_study(begin(tmp_path / name, each=12, size=10, readers=2))
        truth = open_truth(opened, None)
        orders.append([[truth.images[s.file].case for b in r for s in b.slots] for r in opened.plan.readers])
    assert orders[0] == orders[1]
