"""Orders of label maps: a label model, what is asked of it, and the request of every case."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pathosynth.runs.errors import ConfigError
from pathosynth.runs.seeds import case_seed
from pathosynth.stages import wishes
from pathosynth.stages.label_models import Labelling
from pathosynth.stages.naming import child_name


@dataclass(frozen=True)
class Ordered:
    """One label map to be made.

    Attributes:
        case: its name, and that of its subject: nobody stands behind it.
        source: the model.
        asked: conditions in their units; what is missing is left to the model.
        run_seed: seed of the run.
    """

    case: str
    source: str
    asked: dict[str, float]
    run_seed: int

    def seed(self, draw: int) -> int:
        """Seed of a draw, counted from 1."""
        return case_seed(self.run_seed, self.case, f"labels {draw}")


@dataclass(frozen=True)
class Ordering:
    """A model, what is asked of it, and how often it may try.

    Attributes:
        labelling: model and sampling.
        wishes: condition to value or distribution.
        number: label maps wanted.
        max_draws: draws per case.
    """

    labelling: Labelling
    wishes: wishes.Wishes
    number: int
    max_draws: int

    @classmethod
    def of(cls, labelling: Labelling, settings: Sequence[str], number: int, max_draws: int) -> "Ordering":
        """Build from ``--set``.

        Raises:
            ConfigError: a condition is unknown or a value wrong, or an age is asked for that cannot be met.
        """
        wanted = wishes.parse_wishes(settings, labelling.known, labelling.found.name)
        return cls(labelling, wanted, number, max_draws)

    def described(self) -> dict[str, Any]:
        """What goes into the run record."""
        asked = {"asked": wishes.described(self.wishes), "number": self.number, "max_draws": self.max_draws}
        return {**self.labelling.described(), **asked}

    def orders(self, run_seed: int) -> list[Ordered]:
        """The label maps to be made.

        Raises:
            ConfigError: none of the requests may be met.
        """
        found = self.labelling.found
        drawn = wishes.draw(self.wishes, self.number, run_seed)
        _check_possible(drawn, self.labelling)
        digits = max(2, len(str(self.number)))
        names = [f"{child_name(found.name)}{number:0{digits}d}" for number in range(1, self.number + 1)]
        return [Ordered(name, found.identity, asked, run_seed) for name, asked in zip(names, drawn, strict=True)]


def _check_possible(drawn: Sequence[Mapping[str, float]], labelling: Labelling) -> None:
    """Refuse what cannot be met before anything is drawn.

    Raises:
        ConfigError: every request lies beyond the trained range and that is to be refused, or an age does and only
            guidance could reach it.
    """
    sampling, model = labelling.sampling, labelling.found.name
    outside = [wishes.beyond(asked, labelling.known) for asked in drawn]
    if sampling.beyond == "refuse" and drawn and all(outside):
        raise ConfigError(
            f"{'; '.join(outside[0].values())}: {model} was not trained on this. Ask for less, or give --beyond morph "
            "(generated, then reshaped) or --beyond guide."
        )
    ages = [text for one in outside for name, text in one.items() if wishes.cannot_be_measured(name)]
    if sampling.beyond == "morph" and ages:
        raise ConfigError(
            f"{ages[0]}: {model} was not trained on this age, and reshaping cannot change it. Ask for an age inside "
            "the range, or give --beyond guide."
        )
