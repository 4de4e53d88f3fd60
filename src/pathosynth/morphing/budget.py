"""Who pays for the ventricle: checked before anything is solved, and named when it cannot be paid."""

import math
from dataclasses import dataclass

from pathosynth.morphing.flow import FlowGrid, FlowState
from pathosynth.morphing.lengths import LengthSearch
from pathosynth.runs.errors import MorphError

SLACK_LEFT = 0.15
"""Least part of the slack that must remain; below it the sheet of external CSF tears into shreds."""


class SlackExhausted(MorphError):
    """The slack is used up; carries the last measured lengths and volumes so that the caller can name the budget."""

    def __init__(self, search: dict[str, LengthSearch]):
        super().__init__(f"less than {100 * SLACK_LEFT:.0f} % of the external CSF is left")
        self.search = search


@dataclass(frozen=True)
class Budget:
    """Volumes in mL.

    Attributes:
        need: what the growing structure and growing tissue gain.
        tissue: what tissue with a fold below 1 gives.
        slack: external CSF at the start.
        skull_share: q, part of the net gain the skull grows by.
    """

    need: float
    tissue: float
    slack: float
    skull_share: float

    @property
    def net(self) -> float:
        """Gain that external CSF and skull share between them."""
        return self.need - self.tissue

    @property
    def csf_can_give(self) -> float:
        """External CSF above the part that must remain."""
        return (1.0 - SLACK_LEFT) * self.slack

    @property
    def enough_skull_share(self) -> float:
        """Smallest skull share with which the CSF can pay the rest."""
        return self._share(1.0 - SLACK_LEFT)

    @property
    def comfortable_skull_share(self) -> float:
        """Skull share that leaves 60 % of the external CSF, with which widths of 20 mm went well on every atlas."""
        return self._share(0.4)

    def _share(self, given: float) -> float:
        """Skull share, in steps of 0.05, with which the CSF gives at most this part of itself."""
        exact = 1.0 - given * self.slack / self.net if self.net > 0 else 0.0
        return min(1.0, max(0.0, math.ceil(exact * 20.0 - 1e-9) / 20.0))

    def advice(self, skull_share: float) -> str:
        """What to change: a larger skull share where that is what is missing, less, or tissue that pays."""
        if skull_share <= self.skull_share:
            return "Ask for less, or let tissue pay (e.g. white_matter=0.9)."
        return (
            f"Ask for less, or give skull_share={skull_share:.2f} or more, or let tissue pay (e.g. white_matter=0.9)."
        )

    def describe(self) -> str:
        """One sentence with every number."""
        return (
            f"The change needs {self.need:.1f} mL: tissue gives {self.tissue:.1f} mL, external CSF can give "
            f"{self.csf_can_give:.1f} of {self.slack:.1f} mL, the skull gives {self.skull_share * self.net:.1f} mL"
            f" (skull_share={self.skull_share:g})"
        )


def check_budget(budget: Budget) -> None:
    """Refuse what cannot be paid.

    Raises:
        MorphError: no slack at all, or less than needed; says what would be enough.
    """
    short = budget.net * (1.0 - budget.skull_share)
    if budget.slack <= 0 and abs(short) > 1e-6:
        raise MorphError(
            "No slack: the label map has no external CSF and the skull is rigid. Give a skull share (skull_share=1) or "
            "a tissue target (e.g. white_matter=0.9) that pays for the change."
        )
    if short > budget.csf_can_give:
        raise MorphError(
            f"{budget.describe()}. {short - budget.csf_can_give:.1f} mL are missing. "
            f"{budget.advice(budget.enough_skull_share)}"
        )


def check_slack(flow: FlowGrid, state: FlowState, search: dict[str, LengthSearch]) -> None:
    """Stop a flow whose slack is nearly used up.

    Raises:
        SlackExhausted: less than 15 % is left.
    """
    slack = list(flow.problem.slack)
    if slack and state.soft_ml[slack].sum() < SLACK_LEFT * flow.start_ml[slack].sum():
        raise SlackExhausted(search)
