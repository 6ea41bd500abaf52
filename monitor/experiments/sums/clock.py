"""The event time up to which a shard has seen its exposures.

The watermark is the median of the newest times of some units that were seen last. One unit, with a
wrong clock or hostile, is one vote: it cannot move the watermark to another year, which would close
all looks of the future.
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import islice
from typing import Final

import numpy as np
from numpy.typing import NDArray

from detectors.arrays import Floats

VOTES: Final = 15
"""Units whose newest times are votes."""
VOTE_ROWS: Final = 64
"""A vote ends after so many exposures: the unit may never return."""
CONFIRMED: Final = 5
"""Votes for a time to be final, and for the watermark to go back."""
BACK_SECONDS: Final = 86_400.0
"""The watermark goes back if the median is more than this before it: it was wrong."""
AHEAD_SECONDS: Final = 300.0
"""Times so far after the present are no votes."""


class EventClock:
    """The watermark of a shard.

    watermark: event time; 0 before the first vote. first: time of the first exposures that count,
    0 without one; it is final as soon as enough units have confirmed it. settled: whether it is.
    rows: number of exposures so far. votes: time and row by unit, the oldest first.
    """

    __slots__ = ("first", "rows", "settled", "votes", "watermark")

    def __init__(self) -> None:
        self.watermark = 0.0
        self.first = 0.0
        self.settled = False
        self.rows = 0
        self.votes: dict[int, tuple[float, int]] = {}

    def advance(
        self, units: NDArray[np.uint64], times: Floats, now: float, begin: float | None = None
    ) -> bool:
        """Add n exposures in their order; return whether the watermark has gone back.

        now: the present, epoch seconds. begin: time before which exposures do not count.
        """
        limit = now + AHEAD_SECONDS
        begin = -np.inf if begin is None else begin
        counted = times >= begin
        rows = zip(units[counted].tolist(), times[counted].tolist(), strict=True)
        head = _newest_by_unit(rows, limit)
        self.rows += len(times)
        self._vote(units[::-1][:VOTE_ROWS], times[::-1][:VOTE_ROWS], limit)
        if not self.votes:
            return False
        median = _lower_median([time for time, _ in self.votes.values()])
        self._find_first(head, begin)
        back = len(self.votes) >= CONFIRMED and median < self.watermark - BACK_SECONDS
        if back or median > self.watermark:
            self.watermark = median
        return back

    def _find_first(self, head: dict[int, float], begin: float) -> None:
        """Find the time of the first exposures. head: times of the first units that were added."""
        votes = [time for time, _ in self.votes.values() if time >= begin]
        early = [_lower_median(votes)] if votes else []
        if len(head) >= CONFIRMED:
            early.append(_lower_median(list(head.values())))
        if self.settled:
            early.append(self.first)
        self.first = min(early, default=0.0)
        self.settled |= len(votes) >= CONFIRMED

    def _vote(self, units: NDArray[np.uint64], times: Floats, limit: float) -> None:
        """Add the votes of the newest exposures, given from the last to the first."""
        newest = _newest_by_unit(zip(units.tolist(), times.tolist(), strict=True), limit)
        for unit, time in reversed(newest.items()):
            self.votes.pop(unit, None)
            self.votes[unit] = time, self.rows
        for unit in list(self.votes)[:-VOTES]:
            del self.votes[unit]
        for unit, (_, row) in list(self.votes.items()):
            if row < self.rows - VOTE_ROWS:
                del self.votes[unit]


def _newest_by_unit(rows: Iterable[tuple[int, float]], limit: float) -> dict[int, float]:
    """Return the times of the first VOTES units of at most VOTE_ROWS rows, in this order."""
    found: dict[int, float] = {}
    for unit, time in islice(rows, VOTE_ROWS):
        if time <= limit and unit not in found:
            found[unit] = time
            if len(found) == VOTES:
                break
    return found


def _lower_median(times: list[float]) -> float:
    return sorted(times)[(len(times) - 1) // 2]
