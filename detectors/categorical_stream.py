"""The accepted reference of one categorical stream.

A reference of many rare categories never shows all of them: traffic that has not changed keeps
bringing new ones. Good & Turing (Good 1953) estimate their share from the categories that were
counted once. The expected counts here are theirs, so that no statistic takes unseen categories of
such traffic for a change.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from detectors import dependence
from detectors.arrays import Floats, Ints
from detectors.dependence import Blocks
from detectors.kinds import Kind
from detectors.rare_cells import assign_rare_cells

RARE_SHARE = 0.01
"""Categories below this share of the values of the reference share the bin "rare"."""

MAX_CELLS = 64
"""Cells of a stream, unless it has more bins: about as many as those of a numeric one."""

_OTHER_BINS = 3
"""Bins beside those of frequent categories: rare, other, missing."""

UNSEEN = "other (not in the reference)"
"""Display name of the bin of unknown categories."""
BEYOND_LIMIT = "other (new, or beyond the limit)"
"""The same where the limit on categories has cut off some of the reference."""
MISSING = "missing"
_reserved = re.compile(
    rf"({re.escape(UNSEEN)}|{re.escape(BEYOND_LIMIT)}|rare \(\d+ categor(y|ies)\)|{MISSING})"
    r"( \(named\))*"
).fullmatch


@dataclass(frozen=True, slots=True)
class CategoricalStream:
    """The reference window of one categorical stream.

    Its bins are the frequent categories, "rare" (known but below RARE_SHARE), "other" (unknown) and
    "missing". Each is a cell, except that "rare" is divided: a rare category that multiplies hardly
    moves the share of all of them.

    categories: most frequent first. counts: their reference records.
    other: records of categories beyond the limit on the number of categories.
    blocks, inflation: as in `NumericStream`, but "other" also has the records of rare categories
    that occur in one window of the reference only: the other windows do not contain them.
    rare_cells: cell of each rare category among those of "rare", see `assign_rare_cells`; empty if
    they share one, as in references of earlier versions.
    """

    name: str
    categories: tuple[str, ...]
    counts: NDArray[np.int64]
    missing: int
    other: int
    blocks: Blocks
    inflation: float
    rare_cells: NDArray[np.uint8] = field(default_factory=lambda: np.zeros(0, np.uint8))

    kind = Kind.CATEGORICAL

    @property
    def count(self) -> int:
        """Number of records with a value."""
        return int(self.counts.sum()) + self.other

    @property
    def frequent(self) -> int:
        """Number of categories with their own bin."""
        if self.blocks.shape[1]:
            # references of earlier versions compare with all records instead of those with a value
            return int(self.blocks.shape[1]) - _OTHER_BINS + 1 - self.divisions
        return int((self.counts >= RARE_SHARE * self.count).sum())

    @property
    def divisions(self) -> int:
        """Number of cells of the bin "rare"."""
        return int(self.rare_cells.max(initial=0)) + 1

    @property
    def bins(self) -> int:
        """Number of bins: the frequent categories, rare, other, missing."""
        return self.frequent + _OTHER_BINS

    @property
    def cells(self) -> int:
        """Number of cells: the bins, with those of "rare" instead of it."""
        return self.bins - 1 + self.divisions

    def bin_counts(self) -> Floats:
        """Return the expected records by bin for as many records as the reference has, (bins,).

        They are the reference's counts, except that `unseen` records belong to "other" instead of
        "rare".
        """
        rare = self.counts[self.frequent :].sum() - self.unseen
        own = self.counts[: self.frequent]
        return np.concatenate((own, [rare, self.other + self.unseen, self.missing]), dtype=float)

    def cell_counts(self) -> Floats:
        """Return the same by cell, shape (cells,)."""
        by_bin, rare = self.bin_counts(), self.rare_counts()
        losing = np.where(self.unseen_from, rare, 0.0)
        rare -= losing * (self.unseen / max(1.0, float(losing.sum())))
        return np.concatenate((by_bin[: self.frequent], rare, by_bin[-2:]))

    def rare_counts(self) -> Floats:
        """Return the reference's records by cell of "rare", shape (divisions,)."""
        counts = self.counts[self.frequent :]
        if not len(self.rare_cells):
            return np.array([counts.sum()], float)
        return np.bincount(self.rare_cells, counts, self.divisions).astype(np.float64)

    @property
    def unseen_from(self) -> NDArray[np.bool_]:
        """Which cells of "rare" have the records that are expected to be unseen, (divisions,).

        They are those of several categories, each counted a few times, if they have enough.
        """
        rare = self.rare_counts()
        shared = np.bincount(self.rare_cells, minlength=self.divisions) != 1
        enough = float(rare[shared].sum()) >= self.unseen
        return shared if enough else np.ones(self.divisions, np.bool_)

    @property
    def unseen(self) -> float:
        """Expected records of categories that are not kept, beyond `other`.

        It is the larger of two estimates. Good's assumes independent records. The other one counts
        the records of the reference whose category occurs in no other window of it: a user who
        sends ten requests in a row is unseen ten times, and none of them is the only one of its
        category.
        """
        rare = self.counts[self.frequent :]
        if not len(rare):
            return 0.0
        return min(float(rare.sum()), max(self._unseen_by_good(rare), self.unseen_in_blocks))

    @property
    def unseen_in_blocks(self) -> float:
        """Records in "other" of the blocks, beyond `other`, scaled to the whole reference."""
        if not len(self.blocks) or self.blocks.shape[1] != self.cells:
            return 0.0
        records = len(self.blocks) * dependence.BLOCK_SIZE
        share = float(self.blocks[:, -2].sum(dtype=np.int64)) / records
        return max(0.0, share * (self.count + self.missing) - self.other)

    def _unseen_by_good(self, rare: NDArray[np.int64]) -> float:
        """Return the estimate of Good (1953). rare: reference records of the rare categories.

        A category counted r times is expected r* = (r + 1) N_(r+1) / N_r times in as many new
        records, N_r being the number of categories counted r times. Summed over all categories
        this is their count less N_1. If the limit on categories keeps some of those counted R
        times and none counted less, the sum over the kept ones is their count less

            R k + (R + 1) N_(R+1) (1 - k / N_R),

        k of N_R being kept. `other` bounds N_R, and is N_R - k if R is 1; else N_r is taken to
        fall as 1 / r^2.
        """
        lowest = int(rare[-1])
        kept, above = int((rare == lowest).sum()), int((rare == lowest + 1).sum())
        if not self.other:
            return float(kept) if lowest == 1 else 0.0
        total = kept + self.other / lowest
        if lowest > 1:
            total = min(total, max(kept, above * (1 + 1 / lowest) ** 2))
        return lowest * kept + (lowest + 1) * above * (1 - kept / total)

    def bin_of_cell(self) -> Ints:
        """Return the bin of every cell, shape (cells,)."""
        rare = np.full(self.divisions, self.frequent)
        return np.concatenate((np.arange(self.frequent), rare, [self.bins - 2, self.bins - 1]))

    def cell_by_category(self) -> dict[str, int]:
        """Return the cell of every known category; all others belong to "other"."""
        rare = self.rare_cells.tolist() or [0] * (len(self.categories) - self.frequent)
        cells = (*range(self.frequent), *(self.frequent + cell for cell in rare))
        return dict(zip(self.categories, cells, strict=True))

    def shared(self) -> frozenset[str]:
        """Return the rare categories that share a cell with others; none if all share one."""
        if self.divisions == 1:
            return frozenset()
        held = np.bincount(self.rare_cells)[self.rare_cells].tolist()
        rare = zip(self.categories[self.frequent :], held, strict=True)
        return frozenset(name for name, categories in rare if categories > 1)

    def cells_by_code(self, vocabulary: Sequence[str]) -> Ints:
        """Return the cell of every code of a vocabulary, and of code -1 (missing) as last entry."""
        cells, missing, other = self.cell_by_category(), self.cells - 1, self.cells - 2
        return np.array([*(cells.get(name, other) for name in vocabulary), missing], np.intp)

    def bin_names(self) -> tuple[str, ...]:
        """Return the display names of the bins: no two are the same.

        A category that is really named like a catch-all bin is "missing (named)", and so on. The
        bin of a single rare category has its name.
        """
        own = map(shown_name, self.categories[: self.frequent])
        rare = rare_name(self.categories[self.frequent :])
        return (*own, rare, BEYOND_LIMIT if self.other else UNSEEN, MISSING)

    def cell_names(self) -> tuple[str, ...]:
        """Return the display names of the cells: that of its category, if it has one."""
        names, rare = self.bin_names(), self.categories[self.frequent :]
        if self.divisions == 1:
            return names
        inside: list[list[str]] = [[] for _ in range(self.divisions)]
        for name, cell in zip(rare, self.rare_cells.tolist(), strict=True):
            inside[cell].append(name)
        shown = (
            rare_name(each) if len(each) == 1 else f"{rare_name(each)} in {cell}"
            for cell, each in enumerate(inside)
        )
        return (*names[: self.frequent], *shown, *names[-2:])


