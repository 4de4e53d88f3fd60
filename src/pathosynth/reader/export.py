"""Answers as tables: long CSV, JSON with the whole log, BIDS phenotype, iMRMC. The same answers give the same bytes."""

import csv
import hashlib
import io
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from pathosynth import __version__
from pathosynth.reader.folder import Opened, TruthFile
from pathosynth.reader.imrmc import detection_scale, imrmc_text
from pathosynth.reader.log import FIELDS
from pathosynth.reader.results import Answers, Rating, read_answers, standing
from pathosynth.reader.study import Question
from pathosynth.runs.errors import ConfigError
from pathosynth.runs.files import json_text, write_text

COLUMNS = ("reader", "case", "arm", "question", "repeat", "value", "elapsed_ms", "answered_at", "position", "block",
           "image_origin", "subject", "complete", "question_kind", "options")  # fmt: skip
"""Of the long table; `reader analyse` needs the first six, and need not guess what was asked with the last two."""

_FORMULA = re.compile(r"\s*[=+\-@＝＋－＠]|\t")
"""How a spreadsheet's formulas begin; the tables put ' before such a text, the JSON has it as it was written."""


def export(opened: Opened, truth: TruthFile, database: str, out: Path) -> dict[str, Any]:
    """Write ``ratings.csv``, ``training.csv`` where there was training, ``ratings.json``, ``bids/`` and ``*.imrmc``.

    Args:
        opened: the study.
        truth: which image is which.
        database: SQLAlchemy address; empty for the study's SQLite file.
        out: folder to write; an older export is replaced.

    Returns:
        Numbers of ratings and rows, and the hash that stands for all rows.

    Raises:
        InputError: there are no answers, or their chain is broken.
        ConfigError: `out` holds something else.
    """
    if out.exists() and (not out.is_dir() or any(out.iterdir())) and not (out / "ratings.json").is_file():
        raise ConfigError(f"{out}: expected a new folder or an older export, found other files. Choose another.")
    answers = read_answers(opened, database)
    ratings = standing(opened, answers, truth)
    read = [rating for rating in ratings if not rating.training]
    taught = [rating for rating in ratings if rating.training]
    write_text(out / "ratings.csv", long_table(read, opened.protocol.questions))
    if any(block.kind == "training" for block in opened.plan.readers[0]):
        write_text(out / "training.csv", long_table(taught, opened.protocol.questions))
    write_text(out / "ratings.json", json_text(_everything(opened, truth, answers, read, taught)))
    _write_bids(out / "bids", opened, read)
    for question in filter(detection_scale, opened.protocol.questions):
        write_text(out / f"{question.id}.imrmc", imrmc_text(question, read))
    return {
        "ratings": len(read),
        "training": len(taught),
        "rows": len(answers.rows),
        "head_sha256": answers.head_sha256,
    }


def long_table(ratings: Iterable[Rating], questions: Sequence[Question]) -> str:
    """CSV with one row per answer; several ticks are joined by semicolons, as options are, and none is an empty value.

    Args:
        ratings: in the order of the rows.
        questions: that were asked; options of a scale are in its order.
    """
    asked = {one.id: (one.kind, ";".join(option.value for option in one.options)) for one in questions}
    stream = io.StringIO(newline="")
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(COLUMNS)
    for rating in ratings:
        facts = _facts(rating) | dict(zip(COLUMNS[-2:], asked[rating.question], strict=True))
        writer.writerow(["" if facts[name] is None else facts[name] for name in COLUMNS])
    return stream.getvalue()


def _facts(rating: Rating) -> dict[str, Any]:
    """Columns of a table; options are plain words, so that only a text can begin like a formula."""
    value = ";".join(rating.value) if isinstance(rating.value, list) else rating.value
    shield = "'" if _FORMULA.match(value) else ""
    return {
        "reader": rating.reader, "case": rating.truth.case, "arm": rating.truth.arm, "question": rating.question,
        "repeat": rating.repeat, "value": f"{shield}{value}", "elapsed_ms": rating.elapsed_ms,
        "answered_at": rating.answered_at, "position": rating.position, "block": rating.block,
        "image_origin": rating.truth.origin, "subject": rating.truth.subject, "complete": int(rating.complete),
    }  # fmt: skip


