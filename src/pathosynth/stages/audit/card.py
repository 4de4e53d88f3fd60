"""The audit in the model card: one section of the folder's ``README.md``, replaced when the model is audited again."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pathosynth.runs.files import write_text
from pathosynth.stages.audits import verdict

TITLE = "## Memorisation audit"
_SECTION = re.compile(rf"\n*{TITLE}\n.*?(?=\n## |\Z)", re.DOTALL)


def write_section(folder: Path, told: Mapping[str, Any]) -> None:
    """Put the audit into the card; a folder without one gets one of this section alone."""
    path = folder / "README.md"
    text = path.read_text(encoding="utf-8") if path.is_file() else f"# {folder.name}\n"
    write_text(path, _SECTION.sub("", text).rstrip() + "\n\n" + section(told))


def section(told: Mapping[str, Any]) -> str:
    """The section as Markdown; no name of a case or person stands in it."""
    lines = [
        TITLE, "",
        f"By `pathosynth audit` on weights `{told['weights']}`: {told['training']['cases']} training cases of "
        f"{told['training']['people']} people, {told['held_out']['cases']} held-out cases of "
        f"{told['held_out']['people']} people" + (f", control `{told['control']}`." if told["control"] else "."),
        "",
        "| compared | generated | copies | share (95 % interval) | allowed | median, limit | held-out copies |",
        "|---|---|---|---|---|---|---|",
    ]  # fmt: skip
    for part, one in told["parts"].items():
        share = "not judged" if one["share"] is None else f"{one['share']:.1%} ({one['low']:.1%} to {one['high']:.1%})"
        likeness = f"{_number(one['median'])}, {_number(one['limit'])}"
        lines.append(
            f"| {part} | {one['judged'] + one['not_judged']} | {one['copies']} | {share} | {one['allowed']} "
            f"| {likeness} | {one['held_out_copies']} of {one['held_out']} |"
        )
    lines += ["", _membership(told["membership"]), _canaries(told["canaries"]), ""]
    lines.append(verdict(told).replace("Above the limit:", "**Above the limit:**"))
    return "\n".join(lines) + "\n"


def _membership(told: Mapping[str, Any] | None) -> str:
    if told is None:
        return "Membership inference: not done, there was nothing to compare with."
    text = f"Membership inference by denoising loss: AUC {_span(told, '')} against {told['against']}"
    if "control_auc" in told:
        text += f"; the control, which saw neither, {_span(told, 'control_')}"
    return text + (". Training cases can be told apart." if told["told_apart"] else ".")


def _span(told: Mapping[str, Any], of: str) -> str:
    return f"{_number(told[f'{of}auc'])} ({_number(told[f'{of}low'])} to {_number(told[f'{of}high'])})"


def _canaries(told: Mapping[str, Any]) -> str:
    text = f"Texts of the training files found in this folder or in what it makes: {told['found']}."
    if told["in_records"]:
        text += f" Records of the training name {told['in_records']} more: leave out run.json and checkpoints."
    return text


def _number(value: float | None) -> str:
    return "–" if value is None else f"{value:.2f}"
