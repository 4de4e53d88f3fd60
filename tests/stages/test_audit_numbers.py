"""The verdict of an audit from planted measurements, the card's section, and what export makes of it."""

import json
import logging
from pathlib import Path

import numpy as np
import pytest

from pathosynth.data.cases import Case, write_cases
from pathosynth.data.nifti import write_image, write_labels
from pathosynth.data.volume import Volume
from pathosynth.runs.errors import InputError
from pathosynth.stages import export
from pathosynth.stages.audit import keep_in
from pathosynth.stages.audit.asked import Audit, refuse_strangers
from pathosynth.stages.audit.card import section, write_section
from pathosynth.stages.audit.numbers import rows_of, summary
from pathosynth.stages.audits import FILE, audited, read_audit, status_of
from pathosynth.stages.batch import Options
from pathosynth.stages.models import Found

IDENTITY = "model@0123456789abcdef"


def person(name: str) -> Case:
    return Case(case=name, subject=name, scheme="kcl8")


def audit_of(folder: Path | None = None, people: int = 8) -> Audit:
    (folder / "model.safetensors").write_bytes(b"weights") if folder else None
    card = {"facts": {"subjects": [f"t{i}" for i in range(people)]}}
    found = Found("model", "pixel_diffusion", folder, card)
    training = tuple(person(f"t{i}") for i in range(people))
    return Audit(found, training, tuple(person(f"h{i}") for i in range(people)))


def record_of(likeness: dict[str, list[float]], losses: dict[str, list[float]], limit: float = 0.5) -> dict:
    """Entries with one likeness and one loss per case of a role."""
    cases = {}
    for role in ("training", "held-out", "generated"):
        for i in range(max(len(likeness.get(role, [])), len(losses.get(role, [])))):
            entry: dict = {"role": role, "outcome": "done", "name": f"{role}{i}", "subject": f"{role}{i}", "row": {}}
            if i < len(likeness.get(role, [])):
                told = {"part": "labels", "similarity": likeness[role][i], "case": "t0", "subject": "t0"}
                entry["likeness"] = [told | {"mirror": False, "suspect": limit - 0.1, "copy": limit}]
            if i < len(losses.get(role, [])):
                entry["losses"] = [losses[role][i]] * 4
            cases[f"{role}_{i}"] = entry
    return {"cases": cases}


def told_of(record: dict, audit: Audit, found: tuple = ()) -> dict:
    return summary(record, rows_of(record, audit), found, audit)


def test_copies_are_counted_and_one_by_chance_is_not_too_many() -> None:
    audit = audit_of()
    one = told_of(record_of({"generated": [0.1] * 19 + [0.9]}, {}), audit)
    assert one["parts"]["labels"]["copies"] == 1
    assert one["parts"]["labels"]["share"] == pytest.approx(0.05)
    assert one["above_limit"] == []
    many = told_of(record_of({"generated": [0.1] * 16 + [0.9] * 4}, {}), audit)
    assert "4 of 20 label maps are copies" in many["above_limit"][0]
    assert many["people"] == [{"subject": "t0", "copies": 4, "similarity": 0.9}]


def test_more_held_out_than_training_people_say_how_like_may_be(rng: np.random.Generator) -> None:
    unseen = rng.normal(0.15, 0.03, 14).tolist()
    made = {"generated": [0.45] * 8, "held-out": unseen}
    few = told_of(record_of(made, {}), audit_of(people=6))
    assert few["parts"]["labels"]["limit"] < 0.4  # six training people among themselves: 0.5
    assert (few["parts"]["labels"]["copies"], few["parts"]["labels"]["held_out_copies"]) == (8, 0)
    assert "8 of 8 label maps are copies" in few["above_limit"][0]
    many = told_of(record_of(made, {}), audit_of(people=14))
    assert (many["parts"]["labels"]["limit"], many["parts"]["labels"]["copies"]) == (0.5, 0)


def test_without_a_limit_nothing_is_judged_and_that_is_told() -> None:
    told = told_of(record_of({"generated": [0.99] * 5}, {}, limit=float("nan")), audit_of())
    assert (told["parts"]["labels"]["judged"], told["parts"]["labels"]["not_judged"]) == (0, 5)
    assert told["parts"]["labels"]["share"] is None


