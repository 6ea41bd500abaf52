"""The state of one partition of the joins topic: keys, values, and which values were sent.

A value is joined with the key of its id if its time is at most `horizon` after the time of the
record, and not more than a segment before it (clocks differ). Neither the order in which keys and
values arrive nor how they are cut into messages matters, as long as both arrive before the horizon
has passed by more than a segment.

A value is sent when it has waited `settle` seconds of the log since it first arrived; until then a
newer value of the same id and name replaces it. Afterwards a newer one is counted as late: what was
sent is in windows and sums, from which nothing can be taken back.

The state is a function of the messages of the partition and of the time up to which values were
sent. It is not written anywhere: a restart reads the messages from `first_offset` again.
"""

from __future__ import annotations

from collections import Counter, deque
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from detectors.arrays import Floats
from monitor.ingest.joins.clock import JoinClock
from monitor.ingest.joins.contexts import Contexts
from monitor.ingest.joins.messages import Context, Keys, Values
from monitor.ingest.joins.runs import ID, NAME, Column, Columns, Run, sorted_run
from monitor.ingest.joins.segments import TIME, Segment, Segments, ids_of

SEGMENTS: Final = 8
"""Segments of a horizon."""
MAX_KEYS: Final = 200_000_000
"""Keys of a partition; beyond them the oldest segment is dropped."""
MAX_VALUES: Final = 20_000_000
"""Values of a partition; beyond them the oldest segment is dropped."""

VALUE: Final = "value"
OFFSET: Final = "offset"
STATE: Final = "state"
CONTEXT: Final = "context"
UNITS: Final = "units"

_SETTLING, _WAITING, _SENT, _UNMATCHED = range(4)
"""States of a value: it may be replaced soon; it has no key yet; it was sent; it has no key."""


@dataclass(frozen=True, slots=True, eq=False)
class Joined:
    """Values with the records that they refer to, in the order in which they arrived.

    ids, times, values: shape (n,), hash of the id, time of the feedback, value.
    offsets: shape (n,), of the messages that brought them. names: shape (n,), of their features.
    record_times: shape (n,), event time of the record. contexts: shape (n,), of the record.
    units: shape (n, U), as in `Keys`.
    """

    ids: NDArray[np.uint64]
    times: Floats
    values: Floats
    offsets: NDArray[np.int64]
    names: list[str]
    record_times: Floats
    contexts: list[Context]
    units: NDArray[np.uint64]

    def __len__(self) -> int:
        return len(self.ids)


@dataclass(frozen=True, slots=True, eq=False)
class _Candidates:
    """Pairs of id and name that become due.

    since: time of the log. watermark: at that time; keys of then are kept until these are sent.
    """

    since: float
    watermark: float
    ids: Column
    names: Column


