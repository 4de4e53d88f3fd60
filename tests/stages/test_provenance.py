"""Who is behind a synthetic case, through chains of planted run records."""

import json
from pathlib import Path

from pathosynth.data.cases import Case
from pathosynth.stages.models import find_any_model
from pathosynth.stages.provenance import people, training_row


def planted(folder: Path, config: dict, inputs: list[Path]) -> Path:
    """A folder as a run leaves it: its record, and one volume deep inside."""
    record = {"format": 1, "config": config, "cases": {}, "inputs": {str(path): "digest" for path in inputs}}
    volume = folder / "sub-x" / "anat" / "sub-x_dseg.nii.gz"
    volume.parent.mkdir(parents=True)
    volume.touch()
    (folder / "run.json").write_text(json.dumps(record))
    return volume


def models_of(path: Path) -> dict[str, tuple[str, ...] | None]:
    case = Case(case="x", subject="p", scheme="kcl8", origin="generated", labels=path)
    return {made.name: made.subjects for made in training_row(case, path.parent / "cases.csv").models}


def test_generators_are_found_through_every_folder_before(tmp_path: Path) -> None:
    labels = planted(tmp_path / "labels", {"label_model": "l@1", "ancestors": ["a", "b"]}, [])
    morphed = planted(tmp_path / "morphed", {"recipe": {}}, [labels])
    images = planted(tmp_path / "images", {"nested": {"model": "gaussian_mixture"}}, [morphed])
    assert models_of(images) == {"l@1": ("a", "b"), "gaussian_mixture": ()}


def test_a_sidecar_names_the_people_a_trained_model_learnt_from(tmp_path: Path) -> None:
    image = planted(tmp_path / "made", {"model": "mine@12"}, [])
    assert models_of(image) == {"mine@12": None}  # unknown, which is not "nobody"
    sidecar = {"Model": "mine@12", "ModelSubjects": ["c"]}
    image.with_name("sub-x_dseg.json").write_text(json.dumps(sidecar))
    assert models_of(image) == {"mine@12": ("c",)}


def test_a_shipped_model_is_known_by_its_weights_and_another_of_that_name_is_not(tmp_path: Path) -> None:
    shipped = find_any_model("fetal-t2w")
    known = models_of(planted(tmp_path / "a", {"model": shipped.identity}, []))
    assert known == {shipped.identity: tuple(people(shipped) or ())}
    assert known[shipped.identity]
    assert models_of(planted(tmp_path / "b", {"model": "fetal-t2w@0000000000000000"}, [])) == {
        "fetal-t2w@0000000000000000": None
    }


def test_records_that_read_each_other_end(tmp_path: Path) -> None:
    first, second = (tmp_path / name / "sub-x" / "anat" / "sub-x_dseg.nii.gz" for name in ("one", "two"))
    planted(tmp_path / "one", {"model": "gaussian_mixture"}, [second])
    planted(tmp_path / "two", {}, [first])
    assert models_of(second) == {"gaussian_mixture": ()}