def shown_name(category: str) -> str:
    """Return the display name of a category."""
    return f"{category} (named)" if _reserved(category) else category


def rare_name(categories: Sequence[str]) -> str:
    """Return the display name of rare categories: of one, its own."""
    if len(categories) == 1:
        return shown_name(categories[0])
    return f"rare ({len(categories)} categories)"


def build_categorical_stream(
    name: str, vocabulary: Sequence[str], codes: Ints, window: int, *, max_categories: int = 1000
) -> CategoricalStream:
    """Return the reference of one categorical stream.

    codes: shape (N,), in the order of arrival, indices of the vocabulary; -1 where missing.
    window: records of the windows to compare with it.
    max_categories: number of categories to keep, the most frequent ones; all others are "other".
    """
    counts = np.bincount(codes[codes >= 0], minlength=len(vocabulary))
    order = sorted(np.flatnonzero(counts).tolist(), key=lambda i: (-counts[i], vocabulary[i]))
    kept, dropped = order[:max_categories], order[max_categories:]
    stream = CategoricalStream(
        name=name,
        categories=tuple(vocabulary[i] for i in kept),
        counts=counts[kept].astype(np.int64),
        missing=int((codes < 0).sum()),
        other=int(counts[dropped].sum()),
        blocks=np.zeros((0, 0), np.uint8),
        inflation=1.0,
    )
    lone = _in_one_window(codes, len(vocabulary), window)
    stream = replace(stream, rare_cells=_rare_cells(stream, lone[kept][stream.frequent :]))
    # code -1 (missing) selects the last entry
    cells = np.full(len(vocabulary) + 1, stream.cells - 2, np.intp)
    cells[kept] = list(stream.cell_by_category().values())
    cells[-1] = stream.cells - 1
    cells[:-1][lone & (counts < RARE_SHARE * stream.count)] = stream.cells - 2
    blocks = dependence.count_blocks(cells[codes], stream.cells)
    inflation = dependence.variance_inflation(blocks, stream.bin_of_cell(), None, window)
    return replace(stream, blocks=blocks, inflation=inflation)


def _rare_cells(stream: CategoricalStream, lone: NDArray[np.bool_]) -> NDArray[np.uint8]:
    """Return the cell of each rare category among those of "rare"; none if there is one cell.

    stream: without blocks. lone: which rare categories occur in one window only.
    """
    rare = stream.counts[stream.frequent :]
    known = 1 - stream.unseen / max(1.0, float(rare.sum()))
    return assign_rare_cells(rare, lone, stream.count, MAX_CELLS - stream.bins + 1, known)


def _in_one_window(codes: Ints, categories: int, window: int) -> NDArray[np.bool_]:
    """Return whether all records of each category are in the same window, shape (categories,).

    False for all if there are fewer than two windows.
    """
    if len(codes) < 2 * window:
        return np.zeros(categories, np.bool_)
    present = codes >= 0
    windows = (np.arange(len(codes)) // window)[present]
    first, last = np.full(categories, len(codes)), np.full(categories, -1)
    np.minimum.at(first, codes[present], windows)
    np.maximum.at(last, codes[present], windows)
    return np.asarray(first == last)
