"""Reader studies drawn from normal models, and the truths that their intervals should hold."""

import numpy as np
from scipy import stats

from pathosynth.reader.analysis.alpha import value_counts
from pathosynth.reader.analysis.estimate import Estimate
from pathosynth.reader.analysis.ordinal import odds_ratio
from pathosynth.reader.analysis.superiority import auc, pair_scores, unbiased_covariances

CUTS = (-1.0, 0.0, 1.0)
"""Grades 0 to 3 are cut from a normal scale here."""


def normal_table(rng: np.random.Generator, n: int, k: int, case: float, reader: float, noise: float) -> np.ndarray:
    readers = rng.normal(size=k) * np.sqrt(reader)
    return rng.normal(size=(n, 1)) * np.sqrt(case) + readers + rng.normal(size=(n, k)) * np.sqrt(noise)


def icc_truth(case: float, reader: float, noise: float, k: int) -> dict[str, float]:
    single = {
        "icc1": case / (case + reader + noise),
        "icc2": case / (case + reader + noise),
        "icc3": case / (case + noise),
    }
    return single | {f"{name}k": k * one / (1 + (k - 1) * one) for name, one in single.items()}


def graded_table(rng: np.random.Generator, n: int, shifts: np.ndarray, case: float, noise: float) -> np.ndarray:
    seen = rng.normal(size=(n, 1)) * np.sqrt(case) + shifts + rng.normal(size=(n, len(shifts))) * np.sqrt(noise)
    return np.digitize(seen, CUTS).astype(float)


def agreement_truth(shifts: np.ndarray, case: float, noise: float) -> dict[str, float]:
    """From the chances of every pair of grades of every pair of readers, by integration over cases."""
    at, weight = np.polynomial.hermite_e.hermegauss(120)
    chances = np.diff(stats.norm.cdf((np.r_[-np.inf, CUTS, np.inf][None, None] - shifts[None, :, None]
                                      - at[:, None, None] * np.sqrt(case)) / np.sqrt(noise)), axis=2)  # fmt: skip
    joint = np.einsum("c,cig,cjh->ijgh", weight / weight.sum(), chances, chances)
    k, grades = len(shifts), len(CUTS) + 1
    off = ~np.eye(k, dtype=bool)
    pairs, single = joint[off].mean(axis=0), joint[off].mean(axis=0).sum(axis=1)
    place = np.arange(grades)
    rank = np.cumsum(single) - single / 2
    sums = np.maximum(place[:, None] + place, 1)
    apart = {
        "nominal": (place[:, None] != place).astype(float), "ordinal": (rank[:, None] - rank) ** 2,
        "interval": (place[:, None] - place) ** 2.0, "ratio": ((place[:, None] - place) / sums) ** 2,
    }  # fmt: skip
    found = {f"alpha_{name}": 1 - (d * pairs).sum() / (single @ d @ single) for name, d in apart.items()}
    agreed = float(np.trace(pairs))
    own = chances.transpose(1, 0, 2) * (weight / weight.sum())[None, :, None]
    marginal = own.sum(axis=1)
    kappas = {
        name: float(np.mean([
            1 - (d * joint[i, j]).sum() / (marginal[i] @ d @ marginal[j]) for i in range(k) for j in range(i)
        ]))
        for name, d in (("", apart["interval"]), ("_linear", np.abs(place[:, None] - place) * 1.0))
    }  # fmt: skip
    found |= {"fleiss_kappa": 1 - (1 - agreed) / (1 - float((single**2).sum())), "percent_agreement": agreed}
    return found | {f"weighted_kappa{name}": one for name, one in kappas.items()}


def two_arms(
    rng: np.random.Generator, n: int, k: int, shift: float, reader: float, skill: float, case: float
) -> tuple[np.ndarray, np.ndarray]:
    """Grades 0 to 3 of n cases of either arm: readers differ in level and in how far they see the arms apart."""
    second = np.arange(2 * n) >= n
    seen = rng.normal(size=(2 * n, 1)) * np.sqrt(case) + rng.normal(size=(2 * n, k)) * np.sqrt(1 - case)
    seen += rng.normal(size=k) * reader + np.outer(second - 0.5, shift + rng.normal(size=k) * skill)
    return np.digitize(seen, CUTS).astype(float), second


