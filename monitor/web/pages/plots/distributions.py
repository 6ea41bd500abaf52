"""Distributions before and after a change, and those of the arms of an experiment."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from markupsafe import Markup

from monitor.events.types import BinShift, DriftEvent, Summary
from monitor.events.wording.comparison import unit_of
from monitor.events.wording.drift import number_text, share_text
from monitor.experiments.decisions.result import Distribution
from monitor.web.pages.plots.svg import Scale, element, line, picture, rectangle, scale_of, text

WIDTH: Final = 520.0
_LABELS: Final = 150.0
_ROW: Final = 34.0
MAX_ROWS: Final = 10
MAX_LABEL: Final = 22
MAX_ARMS: Final = 6
ARMS_HEIGHT: Final = 150.0


def shifts(event: DriftEvent) -> Markup | None:
    """Return the shares of records by bin, in the reference and in the current window."""
    bins = event.explanation.bins[:MAX_ROWS] or _categories(event)[:MAX_ROWS]
    if not bins:
        return None
    largest = max(max(b.before, b.after) for b in bins) or 1.0
    scale = Scale(0.0, largest, _LABELS, WIDTH - 60)
    parts: list[Markup] = []
    for number, each in enumerate(bins):
        top = number * _ROW + 4
        parts.append(text(_LABELS - 8, top + 17, _short(each.bin), anchor="end"))
        for share, offset, kind in ((each.before, 0.0, "before"), (each.after, 13.0, "after")):
            width = max(1.0, scale(share) - _LABELS)
            parts.append(rectangle(_LABELS, top + offset, width, 11, kind))
            parts.append(text(_LABELS + width + 5, top + offset + 10, share_text(share), "small"))
    label = "; ".join(
        f"{b.bin}: {share_text(b.before)} before, {share_text(b.after)} after" for b in bins
    )
    return picture(WIDTH, len(bins) * _ROW + 4, f"Shares of records by bin. {label}", parts)


def _categories(event: DriftEvent) -> list[BinShift]:
    before, after = event.reference.shares or {}, event.current.shares or {}
    return [
        BinShift(bin=name, before=before.get(name, 0.0), after=after.get(name, 0.0))
        for name in {**before, **after}
    ]


def ranges(event: DriftEvent) -> Markup | None:
    """Return the quantiles of a numeric feature, before and after: p05 to p95, median and p99."""
    pair = event.reference, event.current
    known = [[q for q in (s.p05, s.p50, s.p95, s.p99) if q is not None] for s in pair]
    values = [*known[0], *known[1]]
    if event.kind != "numeric" or len(known[0]) < 4 or not known[1]:
        return None
    scale = scale_of(values, 70.0, WIDTH - 20)
    parts: list[Markup] = []
    for summary, middle, kind in ((pair[0], 18.0, "before"), (pair[1], 48.0, "after")):
        parts.append(text(62, middle + 4, kind, anchor="end"))
        parts += _range(summary, scale, middle, kind)
    parts.append(line(70, 66, WIDTH - 20, 66, "axis"))
    unit = unit_of(event.feature)
    for tick in scale.ticks(5):
        parts.append(line(scale(tick), 66, scale(tick), 70, "axis"))
        parts.append(text(scale(tick), 82, number_text(tick, 3), "small", "middle"))
    words = "; ".join(
        f"{name} p05 {_n(each.p05)}, median {_n(each.p50)}, p95 {_n(each.p95)}, p99 {_n(each.p99)}"
        for name, each in zip(("before:", "after:"), pair, strict=True)
    )
    label = f"Quantiles in {unit or 'the unit of the feature'}; {words}"
    return picture(WIDTH, 88, label, parts)


def _range(summary: Summary, scale: Scale, middle: float, kind: str) -> list[Markup]:
    """Draw the quantiles that are known: a box needs both of its ends."""
    low, median, high, tail = (
        None if q is None else scale(q)
        for q in (summary.p05, summary.p50, summary.p95, summary.p99)
    )
    parts: list[Markup] = []
    if tail is not None:
        if high is not None:
            parts.append(line(high, middle, tail, middle, f"tail {kind}"))
        parts.append(line(tail, middle - 5, tail, middle + 5, f"tail {kind}"))
    if low is not None and high is not None:
        parts.append(rectangle(low, middle - 8, max(1.0, high - low), 16, kind))
    if median is not None:
        parts.append(line(median, middle - 11, median, middle + 11, "median"))
    return parts


def _n(value: float | None) -> str:
    return "unknown" if value is None else number_text(value, 3)


def _short(name: str) -> str:
    return name if len(name) <= MAX_LABEL else name[: MAX_LABEL - 1] + "\N{HORIZONTAL ELLIPSIS}"


def arms(each: Distribution, order: Sequence[str]) -> Markup | None:
    """Return the shares of a feature by bin as a step line for each arm, the control first."""
    names = [name for name in order if name in each.shares][:MAX_ARMS]
    bins = len(each.edges) - 1
    if not names or bins < 1 or any(len(each.shares[name]) != bins for name in names):
        return None
    largest = max(max(each.shares[name]) for name in names) or 1.0
    across = Scale(0.0, float(bins), 12.0, WIDTH - 12)
    up = Scale(0.0, largest, ARMS_HEIGHT - 24, 8.0)
    parts = [line(12, ARMS_HEIGHT - 24, WIDTH - 12, ARMS_HEIGHT - 24, "axis")]
    for number, name in enumerate(names):
        points = []
        for index, share in enumerate(each.shares[name]):
            points += [f"{across(index):.1f},{up(share):.1f}"]
            points += [f"{across(index + 1):.1f},{up(share):.1f}"]
        parts.append(element("polyline", points=" ".join(points), kind=f"arm arm-{number}"))
    for index in range(0, bins + 1, max(1, bins // 5)):
        label = number_text(each.edges[index], 3)
        parts.append(text(across(index), ARMS_HEIGHT - 8, label, "small", "middle"))
    label = f"Shares of {each.feature} by bin, for {', '.join(names)}"
    return picture(WIDTH, ARMS_HEIGHT, label, parts)
