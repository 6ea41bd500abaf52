"""Sorted runs: columns of numbers in the order of their ids, in memory or in a mapped file.

A run is made once and never grows. Small runs are arrays; a run of at least FILE_ROWS rows is a
file that is mapped into memory and has no name any more, so that the operating system may write it
out, and a process that is killed leaves nothing behind.
"""

from __future__ import annotations

import mmap
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

FILE_ROWS: Final = 65_536
"""Runs from this number of rows on are in files."""
ID: Final = "id"
NAME: Final = "name"
"""The column that, where there is one, distinguishes rows with the same id."""

Column = NDArray[Any]
Columns = Mapping[str, Column]
"""Columns of n rows by name; axis 0 is the row."""


@dataclass(frozen=True, slots=True, eq=False)
class Run:
    """Rows in the order of their ids and names; each pair occurs once.

    longest: largest number of rows with the same id.
    """

    columns: Columns
    longest: int

    def __len__(self) -> int:
        return len(self.columns[ID])

    @property
    def nbytes(self) -> int:
        """Size of the columns in bytes."""
        return sum(column.nbytes for column in self.columns.values())

    def find(self, ids: Column, names: Column | None = None) -> NDArray[np.int64]:
        """Return the row of each id, or of each pair of id and name, shape (m,); -1 if absent.

        Without names, it is the first row of the id.
        """
        own = self.columns[ID]
        first = np.searchsorted(own, ids)
        rows = np.full(len(ids), -1, np.int64)
        for step in range(1 if names is None else self.longest):
            at = np.minimum(first + step, len(own) - 1)
            found = (own[at] == ids) & (first + step < len(own))
            if names is not None:
                found &= self.columns[NAME][at] == names
            rows[found] = at[found]
        return rows

    def rows_of(self, ids: Column) -> NDArray[np.int64]:
        """Return all rows of the given ids, shape (k,)."""
        own = self.columns[ID]
        first, last = np.searchsorted(own, ids), np.searchsorted(own, ids, "right")
        parts = [np.arange(a, b) for a, b in zip(first.tolist(), last.tolist(), strict=True)]
        return np.concatenate(parts) if parts else np.zeros(0, np.int64)


def sorted_run(columns: Columns, priority: str | None = None) -> Run:
    """Return the rows as a run; of rows with the same id and name, the first is kept.

    priority: a column; rows with a lower value of it come first. Otherwise the order decides.
    """
    ids = columns[ID]
    if NAME in columns:
        order = np.lexsort((*_keys(columns, priority), ids))
    else:
        order = np.argsort(ids, kind="stable")  # two runs after each other take linear time
    ids = ids[order]
    same = ids[1:] == ids[:-1]
    longest = 1
    if same.any():
        if NAME in columns:
            longest = _longest(same)
            names = columns[NAME][order]
            same &= names[1:] == names[:-1]
        elif priority is not None:
            order = _prioritized(order, same, columns[priority])
        order = order[np.concatenate(([True], ~same))]
    return Run({name: column[order] for name, column in columns.items()}, longest)


def _keys(columns: Columns, priority: str | None) -> list[Column]:
    keys = [] if priority is None else [columns[priority]]
    return [*keys, columns[NAME]]


def _prioritized(
    order: NDArray[np.int64], same: NDArray[np.bool_], priority: Column
) -> NDArray[np.int64]:
    """Return the order with the rows of each id sorted by priority.

    same: shape (n - 1,), whether two neighbours have the same id.
    """
    repeated = np.concatenate((same, [False])) | np.concatenate(([False], same))
    places = np.flatnonzero(repeated)
    groups = np.cumsum(~np.concatenate(([False], same)))[places]
    rows = order[places]
    sorted_order = order.copy()
    sorted_order[places] = rows[np.lexsort((priority[rows], groups))]
    return sorted_order


def merged(runs: Sequence[Run], priority: str | None = None) -> Run:
    """Return the rows of several runs as one. Rows of equal priority are kept from the first."""
    names = runs[0].columns
    return sorted_run(
        {name: _joined([run.columns[name] for run in runs]) for name in names}, priority
    )


def _joined(parts: Sequence[Column]) -> Column:
    """Concatenate columns; those of two dimensions get the width of the widest."""
    if parts[0].ndim == 2:
        width = max(part.shape[1] for part in parts)
        parts = [np.pad(part, ((0, 0), (0, width - part.shape[1]))) for part in parts]
    return np.concatenate(parts)


def _longest(same: NDArray[np.bool_]) -> int:
    """Return the length of the longest group of equal neighbours, counted by its links."""
    if not same.any():
        return 1
    breaks = np.flatnonzero(~np.concatenate(([False], same, [False])))
    return int(np.diff(breaks).max())


def in_file(run: Run, directory: Path | None) -> Run:
    """Return the run with its columns in a file of the directory; None: that of the system.

    Raises OSError if the file cannot be written.
    """
    with tempfile.TemporaryFile(prefix="plumbline-join-", dir=directory) as file:
        for column in run.columns.values():
            file.write(column.tobytes())
        file.flush()
        mapped = mmap.mmap(file.fileno(), 0)
    columns: dict[str, Column] = {}
    offset = 0
    for name, column in run.columns.items():
        columns[name] = np.ndarray(column.shape, column.dtype, mapped, offset)
        offset += column.nbytes
    return Run(columns, run.longest)
