"""Agreement on error spans: overlap of characters, and whether an item has an error of a kind."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Final, NamedTuple

import numpy as np

from monitor.statistics.agreement import Floats, Undefined
from monitor.statistics.review.ratings import LEAST_COMMON, RatingAgreement, rating_agreement
from monitor.statistics.review.resampling import (
    RESAMPLES,
    Result,
    blocks,
    resampled,
    share_estimate,
)

MOST_KINDS: Final = 50
MOST_PAIRS: Final = 100
NO_SPANS: Final = Undefined("no item with two annotators has a span")


class Span(NamedTuple):
    """Characters `start` to `end`, exclusive, that have an error of a kind."""

    start: int
    end: int
    kind: str


Marks = Mapping[int, Sequence[Span]]
"""Spans of one item by annotator. An annotator who found no error has an empty sequence."""


@dataclass(frozen=True, slots=True)
class PairOverlap:
    """Two annotators on the items of both. f1: of characters with the same kind."""

    first: int
    second: int
    items: int
    f1: Result


@dataclass(frozen=True, slots=True)
class SpanAgreement:
    """Agreement on error spans.

    f1: F1 of the characters of two annotators, 2 |A and B| / (|A| + |B|), summed over all pairs and
        items; a character must have the same kind. f1_any_kind: wherever both marked an error.
    present: agreement on whether an item has any error. kinds: the same for each kind.
    """

    items: int
    f1: Result
    f1_any_kind: Result
    pairs: list[PairOverlap]
    pairs_left_out: int
    present: RatingAgreement
    kinds: dict[str, RatingAgreement]


def span_agreement(
    items: Sequence[Marks],
    annotators: int,
    generator: np.random.Generator,
    *,
    resamples: int = RESAMPLES,
) -> SpanAgreement:
    """Return the agreement on error spans.

    annotators: number of them; the keys of each item are from 0 to it.
    Raises ValueError for a wrong span or key, or more than MOST_KINDS kinds.
    """
    kinds = _kinds(items, annotators)
    merged = [{who: _merged(spans) for who, spans in marks.items()} for marks in items]
    bare = [{who: _merged(_without_kind(spans)) for who, spans in m.items()} for m in items]
    by_pair = _overlaps(merged)
    wide = {pair: rows for pair, rows in by_pair.items() if len(rows) >= LEAST_COMMON}
    kept = sorted(sorted(wide, key=lambda pair: (-len(wide[pair]), pair))[:MOST_PAIRS])
    return SpanAgreement(
        items=sum(len(marks) >= 2 for marks in items),
        f1=_f1(_by_item(by_pair), generator, resamples),
        f1_any_kind=_f1(_by_item(_overlaps(bare)), generator, resamples),
        pairs=[
            PairOverlap(*pair, len(wide[pair]), _f1(_rows(wide[pair]), generator, resamples))
            for pair in kept
        ],
        pairs_left_out=len(wide) - len(kept),
        present=rating_agreement(
            _present(items, annotators, None), "nominal", generator, resamples=resamples
        ),
        kinds={
            kind: rating_agreement(
                _present(items, annotators, kind), "nominal", generator, resamples=resamples
            )
            for kind in kinds
        },
    )


def overlap(first: Sequence[Span], second: Sequence[Span]) -> tuple[int, int]:
    """Return the number of characters, by kind, that both marked, and the sum of both numbers."""
    a, b = _merged(first), _merged(second)
    return _common(a, b), _size(a) + _size(b)


_Merged = dict[str, list[tuple[int, int]]]
_Overlaps = dict[tuple[int, int], dict[int, tuple[int, int]]]


def _merged(spans: Sequence[Span]) -> _Merged:
    """Return the disjoint intervals of each kind, in order."""
    found: _Merged = {}
    for span in sorted(spans):
        intervals = found.setdefault(span.kind, [])
        if intervals and span.start <= intervals[-1][1]:
            intervals[-1] = intervals[-1][0], max(intervals[-1][1], span.end)
        else:
            intervals.append((span.start, span.end))
    return found


def _without_kind(spans: Sequence[Span]) -> list[Span]:
    return [span._replace(kind="") for span in spans]


def _size(merged: _Merged) -> int:
    return sum(end - start for intervals in merged.values() for start, end in intervals)


def _common(first: _Merged, second: _Merged) -> int:
    total = 0
    for kind, left in first.items():
        right = second.get(kind, [])
        i = j = 0
        while i < len(left) and j < len(right):
            total += max(0, min(left[i][1], right[j][1]) - max(left[i][0], right[j][0]))
            if left[i][1] < right[j][1]:
                i += 1
            else:
                j += 1
    return total


def _overlaps(items: Sequence[Mapping[int, _Merged]]) -> _Overlaps:
    """Return the common characters and the sum of sizes by pair of annotators and item."""
    found: _Overlaps = {}
    for item, marks in enumerate(items):
        for pair in combinations(sorted(marks), 2):
            a, b = (marks[who] for who in pair)
            found.setdefault(pair, {})[item] = _common(a, b), _size(a) + _size(b)
    return found


def _by_item(by_pair: _Overlaps) -> Floats:
    sums: dict[int, tuple[int, int]] = {}
    for rows in by_pair.values():
        for item, (common, size) in rows.items():
            known = sums.get(item, (0, 0))
            sums[item] = known[0] + common, known[1] + size
    return _rows(sums)


def _rows(rows: Mapping[int, tuple[int, int]]) -> Floats:
    found: Floats = np.reshape(list(rows.values()), (-1, 2)).astype(np.float64)
    return found


def _f1(rows: Floats, generator: np.random.Generator, resamples: int) -> Result:
    """Return F1 of items with common characters and sizes, shape (items, 2)."""
    rows = rows[rows[:, 1] > 0]
    if not len(rows):
        return NO_SPANS
    grouped, sizes = blocks(rows, generator)

    def statistic(weights: Floats) -> Floats:
        common, size = (weights @ grouped).T
        found: Floats = (2 * common / size)[None, :]
        return found

    value, draws = resampled(sizes, statistic, generator, resamples)
    return share_estimate(value[0], draws[0], len(rows), NO_SPANS)


def _present(items: Sequence[Marks], annotators: int, kind: str | None) -> Floats:
    """Return 1 where an annotator marked an error of a kind, or of any, NaN where absent."""
    found = np.full((len(items), annotators), np.nan)
    for item, marks in enumerate(items):
        for who, spans in marks.items():
            found[item, who] = any(kind is None or span.kind == kind for span in spans)
    return found


def _kinds(items: Sequence[Marks], annotators: int) -> list[str]:
    """Return all kinds. Raises ValueError."""
    kinds = set()
    for marks in items:
        for who, spans in marks.items():
            if not 0 <= who < annotators:
                raise ValueError(f"annotator {who} is not between 0 and {annotators - 1}")
            for span in spans:
                if not 0 <= span.start < span.end:
                    raise ValueError(f"a span from {span.start} to {span.end} is empty")
                kinds.add(span.kind)
    if len(kinds) > MOST_KINDS:
        raise ValueError(f"{len(kinds)} kinds of errors; at most {MOST_KINDS} are possible")
    return sorted(kinds)
