"""How good are the seeds of a label map, what does best-of-4 gain, and does longer training shrink the bad tail?

    python benchmarks/headline_seeds.py CASES -o OUT --model short=FOLDER --model long=FOLDER [--seeds 50] [--bands B]

Every model renders every label map of CASES (of people it has not seen) with so many seeds; each image is scored as
`generate-images --best-of` scores it (checks of the image alone). Rows of OUT/seeds.csv; the same command goes on with
what is missing. OUT/summary.json: quantiles of the score, share of seeds that a check turns down, the expected gain of
the best of 4 over one seed, and the same for a number that was not selected by: correlation with the person's own image
where CASES has one. Intervals are 95 % bootstraps over label maps.
"""

import argparse
import csv
import json
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np

from pathosynth.checks import score
from pathosynth.data.requests import Request
from pathosynth.metrics.statistics import bootstrap, means
from pathosynth.metrics.structure import ncc
from pathosynth.runs.seeds import case_seed
from pathosynth.stages.generate_images import Rendering, image_of
from pathosynth.stages.inputs import one_scheme, read_brain, read_input
from pathosynth.stages.judging import judge
from pathosynth.stages.seed_choice import Choosing

COLUMNS = ("model", "case", "number", "seed", "score", "passed", "ncc")
BEST_OF = 4


def rows_of(rendering: Rendering, choosing: Choosing, case: Any, numbers: list[int]) -> list[dict[str, Any]]:
    scheme = one_scheme([case])
    brain = read_brain(case, scheme, rendering.contrast)
    request = Request(brain.labels.array, scheme, brain.labels.spacing_mm)
    found = []
    for number in numbers:
        seed = case_seed(number, case.case, "seeds")
        image = image_of(request, rendering, seed)
        findings = judge(choosing.checking, brain.labels, brain.labels.with_array(image), scheme)
        inside = brain.labels.array > 0
        likeness = "" if brain.image is None else round(ncc(image, brain.image.array, inside), 5)
        passed = all(finding.passed for finding in findings)
        told = {"number": number, "seed": seed, "score": round(score(findings), 6), "passed": passed, "ncc": likeness}
        found.append({"case": case.case, **told})
    return found


def best_of(scores: np.ndarray, others: np.ndarray, size: int) -> tuple[float, float]:
    """Expected score, and other number, of the best of `size` seeds: over all subsets, 3000 drawn ones at most."""
    rng = np.random.default_rng(0)
    every = list(combinations(range(len(scores)), size)) if len(scores) <= 20 else []
    subsets = np.array(every or [rng.choice(len(scores), size, replace=False) for _ in range(3000)])
    taken = subsets[np.arange(len(subsets)), scores[subsets].argmax(axis=1)]
    return float(scores[taken].mean()), float(others[taken].mean())


def summarised(rows: list[dict[str, str]]) -> dict[str, Any]:
    """One model: the seeds of every label map, and what the best of 4 gains."""
    maps = {name: [row for row in rows if row["case"] == name] for name in dict.fromkeys(row["case"] for row in rows)}
    scores = {name: np.array([float(row["score"]) for row in own]) for name, own in maps.items()}
    other = {name: np.array([float(row["ncc"] or "nan") for row in own]) for name, own in maps.items()}
    every = np.concatenate(list(scores.values()))
    turned = np.array([np.mean([row["passed"] == "False" for row in own]) for own in maps.values()])
    told: dict[str, Any] = {
        "maps": len(maps), "seeds": len(every),
        "score": dict(zip(("1 %", "5 %", "50 %", "95 %"), np.quantile(every, [0.01, 0.05, 0.5, 0.95]).round(4).tolist(),
                          strict=True)),
        "spread_within_a_map": round(float(np.mean([own.std(ddof=1) for own in scores.values() if own.size > 1])), 4),
        "turned_down": [round(float(turned.mean()), 4), *bootstrap(turned, means, 0)],
    }  # fmt: skip
    large = [name for name, own in scores.items() if len(own) >= BEST_OF]
    best = {name: best_of(scores[name], other[name], BEST_OF) for name in large}
    for place, (what, values) in enumerate((("score", scores), ("ncc", other))):
        gain = np.array([best[name][place] - values[name].mean() for name in large])
        if gain.size and np.isfinite(gain).all():
            told[f"gain_of_best_of_{BEST_OF}_in_{what}"] = [round(float(gain.mean()), 4), *bootstrap(gain, means, 0)]
    return told


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("cases", type=Path)
    parser.add_argument("-o", "--out", type=Path, required=True)
    parser.add_argument("--model", action="append", required=True, metavar="NAME=FOLDER")
    parser.add_argument("--scheme", default="")
    parser.add_argument("--seeds", type=int, default=50)
    parser.add_argument("--set", action="append", default=[], help="sampling of the models, e.g. steps=4")
    parser.add_argument("--bands", type=Path, help="one yardstick for all models; by default each model's own")
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    table = options.out / "seeds.csv"
    if not table.is_file():
        table.write_text(",".join(COLUMNS) + "\n")
    with table.open(newline="") as file:
        done = {(row["model"], row["case"], row["number"]) for row in csv.DictReader(file)}
    cases = read_input(options.cases, options.scheme)
    for text in options.model:
        name, _, folder = text.partition("=")
        rendering = Rendering.of(folder, options.set, "cpu")
        choosing = Choosing.of(options.seeds, rendering.found, options.bands)
        for case in cases:
            for number in range(options.seeds):
                if (name, case.case, str(number)) not in done:
                    (row,) = rows_of(rendering, choosing, case, [number])
                    with table.open("a", newline="") as file:
                        csv.DictWriter(file, COLUMNS).writerow({"model": name} | row)
            print(name, case.case, flush=True)
    with table.open(newline="") as file:
        rows = list(csv.DictReader(file))
    models = dict.fromkeys(row["model"] for row in rows)
    told = {name: summarised([row for row in rows if row["model"] == name]) for name in models}
    (options.out / "summary.json").write_text(json.dumps(told, indent=1))
    print(json.dumps(told, indent=1))


if __name__ == "__main__":
    main()
