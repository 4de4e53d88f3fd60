"""What an audit is asked for: a model, the cases it learnt from, and what it is held against."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from pathosynth.data.cases import Case
from pathosynth.label_generators import LABEL_GENERATORS
from pathosynth.runs.errors import ConfigError, InputError, ModelError
from pathosynth.stages.label_models import Labelling
from pathosynth.stages.models import Found, find_any_model, load_generator
from pathosynth.stages.orders import Ordered, Ordering

LEVELS = (0.1, 0.25, 0.5, 0.75)
"""Diffusion times at which a model denoises known and unknown cases."""


@dataclass(frozen=True)
class Task:
    """One case to be looked at.

    Attributes:
        case: name within the audit: the role and the name of the case.
        role: training, held-out, generated or drawn.
        row: the case; None where the model draws it.
        order: what is asked of the model; None where the case exists.
    """

    case: str
    role: str
    row: Case | None = None
    order: Ordered | None = None

    @property
    def source(self) -> str:
        """Name of the case."""
        return self.row.case if self.row else self.case


@dataclass(frozen=True)
class Audit:
    """What is looked at, and how.

    Attributes:
        found: the model.
        training: cases it learnt from.
        held_out: real cases of other people.
        generated: cases it made; empty where the audit makes them.
        control: a model that did not learn from the training cases.
        device: where models compute.
        seed: of everything that is drawn.
        drawn: label maps a label model draws where none were given.
        canaries: texts to look for besides those of the training files.
        generated_folder: where the given cases lie, searched for canaries.
        show: whether the page shows images, of training cases too.
    """

    found: Found
    training: tuple[Case, ...]
    held_out: tuple[Case, ...] = ()
    generated: tuple[Case, ...] = ()
    control: Found | None = None
    device: str = "cpu"
    seed: int = 0
    drawn: int = 20
    canaries: tuple[str, ...] = ()
    generated_folder: Path | None = None
    show: bool = True

    @property
    def own(self) -> tuple[Case, ...]:
        """Training cases that are looked at: not the morphed ones, whose parents are found in their place."""
        return tuple(case for case in self.training if case.origin != "morphed") or self.training

    @property
    def makes_labels(self) -> bool:
        """Whether the model makes label maps, not images."""
        return self.found.generator in LABEL_GENERATORS

    @property
    def contrast(self) -> str:
        """Image the model makes; empty for one of labels."""
        return "" if self.makes_labels else self.found.contrast

    def tasks(self) -> list[Task]:
        """Everything that is looked at, in the order of the report."""
        known = [Task(f"training_{case.case}", "training", case) for case in self.own]
        known += [Task(f"held-out_{case.case}", "held-out", case) for case in self.held_out]
        if self.generated:
            return [*known, *(Task(f"generated_{case.case}", "generated", case) for case in self.generated)]
        if not self.makes_labels:
            return known
        orders = Ordering.of(self.labelling(), [], self.drawn, 1).orders(self.seed)
        return [*known, *(Task(f"drawn_{order.case}", "drawn", None, order) for order in orders)]

    def labelling(self) -> Labelling:
        """The label model, ready to draw."""
        return Labelling.of(str(self.found.folder), {}, self.device)

    def described(self) -> dict[str, Any]:
        """What goes into the run record."""
        return {
            "model": self.found.identity, "control": self.control.identity if self.control else "",
            "training": len(self.training), "held_out": len(self.held_out), "generated": len(self.generated),
            "drawn": self.drawn, "levels": list(LEVELS), "canaries": list(self.canaries), "show": self.show,
        }  # fmt: skip


def trained_model(name: str) -> Found:
    """A model that learnt.

    Raises:
        ModelError: it has no weights, so that there is nothing it could have memorised.
    """
    found = find_any_model(name)
    if found.folder is None:
        raise ModelError(f"{name}: this generator has no weights and memorises nothing. Audit a model folder.")
    return found


def refuse_strangers(audit: Audit) -> None:
    """Refuse training cases the model did not learn from, held-out ones it did, and only some of its people.

    Raises:
        InputError: the model's own list of subjects says otherwise.
        ConfigError: the control is of another kind.
    """
    listed = audit.found.card.get("facts", {}).get("subjects")
    if isinstance(listed, list):
        known = {str(one) for one in listed}
        given = {case.subject for case in audit.training}
        strange = sorted(given - known)
        leaked = sorted({case.subject for case in audit.held_out} & known)
        if strange or leaked:
            told = f"training subjects {strange[:3]} are not" if strange else f"held-out subjects {leaked[:3]} are"
            raise InputError(
                f"audit: {told} among the {len(known)} people of {audit.found.name}'s config.json. Give the cases it "
                "learnt from with -i, and cases of other people with --held-out."
            )
        if missing := sorted(known - given):
            raise InputError(
                f"audit: expected cases of all {len(known)} people of {audit.found.name}'s config.json, found none of "
                f"{', '.join(missing[:3])}{' …' if missing[3:] else ''}; copies of them would not be seen. Give all "
                "with -i."
            )
    if audit.control is not None and audit.control.generator != audit.found.generator:
        raise ConfigError(
            f"--control {audit.control.name}: expected a model of {audit.found.generator}, found one of "
            f"{audit.control.generator}. Train one of the same kind on other people."
        )


@lru_cache(maxsize=2)
def loaded(generator: str, folder: Path, device: str) -> Any:
    """A model in memory; the last two are kept."""
    return load_generator(generator).load_model(folder, device)


def entries(record: dict[str, Any], role: str) -> list[dict[str, Any]]:
    """What was measured on the cases of one role."""
    return [entry for entry in record["cases"].values() if entry.get("role") == role and entry["outcome"] == "done"]


def with_labels(cases: Sequence[Case], contrast: str) -> tuple[Case, ...]:
    """The cases that have what the model learnt from.

    Raises:
        InputError: none has.
    """
    chosen = tuple(case for case in cases if case.labels is not None and (not contrast or contrast in case.images))
    if not chosen:
        wanted = f"labels and a {contrast} image" if contrast else "labels"
        raise InputError(f"audit: expected cases with {wanted}, found none in {len(cases)}. Check the case table.")
    return chosen
