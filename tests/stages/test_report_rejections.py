"""The page of rejected cases names kept ones, too, that a check advises to look at."""

import json
from pathlib import Path

from typer.testing import CliRunner

from pathosynth.cli import app
from pathosynth.data.nifti import write_labels
from pathosynth.data.phantom import brain_phantom
from pathosynth.runs.record import FILE_NAME
from pathosynth.stages.report.judged import read_judged


def checked(folder: Path, strains: dict[str, float]) -> Path:
    """Output of `check` on phantoms, in whose record `unusual` judged with these strains."""
    for name in strains:
        write_labels(folder / "cases" / f"{name}_dseg.nii.gz", brain_phantom(3, (72, 84, 76), 1.6))
    call = ["check", "-i", str(folder / "cases"), "--scheme", "kcl8", "--check", "geometry", "-o", str(folder / "out")]
    assert CliRunner().invoke(app, call).exit_code == 0
    record = json.loads((folder / "out" / FILE_NAME).read_text())
    for name, strain in strains.items():
        told = {"contrast": "", "check": "unusual", "value": strain, "limit": 1.0, "passed": True, "judged": True}
        record["cases"][name]["findings"].append({**told, "strain": strain, "detail": ""})
    (folder / "out" / FILE_NAME).write_text(json.dumps(record))
    return folder / "out"


def test_kept_cases_to_look_at_are_named(tmp_path: Path) -> None:
    out = checked(tmp_path, {"a": 0.4, "b": 3.5, "c": 1.2})
    assert [one.advised for one in read_judged(out).cases] == [(), ("unusual",), ("unusual",)]
    call = ["report", "rejections", "-i", str(out), "-o", str(tmp_path / "page")]
    assert CliRunner().invoke(app, call).exit_code == 0
    text = (tmp_path / "page" / "rejections.html").read_text()
    assert "0 of 3 cases" in text
    assert "Look at these too, to which unusual points: b, c." in text
