"""Does an independent segmenter see wrong labels that the image checks do not? Defects of labels on real fetal scans.

    python benchmarks/headline_agreement.py CASES PREDICTED HELD_OUT HELD_OUT_PREDICTED [-o OUT.json]

CASES are real scans with labels, PREDICTED what a segmenter of other real cases found in them, HELD_OUT real cases of
the segmenter's own kind that it did not learn from, HELD_OUT_PREDICTED what it found there: they set the bands.
Labels are spoilt as in headline_defects.py; the image, and so the prediction, stays. A case that is also held out is
judged by the others alone. Dice of clean cases is told too.
"""

import argparse
import json
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from pathosynth.checks import run_checks
from pathosynth.checks.label_agreement import agreement
from pathosynth.data.findings import CheckInput
from pathosynth.data.grid import crop, crop_box
from pathosynth.data.yardstick import AgreementBands
from pathosynth.metrics.separation import auc
from pathosynth.stages.inputs import read_brain, read_input
from pathosynth.stages.second_opinion import SecondOpinion
from planted_defects import DEFECTS, SCHEME, STRENGTHS

KINDS = ("label shift", "wrong label")


def opinions(cases: Path, predicted: Path) -> dict[str, CheckInput]:
    rows = read_input(cases, "kcl8")
    opinion = SecondOpinion.read(predicted, rows, "kcl8")
    found = {}
    for row in rows:
        if row.case in opinion.cases:
            brain = read_brain(row, SCHEME)
            labels = opinion.labels_on(opinion.cases[row.case], row, SCHEME)
            box = crop_box((brain.labels.array > 0) | (labels > 0), 6)
            own, seen = crop(brain.labels.array, box, 0), crop(labels, box, 0)
            found[row.case] = CheckInput(None, own, SCHEME, brain.labels.spacing_mm, predicted=seen)
    return found


def bands_of(dice: Sequence[Mapping[str, float]]) -> AgreementBands:
    names = dict.fromkeys(name for one in dice for name in one)
    return AgreementBands("", {name: np.array([one.get(name, np.nan) for one in dice]) for name in names})


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    for name in ("cases", "predicted", "held_out", "held_out_predicted"):
        parser.add_argument(name, type=Path)
    parser.add_argument("-o", "--out", type=Path)
    options = parser.parse_args()
    held_out = opinions(options.held_out, options.held_out_predicted)
    dice = {name: agreement(case) for name, case in held_out.items()}
    judged = opinions(options.cases, options.predicted)
    clean, spoilt = {}, {kind: [] for kind in KINDS}
    for case, given in judged.items():
        known = replace(given, agreement=bands_of([one for name, one in dice.items() if name != case]))
        clean[case] = run_checks(known, ["label_agreement"])[0]
        image = np.zeros(given.labels.shape, np.float32)
        for kind in KINDS:
            for strength in range(3):
                rng = np.random.default_rng((zlib.crc32(f"{case}/{kind}".encode()), strength))
                bad = DEFECTS[kind](replace(known, image=image), strength, rng)
                spoilt[kind].append((strength, run_checks(replace(bad, image=None), ["label_agreement"])[0]))
    told = {
        "held_out": {name: {k: round(v, 3) for k, v in one.items()} for name, one in dice.items()},
        "clean": {case: {"strain": round(one.value, 3), "detail": one.detail} for case, one in clean.items()},
        "dice": {case: {k: round(v, 3) for k, v in agreement(one).items()} for case, one in judged.items()},
    }
    values = np.array([-one.value for one in clean.values()])
    for kind, found in spoilt.items():
        own = np.array([-one.value for _, one in found])
        order = list(clean)
        ratios = np.array([one.value / clean[order[place // 3]].value for place, (_, one) in enumerate(found)])
        rejected = [np.mean([not one.passed for s, one in found if s == strength]) for strength in range(3)]
        told[kind] = {
            "strengths": STRENGTHS[kind], "auc": round(auc(values, own), 3),
            "rejected": [round(float(share), 3) for share in rejected],
            "median_change_of_the_strain": np.round(np.median(ratios.reshape(-1, 3), axis=0), 2).tolist(),
        }  # fmt: skip
    print(json.dumps(told, indent=1))
    if options.out:
        options.out.write_text(json.dumps(told, indent=1))


if __name__ == "__main__":
    main()
