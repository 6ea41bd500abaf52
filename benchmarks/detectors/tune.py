"""The knob at which a contestant has a given rate of false alarms, found by bisection on counts.

The count at a knob is of episodes on null streams whose seeds nothing else uses. The loosest knob
is taken at which no more are counted than asked for. Where the affordable sample is so small that
fewer than ENOUGH would be asked for, the logarithm of the count is continued in a straight line
from where there are enough (`Knob.tail`), not too far, and the result says `extrapolated`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from benchmarks.detectors.protocol import WINDOW, Knob

ENOUGH = 4
FAR = 8
"""The line goes through the knobs at which ENOUGH and FAR times as many are counted."""
FARTHEST = 40
"""A knob is not extrapolated to rates this many times below that of ENOUGH."""
STEPS = 11
"""Halvings of the logarithmic range: 60 decades are resolved to a 34th of one."""


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
    return int(max(2 * FAR * ENOUGH, 3 * rate * records / 1e6))


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
    wanted = rate * records / 1e6
    values = [knob.at(strictness_of(knob, count, most)) for most in (ENOUGH, FAR * ENOUGH)]
    near, far = (count(value) for value in values)
    # counts near what the latch lets through say nothing of the tail
    if wanted * FARTHEST < ENOUGH or records / WINDOW / 4 < FAR * ENOUGH or not 0 < near < far:
        return Tuned(None, rate, near, records, reason="too few records to tune on")
    places = [knob.tail(value) for value in values]
    slope = math.log(far / near) / (places[1] - places[0])
    value = knob.at_tail(places[0] + math.log(wanted / near) / slope)
    if knob.strictness(value) > 1:
        reason = f"beyond {knob.name} {knob.strictest:g}"
        return Tuned(None, rate, near, records, reason=reason)
    return Tuned(value, rate, count(value), records, extrapolated=True)


def as_json(by_rate: Mapping[float, Tuned]) -> dict[str, Any]:
    """For the result file, by rate."""
    return {f"{rate:g}": asdict(found) for rate, found in by_rate.items()}
