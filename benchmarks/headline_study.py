"""The tables of a study's headline, from what its evaluation wrote, as Markdown.

    pathosynth study run fetal-ventriculomegaly --data DATA -o OUT --cores 2
    python benchmarks/headline_study.py OUT/evaluation

First the structure the study is about: Dice with its interval over subjects and its spread over trainings, HD95, volume
error, and the share of the baseline's errors that an arm removes. Then the Dice of every structure, of all subjects
and of every subgroup.
"""

import argparse
from pathlib import Path

import pandas as pd

ALL = "all"


def headline(folder: Path, structure: str, baseline: str) -> list[str]:
    """One row per arm on one structure, all subjects."""
    summary, agreement = pd.read_csv(folder / "summary.csv"), pd.read_csv(folder / "agreement.csv")
    here = summary[(summary.structure == structure) & (summary.subgroup == ALL)]
    dice, hd95 = (here[here.metric == name].set_index("arm") for name in ("dice", "hd95_mm"))
    volumes = agreement[(agreement.structure == structure) & (agreement.subgroup == ALL)].set_index("arm")
    lines = [
        f"| arm | trainings | Dice of {structure} | over trainings, SD | HD95 mm, median "
        "| volume MAE ± SD mL | bias mL | Dice error removed | MAE removed |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for arm, row in dice.iterrows():
        volume = volumes.loc[arm]
        removed = 1 - (1 - row["mean"]) / (1 - dice.loc[baseline, "mean"])
        less = 1 - volume.mae / volumes.loc[baseline, "mae"]
        interval = f"{row['mean']:.3f} ({row.mean_low:.3f} to {row.mean_high:.3f})"
        lines.append(
            f"| {arm} | {int(row.runs)} | {interval} | {_or(row.run_sd)} "
            f"| {hd95.loc[arm, 'median']:.1f} | {volume.mae:.2f} ± {volume.sd_absolute:.2f} | {volume.bias:+.2f} "
            f"| {removed:.0%} | {less:.0%} |"
        )
    return lines


def structures(folder: Path, subgroup: str) -> list[str]:
    """Mean Dice of every structure, one row per arm; the last column is the mean of all structures."""
    summary = pd.read_csv(folder / "summary.csv")
    here = summary[(summary.metric == "dice") & (summary.subgroup == subgroup)]
    table = here.pivot_table(index="arm", columns="structure", values="mean", sort=False)
    lines = [f"| arm ({subgroup}) | {' | '.join(table.columns)} | mean |", "|---" * (len(table.columns) + 2) + "|"]
    return lines + [
        f"| {arm} | {' | '.join(f'{value:.2f}' for value in row)} | {row.mean():.3f} |" for arm, row in table.iterrows()
    ]


def _or(value: float) -> str:
    return "-" if pd.isna(value) else f"{value:.3f}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("evaluation", type=Path)
    parser.add_argument("--structure", default="ventricles")
    parser.add_argument("--baseline", default="real")
    given = parser.parse_args()
    print("\n".join(headline(given.evaluation, given.structure, given.baseline)))
    for subgroup in pd.read_csv(given.evaluation / "summary.csv").subgroup.unique():
        print("\n" + "\n".join(structures(given.evaluation, subgroup)))


if __name__ == "__main__":
    main()
