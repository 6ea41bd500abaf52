"""Effects with intervals: one row for a metric, and their course over time."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Final

from markupsafe import Markup

from monitor.events.wording.experiments import percent
from monitor.experiments.decisions.result import Comparison, Point
from monitor.web.pages.plots.svg import (
    Scale,
    day_text,
    element,
    line,
    picture,
    rectangle,
    scale_of,
    text,
)

WIDTH: Final = 240.0
HEIGHT: Final = 28.0
LARGEST: Final = 1.0
"""Relative effect to which a row is cut off: wider intervals end in an arrow."""
COURSE_WIDTH: Final = 640.0
COURSE_HEIGHT: Final = 190.0
MAX_POINTS: Final = 400


def row_scale(comparisons: Sequence[Comparison]) -> Scale:
    """Return the scale that all rows of a table share: it is symmetric about zero."""
    ends = [e for c in comparisons for e in (c.lower, c.upper, c.effect, c.mde) if e is not None]
    largest = max((abs(e) for e in ends if math.isfinite(e)), default=0.1)
    largest = min(LARGEST, max(largest * 1.1, 0.01))
    return Scale(-largest, largest, 6.0, WIDTH - 6.0)


def row(each: Comparison, scale: Scale) -> Markup:
    """Return the interval of a comparison: zero, the smallest effect that matters, the effect."""
    middle = HEIGHT / 2
    left, right = scale(-each.mde), scale(each.mde)
    parts = [
        rectangle(left, 2, right - left, HEIGHT - 4, "band"),
        line(scale(0.0), 0.0, scale(0.0), HEIGHT, "zero"),
    ]
    if each.lower is not None or each.upper is not None:
        parts += _interval(each, scale, middle)
    words = f"{each.metric}: {percent(each.effect)}, from {percent(each.lower)}"
    return picture(WIDTH, HEIGHT, f"{words} to {percent(each.upper)}", parts)


def _interval(each: Comparison, scale: Scale, middle: float) -> Iterator[Markup]:
    lower = -math.inf if each.lower is None else each.lower
    upper = math.inf if each.upper is None else each.upper
    kind = "interval"
    if lower > 0 or upper < 0:
        good = (lower > 0) == (each.direction == "higher")
        kind = "interval good" if good else "interval bad"
    yield line(scale(lower), middle, scale(upper), middle, kind)
    for end, sign, cut in ((lower, -1, lower < scale.lower), (upper, 1, upper > scale.upper)):
        x = scale(end)
        if cut:
            points = f"{x + 6 * sign:g},{middle:g} {x:g},{middle - 5:g} {x:g},{middle + 5:g}"
            yield element("polygon", points=points, kind=kind)
        else:
            yield line(x, middle - 5, x, middle + 5, kind)
    if each.effect is not None and math.isfinite(each.effect):
        yield element("circle", cx=scale(each.effect), cy=middle, r=4.0, kind=kind)


def course(points: Sequence[Point], mde: float, label: str) -> Markup | None:
    """Return the effect with its interval at each look; None before the second look."""
    known = [p for p in points if p.effect is not None and math.isfinite(p.effect)]
    known = known[:: max(1, len(known) // MAX_POINTS)]
    if len(known) < 2:
        return None
    times = Scale(known[0].time, max(known[-1].time, known[0].time + 1), 52.0, COURSE_WIDTH - 12)
    recent = known[len(known) // 4 :]  # the first looks are so wide that they hide the others
    ends = [end for p in recent for end in (p.lower, p.upper)]
    values = scale_of([*ends, *(p.effect for p in known), -mde, mde], COURSE_HEIGHT - 28, 10)
    upper = [f"{times(p.time):.1f},{values(_or(p.upper, values.upper)):.1f}" for p in known]
    lower = [f"{times(p.time):.1f},{values(_or(p.lower, values.lower)):.1f}" for p in known]
    middle = [f"{times(p.time):.1f},{values(p.effect or 0.0):.1f}" for p in known]
    high, low = values(mde), values(-mde)
    parts = [
        rectangle(52, high, COURSE_WIDTH - 64, low - high, "band"),
        element("polygon", points=" ".join([*upper, *reversed(lower)]), kind="area"),
        line(52, values(0.0), COURSE_WIDTH - 12, values(0.0), "zero"),
        element("polyline", points=" ".join(middle), kind="course"),
    ]
    parts += [
        text(46, values(t) + 4, percent(t) if t else "0 %", anchor="end") for t in values.ticks(4)
    ]
    for point, anchor in ((known[0], "start"), (known[-1], "end")):
        parts.append(
            text(times(point.time), COURSE_HEIGHT - 8, day_text(point.time), anchor=anchor)
        )
    return picture(COURSE_WIDTH, COURSE_HEIGHT, label, parts)


def _or(value: float | None, default: float) -> float:
    return default if value is None else value
