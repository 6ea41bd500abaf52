"""The effect of a variant over time, with its confidence sequence, as SVG."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Final
from xml.etree.ElementTree import Element

from monitor.events.wording.experiments import percent
from monitor.events.wording.markup import element
from monitor.experiments.decisions.result import Point

WIDTH: Final = 400
HEIGHT: Final = 150
LEFT: Final = 58
RIGHT: Final = 8
TOP: Final = 8
BOTTOM: Final = 24
LEAST_MARGIN: Final = 3.0
"""Distance from the line of zero from which the lines of the margin are drawn."""
_QUANTILE: Final = 0.75
"""The axis shows the interval of this share of the looks whole; the first ones are very wide."""


def effect_chart(points: Sequence[Point], mde: float, decided: float | None) -> Element | None:
    """Return the chart; None with fewer than two points that have an interval.

    mde: smallest effect that matters, shown as two lines unless they would cover that of zero.
    decided: event time of the verdict.
    """
    known = [
        (p.time, p.effect, p.lower, p.upper)
        for p in points
        if p.effect is not None and p.lower is not None and p.upper is not None
    ]
    if len(known) < 2:
        return None
    times, effects, lowers, uppers = zip(*known, strict=True)
    scale = _Scale(times, _limit((*lowers, *uppers), mde))
    band = [*scale.places(times, uppers), *reversed(scale.places(times, lowers))]
    first, last = times[0], times[-1]
    margin = scale.y(0.0) - scale.y(mde) >= LEAST_MARGIN
    return element(
        "svg",
        element("title", f"effect from {percent(effects[0])} to {percent(effects[-1])}"),
        element("polygon", points=_points(band), class_="band"),
        *(_across(scale, y, "margin") for y in (-mde, mde) if margin),
        _across(scale, 0.0, "zero"),
        _upright(scale, decided) if decided is not None and first <= decided <= last else None,
        element("polyline", points=_points(scale.places(times, effects)), class_="effect"),
        *_labels(scale, mde),
        _date(first, LEFT, "start"),
        _date(last, WIDTH - RIGHT, "end"),
        viewBox=f"0 0 {WIDTH} {HEIGHT}",
        role="img",
        width="100%",
        class_="chart",
    )


def has_margin(chart: Element) -> bool:
    """Return whether a chart has the lines of the smallest effect that matters."""
    return any(line.get("class") == "margin" for line in chart.iter("line"))


def _limit(ends: Sequence[float], mde: float) -> float:
    """Return the largest effect on the axis, which is symmetric around zero."""
    ordered = sorted(abs(end) for end in ends)
    return max(1.2 * mde, 1.1 * ordered[int(_QUANTILE * (len(ordered) - 1))], 1e-9)


class _Scale:
    """Places of times and effects in the chart. limit: the largest effect that is shown."""

    def __init__(self, times: Sequence[float], limit: float) -> None:
        self.first, self.span = times[0], max(times[-1] - times[0], 1e-9)
        self.limit = limit

    def x(self, time: float) -> float:
        """Return the horizontal place of a time."""
        return LEFT + (WIDTH - LEFT - RIGHT) * (time - self.first) / self.span

    def y(self, effect: float) -> float:
        """Return the vertical place of an effect, at most at the edge of the chart."""
        inside = max(-self.limit, min(self.limit, effect)) / self.limit
        return TOP + (HEIGHT - TOP - BOTTOM) * (1 - inside) / 2

    def places(self, times: Sequence[float], effects: Sequence[float]) -> list[tuple[float, float]]:
        """Return the places of a line."""
        return [(self.x(t), self.y(effect)) for t, effect in zip(times, effects, strict=True)]


def _points(places: Sequence[tuple[float, float]]) -> str:
    return " ".join(f"{x:.1f},{y:.1f}" for x, y in places)


def _across(scale: _Scale, effect: float, class_: str) -> Element:
    y = f"{scale.y(effect):.1f}"
    return element("line", x1=LEFT, x2=WIDTH - RIGHT, y1=y, y2=y, class_=class_)


def _upright(scale: _Scale, time: float) -> Element:
    x = f"{scale.x(time):.1f}"
    return element("line", x1=x, x2=x, y1=TOP, y2=HEIGHT - BOTTOM, class_="decided")


def _labels(scale: _Scale, mde: float) -> list[Element]:
    """Return the labels of the vertical axis; those of the margin only if there is room."""
    shown = [scale.limit, 0.0, -scale.limit]
    if abs(scale.y(mde) - scale.y(0.0)) > 14 and abs(scale.y(mde) - scale.y(scale.limit)) > 14:
        shown += [mde, -mde]
    return [
        element(
            "text",
            percent(value) if value else "0",
            x=LEFT - 6,
            y=f"{scale.y(value) + 4:.1f}",
            text_anchor="end",
        )
        for value in shown
    ]


def _date(time: float, x: float, anchor: str) -> Element:
    try:
        text = f"{datetime.fromtimestamp(time, UTC):%Y-%m-%d %H:%M}"
    except (OverflowError, ValueError, OSError):
        text = ""
    return element("text", text, x=x, y=HEIGHT - 6, text_anchor=anchor)
