from pathlib import Path

import pytest

from pathosynth.runs.errors import ModelError
from pathosynth.segmenters.record import FOLDER, MadeBy, SegmenterRecord, TrainingRow, read_segmenter, write_segmenter

ROW = TrainingRow(
    case="a1", subject="sub-a", origin="morphed", parent="sub-a", source="/d/cases.csv",
    models=(MadeBy(name="m@12", subjects=("sub-b",)), MadeBy(name="unknown@34")),
)  # fmt: skip


def test_what_is_written_is_read_from_the_folder_and_from_the_run_around_it(tmp_path: Path) -> None:
    record = SegmenterRecord(kind="nnunet", plan="small", scheme="kcl8", contrast="T2w", seed=3, training=(ROW,))
    write_segmenter(tmp_path / FOLDER, record)
    assert read_segmenter(tmp_path / FOLDER) == record
    assert read_segmenter(tmp_path) == record
    assert read_segmenter(tmp_path).training[0].models[1].subjects is None  # unknown is not "nobody"


def test_a_folder_without_a_record_or_with_a_damaged_one_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="found neither"):
        read_segmenter(tmp_path)
    (tmp_path / "segmenter.json").write_text('{"kind": "nnunet"}')
    with pytest.raises(ModelError, match="scheme"):
        read_segmenter(tmp_path)
