"""The page of an audit."""

from collections.abc import Mapping, Sequence
from typing import Any

from pathosynth.drawing.page import Picture
from pathosynth.drawing.sections import Section, Table, sections_page
from pathosynth.stages.audits import verdict


def audit_page(told: Mapping[str, Any], pictures: Sequence[Picture], card: str) -> str:
    """The page as text.

    Args:
        told: the audit in numbers.
        pictures: in the order of the page.
        card: the section of the model card.
    """
    lead = f"Has {told['model']} memorised its training data? {verdict(told)}"
    named = {picture.name: picture for picture in pictures}
    shown = {name: (named[name],) if name in named else () for name in ("likeness", "losses", "nearest")}
    sections = (
        Section("Copies", told["rule"] + ".", (_parts(told),), shown["likeness"]),
        Section("Most like a training case", "", (), shown["nearest"]),
        Section("Copies by person", "", (_people(told),)),
        Section("Membership inference", _membership(told), _membership_table(told), shown["losses"]),
        Section("Texts of the training files", _canaries(told)),
        Section("For the model card", card.replace("\n", " ")),
    )
    return sections_page(f"Memorisation audit: {told['model']}", lead, _notes(told), sections)


def _notes(told: Mapping[str, Any]) -> list[str]:
    notes = ["Pictures show training cases where images or maps of people were learnt from: the page is as private."]
    if not told["held_out"]["cases"] and not told["control"]:
        notes.append(
            "Without --held-out or --control there is nothing to hold rendered images and losses against; "
            "only nearest neighbours were judged."
        )
    unjudged = [part for part, one in told["parts"].items() if not one["judged"]]
    if unjudged:
        notes.append(f"Not judged, because too few people set a limit: {', '.join(unjudged)}.")
    if told["training"]["people"] < 20:
        notes.append(
            f"{told['training']['people']} training people: limits from so few are wide, and only near copies are seen."
        )
    return notes


def _parts(told: Mapping[str, Any]) -> Table:
    columns = ("compared", "judged", "copies", "share", "95 % interval", "allowed", "over 95 % rule", "limit",
               "median", "held-out median", "held-out copies")  # fmt: skip
    rows = tuple(
        (
            part, str(one["judged"]), ("!" if one["copies"] > one["allowed"] else "") + str(one["copies"]),
            _percent(one["share"]), f"{_percent(one['low'])} to {_percent(one['high'])}", str(one["allowed"]),
            str(one["suspects"]), _number(one["limit"]), _number(one["median"]), _number(one["held_out_median"]),
            f"{one['held_out_copies']} of {one['held_out']}",
        )
        for part, one in told["parts"].items()
    )  # fmt: skip
    note = (
        "labels and image: folds, compared with every training case. texture: what an image rendered from a real label "
        "map shares with that person's image, beyond what the label map tells; held against people not learnt from."
    )
    return Table(columns, rows, note)


def _people(told: Mapping[str, Any]) -> Table:
    rows = tuple((str(one["subject"]), str(one["copies"]), _number(one["similarity"])) for one in told["people"])
    return Table(("training person", "copies", "highest likeness"), rows or (("nobody", "0", "–"),))


def _membership(told: Mapping[str, Any]) -> str:
    found = told["membership"]
    if found is None:
        return "Not done: give --held-out cases of other people, or a --control model that did not learn from these."
    verdict = "can be told apart by their loss" if found["told_apart"] else "cannot be told apart by their loss"
    return f"Training cases {verdict}. An AUC of 0.5 is chance; few people make wide intervals."


def _membership_table(told: Mapping[str, Any]) -> tuple[Table, ...]:
    found = told["membership"]
    if found is None:
        return ()
    rows = [(told["model"], found["against"], *(str(found[name]) for name in ("members", "others")), *_span(found, ""))]
    if "control_auc" in found:
        rows.append((str(told["control"]), "the same cases", "0", "all", *_span(found, "control_")))
    return (Table(("model", "against", "members", "others", "AUC", "95 % interval"), tuple(rows)),)


def _span(found: Mapping[str, Any], of: str) -> tuple[str, str]:
    return _number(found[f"{of}auc"]), f"{_number(found[f'{of}low'])} to {_number(found[f'{of}high'])}"


def _canaries(told: Mapping[str, Any]) -> str:
    found = told["canaries"]
    text = f"{told['canaries_searched']} texts of headers, sidecars and names were searched for; {found['found']} found"
    text += f" in what is shared ({', '.join(found['places'])})." if found["found"] else "."
    if found["in_records"]:
        text += f" The records of the training name {found['in_records']} more: do not share run.json and checkpoints."
    return text + " Names of cases and subjects are kept on purpose, so that nobody is tested on their own child."


def _number(value: float | None) -> str:
    return "–" if value is None else f"{value:.2f}"


def _percent(value: float | None) -> str:
    return "–" if value is None else f"{value:.1%}"