def test_membership_is_told_apart_only_where_losses_differ(rng: np.random.Generator) -> None:
    audit = audit_of()
    apart = told_of(record_of({}, {"training": [0.1] * 8, "held-out": [0.2] * 8}), audit)["membership"]
    assert (apart["auc"], apart["told_apart"], apart["others"]) == (1.0, True, 8)
    few = audit_of(people=3)
    by_chance = told_of(record_of({}, {"training": [0.1] * 3, "held-out": [0.2] * 3}), few)["membership"]
    assert (by_chance["auc"], by_chance["told_apart"]) == (1.0, False), "three and three are apart once in twenty"
    mixed = rng.uniform(0.1, 0.2, 16).tolist()
    same = told_of(record_of({}, {"training": mixed[:8], "held-out": mixed[8:]}), audit)["membership"]
    assert not same["told_apart"]
    assert same["low"] < 0.5 < same["high"]
    assert told_of(record_of({}, {"training": [0.1] * 8}), audit)["membership"] is None


def test_a_rendered_image_is_held_against_people_the_model_has_not_seen(rng: np.random.Generator) -> None:
    audit, record = audit_of(), record_of({}, {})
    for role, values in (("training", [0.95] * 8), ("held-out", rng.normal(0.2, 0.03, 8))):
        for i, value in enumerate(values):
            record["cases"][f"{role}_{i}"] = {
                "role": role, "outcome": "done", "name": f"{role}{i}", "subject": f"{role}{i}", "texture": float(value),
                "texture_of": f"{role}{i}", "row": {},
            }  # fmt: skip
    told = told_of(record, audit)
    assert (told["parts"]["texture"]["judged"], told["parts"]["texture"]["copies"]) == (8, 8)
    assert told["parts"]["texture"]["held_out_copies"] == 0
    assert told["above_limit"]


def test_strangers_are_refused(tmp_path: Path) -> None:
    audit = audit_of()
    refuse_strangers(audit)
    with pytest.raises(InputError, match="not among the 8 people"):
        refuse_strangers(Audit(audit.found, (person("somebody"),)))
    with pytest.raises(InputError, match="held-out subjects"):
        refuse_strangers(Audit(audit.found, audit.training, (person("t3"),)))
    with pytest.raises(InputError, match=r"all 8 people.*found none of t7"):
        refuse_strangers(Audit(audit.found, audit.training[:-1]))


def test_the_card_has_one_section_and_keeps_the_rest(tmp_path: Path) -> None:
    (tmp_path / "README.md").write_text("# a model\n\n## Memorisation audit\nstale\n\n## Limits\nmany\n")
    audit = audit_of(tmp_path)
    write_section(tmp_path, told_of(record_of({"generated": [0.1] * 19 + [0.9]}, {}), audit))
    write_section(tmp_path, told_of(record_of({"generated": [0.1] * 20}, {}), audit))
    text = (tmp_path / "README.md").read_text()
    assert text.count("## Memorisation audit") == 1
    assert "stale" not in text
    assert "## Limits\nmany" in text
    assert "| labels | 20 | 0 | 0.0%" in text
    assert text.rstrip().endswith("Below the limit.")
    copying = told_of(record_of({"generated": [0.9] * 20}, {}), audit)
    assert "\n**Above the limit:** 20 of 20 label maps are copies" in section(copying)
    assert "t0" not in text, "no name of a person stands in the card"


