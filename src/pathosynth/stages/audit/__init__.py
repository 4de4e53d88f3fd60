"""Trained model -> has it memorised? Copies, membership, texts of the training files; the page, and the model card."""

import functools
import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pathosynth.data.copy_reference import load_reference
from pathosynth.drawing.page import Picture
from pathosynth.drawing.style import png
from pathosynth.runs.files import json_text, write_table, write_text
from pathosynth.runs.record import RunRecord
from pathosynth.stages import inputs, outputs
from pathosynth.stages.audit import figures
from pathosynth.stages.audit.asked import LEVELS, Audit, refuse_strangers
from pathosynth.stages.audit.canaries import canaries_of, spotted
from pathosynth.stages.audit.card import section, write_section
from pathosynth.stages.audit.looking import MADE, look, prepare
from pathosynth.stages.audit.numbers import rows_of, summary
from pathosynth.stages.audit.page import audit_page
from pathosynth.stages.audits import FILE
from pathosynth.stages.batch import Options, Plan
from pathosynth.stages.models import shipped_models

log = logging.getLogger(__name__)

CAPTIONS = {
    "likeness": "Likeness to the nearest training case: generated cases against real people. Right of the dashed limit "
    "is what a new person is not expected to reach in 99.5 % of cases.",
    "losses": "How well the model denoises cases it learnt from and cases of other people; apart means it knows them.",
    "nearest": "Generated cases most like a training case, and that case beside them.",
}
BYTES_PER_VOXEL = 400
"""Peak per voxel: rendering, and the fingerprints of labels and image."""


def plan(audit: Audit, options: Options) -> Plan:
    """Every case of every role becomes one task.

    Raises:
        InputError: the cases are not those the model learnt from, or held-out ones are.
        ConfigError: the control is of another kind.
    """
    refuse_strangers(audit)
    tasks = audit.tasks()
    every = [*audit.training, *audit.held_out, *audit.generated]
    made = len(tasks) - len(audit.own) - len(audit.held_out)
    return Plan(
        command="audit",
        config=audit.described(),
        inputs=inputs.files_of(every),
        tasks=tasks,
        work=functools.partial(look, audit=audit, out=options.out),
        finish=functools.partial(_finish, audit=audit),
        memory_gib=outputs.memory_gib(every, BYTES_PER_VOXEL),
        makes=f"an audit of {audit.found.identity}: {len(audit.own)} training cases, {len(audit.held_out)} "
        f"held-out ones, {made} generated ones",
        device=audit.device,
        prepare=functools.partial(prepare, audit=audit, out=options.out),
    )


def _finish(out: Path, record: RunRecord, *, audit: Audit) -> None:
    """Write the tables, the page and ``audit.json`` here, and what the model's folder keeps of them."""
    folder = audit.found.folder
    if folder is None:
        return
    canaries = canaries_of(audit.training, audit.canaries)
    found = [*spotted(canaries, folder), *spotted(canaries, out / MADE)]
    if audit.generated_folder is not None:
        found += spotted(canaries, audit.generated_folder)
    rows = rows_of(record.content, audit)
    told = outputs.finite(summary(record.content, rows, found, audit) | {"canaries_searched": len(canaries)})
    write_table(out / "audit.csv", [outputs.finite(row) for row in rows])
    write_table(out / "canaries.csv", [vars(one) for one in found])
    pictures = _pictures(out, record, rows, audit)
    write_text(out / FILE, json_text(told))
    write_text(out / "audit.html", audit_page(told, pictures, section(told)))
    keep_in(folder, told)


def keep_in(folder: Path, told: Mapping[str, Any]) -> None:
    """Write an audit into the folder of its model; one that ships with this package stays as it is."""
    if folder in shipped_models().values():
        log.warning(
            "%s ships with pathosynth: its folder stays as it is, the audit lies in the output alone", folder.name
        )
        return
    write_text(folder / FILE, json_text({key: value for key, value in told.items() if key != "people"}))
    write_section(folder, told)


def _pictures(out: Path, record: RunRecord, rows: list[dict[str, object]], audit: Audit) -> list[Picture]:
    known = load_reference(out) or {}
    drawn = {
        "likeness": figures.distances(rows, known),
        "losses": figures.losses(record.content, LEVELS),
        "nearest": figures.pairs(record.content, rows, out, audit.contrast, image=audit.show),
    }
    pictures = []
    for name, figure in drawn.items():
        if figure is not None:
            figure.set_dpi(200)
            picture = Picture(name, CAPTIONS[name], png(figure))
            (out / f"{name}.png").write_bytes(picture.png)
            pictures.append(picture)
    return pictures


__all__ = ["Audit", "plan"]
