"""Convert a false-page budget to the level of a single evaluation."""

from __future__ import annotations

from collections.abc import Mapping

SECONDS_PER_DAY = 86_400

MIN_LEVEL = 1e-15
"""Smallest level at which double precision and the tests' asymptotics are meaningful."""


def level_per_evaluation(
    *, false_pages: float, per_days: float, records_per_second: float, stride: int, tests: int
) -> float:
    """Return the false-alarm probability allowed to one evaluation of one test.

    By linearity of expectation, the expected number of false alarms is the number of evaluations
    times the level, however windows, features and detectors depend on each other (Bonferroni). So
    a level of false_pages / (evaluations in per_days) keeps the budget if each p-value is valid.

    tests: (stream, detector) pairs evaluated at every stride.
    """
    horizon = per_days * SECONDS_PER_DAY
    evaluations = max(1.0, horizon * records_per_second / stride) * max(1, tests)
    return min(0.5, max(MIN_LEVEL, false_pages / evaluations))


def allocate_levels(
    total: float, streams: Mapping[str, int], weights: Mapping[str, float]
) -> dict[str, float]:
    """Return the level of each detector on each of its streams.

    The sum over detectors and streams is at most `total`.

    total: expected false alarms of one evaluation of all detectors on all streams.
    streams: detector -> number of streams it watches. A detector without streams uses no share.
    weights: detector -> its relative share of `total`, 1 by default.
    """
    watching = {name: count for name, count in streams.items() if count}
    parts = {name: weights.get(name, 1.0) for name in watching}
    whole = sum(parts.values())
    return {
        name: max(MIN_LEVEL, total * parts[name] / whole / count)
        for name, count in watching.items()
    } | {name: min(0.5, total) for name, count in streams.items() if not count}
