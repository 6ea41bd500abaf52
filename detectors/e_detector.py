"""The e-detector: a sequential test that accumulates evidence for changes of any size."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, TypeVar

import msgspec
import numpy as np
from numpy.typing import NDArray

from detectors.arrays import Bools, Floats, Ints
from detectors.baseline import Baseline
from detectors.bets import build_bets, round_down
from detectors.dependence import SIGNIFICANCE
from detectors.kinds import Kind
from detectors.readings import Readings
from detectors.strides import grow_wealth, update_cusums
from detectors.window import Window, Windows

T = TypeVar("T", np.float64, np.intp)

MAX_CORRECTION = 2.5
"""Largest correction per stride for the reference's error, in standard errors of a bet's payoff."""
MAX_CUSUM = 100.0
"""Upper bound of a bet's CUSUM, so that it returns to 0 some time after a change."""


@dataclass(frozen=True, slots=True)
class LeadingBet:
    """The bet that explains a change best: its name, and the stride after which it began to win."""

    bet: str
    since: int


class EDetector:
    """A mixture of Shiryaev-Roberts e-detectors over many ways to change.

    Each bet k (see `detectors.bets`) multiplies its wealth by its payoff L for a stride, and
    receives a new stake of 1 with every stride:

        M_k(t) = (1 + M_k(t-1)) L_k(t),   M(t) = sum_k w_k M_k(t).

    Without drift E L <= 1, so that M(t) - t is a supermartingale, and the expected time until
    M >= A is at least A strides: P(alarm within n strides) <= n / A for any n (Shin, Ramdas &
    Rinaldo 2023, "E-detectors"). With A = 1 / level this is the level of every evaluation, however
    long the detector runs. It needs no asymptotics and no table.

    This holds for independent records and a reference without error. Two corrections cover the
    rest:

    - Payoffs are reduced where the reference's blocks depend on each other, and where a bet would
      win more on the reference itself than one reference in twenty lets it win by chance.
    - The reference's error shifts ln L by g z per stride, with its standard error g and a standard
      normal z. Over r strides E exp(g r z) is exp(g^2 r^2 / 2). Three times this exponent is
      subtracted from a run of r strides, but no more than MAX_CORRECTION g per stride.

    M is bounded by A, so that the detector becomes quiet soon after a change is over. Beside M_k,
    the detector keeps the CUSUM of ln L_k (Page 1954), which restarts whenever it falls below 0.
    Its last restart estimates the time of the change.

    statistic: ln M, 0 while M is below 1. threshold: ln A. p_value: 1 / M.

    Trade-off: the fastest on small and medium changes that a bet covers, and it needs no window;
    other changes are left to the window tests.
    """

    name: ClassVar[str] = "e_detector"
    kinds: ClassVar[frozenset[Kind]] = frozenset(Kind)
    state_version: ClassVar[int] = 2

    def __init__(self, baseline: Baseline, window: Window, level: float) -> None:
        self.streams = baseline.stream_indices(self.kinds)
        self.limit = 1 / level
        self.alarm_limit = self.limit * (1 - 1e-12)  # tolerance for rounding in sums
        bets = [build_bets(stream) for stream in baseline.streams]
        self.names = [bet.names for bet in bets]
        width = max([0, *(len(bet.names) for bet in bets)])
        self.log_payoffs = np.zeros((len(bets), baseline.max_cells, width))
        self.weights, self.error = np.zeros((2, len(bets), width))
        for i, bet in enumerate(bets):
            self.log_payoffs[i, : len(bet.log_payoffs), : len(bet.names)] = bet.log_payoffs
            self.weights[i, : len(bet.names)] = bet.weights
            self.error[i, : len(bet.names)] = bet.error * window.stride
        excess = self._reference_excess(baseline)
        self.log_payoffs = round_down(self.log_payoffs / excess[:, None])
        self.error /= excess
        with np.errstate(divide="ignore"):
            self.max_wealth = np.minimum(self.limit / self.weights, 1e300)
        self.wealth = np.zeros_like(self.weights)
        self.cusums = np.zeros_like(self.weights)
        self.since: Ints = np.zeros(self.wealth.shape, np.intp)
        self.stride_number = max(1, window.strides)
        self.mixtures: Floats = np.zeros((1, len(bets)))
        self.at_alarms: dict[int, tuple[Floats, Ints, Floats]] = {}

    def _reference_excess(self, baseline: Baseline) -> Floats:
        """Return each bet's log wealth on the reference relative to chance, shape (S, K), >= 1."""
        blocks = baseline.stacked_blocks()
        strides = blocks.shape[1]
        wealth = maximum = np.zeros_like(self.weights)
        with np.errstate(over="ignore"):
            for payoff in np.exp((blocks @ self.log_payoffs).transpose(1, 0, 2)):
                wealth = np.minimum((wealth + 1) * payoff, 1e300)
                maximum = np.maximum(maximum, wealth)
        by_chance = np.log(max(1, strides) / SIGNIFICANCE)
        return np.asarray(np.maximum(1.0, np.log(np.maximum(maximum, 1.0)) / by_chance))

    def update(self, windows: Windows) -> Bools:
        """Bet on the new strides and return where a stream's mixture reaches the limit."""
        counts = windows.newest_counts.transpose(1, 0, 2)
        log_payoffs = counts @ self.log_payoffs
        number, corrected = windows.stride_number, log_payoffs.copy()
        cusums, since = _with_room(self.cusums, corrected), _with_room(self.since, corrected)
        wealth = _with_room(self.wealth, corrected)
        update_cusums(corrected, self.error, number, MAX_CORRECTION, MAX_CUSUM, cusums, since)
        with np.errstate(over="ignore"):  # the payoff of a single stride can exceed any float
            np.exp(corrected, out=corrected)
            grow_wealth(corrected, self.max_wealth, wealth)
        self.cusums, self.since = cusums[:, -1].copy(), since[:, -1].copy()
        self.wealth, self.stride_number = wealth[:, -1].copy(), number
        self.mixtures = np.vecdot(self.weights[:, None], wealth[:, 1:]).T.copy()
        found = self.mixtures >= self.alarm_limit
        self.at_alarms = {
            number + at: (cusums[:, at + 1].copy(), since[:, at + 1].copy(), log_payoffs[:, at])
            for at in np.flatnonzero(found.any(axis=1)).tolist()
        }
        return np.asarray(found)

    def leading_bet(self, windows: Windows, stream: int, quiet: int = 0) -> LeadingBet | None:
        """Return the bet that explains best a change found in the first of `windows`.

        It is the bet with the largest CUSUM. Among several at the upper bound, it is the one with
        the largest payoff for the stride.

        The CUSUM of a bet on a small change stays positive long after the change, or while a small
        change lasts that is not the present one. So bets are left out that gain less than others,
        by a factor of the limit, in the records of the window: the others explain the present
        level. Bets that began to win before the stream was last quiet count only if they are the
        best of the later ones; None if no later bet reaches the limit.

        quiet: number of strides before which no change began.
        """
        cusums, since, newest = (each[stream] for each in self.at_alarms[windows.stride_number])
        required = np.log(self.limit)
        gains = self._gains(windows, stream)
        present = gains >= gains.max() - required
        later = since >= quiet
        if not later[self._best(cusums, newest, present)]:
            present = later & (cusums >= required)
            if not present.any():
                return None
            present &= gains >= gains[present].max() - required
        best = self._best(cusums, newest, present)
        return LeadingBet(self.names[stream][best], int(since[best]))

    def _gains(self, windows: Windows, stream: int) -> Floats:
        """Return the largest log payoff of each bet for the newest strides of a window, (K,)."""
        payoffs = windows.cells_by_stride(stream) @ self.log_payoffs[stream]
        return np.asarray(payoffs[::-1].cumsum(axis=0).max(axis=0).clip(min=0.0), np.float64)

    @staticmethod
    def _best(cusums: Floats, newest: Floats, among: Bools) -> int:
        return int(np.lexsort((newest, cusums, among))[-1])

    def readings(self, windows: Windows) -> Readings:
        """Return ln M of every stream."""
        mixture = self.mixtures[windows.stride_number - self.stride_number]
        # callers compare statistic and threshold: they must be equal where M reaches the limit
        reached = mixture >= self.alarm_limit
        threshold = np.full(len(mixture), np.log(self.limit))
        mixture = np.where(self.weights.any(axis=1), np.maximum(mixture, 1.0), np.nan)
        return Readings(np.where(reached, threshold, np.log(mixture)), threshold, 1 / mixture)

    def snapshot(self) -> bytes:
        """Return wealth, CUSUM and its start of every bet, and the last mixtures."""
        number = self.stride_number + len(self.mixtures) - 1
        parts = self.wealth, self.cusums, self.since, self.mixtures[-1]
        return msgspec.msgpack.encode((number, *(part.tobytes() for part in parts)))

    def restore(self, state: bytes) -> None:
        """Load a snapshot."""
        self.stride_number, wealth, cusums, since, mixtures = msgspec.msgpack.decode(
            state, type=tuple[int, bytes, bytes, bytes, bytes]
        )
        self.cusums = np.frombuffer(cusums).reshape(self.wealth.shape).copy()
        self.wealth = np.frombuffer(wealth).reshape(self.wealth.shape).copy()
        self.since = np.frombuffer(since, np.intp).reshape(self.since.shape).copy()
        self.mixtures = np.frombuffer(mixtures).reshape(1, -1).copy()


def _with_room(state: NDArray[T], log_payoffs: Floats) -> NDArray[T]:
    """Return an array of shape (S, 1 + m, K): the state of shape (S, K), and room for m strides.

    log_payoffs: of these strides, shape (S, m, K).
    """
    streams, m, bets = log_payoffs.shape
    room = np.empty((streams, 1 + m, bets), state.dtype)
    room[:, 0] = state
    return room
