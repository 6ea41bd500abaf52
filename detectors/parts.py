"""The parts into which a stream is divided to compare it with its reference.

They are its bins, and each category of the bin "rare" whose share has certainly moved: the share of
all rare categories hardly moves when one of them multiplies.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from detectors.arrays import Bools, Floats, Ints
from detectors.baseline import Stream, sum_by_bin
from detectors.categorical_stream import CategoricalStream, rare_name, shown_name
from detectors.intervals import moved_shares

MIN_NAMED = 0.5
"""Part of the growth of a cell that one category explains, from which on it is named."""


@dataclass(frozen=True, slots=True)
class Parts:
    """The parts of a stream of P parts, in the order of its bins; the last one: missing values.

    names: display names. expected, counts: records of the reference and of the measured ones, (P,).
    of_cell: part of each cell of a categorical stream, shape (cells,); else of each bin.
    named: part of each category that is named though it shares a cell.
    """

    names: tuple[str, ...]
    expected: Floats
    counts: Floats
    of_cell: Ints
    named: Mapping[str, int]

    def of_code(self, stream: CategoricalStream, vocabulary: Sequence[str]) -> Ints:
        """Return the part of every code of a vocabulary, and of code -1 (missing) as last entry."""
        parts = self.of_cell[stream.cells_by_code(vocabulary)]
        for code, name in enumerate(vocabulary):
            parts[code] = self.named.get(name, parts[code])
        return parts


def moved_cells(stream: CategoricalStream, cells: Floats) -> Bools:
    """Return which cells of the bin "rare" have certainly moved, shape (divisions,).

    cells: measured records by cell, shape (cells,). As in `moved_shares`: one page in a hundred
    names a cell that has not moved.
    """
    if stream.divisions == 1:
        return np.zeros(1, np.bool_)
    moved = moved_shares(stream.cell_counts(), cells, stream.inflation, stream.divisions)
    return moved[stream.frequent : -2]


def parts_of(
    stream: Stream, cell_counts: Floats, shared_names: Mapping[str, int] | None = None
) -> Parts:
    """Return the parts of a stream for the measured records.

    cell_counts: these records by cell, shape (G,) or padded. shared_names: those of rare categories
    that share a cell, as far as they are known.
    """
    expected, counts = stream.bin_counts(), sum_by_bin(cell_counts, stream)
    names, bins = stream.bin_names(), np.arange(len(expected))
    if not isinstance(stream, CategoricalStream):
        return Parts(names, expected, counts, bins, {})
    cells = np.asarray(cell_counts[: stream.cells], np.float64)
    own = _own_parts(stream, cells, shared_names or {})
    if not own:
        return Parts(names, expected, counts, stream.bin_of_cell(), {})
    first, rest = stream.frequent, stream.frequent + len(own)
    before, after = np.array([(each.before, each.after) for each in own]).T
    of_cell = np.concatenate((bins[:first], np.full(stream.divisions, rest), [rest + 1, rest + 2]))
    for part, each in enumerate(own, first):
        if each.cell is not None:
            of_cell[each.cell] = part
    apart = {each.category for each in own}
    left = [name for name in stream.categories[first:] if name not in apart]
    return Parts(
        (
            *names[:first],
            *(shown_name(each.category) for each in own),
            rare_name(left),
            *names[-2:],
        ),
        _with_own(expected, before, first),
        _with_own(counts, after, first),
        of_cell,
        {each.category: part for part, each in enumerate(own, first) if each.cell is None},
    )


class _Own(NamedTuple):
    """A rare category that has moved: records before and after; its cell, if it has one."""

    category: str
    before: float
    after: float
    cell: int | None


def _with_own(by_bin: Floats, own: Floats, first: int) -> Floats:
    """Return records by bin with those of rare categories apart from the others."""
    rest = max(0.0, float(by_bin[first] - own.sum()))
    return np.concatenate((by_bin[:first], own, [rest], by_bin[first + 1 :]))


def _own_parts(
    stream: CategoricalStream, cells: Floats, shared_names: Mapping[str, int]
) -> list[_Own]:
    """Return the rare categories that have moved, as far as they are known."""
    expected, names = stream.cell_counts(), stream.categories[stream.frequent :]
    held = np.bincount(stream.rare_cells, minlength=stream.divisions)
    found = []
    for rare in np.flatnonzero(moved_cells(stream, cells)).tolist():
        cell = stream.frequent + rare
        inside = np.flatnonzero(stream.rare_cells == rare).tolist()
        if held[rare] == 1:
            found.append(_Own(names[inside[0]], expected[cell], cells[cell], cell))
            continue
        scale = cells.sum() / expected.sum()
        rows = [
            _Own(names[i], float(stream.counts[stream.frequent + i]), shared_names[names[i]], None)
            for i in inside
            if names[i] in shared_names
        ]
        largest = max(rows, key=lambda row: row.after - scale * row.before, default=None)
        growth = cells[cell] - scale * expected[cell]
        if largest and largest.after - scale * largest.before >= max(1.0, MIN_NAMED * growth):
            found.append(largest)
    return found
