"""False winners of quantiles, whose pooled cut moves from look to look."""

from __future__ import annotations

from typing import Any, Final

import numpy as np

from benchmarks.experiments.false_winners import ALPHA
from benchmarks.experiments.traffic import RETURNS_PER_LOOK, SHAPE, USERS_PER_LOOK
from detectors.arrays import Ints
from monitor.experiments.design import QUANTILES, Scale
from monitor.experiments.sequential import mixture
from monitor.experiments.sequential.quantiles import TAU, position_of
from monitor.experiments.sequential.ratios import Contrast, contrast
from monitor.experiments.sums.look import BINS, GAMMA, HISTOGRAM_BUCKETS

MOST_REQUESTS: Final = 50
MEDIAN: Final = 300.0
SPREAD: Final = 0.8
"""Standard deviation of the logarithm of a latency; half of its variance is between users."""


class RunningShares:
    """Histograms of two arms with the contrast of the shares above their pooled quantile.

    The product computes the contrast from all counts. Here the counts above the cut are updated,
    which gives the same contrast (a test compares them) in a tenth of the time.
    """

    def __init__(self, probability: float) -> None:
        self.counts = np.zeros((2, HISTOGRAM_BUCKETS, BINS), np.int64)
        self._probability = probability
        self._pooled, self._n = np.zeros(BINS, np.int64), np.zeros((2, HISTOGRAM_BUCKETS))
        self._above, self._cut = np.zeros((2, HISTOGRAM_BUCKETS)), 0

    def add(self, arms: Ints, buckets: Ints, bins: Ints) -> None:
        """Add values."""
        np.add.at(self.counts, (arms, buckets, bins), 1)
        np.add.at(self._n, (arms, buckets), 1)
        np.add.at(self._above, (arms, buckets), bins >= self._cut)
        self._pooled += np.bincount(bins, minlength=BINS)

    def contrast(self) -> Contrast:
        """Return the contrast of the shares above the pooled quantile."""
        position = position_of(self._pooled, self._probability)
        cut = int(position)
        low, high = sorted((cut, self._cut))
        moved = self.counts[..., low:high].sum(axis=-1)
        self._above += moved if cut < self._cut else -moved
        self._cut = cut
        above = self._above - (position - cut) * self.counts[..., cut]
        return contrast(above, self._n)


def measure(scale: Scale, share: float, runs: int, looks: int, seed: int) -> dict[str, Any]:
    """Return the share of runs with a false winner, by test. share: of users in the second arm."""
    rng = np.random.default_rng(seed)
    found = [_run(rng, scale, share, looks) for _ in range(runs)]
    evidence, p = zip(*found, strict=True)
    return {
        "case": f"{scale} of latency, users return",
        "split": f"{round(100 * (1 - share))}/{round(100 * share)}",
        "runs": runs,
        "looks": looks,
        "plumbline": float(np.mean(np.array(evidence) >= -np.log(ALPHA))),
        "fixed": float(np.mean(np.array(p) <= ALPHA)),
    }


def _run(rng: np.random.Generator, scale: Scale, share: float, looks: int) -> tuple[float, float]:
    """Return the largest ln E and the smallest p-value of a fixed test after the burn-in."""
    sums = RunningShares(QUANTILES[scale])
    users = looks * USERS_PER_LOOK
    arms = (rng.random(users) < share).astype(np.int64)
    buckets = rng.integers(HISTOGRAM_BUCKETS, size=users)
    requests = np.ceil(rng.pareto(SHAPE, users)).clip(1, MOST_REQUESTS).astype(np.int64)
    level = rng.normal(size=users) * SPREAD * np.sqrt(0.5)
    evidence, p = 0.0, 1.0
    for look in range(looks):
        first = look * USERS_PER_LOOK
        who = np.arange(first, first + USERS_PER_LOOK)
        if look:
            who = np.concatenate([who, rng.integers(first, size=RETURNS_PER_LOOK)])
        who = np.repeat(who, requests[who])
        logs = np.log(MEDIAN) + level[who] + rng.normal(size=len(who)) * SPREAD * np.sqrt(0.5)
        bins = np.floor(logs / np.log(GAMMA)).astype(np.int64).clip(-1, BINS - 2) + 1
        sums.add(arms[who], buckets[who], bins)
        compared = sums.contrast()
        if not (compared.n_eff >= mixture.BURN_IN and compared.variance > 0):
            continue
        z = compared.difference / np.sqrt(compared.variance)
        evidence = max(evidence, float(mixture.ln_e(z, TAU[scale] ** 2 / compared.variance)))
        p = min(p, float(mixture.fixed_p_value(z)))
    return evidence, p