def two_arm_truth(shift: float, reader: float, skill: float) -> dict[str, float]:
    """Means over many readers, each by closed form."""
    rng = np.random.default_rng(0)
    level, far = rng.normal(size=200_000) * reader, shift + rng.normal(size=200_000) * skill
    chances = [
        np.diff(stats.norm.cdf(np.r_[-np.inf, CUTS, np.inf] - (level + side * far)[:, None]), axis=1)
        for side in (-0.5, 0.5)
    ]
    below = np.cumsum(chances[0], axis=1) - chances[0] / 2
    called = [one[:, 2:].sum(axis=1) for one in chances]
    grades = np.arange(4)
    return {
        "difference": float(((chances[1] - chances[0]) @ grades).mean()),
        "superiority": float((below * chances[1]).sum(axis=1).mean()),
        "sensitivity": float(called[1].mean()), "specificity": float(1 - called[0].mean()),
        "accuracy": float((1 + called[1] - called[0]).mean() / 2),
        "auc": float((below * chances[1]).sum(axis=1).mean()),
    }  # fmt: skip


def odds_truth(shift: float, reader: float, skill: float, case: float) -> float:
    values, second = two_arms(np.random.default_rng(5), 20_000, 60, shift, reader, skill, case)
    found = odds_ratio(values, second).value
    assert found is not None
    return found


def two_generators(
    rng: np.random.Generator, n: int, k: int, shifts: tuple[float, float], skill: float
) -> tuple[np.ndarray, np.ndarray]:
    """(2, k) AUCs of telling either generator's cases from the same real ones, and their covariance."""
    arm = np.repeat([0, 1, 2], n)
    seen = rng.normal(size=(3 * n, 1)) * np.sqrt(0.4) + rng.normal(size=(3 * n, k)) * np.sqrt(0.6)
    far = np.array(shifts)[:, None] + rng.normal(size=k) * skill + rng.normal(size=(2, k)) * skill / 2
    for i in (0, 1):
        seen[arm == i + 1] += far[i]
    scores = np.digitize(seen, CUTS).astype(float)
    pairs = []
    for i in (0, 1):
        positive = np.where((arm[arm > 0] == i + 1)[:, None], scores[arm > 0], np.nan)
        pairs += [pair_scores(scores[arm == 0, r], positive[:, r]) for r in range(k)]
    return np.array([auc(one) for one in pairs]).reshape(2, k), unbiased_covariances(pairs).reshape(2, k, 2, k)


def two_generators_truth(shifts: tuple[float, float], skill: float) -> list[float]:
    rng = np.random.default_rng(0)
    found = []
    for shift in shifts:
        far = shift + rng.normal(size=400_000) * skill * np.sqrt(1.25)
        real = np.diff(stats.norm.cdf(np.r_[-np.inf, CUTS, np.inf]))
        made = np.diff(stats.norm.cdf(np.r_[-np.inf, CUTS, np.inf] - far[:, None]), axis=1)
        found.append(float(((np.cumsum(real) - real / 2) * made).sum(axis=1).mean()))
    return found


def bootstrapped_alpha(values: np.ndarray, name: str, rng: np.random.Generator) -> Estimate:
    """Percentiles of alpha over 1,000 samples of the cases; every case has all readers."""
    used, counts = value_counts(values)
    apart = (used[:, None] - used) ** 2 if name == "alpha_interval" else (used[:, None] != used) * 1.0
    k, drawn = values.shape[1], rng.integers(0, len(values), (1000, len(values)))
    observed = (((counts @ apart) * counts).sum(axis=1) / (k - 1))[drawn].sum(axis=1)
    total = counts[drawn].sum(axis=1)
    expected = ((total @ apart) * total).sum(axis=1) / (values.size - 1)
    found = 1 - observed / np.maximum(expected, 1e-12)
    low, high = np.quantile(found, [0.025, 0.975])
    return Estimate(float(np.median(found)), float(low), float(high))
