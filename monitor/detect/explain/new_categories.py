"""Names of categories without a cell of their own, by stride, for the events about them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from detectors.baseline import Baseline
from monitor.ingest.chunks.columns import CategoryColumn, Columns

MAX_NAMES = 10
"""Names kept of each feature and complete stride, the most frequent ones."""
MAX_REPORTED = 3
"""Names in an event."""

SavedNames = dict[str, dict[int, dict[str, int]]]
"""Feature -> stride -> name -> records."""


class NewCategories:
    """Counts unknown categories in the strides that a window can hold, and rare ones.

    Rare ones are those that share a cell: see `CategoricalStream.rare_cells`.

    The counts depend on the order of the records only, not on chunk borders: names are dropped when
    a stride is complete. Strides are numbered from 1.
    """

    def __init__(self, baseline: Baseline, stride: int) -> None:
        self.stride = stride
        self._shared = {s.name: s.shared() for s in baseline.categorical}
        self._known = {
            s.name: frozenset(s.categories) - self._shared[s.name] for s in baseline.categorical
        }
        self._counts: dict[str, dict[int, Counter[str]]] = {name: {} for name in self._known}

    def add(self, columns: Columns, first: int) -> None:
        """Add the next records. first: records before them since the window is empty."""
        for column in columns.categories:
            known = self._known.get(column.name)
            if known is None:
                continue
            new = [i for i, name in enumerate(column.vocabulary) if name not in known]
            if new:
                self._add(column, np.array(new), first)

    def _add(self, column: CategoryColumn, new: NDArray[np.integer], first: int) -> None:
        records = np.flatnonzero(np.isin(column.codes, new))
        strides = (first + records) // self.stride + 1
        pairs = np.stack((strides, column.codes[records]))
        found, times = np.unique(pairs, axis=1, return_counts=True)
        by_stride = self._counts[column.name]
        for stride, code, count in zip(*found.tolist(), times.tolist(), strict=True):
            by_stride.setdefault(stride, Counter())[column.vocabulary[code]] += count

    def trim(self, newest: int, kept: int) -> None:
        """Drop strides before the `kept` newest ones, and rare names of the others.

        newest: the newest complete stride.
        """
        for name, by_stride in self._counts.items():
            for stride in [each for each in by_stride if each <= newest]:
                if stride <= newest - kept:
                    del by_stride[stride]
                elif len(by_stride[stride]) > MAX_NAMES:
                    by_stride[stride] = Counter(
                        self._kept(name, stride, new=True) | self._kept(name, stride, new=False)
                    )

    def most_frequent(self, feature: str, strides: Iterable[int]) -> dict[str, int]:
        """Return the records of the most frequent unknown categories in some complete strides."""
        total = Counter[str]()
        for stride in strides:
            total.update(self._kept(feature, stride, new=True))
        return dict(_most_frequent(total, MAX_REPORTED))

    def shared(self, feature: str, strides: Iterable[int]) -> dict[str, int]:
        """Return the records of rare categories that share a cell in some complete strides.

        Of each stride, only its most frequent ones are counted.
        """
        total = Counter[str]()
        for stride in strides:
            total.update(self._kept(feature, stride, new=False))
        return dict(total)

    def _kept(self, feature: str, stride: int, *, new: bool) -> dict[str, int]:
        """Return the most frequent unknown, or else rare, categories of a complete stride.

        The result does not depend on whether the stride was trimmed before.
        """
        shared = self._shared.get(feature, frozenset())
        counts = self._counts.get(feature, {}).get(stride, Counter())
        chosen = Counter({name: n for name, n in counts.items() if (name not in shared) == new})
        return dict(_most_frequent(chosen, MAX_NAMES))

    def snapshot(self) -> SavedNames:
        """Return the state, for `restore`."""
        return {
            name: {stride: dict(counts) for stride, counts in sorted(by_stride.items())}
            for name, by_stride in self._counts.items()
            if by_stride
        }

    def restore(self, saved: SavedNames) -> None:
        """Restore a snapshot, except features that the baseline lacks."""
        for name in self._known:
            by_stride = saved.get(name, {})
            self._counts[name] = {stride: Counter(each) for stride, each in by_stride.items()}


def _most_frequent(counts: Counter[str], most: int) -> list[tuple[str, int]]:
    return sorted(counts.items(), key=lambda item: (-item[1], item[0]))[:most]
