"""Time to a decision with a difference, against a fixed test that knows the difference."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final

import numpy as np
from scipy.stats import norm

from detectors.arrays import Floats
from monitor.experiments.planning.stopping import decided_by, fixed_information
from monitor.experiments.sequential import mixture
from monitor.experiments.sequential.ratios import contrast
from monitor.experiments.sums.look import BUCKETS

ALPHA: Final = 0.05
POWER: Final = 0.8
MDE: Final = 0.05
FACTORS: Final = (0.2, 0.5, 1.0, 1.5, 2.0)
"""True effects, in smallest effects."""
LONGEST: Final = 4.0
"""Times the n of the fixed test after which a run is cut and counted as this long."""
LOOKS: Final = 200
BATCH: Final = 25

Sums = Callable[[np.random.Generator, Floats, Floats], Floats]


@dataclass(frozen=True, slots=True)
class Population:
    """Values of users with one request each.

    sums: from a generator, numbers of users and mean, a draw of the sum of their values.
    spread: from the mean, the standard deviation of a value.
    """

    name: str
    mean: float
    sums: Sums
    spread: Callable[[float], float]


POPULATIONS: Final = (
    Population(
        "normal", 1.0, lambda rng, n, mean: mean * n + rng.normal(size=n.shape) * np.sqrt(n),
        lambda mean: 1.0,
    ),
    Population(
        "Bernoulli .1", 0.1,
        lambda rng, n, mean: rng.binomial(n.astype(np.int64), mean).astype(float),
        lambda mean: float(np.sqrt(mean * (1 - mean))),
    ),
)  # fmt: skip


def fixed_users(population: Population, effect: float) -> float:
    """Return the users, of both arms, of a two-sided z-test with 80 % power at the effect."""
    arm = population.mean * (1 + effect)
    squared = population.spread(population.mean) ** 2 + population.spread(arm) ** 2
    quantiles = norm.ppf(1 - ALPHA / 2) + norm.ppf(POWER)
    return float(2 * squared * quantiles**2 / (population.mean * effect) ** 2)


@lru_cache
def integrated(factor: float) -> float:
    """Return the mean time to a decision without sampling error, for normal means."""
    times: Floats = np.linspace(LONGEST / LOOKS, LONGEST, LOOKS)
    information = times * fixed_information(ALPHA, POWER) / factor**2
    decided, _ = decided_by(information, ALPHA, factor, np.inf)
    undecided = 1 - np.concatenate([[0.0], decided[:-1]])
    return float(undecided.sum() * LONGEST / LOOKS)


def measure(population: Population, factor: float, runs: int, seed: int) -> dict[str, Any]:
    """Return how long experiments with an effect of `factor` MDE run until E >= 1 / alpha."""
    rng = np.random.default_rng(seed)
    fixed = fixed_users(population, factor * MDE)
    times, right = [], 0
    for start in range(0, runs, BATCH):
        found, signs = _batch(rng, population, factor, min(BATCH, runs - start), fixed)
        times.append(found / fixed)
        right += int((signs > 0).sum())
    durations = np.minimum(np.concatenate(times), LONGEST)
    return {
        "population": population.name,
        "effect": factor,
        "fixed_users": round(fixed),
        "runs": runs,
        "mean": float(durations.mean()),
        "integrated": integrated(factor),
        "median": float(np.median(durations)),
        "percentile_80": float(np.quantile(durations, 0.8)),
        "decided_at_fixed": float((durations <= 1).mean()),
        "decided": float((durations < LONGEST).mean()),
        "right_direction": right / runs,
    }


def _batch(
    rng: np.random.Generator, population: Population, factor: float, runs: int, fixed: float
) -> tuple[Floats, Floats]:
    """Return the users at the decision of each run, inf without one, and the direction found."""
    means = population.mean * np.array([1.0, 1 + factor * MDE])[:, None]
    x, n = np.zeros((2, runs, 2, BUCKETS))
    tau, times, signs = np.full(runs, np.nan), np.full(runs, np.inf), np.zeros(runs)
    rate = fixed * LONGEST / LOOKS / (2 * BUCKETS)
    open_ = np.arange(runs)
    for _ in range(LOOKS):
        new = rng.poisson(rate, (len(open_), 2, BUCKETS)).astype(float)
        n[open_] += new
        x[open_] += population.sums(rng, new, np.broadcast_to(means, new.shape))
        compared = contrast(x[open_], n[open_])
        first = np.where(np.isnan(tau[open_]), mixture.frozen_tau(compared, MDE), tau[open_])
        tau[open_] = first
        z = compared.difference / np.sqrt(compared.variance)
        evidence = mixture.ln_e(z, first**2 / compared.variance)
        decided = evidence >= -np.log(ALPHA)
        times[open_[decided]] = n[open_[decided]].sum(axis=(1, 2))
        signs[open_[decided]] = np.sign(compared.difference[decided])
        open_ = open_[~decided]
        if not open_.size:
            break
    return times, signs
