"""False winners with CUPED, whose regression is computed anew at each look."""

from __future__ import annotations

from typing import Any, Final

import numpy as np

from benchmarks.experiments.false_winners import ALPHA, MDES
from benchmarks.experiments.traffic import CAP, USERS_PER_LOOK
from detectors.arrays import Bools, Floats
from monitor.experiments.sequential import mixture
from monitor.experiments.sequential.cuped import adjusted
from monitor.experiments.sequential.ratios import contrast
from monitor.experiments.sums.look import BUCKETS

VALUES: Final = ("normal", "lognormal, capped at p99")
CORRELATION: Final = 0.7
"""Of the values of a user before and during the experiment, on the normal scale."""
NEW: Final = 0.3
"""Share of the users without requests before the experiment."""
BATCH: Final = 25


def measure(values: str, share: float, runs: int, looks: int, seed: int) -> dict[str, Any]:
    """Return the share of runs with a false winner, by test.

    values: of the users, one of VALUES. share: of the users in the second arm.
    """
    rng = np.random.default_rng(seed)
    fixed, reduction = 0, 0.0
    worst = np.zeros(len(MDES))
    for start in range(0, runs, BATCH):
        batch = _Batch(rng, values, share, min(BATCH, runs - start), looks)
        for look in range(looks):
            batch.look(look)
        worst += (batch.evidence >= -np.log(ALPHA)).sum(axis=1)
        fixed += int((batch.p <= ALPHA).sum())
        reduction += float(batch.variance_ratio.sum())
    return {
        "case": f"CUPED, {values}",
        "split": f"{round(100 * (1 - share))}/{round(100 * share)}",
        "runs": runs,
        "looks": looks,
        "plumbline": float(worst.max()) / runs,
        "fixed": fixed / runs,
        "variance_ratio": reduction / runs,
    }


class _Batch:
    """Experiments that run at the same time.

    evidence: largest ln E so far, shape (MDES, runs). p: smallest p-value of a fixed test after the
    burn-in. variance_ratio: of the difference with CUPED and without, at the newest look.
    """

    def __init__(
        self, rng: np.random.Generator, values: str, share: float, runs: int, looks: int
    ) -> None:
        users = runs, looks * USERS_PER_LOOK
        arms = (rng.random(users) < share).astype(np.int64)
        buckets = rng.integers(BUCKETS, size=users)
        self._cells = (np.arange(runs)[:, None] * 2 + arms) * BUCKETS + buckets
        common, before, during = rng.normal(size=(3, *users))
        weight, rest = np.sqrt(CORRELATION), np.sqrt(1 - CORRELATION)
        self._values = _values(values, weight * common + rest * during)
        known = rng.random(users) >= NEW
        shape = runs, 2, BUCKETS
        cells = self._cells[known]
        earlier = _values(values, weight * common + rest * before)[known]
        size = runs * 2 * BUCKETS
        self._before_x = np.bincount(cells, earlier, size).astype(np.float64).reshape(shape)
        self._before_n = np.bincount(cells, minlength=size).astype(np.float64).reshape(shape)
        self._x, self._n = np.zeros((2, *shape))
        self._tau = np.full((len(MDES), runs), np.nan)
        self.evidence = np.zeros((len(MDES), runs))
        self.p = np.ones(runs)
        self.variance_ratio = np.ones(runs)

    def look(self, number: int) -> None:
        """Add the users of a look and test."""
        new = slice(number * USERS_PER_LOOK, (number + 1) * USERS_PER_LOOK)
        cells = self._cells[:, new].ravel()
        self._x += np.bincount(cells, self._values[:, new].ravel(), self._x.size).reshape(
            self._x.shape
        )
        self._n += np.bincount(cells, minlength=self._n.size).reshape(self._n.shape)
        compared = adjusted(self._x, self._n, self._before_x, self._before_n)
        for index, mde in enumerate(MDES):
            first = np.isnan(self._tau[index])
            self._tau[index, first] = mixture.frozen_tau(compared, mde)[first]
        ready: Bools = compared.n_eff >= mixture.BURN_IN
        with np.errstate(divide="ignore", invalid="ignore"):
            z = compared.difference / np.sqrt(compared.variance)
            evidence = mixture.ln_e(z, self._tau**2 / compared.variance)
        usable = ready & ~np.isnan(evidence)
        self.evidence = np.maximum(self.evidence, np.where(usable, evidence, 0.0))
        self.p = np.minimum(self.p, np.where(ready, mixture.fixed_p_value(z), 1.0))
        plain = contrast(self._x, self._n).variance
        self.variance_ratio = compared.variance / plain


def _values(name: str, normal: Floats) -> Floats:
    """Return values of users from standard normal numbers."""
    if name == "normal":
        return 1.0 + normal
    return np.minimum(np.exp(1.8 * normal), CAP)
