"""Rows by event time: segments of equal length, each of a few sorted runs.

A segment is dropped as a whole when its time has passed, which costs nothing. Within a segment,
runs of similar size are merged, as in a log-structured merge tree: each row is written about
log(n) times, and a lookup reads a few runs of each segment.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from monitor.ingest.joins.runs import (
    FILE_ROWS,
    ID,
    Column,
    Columns,
    Run,
    in_file,
    merged,
    sorted_run,
)

TIME: Final = "time"
AHEAD: Final = 16
"""Segments after that of the newest time that are kept apart; later rows share the last one."""
MAX_RUN: Final = 4_000_000
"""Rows from which on a run is not merged any more: the memory that a merge needs is bounded."""


@dataclass(slots=True)
class Segment:
    """The rows of a period. offset: of the first message that has added rows."""

    offset: int
    runs: list[Run] = field(default_factory=list)

    def __len__(self) -> int:
        return sum(map(len, self.runs))


class Segments:
    """Rows with a column `time`, in epoch seconds, by period.

    width: of a period, in seconds. priority: column that decides which of two rows with the same id
    (and name) within a period is kept, the lower one; without one the earlier row.
    directory: for the files of large runs; None: that of the system.
    """

    def __init__(self, width: float, directory: Path | None, priority: str | None = None) -> None:
        self.width = width
        self.by_number: dict[int, Segment] = {}
        self._directory = directory
        self._priority = priority

    def __len__(self) -> int:
        return sum(map(len, self.by_number.values()))

    @property
    def nbytes(self) -> int:
        """Size of all rows in bytes."""
        return sum(run.nbytes for run in self.runs())

    @property
    def first_offset(self) -> int | None:
        """The offset of the first message that has rows here; None without rows."""
        return min((each.offset for each in self.by_number.values()), default=None)

    def runs(self) -> Iterator[Run]:
        """Yield all runs, in the order of their periods."""
        for _, segment in sorted(self.by_number.items()):
            yield from segment.runs

    def add(self, rows: Columns, offset: int, newest: float) -> None:
        """Add rows of a message at an offset of the log.

        newest: time that similar rows have reached; one wrong clock must not make a segment each.
        """
        times = rows[TIME]
        if not len(times):
            return
        last = int(newest // self.width) + AHEAD
        numbers = np.minimum(np.floor(times / self.width).astype(np.int64), last)
        for number in np.unique(numbers).tolist():
            chosen = numbers == number
            part = rows if chosen.all() else {name: c[chosen] for name, c in rows.items()}
            segment = self.by_number.setdefault(number, Segment(offset))
            segment.offset = min(segment.offset, offset)
            segment.runs.append(sorted_run(part, self._priority))
            self._merge(segment.runs)

    def _merge(self, runs: list[Run]) -> None:
        """Merge the last runs while they are not much smaller than the one before them."""
        count = 1
        size = len(runs[-1])
        while count < len(runs) and len(runs[-count - 1]) < min(2 * size, MAX_RUN):
            size += len(runs[-count - 1])
            count += 1
        if count > 1:
            runs[-count:] = [merged(runs[-count:], self._priority)]
            if len(runs[-1]) >= FILE_ROWS:
                runs[-1] = in_file(runs[-1], self._directory)

    def contain(self, ids: Column) -> NDArray[np.bool_]:
        """Return which ids have a row, shape (m,)."""
        found = np.zeros(len(ids), np.bool_)
        for run in self.runs():
            found |= run.find(ids) >= 0
        return found

    def drop(self, until: float) -> list[Segment]:
        """Remove the segments that end at a time or before; return them."""
        ended = [n for n in sorted(self.by_number) if (n + 1) * self.width <= until]
        return [self.by_number.pop(number) for number in ended]

    def drop_oldest(self) -> Segment:
        """Remove the segment of the earliest period; return it."""
        return self.by_number.pop(min(self.by_number))


def ids_of(segments: list[Segment]) -> Column:
    """Return the ids of all rows of segments, sorted and each once."""
    parts = [run.columns[ID] for segment in segments for run in segment.runs]
    return np.unique(np.concatenate(parts)) if parts else np.zeros(0, np.uint64)
