"""How the dimensions of a rubric relate: correlations, and cases that contradict them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from judges.trust.calibration.report import printable
from monitor.statistics.correlation import (
    Correlation,
    UndefinedCorrelation,
    contradictions,
    correlations,
)

MAX_CASES = 100_000
"""Cases that are compared; further ones are left out."""
MAX_EXAMPLES = 10

Row = tuple[str, dict[str, float]]
"""Request id of a case, and its score by dimension."""


@dataclass(frozen=True, slots=True)
class ContradictingPair:
    """Cases in which one of two correlated dimensions is high and the other low.

    examples: request ids of the cases with the largest distance, at most ten.
    """

    high: str
    low: str
    cases: int
    examples: list[str]


@dataclass(frozen=True, slots=True)
class Dimensions:
    """Correlations of all pairs of dimensions, and the pairs that contradict each other.

    cases: number of cases that were compared. Most frequent contradictions first.
    """

    cases: int
    correlations: list[Correlation | UndefinedCorrelation]
    contradictions: list[ContradictingPair]


def compare_dimensions(
    rows: Sequence[Row], *, lowest: float = 0.0, highest: float = 5.0
) -> Dimensions | None:
    """Return how dimensions relate; None if there are fewer than two."""
    rows = rows[:MAX_CASES]
    names = sorted({name for _, scores in rows for name in scores})
    if len(names) < 2:
        return None
    scores = np.array([[each.get(name, np.nan) for name in names] for _, each in rows])
    limit = scores.size * len(names)  # more than there can be
    found: dict[tuple[str, str], list[int]] = {}
    for each in contradictions(scores, names, lowest=lowest, highest=highest, limit=limit):
        found.setdefault((each.high, each.low), []).append(each.case)
    pairs = [
        ContradictingPair(high, low, len(cases), [rows[case][0] for case in cases[:MAX_EXAMPLES]])
        for (high, low), cases in found.items()
    ]
    pairs.sort(key=lambda pair: (-pair.cases, pair.high, pair.low))
    return Dimensions(len(rows), correlations(scores, names), pairs)


def dimension_lines(found: Dimensions) -> Iterator[str]:
    """Yield the comparison as lines for a console, without control characters."""
    yield f"  correlation of dimensions, {found.cases} cases"
    for each in found.correlations:
        pair = printable(f"{each.first}, {each.second}")
        if isinstance(each, UndefinedCorrelation):
            yield f"    {pair}: undefined: {each.reason}"
        else:
            yield f"    {pair}: {each.value:+.2f} ({each.lower:+.2f} to {each.upper:+.2f})"
    for clash in found.contradictions:
        pair = printable(f"{clash.high} is high and {clash.low} low")
        yield f"    contradiction: {pair} in {clash.cases} cases"
