"""Elements of SVG, and scales. All attributes and texts are escaped."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from markupsafe import Markup, escape

from monitor.web.pages.text import plain

_NICE: Final = (1.0, 2.0, 2.5, 5.0, 10.0)


def element(name: str, *children: str, **attributes: str | float | None) -> Markup:
    """Return an element. Underscores of attributes become hyphens; `kind` is the class."""
    found = []
    for key, value in attributes.items():
        if value is None:
            continue
        text = f"{value:.1f}".rstrip("0").rstrip(".") if isinstance(value, float) else str(value)
        written = "class" if key == "kind" else key.replace("_", "-")
        found.append(Markup(' {}="{}"').format(written, plain(text)))
    inside = Markup("").join(
        child if isinstance(child, Markup) else escape(plain(child)) for child in children
    )
    return Markup("<{0}{1}>{2}</{0}>").format(name, Markup("").join(found), inside)


def picture(width: float, height: float, label: str, parts: Iterable[Markup]) -> Markup:
    """Return a plot that grows with its place. label: what it shows, for people who hear it."""
    return element(
        "svg",
        *parts,
        viewBox=f"0 0 {width:g} {height:g}",
        role="img",
        aria_label=label,
        kind="plot",
    )


def line(x1: float, y1: float, x2: float, y2: float, kind: str) -> Markup:
    """Return a line."""
    return element("line", x1=float(x1), y1=float(y1), x2=float(x2), y2=float(y2), kind=kind)


def rectangle(x: float, y: float, width: float, height: float, kind: str) -> Markup:
    """Return a rectangle."""
    return element(
        "rect", x=float(x), y=float(y), width=float(width), height=float(height), kind=kind
    )


def text(x: float, y: float, content: str, kind: str = "", anchor: str = "start") -> Markup:
    """Return a text. anchor: start, middle or end."""
    return element("text", content, x=float(x), y=float(y), kind=kind or None, text_anchor=anchor)


def day_text(time: float) -> str:
    """Return the day and time of a label on an axis, in UTC; "" for a time out of range."""
    try:
        return f"{datetime.fromtimestamp(time, UTC):%Y-%m-%d %H:%M}"
    except (OverflowError, ValueError, OSError):
        return ""


@dataclass(frozen=True, slots=True)
class Scale:
    """A linear scale from the values `lower` to `upper` to the pixels `start` to `end`."""

    lower: float
    upper: float
    start: float
    end: float

    def __call__(self, value: float) -> float:
        """Return the pixel of a value; values outside are at the border."""
        share = (value - self.lower) / (self.upper - self.lower)
        return self.start + min(1.0, max(0.0, share)) * (self.end - self.start)

    def ticks(self, number: int = 5) -> list[float]:
        """Return round values within the scale, about `number` of them."""
        raw = (self.upper - self.lower) / max(1, number)
        magnitude = 10.0 ** math.floor(math.log10(raw))
        step = next((n * magnitude for n in _NICE if n * magnitude >= raw), 10 * magnitude)
        first = math.ceil(self.lower / step - 1e-9)
        last = math.floor(self.upper / step + 1e-9)
        return [each * step for each in range(first, min(last, first + 20) + 1)]


def scale_of(values: Iterable[float | None], start: float, end: float, pad: float = 0.06) -> Scale:
    """Return a scale that contains all finite values, with some space beside them."""
    known = [each for each in values if each is not None and math.isfinite(each)]
    lower, upper = min(known, default=0.0), max(known, default=1.0)
    lower, upper = max(lower, -1e300), min(upper, 1e300)
    if upper - lower <= 1e-9 * max(abs(lower), abs(upper)):
        half = max(abs(lower) * 0.1, 0.01)
        lower, upper = lower - half, upper + half
    space = pad * (upper - lower)
    return Scale(lower - space, upper + space, start, end)