def test_an_audit_is_kept_with_the_model_but_not_with_one_that_ships(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    audit = audit_of(tmp_path)
    told = told_of(record_of({"generated": [0.1] * 20}, {}), audit)
    monkeypatch.setattr("pathosynth.stages.audit.shipped_models", lambda: {"model": tmp_path})
    keep_in(tmp_path, told)
    assert {path.name for path in tmp_path.iterdir()} == {"model.safetensors"}
    monkeypatch.undo()
    keep_in(tmp_path, told)
    assert audited(audit.found).status == "passed"
    assert "people" not in json.loads((tmp_path / FILE).read_text())


def test_an_audit_of_other_weights_does_not_count(tmp_path: Path) -> None:
    audit = audit_of(tmp_path)
    told = told_of(record_of({"generated": [0.9] * 20}, {}), audit)
    (tmp_path / FILE).write_text(json.dumps(told))
    assert read_audit(tmp_path) is not None
    assert audited(audit.found).status == "above the limit"
    (tmp_path / "model.safetensors").write_bytes(b"other weights")
    assert audited(audit.found).status == "none"


@pytest.fixture
def made(tmp_path: Path) -> Path:
    """One generated case, with the sidecar the test writes."""
    labels = Volume(np.arange(8 * 8 * 8).reshape(8, 8, 8).astype(np.uint8) % 9, np.eye(4))
    write_labels(tmp_path / "g_dseg.nii.gz", labels)
    write_image(tmp_path / "g_T2w.nii.gz", labels.with_array(labels.array.astype(np.float32)))
    case = Case(case="g", subject="g", origin="generated", scheme="kcl8", labels=tmp_path / "g_dseg.nii.gz",
                images={"T2w": tmp_path / "g_T2w.nii.gz"})  # fmt: skip
    write_cases(tmp_path / "cases.csv", [case])
    return tmp_path


def plan_export(folder: Path, *, allow_copies: bool = False) -> object:
    from pathosynth.stages.inputs import read_input

    options = Options(folder / "Dataset501_X")
    return export.plan(read_input(folder / "cases.csv"), ["T2w"], 0, options, allow_copies=allow_copies)


def test_export_refuses_cases_of_a_model_that_copies_unless_told(made: Path) -> None:
    (made / "g_T2w.json").write_text(json.dumps({"Model": IDENTITY, "ModelAudit": "above the limit"}))
    with pytest.raises(InputError, match=r"model@.*above the limit.*--allow-copies"):
        plan_export(made)
    assert plan_export(made, allow_copies=True)


def test_export_finds_an_audit_made_after_the_cases(made: Path, tmp_path: Path) -> None:
    (made / "g_T2w.json").write_text(json.dumps({"Model": IDENTITY, "ModelAudit": "none"}))
    model = tmp_path / "model"
    model.mkdir()
    record = {"format": 1, "command": "generate-images", "config": {"model": IDENTITY}, "cases": {}, "inputs": {},
              "models": {IDENTITY: str(model)}}  # fmt: skip
    (made / "run.json").write_text(json.dumps(record))
    told = {"format_version": 1, "weights": "0123456789abcdef", "above_limit": ["9 of 9 are copies"],
            "parts": {"labels": {"judged": 9}}}  # fmt: skip
    (model / FILE).write_text(json.dumps(told))
    with pytest.raises(InputError, match="9 of 9 are copies"):
        plan_export(made)
    (model / FILE).write_text(json.dumps(told | {"above_limit": []}))
    assert plan_export(made)


def test_an_audit_that_judged_nothing_is_no_pass(made: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    audit = audit_of(tmp_path)
    told = told_of(record_of({"generated": [0.1] * 20}, {}), audit)
    assert status_of(told) == "passed"
    told["parts"]["labels"] |= {"judged": 0, "not_judged": 20, "share": None}
    assert "Not judged" in section(told)
    assert "Below the limit" not in section(told)
    (tmp_path / FILE).write_text(json.dumps(told))
    assert audited(audit.found).status == "not judged"
    (made / "g_T2w.json").write_text(json.dumps({"Model": IDENTITY, "ModelAudit": "not judged"}))
    with caplog.at_level(logging.WARNING):
        assert plan_export(made)
    assert "could judge nothing" in caplog.text


def test_export_warns_of_a_model_nobody_audited(made: Path, caplog: pytest.LogCaptureFixture) -> None:
    (made / "g_T2w.json").write_text(json.dumps({"Model": IDENTITY}))
    with caplog.at_level(logging.WARNING):
        assert plan_export(made)
    assert "has no audit" in caplog.text
