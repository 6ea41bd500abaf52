"""False findings with four arms and five metrics: a goal, and four secondary ones by e-BH."""

from __future__ import annotations

from itertools import product
from typing import Any, Final

import numpy as np

from benchmarks.experiments.false_winners import ALPHA
from benchmarks.experiments.running import RunningSums
from benchmarks.experiments.traffic import CAP, USERS_PER_LOOK
from detectors.arrays import Floats
from monitor.experiments.sequential import mixture
from monitor.experiments.sequential.multiple import e_bh, goal_alpha
from monitor.experiments.sums.look import BUCKETS

ARMS: Final = 4
METRICS: Final = 5
"""The goal, a score; then a logarithm, a rate, a capped mean and feedback of a tenth of users."""
CORRELATION: Final = 0.5
"""Between any two metrics of a user, on the normal scale."""
LOGARITHM: Final = 1
"""The metric whose mixture has a standard deviation of ln(1 + MDE)."""
MDE: Final = 0.05
SHIFT: Final = 0.06
"""Real effect on the first two secondary metrics of each arm, in standard deviations."""
BATCH: Final = 250


def measure(runs: int, looks: int, seed: int, *, real: bool) -> dict[str, Any]:
    """Return the share of runs with a false finding at any look.

    real: whether half of the secondary metrics have an effect. Then the result has the false
    discovery rate of e-BH at the last look, and the share of effects that it and Bonferroni find.
    """
    rng = np.random.default_rng(seed)
    total = np.zeros(7)
    for start in range(0, runs, BATCH):
        batch = _Batch(rng, min(BATCH, runs - start), real=real)
        for _ in range(looks):
            batch.look()
        total += batch.findings()
    goal, secondary, fixed, each, rate, power, bonferroni = (total / runs).tolist()
    return {
        "case": "4 arms x 5 metrics" + (", half of the secondary ones differ" if real else ""),
        "split": "/".join(["25"] * ARMS),
        "runs": runs,
        "looks": looks,
        "goal": goal,
        "secondary": secondary,
        "fixed": fixed,
        "each": each,
        "false_discovery_rate": rate,
        "power": power,
        "power_bonferroni": bonferroni,
    }


class _Batch:
    """Experiments that run at the same time. ln_e: of the newest look, (runs, arms, metrics)."""

    def __init__(self, rng: np.random.Generator, runs: int, *, real: bool) -> None:
        self._rng, self._runs, self._real = rng, runs, real
        self._sums = [RunningSums(runs, ARMS) for _ in range(METRICS)]
        shape = runs, ARMS - 1, METRICS
        self._tau = np.full(shape, np.nan)
        self.ln_e = np.zeros(shape)
        self._null = np.ones(shape, np.bool_)
        self._null[..., 1:3] = not real
        self._goal, self._secondary, self._fixed, self._each = np.zeros((4, runs), np.bool_)

    def look(self) -> None:
        """Add the users of a look, and test all metrics and arms."""
        shape = self._runs, USERS_PER_LOOK
        arms = self._rng.integers(ARMS, size=shape)
        buckets = self._rng.integers(BUCKETS, size=shape)
        values = _values(self._rng, arms, SHIFT if self._real else 0.0)
        for sums, each in zip(self._sums, values, strict=True):
            present = ~np.isnan(each)
            sums.add(arms, buckets, np.where(present, each, 0.0), present.astype(float))
        self._test()

    def _test(self) -> None:
        p = np.ones(self.ln_e.shape)
        for metric, arm in product(range(METRICS), range(1, ARMS)):
            compared = self._sums[metric].contrast(arm)
            where = slice(None), arm - 1, metric
            first = np.isnan(self._tau[where])
            tau = mixture.frozen_tau(compared, MDE)
            if metric == LOGARITHM:
                tau = np.where(np.isnan(tau), tau, np.log1p(MDE))
            self._tau[where][first] = tau[first]
            ready = ~np.isnan(self._tau[where]) & (compared.n_eff >= mixture.BURN_IN)
            with np.errstate(divide="ignore", invalid="ignore"):
                z = compared.difference / np.sqrt(compared.variance)
                evidence = mixture.ln_e(z, self._tau[where] ** 2 / compared.variance)
            self.ln_e[where] = np.where(ready, evidence, 0.0)
            p[where] = np.where(ready, mixture.fixed_p_value(z), 1.0)
        wrong = self.ln_e * self._null
        self._goal |= (wrong[..., 0] >= -np.log(goal_alpha(ALPHA, ARMS))).any(axis=1)
        self._each |= (wrong >= -np.log(ALPHA)).any(axis=(1, 2))
        self._fixed |= ((p <= ALPHA) & self._null).any(axis=(1, 2))
        found = (self.ln_e[..., 1:] >= -np.log(ALPHA)).any(axis=(1, 2))
        for run in np.flatnonzero(found).tolist():
            self._secondary[run] |= bool((self._rejected(run) & self._null[run, :, 1:]).any())

    def _rejected(self, run: int) -> Any:
        """Return what e-BH finds among the secondary metrics of a run, shape (arms, metrics)."""
        evidence: Floats = self.ln_e[run, :, 1:]
        return np.array(e_bh(evidence.ravel().tolist(), ALPHA)).reshape(evidence.shape)

    def findings(self) -> Floats:
        """Return the numbers of runs with a false finding, and sums of rates at the last look."""
        rates = np.zeros(3)
        for run in range(self._runs):
            found, null = self._rejected(run), self._null[run, :, 1:]
            level = np.log(null.size / ALPHA)
            rates[0] += (found & null).sum() / max(1, found.sum())
            if self._real:
                rates[1] += found[~null].mean()
                rates[2] += (self.ln_e[run, :, 1:] >= level)[~null].mean()
        seen = [each.sum() for each in (self._goal, self._secondary, self._fixed, self._each)]
        return np.array([*seen, *rates])


def _values(rng: np.random.Generator, arms: Any, shift: float) -> tuple[Floats, ...]:
    """Return the values of users by metric, NaN if missing. arms: shape (runs, users)."""
    common, *own = rng.normal(size=(METRICS + 1, *arms.shape))
    normal = [np.sqrt(CORRELATION) * common + np.sqrt(1 - CORRELATION) * each for each in own]
    moved = np.where(arms > 0, shift, 0.0)
    feedback = np.where(rng.random(arms.shape) < 0.1, (normal[4] > 0.5).astype(float), np.nan)
    return (
        1.0 + np.searchsorted((-1.6, -0.8, -0.4, 0.5), normal[0]),
        6.0 + normal[1] + moved,
        (normal[2] + moved > 1.28).astype(float),
        np.minimum(np.exp(1.8 * normal[3]), CAP),
        feedback,
    )
