"""The audit of a model, as it lies in its folder: what `audit` wrote, what stages ask before they hand on cases."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pathosynth.data.cases import Case
from pathosynth.runs.errors import ModelError
from pathosynth.stages.models import Found
from pathosynth.stages.provenance import model_folders, past

FILE = "audit.json"
FORMAT_VERSION = 1
PASSED, ABOVE, UNJUDGED, NONE = "passed", "above the limit", "not judged", "none"
"""What a sidecar says of the audit of the model that made a case."""


@dataclass(frozen=True)
class Audited:
    """What is known of the audit of one model.

    Attributes:
        model: its identity.
        status: `PASSED`, `ABOVE`, `UNJUDGED` where nothing that was made could be held against the training cases, or
            `NONE`.
        reasons: why it is above the limit.
    """

    model: str
    status: str
    reasons: tuple[str, ...] = ()


def read_audit(folder: Path) -> dict[str, Any] | None:
    """The audit in a model folder; None where there was none.

    Raises:
        ModelError: the file is damaged.
    """
    path = folder / FILE
    if not path.is_file():
        return None
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        if content["format_version"] != FORMAT_VERSION or not isinstance(content["above_limit"], list):
            raise ValueError(f"format {content['format_version']!r}")
        status_of(content)
        return dict(content)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ModelError(f"{path}: damaged ({error}). Audit the model again with `pathosynth audit`.") from None


def audited(found: Found) -> Audited:
    """The audit of a model as it is now; of other weights it does not count, and what does not learn needs none.

    Raises:
        ModelError: the file is damaged.
    """
    if found.folder is None:
        return Audited(found.identity, PASSED)
    content = read_audit(found.folder)
    if content is None or content.get("weights") != weights_of(found.identity):
        return Audited(found.identity, NONE)
    return _audited(found.identity, content)


def verdict(told: Mapping[str, Any]) -> str:
    """What an audit found, as a sentence."""
    status = status_of(told)
    if status == ABOVE:
        return f"Above the limit: {'; '.join(told['above_limit'])}."
    return "Below the limit." if status == PASSED else "Not judged: nothing could be held against the training cases."


def status_of(told: Mapping[str, Any]) -> str:
    """`ABOVE`, `PASSED` or `UNJUDGED`, of the content of an audit."""
    if told["above_limit"]:
        return ABOVE
    return PASSED if any(part["judged"] for part in told["parts"].values()) else UNJUDGED


def _audited(identity: str, told: Mapping[str, Any]) -> Audited:
    return Audited(identity, status_of(told), tuple(str(reason) for reason in told["above_limit"]))


def weights_of(identity: str) -> str:
    """The part of an identity that stands for the weights."""
    return identity.partition("@")[2]


def audits_behind(cases: Sequence[Case]) -> list[Audited]:
    """The audits of all models behind some cases: of their folders where these are still there, else of the sidecars.

    Each model once; above the limit where any source says so.
    """
    known: dict[str, Audited] = {}
    for case in cases:
        told = {identity: Audited(identity, status) for identity, status in past(case)}
        told |= {identity: found for identity, found in _in_folders(case).items() if found.status != NONE}
        for identity, one in told.items():
            rank = (ABOVE, NONE, UNJUDGED, PASSED)
            if identity not in known or rank.index(one.status) < rank.index(known[identity].status):
                known[identity] = one
    return list(known.values())


def _in_folders(case: Case) -> dict[str, Audited]:
    found = {}
    for identity, folder in model_folders(case).items():
        content = read_audit(folder) if folder.is_dir() else None
        if content is not None and content.get("weights") == weights_of(identity):
            found[identity] = _audited(identity, content)
    return found
