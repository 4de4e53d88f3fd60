"""Best of N seeds: which of several images of one label map is kept, by a rule fixed beforehand.

The rule is the score of `checks` over `CHECKS`: none of them uses a segmenter, so nothing of a later test can leak into
the choice. Selecting by a number and reporting that number is circular; so the log keeps every seed, and the summary
tells the score of single seeds beside that of the chosen ones.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from pathosynth.checks import score
from pathosynth.data.labels import LabelScheme
from pathosynth.data.volume import Volume
from pathosynth.metrics.statistics import bootstrap, means
from pathosynth.runs.files import json_text, write_text
from pathosynth.runs.record import RunRecord
from pathosynth.runs.seeds import case_seed
from pathosynth.stages import outputs
from pathosynth.stages.judging import Checking, bands_folder, judge
from pathosynth.stages.models import Found

CHECKS = ("slice_steps", "slice_order", "intensity", "quality")
"""What seeds are scored by: checks of the image alone."""
SEEDS_FILE = "seeds.csv"
SUMMARY_FILE = "seeds.json"


@dataclass(frozen=True)
class Chosen:
    """An image, the seed it came from, and all seeds it was chosen from.

    Attributes:
        seed: that was taken.
        image: (I, J, K) float32.
        log: one row per draw: draw, seed, score, taken, and the strain of every check; empty without a choice.
    """

    seed: int
    image: np.ndarray
    log: tuple[dict[str, Any], ...] = ()

    def sidecar(self) -> dict[str, Any]:
        """What the sidecar of the image says of the choice."""
        return {"BestOf": len(self.log), "Score": max(row["score"] for row in self.log)} if self.log else {}


@dataclass(frozen=True)
class Choosing:
    """How many seeds are drawn, and what they are scored by.

    Attributes:
        number: seeds per image.
        checking: checks with their yardstick.
        bands: folder of another yardstick than the model's; empty for the model's.
    """

    number: int
    checking: Checking = field(default_factory=lambda: Checking(CHECKS))
    bands: str = ""

    @classmethod
    def of(cls, number: int, found: Found, bands: Path | None) -> "Choosing":
        """Build from ``--best-of`` and ``--bands``.

        Raises:
            ModelError: the folder holds no yardstick, or it is damaged.
        """
        checking = Checking.of(CHECKS, found)
        if bands is not None:
            checking = checking.compared_with(bands_folder(bands))
        return cls(number, checking, str(bands) if bands else "")

    def described(self) -> dict[str, Any]:
        """What goes into the run record."""
        return {"best_of": self.number, "scored_by": list(self.checking.names), "bands": self.bands}

    def draws(self, case: str, first: int) -> list[int]:
        """Seeds of a case: the one it has without a choice, then others that follow from it and the name."""
        return [first, *(case_seed(first, case, f"image {number}") for number in range(2, self.number + 1))]

    def choose(self, draws: Sequence[int], images: Iterable[np.ndarray], labels: Volume, scheme: LabelScheme) -> Chosen:
        """The image with the highest score, the first of equal ones; images are taken one by one."""
        best, rows = Chosen(0, np.zeros(0, np.float32)), list[dict[str, Any]]()
        for number, (seed, image) in enumerate(zip(draws, images, strict=True), start=1):
            findings = judge(self.checking, labels, labels.with_array(image), scheme)
            row = {"draw": number, "seed": seed, "score": round(score(findings), 6)}
            strains = {one.name: outputs.finite(round(one.strain, 4)) for one in findings if one.judged}
            if not rows or row["score"] > max(one["score"] for one in rows):
                best = Chosen(seed, image)
            rows.append(row | {"passed": all(one.passed for one in findings), "strains": strains})
        log = tuple({**row, "taken": row["seed"] == best.seed} for row in rows)
        return Chosen(best.seed, best.image, log)


def write_seeds(out: Path, record: RunRecord, order: Sequence[str], choosing: Choosing) -> None:
    """Write every seed with its score, and what the choice gained: score of single seeds against the chosen ones."""
    entries = {name: record.content["cases"].get(name, {}) for name in order}
    logs = {name: entry["seeds"] for name, entry in entries.items() if entry.get("seeds")}
    if not logs:
        return
    names = dict.fromkeys(check for log in logs.values() for row in log for check in row["strains"])
    rows = [
        {"case": case, **{key: row[key] for key in ("draw", "seed", "score", "passed", "taken")}}
        | {name: row["strains"].get(name) for name in names}
        for case, log in logs.items()
        for row in log
    ]
    outputs.write_rows(out / SEEDS_FILE, rows)
    every = np.array([[row["score"] for row in log] for log in logs.values()])
    single, best = every.mean(axis=1), every.max(axis=1)
    low, high = bootstrap(best - single, means, 0)
    told = {
        "best_of": choosing.number, "cases": len(logs), "scored_by": list(choosing.checking.names),
        "score_of_a_single_seed": float(single.mean()), "score_of_the_chosen": float(best.mean()),
        "gain": float((best - single).mean()), "gain_low": low, "gain_high": high,
        "single_seeds_passed": float(np.mean([[row["passed"] for row in log] for log in logs.values()])),
        "chosen_passed": float(np.mean([any(row["passed"] and row["taken"] for row in log) for log in logs.values()])),
        "note": "the gain is in the score seeds were chosen by; judge chosen and unchosen ones by something else",
    }  # fmt: skip
    write_text(out / SUMMARY_FILE, json_text(told))
