"""Find the knob at which a contestant has a given false-alarm rate, by bisection on counts.

The count at a knob is the number of episodes on null streams with seeds of their own.
The result is the loosest knob whose count does not exceed the target. If the affordable sample is
so small that the target is below MIN_COUNT, the logarithm of the count is extrapolated linearly
(`Knob.to_linear`) from knobs with enough counts, within limits. The result is then marked as
`extrapolated`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from benchmarks.detectors.protocol import WINDOW, Knob

MIN_COUNT = 4
"""Smallest count that a knob is tuned to directly."""
FAR_FACTOR = 8
"""The line goes through the knobs with MIN_COUNT and FAR_FACTOR times as many counts."""
MAX_EXTRAPOLATION = 40
"""Largest ratio of the rate at MIN_COUNT to an extrapolated rate."""
BISECTION_STEPS = 11
"""Halvings of the logarithmic range: 60 decades are resolved to 1/34 of a decade."""


@dataclass(frozen=True, slots=True)
class TunedKnob:
    """A knob for a rate.

    value: None if there is none; `reason` then says why. rate: target, false alarms per million
    records. count: episodes at this knob in `records` records.
    """

    value: float | None
    rate: float
    count: int
    records: int
    extrapolated: bool = False
    reason: str = ""


def count_limit(rate: float, records: int) -> int:
    """Return a count above which tuning to `rate` does not depend on the exact number."""
    return int(max(2 * FAR_FACTOR * MIN_COUNT, 3 * rate * records / 1e6))


def tune_knob(knob: Knob, count: Callable[[float], int], records: int, rate: float) -> TunedKnob:
    """Return the knob for `rate` false alarms per million records.

    count: episodes in `records` records at a value of the knob; it falls as the knob gets stricter.
    """
    if count(knob.strictest) > max(MIN_COUNT, 2 * rate * records / 1e6):
        reason = f"even {knob.name} {knob.strictest:g} gives more alarms"
        return TunedKnob(None, rate, count(knob.strictest), records, reason=reason)
    target = rate * records / 1e6
    if target >= MIN_COUNT:
        value = knob.value_at(find_strictness(knob, count, target))
        return TunedKnob(value, rate, count(value), records)
    return _extrapolate(knob, count, records, rate)


def find_strictness(knob: Knob, count: Callable[[float], int], limit: float) -> float:
    """Return the least strictness with a count of at most `limit`."""
    loose, strict = 0.0, 1.0
    for _ in range(BISECTION_STEPS):
        middle = (loose + strict) / 2
        if count(knob.value_at(middle)) > limit:
            loose = middle
        else:
            strict = middle
    return strict


def _extrapolate(knob: Knob, count: Callable[[float], int], records: int, rate: float) -> TunedKnob:
    target = rate * records / 1e6
    limits = (MIN_COUNT, FAR_FACTOR * MIN_COUNT)
    values = [knob.value_at(find_strictness(knob, count, limit)) for limit in limits]
    near, far = (count(value) for value in values)
    # Counts close to the maximum that the latch permits contain no information about the tail.
    latched = records / WINDOW / 4 < FAR_FACTOR * MIN_COUNT
    if target * MAX_EXTRAPOLATION < MIN_COUNT or latched or not 0 < near < far:
        return TunedKnob(None, rate, near, records, reason="too few records to tune on")
    positions = [knob.to_linear(value) for value in values]
    slope = math.log(far / near) / (positions[1] - positions[0])
    value = knob.from_linear(positions[0] + math.log(target / near) / slope)
    if knob.strictness(value) > 1:
        reason = f"beyond {knob.name} {knob.strictest:g}"
        return TunedKnob(None, rate, near, records, reason=reason)
    return TunedKnob(value, rate, count(value), records, extrapolated=True)


def as_json(by_rate: Mapping[float, TunedKnob]) -> dict[str, Any]:
    """Return the knobs by rate, for the result file."""
    return {f"{rate:g}": asdict(found) for rate, found in by_rate.items()}
