"""From a budget of false pages to the level of a single evaluation."""

from __future__ import annotations

from collections.abc import Mapping

SECONDS_PER_DAY = 86_400

SMALLEST_LEVEL = 1e-15
"""Below this, double precision and the tests' asymptotics mean nothing."""


def level_per_evaluation(
    *, false_pages: float, per_days: float, records_per_second: float, stride: int, tests: int
) -> float:
    """The false-alarm probability that one evaluation of one test may have.

    By linearity of expectation the expected number of false alarms is the number of evaluations
    times the level, however windows, features and detectors depend on each other (Bonferroni). So
    a level of false_pages / (evaluations in per_days) keeps the budget whenever each p-value is
    valid by itself.

    tests: (stream, detector) pairs evaluated at every stride.
    """
    horizon = per_days * SECONDS_PER_DAY
    evaluations = max(1.0, horizon * records_per_second / stride) * max(1, tests)
    return min(0.5, max(SMALLEST_LEVEL, false_pages / evaluations))


def allocate(
    total: float, streams: Mapping[str, int], weights: Mapping[str, float]
) -> dict[str, float]:
    """The level of each detector on each of its streams; summed over both they are `total` at most.

    total: false alarms allowed to one evaluation of all of them together.
    streams: detector -> how many streams it watches. weights: detector -> its part of the total in
        proportion to the others', 1 where it is not named. A detector without a stream takes none.
    """
    watching = {name: count for name, count in streams.items() if count}
    parts = {name: weights.get(name, 1.0) for name in watching}
    whole = sum(parts.values())
    return {
        name: max(SMALLEST_LEVEL, total * parts[name] / whole / count)
        for name, count in watching.items()
    } | {name: min(0.5, total) for name, count in streams.items() if not count}