def _everything(
    opened: Opened, truth: TruthFile, answers: Answers, read: Sequence[Rating], taught: Sequence[Rating]
) -> dict[str, Any]:
    return {
        "format": 1,
        "protocol_sha256": opened.protocol_sha256,
        "protocol": opened.protocol.model_dump(mode="json"),
        "study": truth.study,
        "head_sha256": answers.head_sha256,
        "ratings": [_facts(rating) | {"value": rating.value} for rating in read],
        "training": [_facts(rating) | {"value": rating.value} for rating in taught],
        "log": [{name: row._mapping[name] for name in (*FIELDS, "sha256")} for row in answers.rows],
    }


def _write_bids(out: Path, opened: Opened, ratings: Sequence[Rating]) -> None:
    """A BIDS data set of phenotypes alone: a table per reader, in it a row per image, which BIDS calls participant.

    An answer at the hidden second showing stands in a column of its own.
    """
    labels = _labels({rating.truth.case for rating in ratings})
    questions = opened.protocol.questions
    repeated = [f"{question.id}{_REPEAT}" for question in questions]
    columns = ["participant_id", *_IMAGE, *(question.id for question in questions), *repeated]
    tables: dict[str, dict[str, dict[str, Any]]] = {}
    for rating in ratings:
        facts = _facts(rating)
        row = tables.setdefault(rating.reader, {}).setdefault(rating.truth.case, {})
        row |= {"participant_id": labels[rating.truth.case]} | {name: facts[name] for name in _IMAGE}
        row[f"{rating.question}{_REPEAT if rating.repeat else ''}"] = facts["value"]
    for reader, rows in tables.items():
        lines = ["\t".join(_cell(row.get(name)) for name in columns) for _, row in sorted(rows.items())]
        write_text(out / "phenotype" / f"reader_{reader}.tsv", "\n".join(["\t".join(columns), *lines]) + "\n")
        write_text(out / "phenotype" / f"reader_{reader}.json", json_text(_dictionary(questions)))
    description = {
        "Name": opened.protocol.title, "BIDSVersion": "1.10.0", "DatasetType": "raw",
        "GeneratedBy": [{"Name": "pathosynth", "Version": __version__}],
    }  # fmt: skip
    write_text(out / "dataset_description.json", json_text(description))
    write_text(out / "README.md", f"# {opened.protocol.title}\n\nRatings of a reader study made with pathosynth.\n")


_REPEAT = "_repeat"
"""Ends the column of answers at a second showing."""

_IMAGE = {
    "case": "Image that was rated.",
    "subject": "Person it stems from.",
    "arm": "Kind of image.",
    "image_origin": "real or synthetic.",
}


def _dictionary(questions: Sequence[Question]) -> dict[str, Any]:
    """What the columns mean."""
    told: dict[str, Any] = {"MeasurementToolMetadata": {"Description": "pathosynth reader study, blinded"}}
    told |= {name: {"Description": text} for name, text in _IMAGE.items()}
    for question in questions:
        meaning: dict[str, Any] = {"Description": question.prompt}
        levels = {option.value: option.label for option in question.options}
        if question.kind == "ticks":
            meaning["Description"] += f". Any of {', '.join(levels)}, joined by semicolons; n/a where none was ticked."
        elif levels:
            meaning["Levels"] = levels
        told[question.id] = meaning
        told[f"{question.id}{_REPEAT}"] = meaning | {"Description": f"{meaning['Description']} (second showing)"}
    return told


def _labels(cases: set[str]) -> dict[str, str]:
    """Participant of every case: letters and digits only, as BIDS wants; with a hash where two would be one."""
    plain = {case: re.sub(r"[^A-Za-z0-9]", "", case.removeprefix("sub-")) for case in sorted(cases)}
    counts = Counter(plain.values())
    return {
        case: "sub-" + (label if label and counts[label] == 1 else label + _short_hash(case))
        for case, label in plain.items()
    }


def _short_hash(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:8]


def _cell(value: Any) -> str:
    return "n/a" if value is None or value == "" else " ".join(str(value).split())
