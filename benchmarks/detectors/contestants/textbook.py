"""The textbook recipe: PSI >= .1, KS p < .05, |z| > 3, on half-overlapping windows."""

from __future__ import annotations

import math
from collections.abc import Iterator
from importlib.metadata import version
from typing import ClassVar

import numpy as np
from scipy.stats import ks_2samp

from benchmarks.detectors.protocol import WINDOW, Knob, ScoreBased, evaluation_points
from benchmarks.detectors.streams import BINARY, CATEGORICAL, NUMERIC, Floats, Trial

RECORDS = 5000
BINS = 10
FLOOR = 1e-4
"""The share assumed for an empty bin."""


class Textbook(ScoreBased):
    """The recipe of most guides: the newest 5,000 records of the reference, a window of 1,000.

    PSI over deciles (over the distinct values if they are few, and over categories), scipy's KS
    test, and the shift of the mean in standard deviations of the reference; only PSI for
    categories. Each of the three raises an alarm. The knob c makes all three stricter: PSI of .1 c,
    ln p of c ln .05, |z| of 3 c.
    """

    kinds: ClassVar = frozenset({NUMERIC, BINARY, CATEGORICAL})
    knob: ClassVar = Knob("factor", 1.0, 0.05, 50.0, exponential=True)
    memory: ClassVar[int | None] = WINDOW

    def version(self) -> str:
        """Return the version of scipy."""
        return f"scipy {version('scipy')}"

    def scores(self, trial: Trial) -> Iterator[tuple[int, float]]:
        """Yield the largest of the three, each divided by its limit, at every half window."""
        reference, live = trial.reference[0, -RECORDS:], trial.live[0]
        bins = BinShares(reference, trial.kind == CATEGORICAL)
        mean, sd = reference.mean(), reference.std() or 1.0
        for end in evaluation_points(len(live), WINDOW, WINDOW // 2):
            current = live[end - WINDOW : end]
            score = bins.psi(current) / 0.1
            if trial.kind != CATEGORICAL:
                p_value = float(ks_2samp(reference, current, method="asymp").pvalue)
                score = max(score, math.log(max(p_value, 1e-300)) / math.log(0.05))
                score = max(score, abs(float(current.mean()) - mean) / sd / 3)
            yield end, score

    def state(self, trial: Trial) -> object:
        """Return reference and window."""
        return trial.reference[0, -RECORDS:].copy(), trial.live[0, :WINDOW].copy()


class BinShares:
    """PSI of a window against a reference's bins."""

    def __init__(self, reference: Floats, categorical: bool) -> None:
        values = np.unique(reference)
        few = categorical or len(values) <= BINS
        self.edges = values if few else np.unique(np.quantile(reference, np.arange(1, BINS) / BINS))
        self.few = few
        self.expected = self.shares(reference)

    def shares(self, values: Floats) -> Floats:
        """Return the share of every bin; values not in the reference have a bin of their own."""
        positions = np.searchsorted(self.edges, values, side="left" if self.few else "right")
        if self.few:
            known = self.edges[np.minimum(positions, len(self.edges) - 1)] == values
            positions = np.where(known, positions, len(self.edges))
        counts = np.bincount(positions, minlength=len(self.edges) + 1)
        return np.asarray(np.maximum(counts / len(values), FLOOR), np.float64)

    def psi(self, values: Floats) -> float:
        """Return the population stability index of a window."""
        shares = self.shares(values)
        return float(((shares - self.expected) * np.log(shares / self.expected)).sum())
