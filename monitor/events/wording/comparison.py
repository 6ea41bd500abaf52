"""Compare two summaries: their common statistics, units, and whether a statistic changed."""

from __future__ import annotations

from monitor.events.drift_types import drift_type
from monitor.events.types import Summary

_UNITS = {
    "_per_second": "per second",
    "_ms": "ms",
    "_seconds": "s",
    "_tokens": "tokens",
    "_usd": "USD",
    "_chars": "characters",
    "_bytes": "bytes",
}
"""Suffix of a feature name -> unit."""


STATISTICS = ("median", "p95", "p99", "p05", "mean")
"""Names of the statistics of a numeric feature, in the order in which to report them."""


def unit_of(feature: str) -> str:
    """Return the unit of a feature by the suffix of its name, "" if there is none.

    A score has none, whatever its name.
    """
    if drift_type(feature) == "concept":
        return ""
    return next((unit for suffix, unit in _UNITS.items() if feature.endswith(suffix)), "")


def common_statistics(before: Summary, after: Summary) -> dict[str, tuple[float, float]]:
    """Return the statistics that both summaries have, in the order in which to report them."""
    statistics = {
        "median": (before.p50, after.p50),
        "p95": (before.p95, after.p95),
        "p99": (before.p99, after.p99),
        "p05": (before.p05, after.p05),
        "mean": (before.mean, after.mean),
    }
    return {name: (a, b) for name, (a, b) in statistics.items() if a is not None and b is not None}


def tail_length(summary: Summary) -> float:
    """Return the distance from the median to the 95th percentile."""
    return (summary.p95 or 0.0) - (summary.p50 or 0.0)


def relative_gap(before: float, after: float) -> float:
    """Return the distance of two numbers relative to the larger of their magnitudes, 0 to 2."""
    largest = max(abs(before), abs(after))
    return abs(after / largest - before / largest) if largest else 0.0


def differs(before: float, after: float, tail: float) -> bool:
    """Return whether a statistic changed by more than 5% or more than half the tail.

    tail: `tail_length` of the reference.
    """
    gap = abs(after - before)
    return gap > 0.05 * max(abs(before), abs(after)) or gap > tail / 2 > 0
