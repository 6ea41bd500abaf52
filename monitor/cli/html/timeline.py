"""The timeline of the alarms of one model: a bar for each alarm, a mark for each event."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from xml.etree.ElementTree import Element

from monitor.cli.html.incidents import DriftedFeature, Incident
from monitor.events.types import DriftEvent
from monitor.events.wording.markup import element

HEIGHT = 26
"""Height of a row, in CSS pixels."""
_BAR_HEIGHTS = {"info": 4, "warning": 9, "critical": 16}
"""Severities differ by height too, so that the bars are readable without colour."""
_MARKS = {
    "opened": "M0 0L-6 -6V6Z",
    "escalated": "M-6 6L0 -7L6 6Z",
    "updated": "M-5 0L0 -6L5 0L0 6Z",
    "resolved": "M-5 -5H5V5H-5Z",
}
"""Shapes of the marks, around the point of the event."""
_SYMBOLS = {
    "opened": "\N{BLACK RIGHT-POINTING TRIANGLE} opened",
    "escalated": "\N{BLACK UP-POINTING TRIANGLE} escalated",
    "updated": "\N{BLACK DIAMOND} size corrected",
    "resolved": "\N{BLACK SQUARE} resolved",
}


def timeline(features: Sequence[DriftedFeature], lines: int) -> Element:
    """Return the timeline. lines: length of the log, which the width of a row represents."""
    rows = [
        element("tr", element("th", each.title, scope="row"), element("td", _row(each, lines)))
        for each in features
    ]
    axis = element("tr", element("th", "line", scope="col"), element("td", _axis(lines)))
    return element(
        "figure",
        element(
            "div",
            element("table", element("thead", axis), element("tbody", *rows), class_="timeline"),
            class_="scroll",
        ),
        element(
            "figcaption",
            "Bars are open alarms: thin is info, medium is warning, thick is critical. ",
            ", ".join(_SYMBOLS.values()) + ". A bar that ends without a mark is still open.",
        ),
    )


def _row(feature: DriftedFeature, lines: int) -> Element:
    events = [event for incident in feature.incidents for event in incident.events]
    text = "; ".join(f"line {event.position:,} {event.change} {event.severity}" for event in events)
    return element(
        "svg",
        element("title", text),
        element("line", class_="grid", x1="0", x2="100%", y1=HEIGHT / 2, y2=HEIGHT / 2),
        *(bar for incident in feature.incidents for bar in _bars(incident, lines)),
        *(_mark(event, lines) for event in events),
        role="img",
        width="100%",
        height=HEIGHT,
    )


def _bars(incident: Incident, lines: int) -> Iterator[Element]:
    """Yield the bars of an alarm: one from each event to the next, or to the end of the log."""
    ends = [event.position for event in incident.events[1:]]
    ends += [] if incident.resolved else [lines]
    for event, end in zip(incident.events, ends, strict=False):
        height = _BAR_HEIGHTS[event.severity]
        yield element(
            "rect",
            class_=event.severity,
            x=_percent(event.position, lines),
            width=_percent(end - event.position, lines),
            y=(HEIGHT - height) / 2,
            height=height,
        )


def _mark(event: DriftEvent, lines: int) -> Element:
    shape = element("path", d=_MARKS[event.change], class_=f"mark {event.severity}")
    return element(
        "svg", shape, x=_percent(event.position, lines), y=HEIGHT / 2, overflow="visible"
    )


def _axis(lines: int) -> Element:
    """Return the axis, with the line numbers at both ends and in the middle."""
    numbers = {"start": 0, "middle": round(lines / 2), "end": lines}
    ticks = [
        element("text", f"{number:,}", x=_percent(number, lines), y=13, text_anchor=anchor)
        for anchor, number in numbers.items()
    ]
    return element("svg", *ticks, width="100%", height=18, aria_hidden="true")


def _percent(part: float, whole: float) -> str:
    return f"{100 * part / max(1, whole):.3f}%"
