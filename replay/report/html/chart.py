"""Intervals as SVG: how much worse or better the candidate is, in margins of the task."""

from __future__ import annotations

from typing import Final
from xml.etree.ElementTree import Element

from monitor.events.wording.markup import element

WIDTH: Final = 220
HEIGHT: Final = 22
EDGE: Final = 6
LIMIT: Final = 3.0
"""Margins from the middle to the edge; what is beyond is cut off."""


def interval_chart(
    difference: float | None,
    bounds: tuple[float | None, float | None],
    scale: tuple[float, bool],
    text: str,
) -> Element:
    """Return the chart of one difference. Left of the line of zero is worse.

    scale: margin, and whether higher is better. text: for readers who do not see it.
    """
    margin, higher_is_better = scale
    sign = 1.0 if higher_is_better else -1.0
    ends = sorted(
        sign * end / margin if end is not None else side * LIMIT
        for end, side in zip(bounds, (-sign, sign), strict=True)
    )
    centre = None if difference is None else sign * difference / margin
    half = HEIGHT / 2
    return element(
        "svg",
        element("title", text),
        _upright(0.0, "zero"),
        _upright(-1.0, "margin"),
        element("line", x1=_x(ends[0]), x2=_x(ends[1]), y1=half, y2=half, class_="interval"),
        *(_cap(end) for end in ends if abs(end) < LIMIT),
        None
        if centre is None
        else element("circle", cx=_x(centre), cy=half, r=4, class_="estimate"),
        viewBox=f"0 0 {WIDTH} {HEIGHT}",
        width=WIDTH,
        height=HEIGHT,
        role="img",
        class_="chart",
    )


def axis() -> Element:
    """Return the labels below the charts."""
    labels = ((-LIMIT, "worse", "start"), (-1.0, "margin", "middle"), (0.0, "equal", "middle"))
    return element(
        "svg",
        *(
            element("text", text, x=_x(place), y=13, text_anchor=anchor)
            for place, text, anchor in (*labels, (LIMIT, "better", "end"))
        ),
        viewBox=f"0 0 {WIDTH} 18",
        width=WIDTH,
        height=18,
        aria_hidden="true",
        class_="chart",
    )


def _x(place: float) -> str:
    inside = max(-LIMIT, min(LIMIT, place)) / LIMIT
    return f"{EDGE + (WIDTH - 2 * EDGE) * (1 + inside) / 2:.1f}"


def _upright(place: float, class_: str) -> Element:
    return element("line", x1=_x(place), x2=_x(place), y1=0, y2=HEIGHT, class_=class_)


def _cap(place: float) -> Element:
    top, bottom = HEIGHT / 2 - 4, HEIGHT / 2 + 4
    return element("line", x1=_x(place), x2=_x(place), y1=top, y2=bottom, class_="interval")
