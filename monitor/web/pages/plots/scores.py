"""Scores of runs over time, with their standard error."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from markupsafe import Markup

from monitor.web.pages.plots.svg import (
    Scale,
    day_text,
    element,
    line,
    picture,
    scale_of,
    text,
)

WIDTH: Final = 640.0
HEIGHT: Final = 150.0
Z: Final = 1.96
"""Standard errors of half a 95 % interval."""


@dataclass(frozen=True, slots=True)
class ScorePoint:
    """A score of a run. time: epoch seconds. kind: class of its colour."""

    time: float
    mean: float
    stderr: float
    kind: str = ""


def course(points: Sequence[ScorePoint], label: str) -> Markup | None:
    """Return the scores in the order of time with 95 % intervals; None without a second one."""
    known = sorted((p for p in points if math.isfinite(p.mean)), key=lambda p: p.time)
    if len(known) < 2:
        return None
    across = Scale(-0.5, len(known) - 0.5, 48.0, WIDTH - 8)
    ends = [p.mean + sign * Z * p.stderr for p in known for sign in (-1, 1)]
    up = scale_of(ends, HEIGHT - 26, 8.0)
    parts: list[Markup] = []
    for tick in up.ticks(5):
        parts.append(line(48, up(tick), WIDTH - 8, up(tick), "grid"))
        parts.append(text(42, up(tick) + 4, f"{tick:.3g}", "small", "end"))
    middle = " ".join(f"{across(i):.1f},{up(p.mean):.1f}" for i, p in enumerate(known))
    parts.append(element("polyline", points=middle, kind="course"))
    for index, point in enumerate(known):
        x, half = across(index), Z * point.stderr
        parts.append(line(x, up(point.mean - half), x, up(point.mean + half), "interval"))
        parts.append(
            element("circle", cx=x, cy=up(point.mean), r=4.0, kind=f"interval {point.kind}")
        )
    for index, anchor in ((0, "start"), (len(known) - 1, "end")):
        x = 48.0 if index == 0 else WIDTH - 8
        parts.append(text(x, HEIGHT - 6, day_text(known[index].time), "small", anchor))
    return picture(WIDTH, HEIGHT, label, parts)
