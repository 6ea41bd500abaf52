"""The e-detector: a sequential test that wastes no evidence, whatever the size of the change."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import msgspec
import numpy as np

from detectors.base import Bools, Floats, Ints, Kind, Readings
from detectors.baseline import Baseline
from detectors.bets import bets_on, floored
from detectors.dependence import RARELY
from detectors.window import Window, Windows

CAUTION = 2.5
"""Standard errors of the reference by which a long run of a bet pays less than it might."""
MOST_SUM = 100.0
"""What a sum of logarithms may gather, so that it comes back to 0 some time after a change."""


@dataclass(frozen=True, slots=True)
class Lead:
    """The bet that speaks for a found change: its name, and after which stride it began to pay."""

    bet: str
    since: int


class EDetector:
    """A mixture of Shiryaev-Roberts e-detectors over many ways to change.

    Each bet k (see `detectors.bets`) multiplies what it holds by its payments L for a stride, and
    is given a new stake of 1 with every stride:

        M_k(t) = (1 + M_k(t-1)) L_k(t),   M(t) = sum_k w_k M_k(t).

    Without drift E L <= 1, so that M(t) - t is a supermartingale, and the expected time until
    M >= A is at least A strides: P(alarm within n strides) <= n / A for any n (Shin, Ramdas &
    Rinaldo 2023, "E-detectors"). With A = 1 / level that is the level of every evaluation, however
    long the detector has been running. No asymptotics and no table enter.

    That holds of independent records and a reference without error. Where the reference's blocks
    show dependence, bets are paid out more slowly; and so they are if they would have won more on
    the reference itself than a bet without a change does but once in twenty times. The reference's
    error is an offset g, per stride and in standard errors, of ln L: over r strides E exp(g r z) is
    exp(g^2 r^2 / 2) for a standard normal z, so that thrice the exponent is taken off a run of r
    strides, but no more than CAUTION g a stride.

    M is not let rise above A: when a change is over, the detector is quiet soon. Beside M_k a plain
    sum of ln L_k is kept, begun anew whenever it falls below 0 (Page's CUSUM): where it was begun
    last is when the change is likely to have come.

    statistic: ln M, 0 while M is below 1. threshold: ln A. p_value: 1 / M.

    Trade-off: the quickest on small and middling changes of a kind that is bet on, and it needs no
    window; a change of another kind is left to the window tests.
    """

    name: ClassVar[str] = "e_detector"
    kinds: ClassVar[frozenset[Kind]] = frozenset(Kind)

    def __init__(self, baseline: Baseline, window: Window, level: float) -> None:
        self.streams = baseline.streams_of(self.kinds)
        self.limit = 1 / level
        self.reached = self.limit * (1 - 1e-12)  # as far as sums of floats go
        bets = [bets_on(stream) for stream in baseline.streams]
        self.names = [bet.names for bet in bets]
        most = max([0, *(len(bet.names) for bet in bets)])
        self.logarithms = np.zeros((len(bets), baseline.cells, most))
        self.weights, self.error = np.zeros((2, len(bets), most))
        for i, bet in enumerate(bets):
            self.logarithms[i, : len(bet.logarithms), : len(bet.names)] = bet.logarithms
            self.weights[i, : len(bet.names)] = bet.weights
            self.error[i, : len(bet.names)] = bet.excess * window.stride
        slowness = self._winnings(baseline)
        self.logarithms = floored(self.logarithms / slowness[:, None])
        self.error /= slowness
        with np.errstate(divide="ignore"):
            self.caps = np.minimum(self.limit / self.weights, 1e300)
        self.held = np.zeros_like(self.weights)
        self.sums = np.zeros_like(self.weights)
        self._pays = np.zeros_like(self.weights)  # a place to work in: nothing that is remembered
        self.since: Ints = np.zeros(self.held.shape, np.intp)
        self.number = 1
        self.mixtures: Floats = np.zeros((1, len(bets)))
        self.leads: dict[int, tuple[Floats, Ints, Floats]] = {}

    def _winnings(self, baseline: Baseline) -> Floats:
        """How much more each bet won on the reference itself than it may, shape (S, K), >= 1."""
        blocks = baseline.blocks()
        strides = blocks.shape[1]
        held = most = np.zeros_like(self.weights)
        with np.errstate(over="ignore"):
            for payment in np.exp((blocks @ self.logarithms).transpose(1, 0, 2)):
                held = np.minimum((held + 1) * payment, 1e300)
                most = np.maximum(most, held)
        allowed = np.log(max(1, strides) / RARELY)
        return np.asarray(np.maximum(1.0, np.log(np.maximum(most, 1.0)) / allowed))

    def update(self, windows: Windows) -> Bools:
        """Play the new strides; where a stream's mixture has reached the limit."""
        counts = windows.newest_counts.transpose(1, 0, 2)
        logarithms = (counts @ self.logarithms).transpose(1, 0, 2)
        self.number = windows.number
        self.mixtures = np.empty(logarithms.shape[:2])
        self.leads = {}
        # a single overwhelming stride may pay more than a float can hold
        with np.errstate(over="ignore"):
            for at, logarithm in enumerate(logarithms):
                self._play(logarithm, windows.number + at)
                mixture = np.vecdot(self.weights, self.held, out=self.mixtures[at])
                if mixture.max(initial=0.0) >= self.reached:
                    lead = self.sums.copy(), self.since.copy(), logarithm
                    self.leads[windows.number + at] = lead
        return np.asarray(self.mixtures >= self.reached)

    def _play(self, logarithm: Floats, number: int) -> None:
        """Play a stride: what each bet would pay but for the reference's error, shape (S, K)."""
        held, sums, pays = self.held, self.sums, self._pays
        self.since[sums <= 0] = number - 1
        np.subtract(number - 0.5, self.since, out=pays)
        pays *= 3 * self.error  # of a run of r strides r^2 - (r - 1)^2, times 1.5
        np.minimum(pays, CAUTION, out=pays)
        pays *= self.error
        np.subtract(logarithm, pays, out=pays)
        sums += pays
        np.maximum(sums, 0.0, out=sums)
        np.minimum(sums, MOST_SUM, out=sums)
        np.exp(pays, out=pays)
        held += 1
        held *= pays
        np.minimum(held, self.caps, out=held)

    def lead(self, windows: Windows, stream: int) -> Lead:
        """The bet that explains best a change that was found in the first of `windows`.

        Where several have gathered all that they may, it is the one that paid most for the stride.
        """
        sums, since, newest = (each[stream] for each in self.leads[windows.number])
        best = int(np.lexsort((newest, sums))[-1])
        return Lead(self.names[stream][best], int(since[best]))

    def readings(self, windows: Windows) -> Readings:
        """ln M of every stream."""
        mixture = self.mixtures[windows.number - self.number]
        # statistic and threshold are compared by those who read them
        reached = mixture >= self.reached
        threshold = np.full(len(mixture), np.log(self.limit))
        mixture = np.where(self.weights.any(axis=1), np.maximum(mixture, 1.0), np.nan)
        return Readings(np.where(reached, threshold, np.log(mixture)), threshold, 1 / mixture)

    def snapshot(self) -> bytes:
        """What every bet holds, since when, and the last mixtures."""
        number = self.number + len(self.mixtures) - 1
        parts = self.held, self.sums, self.since, self.mixtures[-1]
        return msgspec.msgpack.encode((number, *(part.tobytes() for part in parts)))

    def restore(self, state: bytes) -> None:
        """Take over a snapshot."""
        self.number, held, sums, since, mixtures = msgspec.msgpack.decode(
            state, type=tuple[int, bytes, bytes, bytes, bytes]
        )
        self.sums = np.frombuffer(sums).reshape(self.held.shape).copy()
        self.held = np.frombuffer(held).reshape(self.held.shape).copy()
        self.since = np.frombuffer(since, np.intp).reshape(self.since.shape).copy()
        self.mixtures = np.frombuffer(mixtures).reshape(1, -1).copy()
