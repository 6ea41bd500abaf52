"""The knob at which a contestant has a given rate of false alarms, found by bisection on counts.

The count at a knob is of episodes on null streams whose seeds nothing else uses. The loosest knob
is taken at which no more are counted than asked for. Where the affordable sample is so small that
fewer than ENOUGH would be asked for, the logarithm of the count is continued in a straight line
over the logarithm of the knob from where there are enough, and the result says `extrapolated`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from benchmarks.detectors.protocol import Knob

ENOUGH = 4
STEPS = 14
"""Halvings of the logarithmic range: 60 decades are resolved to a 270th of one."""


@dataclass(frozen=True, slots=True)
class Tuned:
    """A knob for a rate.

    value: None where none was found; `reason` then says why. rate: false alarms asked for in a
    million records. count: episodes counted at it in `records` records.
    """

    value: float | None
    rate: float
    count: int
    records: int
    extrapolated: bool = False
    reason: str = ""


def enough(rate: float, records: int) -> int:
    """More episodes than this need not be counted: no comparison here asks for as many."""
    return int(max(16 * ENOUGH, 3 * rate * records / 1e6))


def tuned(knob: Knob, count: Callable[[float], int], records: int, rate: float) -> Tuned:
    """The knob for `rate` false alarms in a million records.

    count: episodes in `records` records at a value of the knob; it falls as the knob gets stricter.
    """
    if count(knob.strictest) > max(ENOUGH, 2 * rate * records / 1e6):
        reason = f"even {knob.name} {knob.strictest:g} gives more alarms"
        return Tuned(None, rate, count(knob.strictest), records, reason=reason)
    wanted = rate * records / 1e6
    if wanted >= ENOUGH:
        value = knob.at(strictness_of(knob, count, wanted))
        return Tuned(value, rate, count(value), records)
    return _extrapolated(knob, count, records, rate)


def strictness_of(knob: Knob, count: Callable[[float], int], most: float) -> float:
    """The least strictness at which no more than `most` are counted."""
    loose, strict = 0.0, 1.0
    for _ in range(STEPS):
        middle = (loose + strict) / 2
        if count(knob.at(middle)) > most:
            loose = middle
        else:
            strict = middle
    return strict


def _extrapolated(knob: Knob, count: Callable[[float], int], records: int, rate: float) -> Tuned:
    near, far = (strictness_of(knob, count, most) for most in (ENOUGH, 8 * ENOUGH))
    counts = count(knob.at(near)), count(knob.at(far))
    if not 0 < counts[0] < counts[1]:
        return Tuned(None, rate, counts[0], records, reason="too few alarms to tune by")
    slope = math.log(counts[1] / counts[0]) / (near - far)
    strictness = near + math.log(counts[0] / (rate * records / 1e6)) / slope
    if strictness > 1:
        reason = f"beyond {knob.name} {knob.strictest:g}"
        return Tuned(None, rate, counts[0], records, reason=reason)
    value = knob.at(strictness)
    return Tuned(value, rate, count(value), records, extrapolated=True)


def as_json(by_rate: Mapping[float, Tuned]) -> dict[str, Any]:
    """For the result file, by rate."""
    return {f"{rate:g}": asdict(found) for rate, found in by_rate.items()}
