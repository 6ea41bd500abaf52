"""The textbook recipe: PSI >= .1, KS p < .05, |z| > 3, on half-overlapping windows."""

from __future__ import annotations

import math
from collections.abc import Iterator
from importlib.metadata import version
from typing import ClassVar

import numpy as np
from scipy.stats import ks_2samp

from benchmarks.detectors.protocol import WINDOW, Knob, Scored, looks
from benchmarks.detectors.streams import BINARY, CATEGORICAL, NUMERIC, Floats, Trial

RECORDS = 5000
BINS = 10
FLOOR = 1e-4
"""The share that an empty bin is taken to have."""


class Textbook(Scored):
    """What most guides give: the newest 5,000 records of the reference, a window of 1,000.

    PSI over deciles (over the values themselves where they are few, and over categories), scipy's
    KS test and the mean against the reference's standard deviation; for categories PSI alone. An
    alarm is any of the three. The knob c asks of all three at once to be c times as sure: PSI of
    .1 c, ln p of c ln .05, |z| of 3 c.
    """

    kinds: ClassVar = frozenset({NUMERIC, BINARY, CATEGORICAL})
    knob: ClassVar = Knob("factor", 1.0, 0.05, 50.0, exponential=True)
    memory: ClassVar[int | None] = WINDOW

    def version(self) -> str:
        """Of scipy."""
        return f"scipy {version('scipy')}"

    def scores(self, trial: Trial) -> Iterator[tuple[int, float]]:
        """The largest of the three, each over its limit, at every half window."""
        reference, live = trial.reference[0, -RECORDS:], trial.live[0]
        shares = Shares(reference, trial.kind == CATEGORICAL)
        mean, sd = reference.mean(), reference.std() or 1.0
        for end in looks(len(live), WINDOW, WINDOW // 2):
            current = live[end - WINDOW : end]
            score = shares.psi(current) / 0.1
            if trial.kind != CATEGORICAL:
                p_value = float(ks_2samp(reference, current, method="asymp").pvalue)
                score = max(score, math.log(max(p_value, 1e-300)) / math.log(0.05))
                score = max(score, abs(float(current.mean()) - mean) / sd / 3)
            yield end, score

    def state(self, trial: Trial) -> object:
        """Its reference and its window."""
        return trial.reference[0, -RECORDS:].copy(), trial.live[0, :WINDOW].copy()


class Shares:
    """PSI of a window against a reference's bins."""

    def __init__(self, reference: Floats, categorical: bool) -> None:
        values = np.unique(reference)
        few = categorical or len(values) <= BINS
        self.edges = values if few else np.unique(np.quantile(reference, np.arange(1, BINS) / BINS))
        self.few = few
        self.expected = self.of(reference)

    def of(self, values: Floats) -> Floats:
        """The share of every bin; values that the reference did not have are one more."""
        places = np.searchsorted(self.edges, values, side="left" if self.few else "right")
        if self.few:
            known = self.edges[np.minimum(places, len(self.edges) - 1)] == values
            places = np.where(known, places, len(self.edges))
        counts = np.bincount(places, minlength=len(self.edges) + 1)
        return np.asarray(np.maximum(counts / len(values), FLOOR), np.float64)

    def psi(self, values: Floats) -> float:
        """The population stability index of a window."""
        shares = self.of(values)
        return float(((shares - self.expected) * np.log(shares / self.expected)).sum())
