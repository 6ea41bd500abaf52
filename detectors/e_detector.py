"""The e-detector: a sequential test that wastes no evidence, whatever the size of the change."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import msgspec
import numpy as np

from detectors.base import Bools, Floats, Ints, Kind, Readings
from detectors.baseline import Baseline
from detectors.bets import bets_on
from detectors.window import Window, Windows

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

    That holds of independent records and a reference without error. Bets are paid out more slowly
    where the reference's blocks show dependence, and by what the reference may err.

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
        bets = [bets_on(stream) for stream in baseline.streams]
        self.names = [bet.names for bet in bets]
        most = max([0, *(len(bet.names) for bet in bets)])
        self.logarithms = np.zeros((len(bets), baseline.cells, most))
        self.weights = np.zeros((len(bets), most))
        for bet, table, weights in zip(bets, self.logarithms, self.weights, strict=True):
            table[: len(bet.logarithms), : len(bet.names)] = bet.logarithms
            weights[: len(bet.names)] = bet.weights
        with np.errstate(divide="ignore"):
            self.caps = np.minimum(self.limit / self.weights, 1e300)
        self.held = np.zeros_like(self.weights)
        self.sums = np.zeros_like(self.weights)
        self.since: Ints = np.zeros(self.held.shape, np.intp)
        self.number = 1
        self.mixtures: Floats = np.zeros((1, len(bets)))
        self.leads: dict[int, tuple[Floats, Ints, Floats]] = {}

    def update(self, windows: Windows) -> Bools:
        """Play the new strides; where a stream's mixture has reached the limit."""
        counts = windows.newest_counts.transpose(1, 0, 2)
        # a single overwhelming stride may pay more than a float can hold
        logarithms = (counts @ self.logarithms).transpose(1, 0, 2)
        with np.errstate(over="ignore"):
            payments = np.exp(logarithms)
        self.number = windows.number
        self.mixtures = np.empty(payments.shape[:2])
        self.leads = {}
        reached = self.limit * (1 - 1e-12)
        for at, (payment, logarithm) in enumerate(zip(payments, logarithms, strict=True)):
            held = (self.held + 1) * payment
            self.held = np.minimum(held, self.caps, out=held)
            self.since[self.sums <= 0] = windows.number + at
            self.sums = np.clip(self.sums + logarithm, 0.0, MOST_SUM)
            mixture = np.vecdot(self.weights, held, out=self.mixtures[at])
            if mixture.max(initial=0.0) >= reached:
                self.leads[windows.number + at] = held * self.weights, self.since.copy(), payment
        return np.asarray(self.mixtures >= reached)

    def lead(self, windows: Windows, stream: int) -> Lead:
        """The bet that holds most, for a stream that `update` found in the first of `windows`.

        Of those that hold about as much (none may hold more than the limit) the one that has been
        paying for the shortest time grew fastest; of equal ones, that which paid more last.
        """
        worth, since, payment = (each[stream] for each in self.leads[windows.number])
        leading = np.flatnonzero(worth >= worth.max() / 2)
        best = leading[np.lexsort((payment[leading], since[leading]))[-1]]
        return Lead(self.names[stream][best], int(since[best]) - 1)

    def readings(self, windows: Windows) -> Readings:
        """ln M of every stream."""
        mixture = self.mixtures[windows.number - self.number]
        # statistic and threshold are compared by those who read them
        reached = mixture >= self.limit * (1 - 1e-12)
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
