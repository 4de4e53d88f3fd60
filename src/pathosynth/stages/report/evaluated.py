"""What `evaluate` wrote, read back for the page."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import matplotlib
from matplotlib.colors import to_hex

from pathosynth.data.labels import LabelScheme, load_scheme
from pathosynth.drawing.style import COLORS
from pathosynth.runs.errors import ConfigError, InputError
from pathosynth.stages.score_tables import Row, by_subject, scored
from pathosynth.stages.subgroups import ALL

FILE_NAME = "evaluation.json"
MANY_COLORS = (
    "#332288", "#88ccee", "#44aa99", "#117733", "#999933", "#ddcc77", "#cc6677", "#882255", "#aa4499", "#888888",
)  # fmt: skip
"""Of arms where there are eight to ten (Paul Tol's muted scheme)."""


@dataclass(frozen=True)
class Evaluated:
    """The numbers of one evaluation.

    Attributes:
        folder: where they lie.
        scores: one row for each arm, run, case and structure.
        summary: one row for each arm, structure, subgroup and metric.
        comparisons: one row for each arm but the baseline, structure and metric.
        agreement: one row for each arm, structure and subgroup.
        files: volumes by case, relative to the folder.
        provenance: versions, settings, runs and input hashes.
        primary: structure that volumes, pictures and runs are shown of.
    """

    folder: Path
    scores: Sequence[Row]
    summary: Sequence[Row]
    comparisons: Sequence[Row]
    agreement: Sequence[Row]
    files: Mapping[str, Any]
    provenance: Mapping[str, Any]
    primary: str

    @property
    def settings(self) -> Mapping[str, Any]:
        """Of the evaluation."""
        return dict(self.provenance["settings"])

    @cached_property
    def arms(self) -> list[str]:
        """In the order they were given."""
        return list(dict.fromkeys(str(row["arm"]) for row in self.scores))

    @cached_property
    def structures(self) -> list[str]:
        """Judged structures that some map has, the primary one first."""
        return [self.primary, *(name for name in self._judged if name != self.primary and name not in self.absent)]

    @cached_property
    def absent(self) -> list[str]:
        """Judged structures that no map has, neither a reference nor a prediction; the primary one is shown anyway."""
        found = {row["structure"] for row in self.scores if row["state"] != "both_empty"}
        return [name for name in self._judged if name not in found | {self.primary}]

    @property
    def _judged(self) -> list[str]:
        return list(dict.fromkeys(str(row["structure"]) for row in self.scores))

    @cached_property
    def colors(self) -> dict[str, str]:
        """One colour for each arm, the same everywhere."""
        palettes = (COLORS, MANY_COLORS, matplotlib.colormaps["tab20"](range(20)))
        palette = next((colors for colors in palettes if len(self.arms) <= len(colors)), palettes[-1])
        return {arm: to_hex(palette[place % len(palette)]) for place, arm in enumerate(self.arms)}

    @property
    def scheme(self) -> LabelScheme:
        """In which the maps were compared.

        Raises:
            ConfigError: it no longer can be found.
        """
        return load_scheme(str(self.settings["scheme"]))

    @cached_property
    def counting(self) -> Sequence[Row]:
        """Scores that count in means: of structures that some map of the case has, in every arm."""
        return scored(self.scores)

    def rows(self, arm: str, structure: str) -> list[Row]:
        """Scores of one arm and structure."""
        return [row for row in self.scores if row["arm"] == arm and row["structure"] == structure]

    def counted(self, arm: str, structure: str) -> list[Row]:
        """Scores of one arm and structure that count in means."""
        return [row for row in self.counting if row["arm"] == arm and row["structure"] == structure]

    def values(self, arm: str, structure: str, metric: str) -> dict[str, float]:
        """A metric by subject, averaged over runs and cases."""
        return by_subject(self.counted(arm, structure), metric)

    def summed(self, arm: str, structure: str, metric: str, subgroup: str = ALL) -> Row:
        """One row of the summary."""
        wanted = (arm, structure, metric, subgroup)
        return next(
            row for row in self.summary
            if (row["arm"], row["structure"], row["metric"], row["subgroup"]) == wanted
        )  # fmt: skip

    def agreed(self, arm: str, structure: str, subgroup: str = ALL) -> Row:
        """One row of the agreement of volumes."""
        wanted = (arm, structure, subgroup)
        return next(row for row in self.agreement if (row["arm"], row["structure"], row["subgroup"]) == wanted)


def read_evaluation(folder: Path, primary: str = "") -> Evaluated:
    """Read the folder `evaluate` wrote.

    Raises:
        InputError: it is none, or damaged.
        ConfigError: the primary structure was not judged.
    """
    path = folder / FILE_NAME
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        scores = [_numbers(row) for row in content["scores"]]
        structures = list(dict.fromkeys(row["structure"] for row in scores))
        parts = {name: content[name] for name in ("summary", "comparisons", "agreement")}
        tables = {name: [_infinite(row) for row in rows] for name, rows in parts.items()}
        chosen = primary or ("ventricles" if "ventricles" in structures else structures[0])
        found = Evaluated(
            folder, scores, **tables, files=content["files"], provenance=content["provenance"], primary=chosen
        )
    except FileNotFoundError:
        raise InputError(
            f"{folder}: expected a folder `evaluate` wrote, found no {FILE_NAME}. Check the path."
        ) from None
    except (ValueError, KeyError, TypeError, IndexError, AttributeError) as error:
        raise InputError(
            f"{path}: expected what `evaluate` writes ({type(error).__name__}: {error}). Evaluate again."
        ) from None
    if chosen not in structures:
        raise ConfigError(f"--structure {chosen}: expected one of those judged: {', '.join(structures)}.")
    return found


_MAY_BE_UNKNOWN = ("age_weeks", "age_years")


def _numbers(row: Row) -> dict[str, Any]:
    """A score row with NaN and infinity as numbers again."""
    undefined = {name: float("nan") for name, value in row.items() if value is None and name not in _MAY_BE_UNKNOWN}
    return _infinite(row) | undefined


def _infinite(row: Row) -> dict[str, Any]:
    return {name: float("inf") if value == "inf" else value for name, value in row.items()}
