"""False winners of experiments without a difference, at a look after every 100 users."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np

from benchmarks.experiments import peers
from benchmarks.experiments.running import RunningSums
from benchmarks.experiments.traffic import USERS_PER_LOOK, Stream
from detectors.arrays import Floats
from monitor.experiments.sequential import mixture

ALPHA: Final = 0.05
MDES: Final = (0.02, 0.05, 0.2)
BATCH: Final = 500


@dataclass
class Batch:
    """The strongest evidence so far of experiments that run at the same time.

    tau: shape (MDES, runs), NaN during the burn-in. evidence: largest ln E, shape (MDES, runs).
    p: smallest p-value of the peers, by name; those with "burned in" count only looks at which
    Plumbline's burn-in is over as well.
    """

    runs: int
    sums: RunningSums = field(init=False)
    tau: Floats = field(init=False)
    evidence: Floats = field(init=False)
    p: dict[str, Floats] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.sums = RunningSums(self.runs)
        self.tau = np.full((len(MDES), self.runs), np.nan)
        self.evidence = np.zeros((len(MDES), self.runs))

    def look(self, users: int, share: float) -> None:
        """Test the sums; `users` have been seen."""
        compared = self.sums.contrast()
        for index, mde in enumerate(MDES):
            new = np.isnan(self.tau[index])
            self.tau[index, new] = mixture.frozen_tau(compared, mde)[new]
        ready = ~np.isnan(self.tau[0]) & (compared.n_eff >= mixture.BURN_IN)
        with np.errstate(divide="ignore", invalid="ignore"):
            z = compared.difference / np.sqrt(compared.variance)
            evidence = mixture.ln_e(z, self.tau**2 / compared.variance)
        usable = ready & (compared.variance > 0)
        self.evidence = np.maximum(self.evidence, np.where(usable, evidence, 0.0))
        ratios, squared = compared.ratios, compared.welch
        counts = np.array([1 - share, share]) * users
        self._peer("t-test", peers.t_test(ratios, squared, counts), ready)
        self._peer("GrowthBook", peers.growthbook(ratios, squared, counts, ALPHA), ready)

    def _peer(self, name: str, p: Floats, ready: Any) -> None:
        """Keep the smallest p-values of a peer."""
        for kind, counted in ((name, True), (f"{name}, burned in", ready)):
            before = self.p.get(kind, np.ones(self.runs))
            self.p[kind] = np.minimum(before, np.where(counted, p, 1.0))


def measure(stream: Stream, share: float, runs: int, looks: int, seed: int) -> dict[str, Any]:
    """Return the share of runs with a false winner, by test; Plumbline by smallest effect (MDE)."""
    rng = np.random.default_rng(seed)
    winners: dict[str, int] = {}
    done = 0
    while done < runs:
        batch = Batch(min(BATCH, runs - done))
        for number, new in enumerate(stream.looks(rng, batch.runs, looks, share), start=1):
            batch.sums.add(new.arms, new.buckets, new.x, new.n)
            batch.look(number * USERS_PER_LOOK, share)
        for mde, evidence in zip(MDES, batch.evidence, strict=True):
            name = f"Plumbline, MDE {mde:g}"
            winners[name] = winners.get(name, 0) + int((evidence >= -np.log(ALPHA)).sum())
        for name, p in batch.p.items():
            winners[name] = winners.get(name, 0) + int((p <= ALPHA).sum())
        done += batch.runs
    return {
        "stream": stream.name,
        "split": f"{round(100 * (1 - share))}/{round(100 * share)}",
        "runs": runs,
        "looks": looks,
        "false_winners": {name: count / runs for name, count in winners.items()},
    }