class JoinState:
    """Keys and values of one partition.

    horizon: seconds of event time. settle: seconds of the log. directory: for large tables; None:
    that of the system.
    counts: values by outcome since they were last taken: "sent", "replaced", "late", "unmatched",
    "dropped".
    """

    def __init__(self, horizon: float, settle: float, directory: Path | None = None) -> None:
        self.horizon = horizon
        self.settle = settle
        self.width = horizon / SEGMENTS
        self.clock = JoinClock()
        self.counts: Counter[str] = Counter()
        self.keys = Segments(self.width, directory, priority=TIME)
        self.values = Segments(self.width, directory)
        self.waiting = Segments(self.width, directory)
        self._contexts = Contexts()
        self._names: dict[str, int] = {}
        self._settling: deque[_Candidates] = deque()
        self._due: list[_Candidates] = []

    @property
    def first_offset(self) -> int | None:
        """Offset from which the messages are needed to restore the state; None: none are."""
        offsets = self.keys.first_offset, self.values.first_offset
        return min((offset for offset in offsets if offset is not None), default=None)

    @property
    def nbytes(self) -> int:
        """Size of all tables in bytes."""
        return self.keys.nbytes + self.values.nbytes + self.waiting.nbytes

    @property
    def unsettled(self) -> bool:
        """Whether there are values that wait to be sent."""
        return bool(self._settling or self._due)

    # --- messages ---------------------------------------------------------------------------------

    def add_keys(self, keys: Keys, offset: int, written: float) -> None:
        """Add keys of a message. written: time of the message in the log, epoch seconds."""
        self.clock.advance(self.clock.keys, keys.times, written)
        codes = self._contexts.codes(keys.contexts)[keys.codes] if len(keys) else keys.codes
        kept = keys.times >= self.clock.time - self.horizon - self.width
        rows: Columns = {ID: keys.ids, TIME: keys.times, CONTEXT: codes, UNITS: keys.units}
        self.keys.add({n: c[kept] for n, c in rows.items()}, offset, self.clock.keys.time)
        if len(self.waiting):
            self._wake(keys.ids[kept], written)
        self._limit()

    def add_values(self, values: Values, offset: int, written: float) -> None:
        """Add values of a message; the newest of each id and name replaces the others."""
        self.clock.advance(self.clock.values, values.times, written)
        table = [self._names.setdefault(name, len(self._names)) for name in values.names]
        names = np.array(table, np.uint32)[values.codes]
        known = self._replace(values, names)
        expired = ~known & (values.times < self.clock.time - self.horizon - 2 * self.width)
        self.counts["unmatched"] += int(expired.sum())
        added = np.flatnonzero(~known & ~expired)
        # of equal ids and names the newest, of equally new ones the last
        order = added[np.lexsort((-added, -values.times[added]))]
        rows: Columns = {
            ID: values.ids[order],
            NAME: names[order],
            TIME: values.times[order],
            VALUE: values.values[order],
            OFFSET: np.full(len(order), offset),
            STATE: np.full(len(order), _SETTLING, np.uint8),
        }
        rows = sorted_run(rows).columns
        self.counts["replaced"] += len(order) - len(rows[ID])
        self.values.add(rows, offset, self.clock.values.time)
        if len(rows[ID]):
            found = rows[ID], rows[NAME]
            self._settling.append(_Candidates(written, self.clock.time, *found))
        self._limit()

    def _replace(self, values: Values, names: Column) -> NDArray[np.bool_]:
        """Update the rows of known ids and names; return which of the values belong to one."""
        known = np.zeros(len(values), np.bool_)
        for run in self.values.runs():
            rows = run.find(values.ids, names)
            hits = np.flatnonzero(rows >= 0)
            if not len(hits):
                continue
            known[hits] = True
            self._update(run, rows[hits], values.times[hits], values.values[hits])
        return known

    def _update(self, run: Run, rows: NDArray[np.int64], times: Floats, values: Floats) -> None:
        """Replace the values of rows that were not sent yet, if they are not older."""
        sent = run.columns[STATE][rows] == _SENT
        self.counts["late"] += int(sent.sum())
        open_ = np.flatnonzero(~sent)
        self.counts["replaced"] += len(open_)
        own, own_times = run.columns[VALUE], run.columns[TIME]
        for place in open_[np.argsort(times[open_], kind="stable")].tolist():
            row = rows[place]
            if times[place] >= own_times[row]:
                own_times[row], own[row] = times[place], values[place]

    def _wake(self, ids: Column, written: float) -> None:
        """Make the waiting values of new keys due again."""
        ids = np.unique(ids[self.waiting.contain(ids)])
        for run in self.values.runs() if len(ids) else ():
            rows = run.rows_of(ids)
            rows = rows[run.columns[STATE][rows] == _WAITING]
            if len(rows):
                found = run.columns[ID][rows], run.columns[NAME][rows]
                self._due.append(_Candidates(written, self.clock.time, *found))

    # --- results ----------------------------------------------------------------------------------

    def due(self, clock: float) -> Joined:
        """Return the values to send at a time of the log: joined, and settled before it.

        Values without a key begin to wait for it. The result is repeated, with more values, until
        `mark_sent` is called.
        """
        while self._settling and self._settling[0].since + self.settle <= clock:
            self._due.append(self._settling.popleft())
        if not self._due:
            return self._joined(_NO_ROWS)
        rows = self._open_rows()
        ids, times = rows[ID], rows[TIME]
        key_times, codes, units = self._find_keys(ids, times)
        found = np.isfinite(key_times)
        self._wait(rows, np.flatnonzero(~found))
        watermark = min(each.watermark for each in self._due)
        kept = np.flatnonzero(found)
        kept = kept[np.lexsort((rows[NAME][kept], ids[kept], rows[OFFSET][kept]))]
        chosen = {name: column[kept] for name, column in rows.items()}
        self._due = []
        if len(kept):
            self._due = [_Candidates(clock, watermark, chosen[ID], chosen[NAME])]
        return self._joined(chosen, key_times[kept], codes[kept], units[kept])

    def mark_sent(self) -> None:
        """Record that the last result of `due` was sent."""
        for each in self._due:
            for run in self.values.runs():
                rows = run.find(each.ids, each.names)
                run.columns[STATE][rows[rows >= 0]] = _SENT
            self.counts["sent"] += len(each.ids)
        self._due = []

    def settle_until(self, clock: float) -> None:
        """Record that all values were sent that `due` returns at this time: for a restore."""
        self.due(clock)
        self.mark_sent()

    def expire(self) -> None:
        """Drop what no later message can be joined with, and count the values without a record."""
        # The watermarks of values that settle do not decrease.
        held = [*self._due, *([self._settling[0]] if self._settling else [])]
        passed = min([self.clock.time, *(each.watermark for each in held)])
        ended = ids_of(self.waiting.drop(passed - self.horizon - self.width))
        for run in self.values.runs() if len(ended) else ():
            rows = run.rows_of(ended)
            rows = rows[run.columns[STATE][rows] == _WAITING]
            run.columns[STATE][rows] = _UNMATCHED
            self.counts["unmatched"] += len(rows)
        self.keys.drop(passed - self.horizon - self.width)
        for segment in self.values.drop(passed - self.horizon - 2 * self.width):
            self.counts["unmatched"] += _unsent(segment)

    # --- details ----------------------------------------------------------------------------------

    def _open_rows(self) -> dict[str, Column]:
        """Return the rows of the candidates that were not sent, each once."""
        ids = np.concatenate([each.ids for each in self._due])
        names = np.concatenate([each.names for each in self._due])
        parts: list[dict[str, Column]] = [_NO_ROWS]
        for run in self.values.runs():
            rows = run.find(ids, names)
            rows = np.unique(rows[rows >= 0])
            rows = rows[run.columns[STATE][rows] < _SENT]
            parts.append({name: column[rows] for name, column in run.columns.items()})
        return {name: np.concatenate([part[name] for part in parts]) for name in _NO_ROWS}

    def _find_keys(self, ids: Column, times: Floats) -> tuple[Floats, Column, Column]:
        """Return time, context and units of the key of each value; time NaN without one.

        Of several keys it is the earliest one.
        """
        runs = list(self.keys.runs())
        width = max((run.columns[UNITS].shape[1] for run in runs), default=0)
        found = np.full(len(ids), np.nan)
        codes, units = np.zeros(len(ids), np.uint32), np.zeros((len(ids), width), np.uint64)
        for run in runs:
            rows = run.find(ids)
            hits = np.flatnonzero(rows >= 0)
            if not len(hits):
                continue
            rows = rows[hits]
            delays = times[hits] - run.columns[TIME][rows]
            better = (delays <= self.horizon) & (delays >= -self.width)
            better &= ~(found[hits] <= run.columns[TIME][rows])
            hits, rows = hits[better], rows[better]
            found[hits], codes[hits] = run.columns[TIME][rows], run.columns[CONTEXT][rows]
            units[hits] = 0
            units[hits, : run.columns[UNITS].shape[1]] = run.columns[UNITS][rows]
        return found, codes, units

    def _wait(self, rows: dict[str, Column], chosen: NDArray[np.int64]) -> None:
        """Keep values until their keys arrive."""
        if not len(chosen):
            return
        ids, names = rows[ID][chosen], rows[NAME][chosen]
        for run in self.values.runs():
            found = run.find(ids, names)
            run.columns[STATE][found[found >= 0]] = _WAITING
        waiting = {ID: ids, TIME: rows[TIME][chosen]}
        self.waiting.add(waiting, 0, self.clock.values.time)

    def _joined(
        self,
        rows: dict[str, Column],
        key_times: Floats | None = None,
        codes: Column | None = None,
        units: Column | None = None,
    ) -> Joined:
        names = list(self._names)
        return Joined(
            rows[ID],
            rows[TIME],
            rows[VALUE],
            rows[OFFSET],
            [names[code] for code in rows[NAME].tolist()],
            np.zeros(0) if key_times is None else key_times,
            [] if codes is None else list(self._contexts.of(codes)),
            np.zeros((0, 0), np.uint64) if units is None else units,
        )

    def _limit(self) -> None:
        """Drop the oldest segments of tables that are too large."""
        while len(self.keys) > MAX_KEYS:
            self.counts["keys_dropped"] += len(self.keys.drop_oldest())
        while len(self.values) > MAX_VALUES:
            self.counts["dropped"] += _unsent(self.values.drop_oldest())


_NO_ROWS: Final[dict[str, Column]] = {
    ID: np.zeros(0, np.uint64),
    NAME: np.zeros(0, np.uint32),
    TIME: np.zeros(0),
    VALUE: np.zeros(0),
    OFFSET: np.zeros(0, np.int64),
    STATE: np.zeros(0, np.uint8),
}


def _unsent(segment: Segment) -> int:
    """Return the number of values of a segment that were neither sent nor counted as unmatched."""
    return sum(int((run.columns[STATE] < _SENT).sum()) for run in segment.runs)
