"""The sums of a shard of an experiment: closed up to a look, open after it.

Looks are at full minutes of event time. A shard closes a minute when its watermark is `ALLOWANCE`
seconds past its end: the exposures before it enter the closed sums, which are published. Exposures
that arrive later enter the next look and are counted as late. An exposure whose time is far ahead
of the watermark counts as one of the present minute. Every exposure is in the sums, whatever its
time: they do not depend on the order of the exposures, only the looks do.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from monitor.experiments.exposures.columns import NOT_COMPARED, Exposures
from monitor.experiments.sums.clock import EventClock
from monitor.experiments.sums.layout import Layout
from monitor.experiments.sums.totals import Rows, Totals
from monitor.experiments.sums.units import SeenUnits
from monitor.records import Source

MINUTE: Final = 60.0
ALLOWANCE: Final = 60.0
"""Seconds for which a minute stays open after its end."""


class Shard:
    """The sums of one phase of an experiment, of the units of one shard.

    minute: number of the first minute that is not closed, counted from 1970; None before the first
    exposure. closed: sums up to it. open: sums by later minute. seen: units so far.
    """

    def __init__(self, layout: Layout) -> None:
        self.layout = layout
        self.minute: int | None = None
        self.closed = Totals(layout)
        self.open: dict[int, Totals] = {}
        self.clock = EventClock()
        self.seen = SeenUnits()

    @property
    def time(self) -> float:
        """The event time up to which exposures are in the closed sums, epoch seconds."""
        return 0.0 if self.minute is None else self.minute * MINUTE

    def add(self, exposures: Exposures, now: float) -> None:
        """Add exposures of the phase and the shard. now: the present, epoch seconds."""
        if not len(exposures):
            return
        is_log = exposures.source is Source.LOG
        begin = self.layout.begin
        if is_log and self.clock.advance(exposures.units, exposures.times, now, begin):
            self.close_until(np.inf)
            self.minute = None
        watermark = self.clock.watermark
        passed = int((watermark - ALLOWANCE) // MINUTE)
        minutes = (exposures.times // MINUTE).astype(np.int64)
        before = int(min(passed, minutes.min())) if self.minute is None else self.minute
        after = max(before, passed)
        latest = max(after, int(watermark // MINUTE) + 1)
        late = minutes < before if is_log else np.zeros(len(minutes), np.bool_)
        # Late exposures are in the look that is closed now, or else in the next one.
        first = after - 1 if after > before else after
        self._add(exposures, np.clip(minutes, first, latest), late, after)
        self._close(after)

    def add_closed(self, exposures: Exposures, *, late: bool) -> None:
        """Add exposures to the closed sums: for files, where looks need no watermark.

        late: whether they were found after the look of their time.
        """
        minutes = np.zeros(len(exposures), np.int64)
        self._add(exposures, minutes, np.full(len(minutes), late), 1)

    def close_until(self, time: float) -> bool:
        """Close the minutes that end at `time` or before; return whether there was one."""
        ended = [minute for minute in self.open if (minute + 1) * MINUTE <= time]
        if ended:
            self._close(max(ended) + 1)
        return bool(ended)

    def _close(self, minute: int) -> None:
        """Add the open sums before a minute to the closed ones."""
        for each in sorted(self.open):
            if each < minute:
                self.closed.merge(self.open.pop(each))
        self.minute = minute

    def _add(
        self,
        exposures: Exposures,
        minutes: NDArray[np.int64],
        late: NDArray[np.bool_],
        closed: int,
    ) -> None:
        """Add exposures to the sums of their minutes: to the closed ones before minute `closed`."""
        arms = self._arms_of(exposures)
        counted = np.ones(len(arms), np.bool_)
        if self.layout.begin is not None:
            counted = exposures.times >= self.layout.begin
        first = several = np.zeros(len(arms), np.bool_)
        if exposures.source is Source.LOG:
            first, several = self._new_units(exposures, arms, counted & (arms >= 0))
        flags = np.array([counted, late, first, several])
        for minute in np.unique(minutes).tolist():
            totals = self.closed if minute < closed else self._open(minute)
            chosen = minutes == minute
            if chosen.all():
                _add_part(totals, exposures, arms, flags)
            else:
                _add_part(totals, exposures.take(chosen), arms[chosen], flags[:, chosen])

    def _open(self, minute: int) -> Totals:
        """Return the open sums of a minute."""
        if minute not in self.open:
            self.open[minute] = Totals(self.layout)
        return self.open[minute]

    def _arms_of(self, exposures: Exposures) -> NDArray[np.int64]:
        """Return the arm of each exposure; -1 for a variant that the layout does not have."""
        names = self.layout.arms
        table = [names.index(name) if name in names else -1 for name in exposures.arms]
        return np.array([*table, -1], np.int64)[exposures.variants]  # the last one for UNNAMED

    def _new_units(
        self, exposures: Exposures, arms: NDArray[np.int64], counted: NDArray[np.bool_]
    ) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
        """Return which exposures are the first of a unit, and which the first in another arm."""
        rows = np.flatnonzero(counted)
        found = self.seen.add(exposures.units[rows], arms[rows], self.layout.arms)
        flags = np.zeros((2, len(arms)), np.bool_)
        flags[0, rows[found[0]]] = True
        flags[1, rows[found[1]]] = True
        return flags[0], flags[1]


def _add_part(
    totals: Totals, exposures: Exposures, arms: NDArray[np.int64], flags: NDArray[np.bool_]
) -> None:
    """Add exposures of one minute.

    arms: shape (n,). flags: shape (4, n): in the experiment's time; late; the first of a unit; the
    first in another arm.
    """
    counted, late, first, several = flags
    known = counted & (arms >= 0)
    chosen = np.flatnonzero(known)
    rows = _rows(exposures, arms, chosen)
    if len(chosen):
        totals.add_values(rows)
    if exposures.source is not Source.LOG:
        return
    totals.late += int((late & counted).sum())
    totals.other_variants += int((counted & (arms < 0)).sum())
    compared = exposures.compared
    different = (compared != NOT_COMPARED) & (compared != exposures.variants)
    totals.disagreements += int((different & counted).sum())
    if len(chosen):
        totals.add_requests(rows, np.flatnonzero(first[chosen]), exposures.times[chosen])
        totals.in_several_arms += int(several.sum())
    before = totals.layout.before
    if before is not None:
        times = exposures.times
        earlier = np.flatnonzero((times >= before[0]) & (times < before[1]) & (arms >= 0))
        if len(earlier):
            totals.add_before(_rows(exposures, arms, earlier))


def _rows(exposures: Exposures, arms: NDArray[np.int64], chosen: NDArray[np.int64]) -> Rows:
    if len(chosen) == len(arms):
        values = dict(zip(exposures.features, exposures.values, strict=True))
        return Rows(exposures.units, arms, values)
    values = dict(zip(exposures.features, exposures.values[:, chosen], strict=True))
    return Rows(exposures.units[chosen], arms[chosen], values)
