"""Settings of an analysis."""

from typing import Literal, Self

import pydantic

from pathosynth.runs.config import Config


class Settings(Config):
    """What an analysis must be told because ratings do not say it."""

    real: tuple[str, ...] = ()
    """Arms of the real cases, which are negative in detection and the reference of grades; without, what the file says
    of each case, or else the arm called real."""
    weights: Literal["linear", "quadratic"] = "quadratic"
    """Of the weighted kappa that goes by that name alone."""
    kinds: dict[str, str] = pydantic.Field(default_factory=dict)
    """Kind of a question by its name, where it is not to be inferred."""
    scales: dict[str, tuple[str, ...]] = pydantic.Field(default_factory=dict)
    """Grades in words of a question by its name, from lowest to highest."""
    truth: str = ""
    """Column that says whether a case is positive; arms are modalities then."""
    positive_above: float | None = None
    """Grade above which an answer says that a case is positive, where there is a truth."""
    margin: float | None = pydantic.Field(None, gt=0)
    """Difference of mean grades that would not matter: whether arms are worse than the reference by it, or the same."""
    seed: int = 0
    """Of bootstraps."""

    @pydantic.model_validator(mode="after")
    def _limit_with_truth(self) -> Self:
        if self.positive_above is not None and not self.truth:
            raise ValueError("positive_above: needs the truth of the cases; name its column with --truth")
        return self
