"""Reference against current in the terminal: where did the mass go?

Both histograms stand on one axis, laid over each other, and each cell says whose it is:
`░` only the reference has mass here (it left), `▒` both have it, `█` only the current window has it
(it came). So the pale area and the solid area are the same mass, before and after; without any
colour the eye sees from where to where it moved. The number below says how much that is, and how
much chance alone would have moved, so that noise is not taken for drift.

Columns are as wide as the smaller sample allows (Rice's rule): a column for every few records would
draw noise. Everything drawn is a share of a window's own values, hence windows of different size
compare.
"""

import math
import textwrap
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray
from rich.text import Text

Floats = NDArray[np.float64]

LEFT, BOTH, CAME, TRACE = "░", "▒", "█", "·"
REFERENCE_LINE, CURRENT_LINE = "┊", "┃"
LEGEND: Final = (
    f"{LEFT} only reference", f"{BOTH} both", f"{CAME} only current", f"{TRACE} a trace"
)  # fmt: skip
GUTTER: Final = 8  # columns left of the plot, for the share and the axis
TAIL: Final = 0.005  # beyond this quantile on either side a value does not stretch the axis
LOG_DECADES: Final = 1.5
WHOLE_LEVELS: Final = 12  # a count with at most so many levels is drawn level by level, tails too
WIDEST_BAR: Final = 12
HUGE, TINY = 1e300, 1e-300  # beyond these, differences and ratios would leave the floats


@dataclass(frozen=True, slots=True)
class Axis:
    """The horizontal axis: bins of `cell` terminal columns each, in the feature's unit.

    `edges` has shape (bins + 1,) and increases. `levels` is true where every bin is one whole
    number, `whole` where the data are whole numbers.
    """

    edges: Floats
    cell: int
    log: bool = False
    levels: bool = False
    whole: bool = False

    @property
    def bins(self) -> int:
        """How many bins there are."""
        return len(self.edges) - 1

    @property
    def columns(self) -> int:
        """How many terminal columns the bars take."""
        return self.bins * self.cell

    def bin(self, value: float) -> int:
        """Index of the bin that a value lies in; outside the axis, the nearest."""
        return min(max(int(np.searchsorted(self.edges, value, "right")) - 1, 0), self.bins - 1)

    def column(self, value: float) -> int:
        """Terminal column of a value, 0 .. columns - 1."""
        index = self.bin(value)
        low, high = float(self.edges[index]), float(self.edges[index + 1])
        into = 0.5 if self.levels else min(max((value - low) / (high - low), 0.0), 1.0)
        # A level's bar leaves its last column free, so its middle is half a column further left.
        drawn = self.cell - (1 if self.levels and self.cell > 2 else 0)
        return index * self.cell + min(int(into * drawn), self.cell - 1)

    def resolution(self, value: float) -> float:
        """Width of the bin around a value: finer than this, a number means nothing here."""
        index = self.bin(value)
        return float(self.edges[index + 1] - self.edges[index])


def axis_for(reference: Floats, current: Floats, columns: int) -> Axis:
    """The common axis of two samples, shapes (n,) and (m,), finite and not empty."""
    both = np.concatenate([reference, current])
    whole = bool(np.abs(both).max() < 1e9 and np.array_equal(both, np.rint(both)))
    low, high = float(both.min()), float(both.max())
    if not (whole and high - low < WHOLE_LEVELS):  # few levels: the rare one is the interesting one
        low, high = _robust_range(reference, current)
    smoothest = max(8, math.ceil(2 * min(len(reference), len(current)) ** (1 / 3)))
    if whole and high - low < min(max(smoothest, WHOLE_LEVELS), columns):
        return _level_axis(int(low), int(high), columns)
    if high - low <= 1e-9 * max(abs(low), abs(high)):
        pad = max(abs(low), abs(high)) * 1e-6 or 1.0
        return Axis(np.array([low - pad, high + pad]), cell=min(WIDEST_BAR, columns))
    cell = max(1, columns // smoothest)
    bins = columns // cell
    if whole:
        low, high = low - 0.5, high + 0.5  # shares() spreads a whole number over this interval
    if low > 0 and math.log10(high / low) > LOG_DECADES:
        return Axis(np.geomspace(low, high, bins + 1), cell, log=True, whole=whole)
    return Axis(np.linspace(low, high, bins + 1), cell, whole=whole)


def _robust_range(*samples: Floats) -> tuple[float, float]:
    # Outwards to a value that is there, so that of fewer than 200 none is left out.
    lows = [float(np.quantile(v, TAIL, method="lower")) for v in samples]
    highs = [float(np.quantile(v, 1 - TAIL, method="higher")) for v in samples]
    return min(lows), max(highs)


def _level_axis(low: int, high: int, columns: int) -> Axis:
    edges = np.arange(low, high + 2, dtype=np.float64) - 0.5
    cell = min(WIDEST_BAR, columns // (len(edges) - 1))
    return Axis(edges, cell, levels=True, whole=True)


def shares(values: Floats, axis: Axis) -> Floats:
    """Share of the values, shape (n,), in every bin; shape (bins + 2,), summing to 1.

    The first and the last entry lie below and above the axis. Whole numbers are spread evenly over
    their unit interval: on a fine or a logarithmic axis some bins hold one whole number and some
    hold none, and that comb is of the axis, not of the data.
    """
    if axis.whole:
        levels, counts = np.unique(values, return_counts=True)
        knots = np.stack([levels - 0.5, levels + 0.5], axis=1).ravel()
        reached = np.cumsum(counts)
        heights = np.stack([reached - counts, reached], axis=1).ravel() / len(values)
        # Interpolation may sink by a rounding error where the data have a gap; a share may not.
        below = np.maximum.accumulate(np.interp(axis.edges, knots, heights, left=0.0, right=1.0))
    else:
        ordered = np.sort(values)
        below = np.searchsorted(ordered, axis.edges, "left") / len(values)
        # The last edge belongs to its bin: it is often a value itself.
        below[-1] = np.searchsorted(ordered, axis.edges[-1], "right") / len(values)
    return np.diff(below, prepend=0.0, append=1.0)


def histogram_plot(
    reference: NDArray[np.float64],
    current: NDArray[np.float64],
    *,
    title: str,
    unit: str,
    width: int = 72,
    height: int = 10,
) -> str:
    """Draw a feature's reference and current values, shapes (n,) and (m,) in `unit`, as text.

    NaN and infinite values count as missing and are not drawn. `height` is the number of rows of
    the bars; the result has about ten lines more, none wider than `width`.
    """
    if width < 32 or height < 3:
        raise ValueError(f"a plot needs at least 32 columns and 3 rows, not {width} x {height}")
    ref, cur = _finite(reference), _finite(current)
    heading = _crop(
        f"{_printable(title)} ({_printable(unit)})" if unit else _printable(title), width
    )
    if not len(ref) or not len(cur):
        empty = " and ".join(
            name for name, v in (("reference", ref), ("current", cur)) if not len(v)
        )
        return "\n".join([heading, _crop(f"no data: {empty} without a value", width)])
    axis = axis_for(ref, cur, width - GUTTER)
    ref_shares, cur_shares = shares(ref, axis), shares(cur, axis)
    marks = _marks(ref, cur, axis)
    return "\n".join(
        line.rstrip()
        for line in (
            heading,
            *_mark_lines(marks, width),
            *_bars(ref_shares[1:-1], cur_shares[1:-1], axis, marks, height),
            *_axis_lines(axis, width),
            *_level_lines(ref_shares, cur_shares, axis),
            *_flow(LEGEND + (("log axis",) if axis.log else ()), width),
            *_flow(_summary(ref, cur, axis), width),
            *_flow(_coverage(reference, current, ref_shares, cur_shares), width),
            *textwrap.wrap(_movement(ref_shares, cur_shares, (len(ref), len(cur)), axis), width),
        )
    )


def render(plot: str) -> Text:
    """The same plot in colour for a rich console: blue has left, orange has come."""
    text = Text(plot, no_wrap=True)
    text.highlight_regex(f"[{LEFT}{REFERENCE_LINE}]+", "dodger_blue1")
    text.highlight_regex(f"[{CAME}{CURRENT_LINE}]+", "dark_orange")
    text.highlight_regex(f"{BOTH}+", "grey62")
    return text


@dataclass(frozen=True, slots=True)
class Mark:
    """The line of a median: its glyph, its column in the plot, and what is written beside it."""

    glyph: str
    column: int
    label: str


def _marks(ref: Floats, cur: Floats, axis: Axis) -> list[Mark]:
    before, after = float(np.median(ref)), float(np.median(cur))
    texts = [_value(p50, axis.resolution(p50) / 10) for p50 in (before, after)]
    return [
        Mark(REFERENCE_LINE, axis.column(before), f"reference p50 {texts[0]}"),
        Mark(CURRENT_LINE, axis.column(after), f"current p50 {texts[1]}{_ratio(before, after)}"),
    ]


def _mark_lines(marks: list[Mark], width: int) -> Iterable[str]:
    for mark in marks:
        at, beside = GUTTER + mark.column, len(mark.label) + 2
        if at + beside > width and at + 1 >= beside:
            yield f"{mark.label} {mark.glyph}".rjust(at + 1)
        else:
            yield _crop(" " * at + f"{mark.glyph} {mark.label}", width)


def _bars(ref: Floats, cur: Floats, axis: Axis, marks: list[Mark], height: int) -> Iterable[str]:
    """The rows of the bars from the top; `ref` and `cur` have shape (bins,)."""
    peak = max(float(ref.max()), float(cur.max())) or 1.0
    ref_heights, cur_heights = (np.rint(v / peak * height).astype(int) for v in (ref, cur))
    traces = (ref > 0) | (cur > 0)
    gap = " " if axis.levels and axis.cell > 2 else ""
    for row in range(height, 0, -1):
        glyphs = (_glyph(row, *bar) for bar in zip(ref_heights, cur_heights, traces, strict=True))
        cells = list("".join(glyph * (axis.cell - len(gap)) + gap for glyph in glyphs))
        for mark in marks:
            if cells[mark.column] in (" ", REFERENCE_LINE):
                cells[mark.column] = mark.glyph
        share = {height: peak, 1: 0.0}.get(row)
        yield f"{'' if share is None else _percent(share):>6} │" + "".join(cells)


def _glyph(row: int, ref_height: int, cur_height: int, trace: bool) -> str:
    if row <= min(ref_height, cur_height):
        return BOTH
    if row <= max(ref_height, cur_height):
        return LEFT if ref_height > cur_height else CAME
    return TRACE if trace and row == 1 else " "


def _axis_lines(axis: Axis, width: int) -> Iterable[str]:
    rule, labels = ["─"] * axis.columns, [" "] * (width + 1)
    for value, text in _ticks(axis):
        at = axis.column(value)
        start = min(max(GUTTER + at - len(text) // 2, 0), width - len(text))
        # A blank on either side keeps two labels apart; a tick without its number says nothing.
        if start >= 0 and "".join(labels[max(start - 1, 0) : start + len(text) + 1]).isspace():
            rule[at] = "┬"
            labels[start : start + len(text)] = text
    yield " " * (GUTTER - 1) + "└" + "".join(rule)
    yield "".join(labels[:width])


def _ticks(axis: Axis) -> list[tuple[float, str]]:
    """Round values on the axis, the most wanted first, and how they are written."""
    low, high = float(axis.edges[0]), float(axis.edges[-1])
    if axis.bins == 1:
        middle = (low + high) / 2
        return [(middle, _value(middle))]
    if axis.log:
        return [(v, _number(v, v)) for v in _round_decades(low, high, axis.columns)]
    room = max(len(f"{high:,.0f}"), len(f"{low:,.0f}")) + 2 if axis.levels else 12
    step = _round_step((high - low) * room / axis.columns, whole=axis.levels)
    first, last = math.ceil(low / step), math.floor(high / step)
    return [(k * step, _number(k * step, step)) for k in range(first, last + 1)]


def _round_decades(low: float, high: float, columns: int) -> list[float]:
    first, last = math.ceil(math.log10(low)), math.floor(math.log10(high))
    every = math.ceil((last - first + 1) * 12 / columns)
    powers = [10.0**k for k in range(first, last + 1, every)]
    between = [m * 10.0**k for m in (2, 5) for k in range(first - 1, last + 1)]
    return powers + [v for v in between if every == 1 and low <= v <= high]


def _round_step(at_least: float, *, whole: bool) -> float:
    """The least of 1, 2, 5, 10, 20, 50 ... (or a decimal fraction of them) that suffices."""
    power = 10.0 ** math.floor(math.log10(at_least))
    step = next(m * power for m in (1, 2, 5, 10) if m * power >= at_least * (1 - 1e-9))
    return max(step, 1.0) if whole else step


def _level_lines(ref: Floats, cur: Floats, axis: Axis) -> Iterable[str]:
    """The shares in figures where each level has room: a rare level's bar cannot be read."""
    if axis.levels and axis.cell >= 8:
        for name, inside in (("ref", ref[1:-1]), ("cur", cur[1:-1])):
            shown = (_percent(float(share)).center(axis.cell - 1) + " " for share in inside)
            yield f"{name:>6}  " + "".join(shown)


def _summary(ref: Floats, cur: Floats, axis: Axis) -> Iterable[str]:
    means = float(ref.mean()), float(cur.mean())
    tails = float(np.quantile(ref, 0.95)), float(np.quantile(cur, 0.95))
    for name, pair in (("mean", means), ("p95", tails)):
        before, after = (_value(value, axis.resolution(value) / 10) for value in pair)
        yield f"{name} {before} → {after}{_ratio(*pair)}"


def _coverage(reference: Floats, current: Floats, ref: Floats, cur: Floats) -> Iterable[str]:
    """How much each side rests on, and what of it is not drawn; `ref` and `cur` are the shares."""
    for name, values, drawn in (("reference", reference, ref), ("current", current, cur)):
        present = int(np.isfinite(values).sum())
        text = f"{name} {present:,} values"
        if missing := np.size(values) - present:
            text += f", {_percent(missing / np.size(values))} missing"
        if (beyond := float(drawn[0] + drawn[-1])) > 1e-12:
            text += f", {_percent(beyond)} beyond the axis"
        yield text


def _movement(ref: Floats, cur: Floats, sizes: tuple[int, int], axis: Axis) -> str:
    """One sentence: how much mass moved, next to what chance moves, and from where to where.

    What moved is the total variation distance of the two histograms, shapes (bins + 2,). Chance is
    its expectation for two samples of these sizes from their pooled histogram: the mean of
    |N(0, s)| is s sqrt(2 / pi), summed over the bins. It takes the records for independent, so for
    dependent ones it is too small.
    """
    n, m = sizes
    change = cur - ref
    pooled = (n * ref + m * cur) / (n + m)
    noise = np.sqrt(2 / np.pi * pooled * np.clip(1 - pooled, 0.0, 1.0) * (1 / n + 1 / m))
    moved, chance = float(np.abs(change).sum()) / 2, float(noise.sum()) / 2
    text = f"moved: {_percent(moved)} of the mass (chance alone: about {_percent(chance)})"
    if moved <= 2 * chance or moved < 1e-9:
        return text
    return f"{text}, from {_region(-change, axis)}, towards {_region(change, axis)}"


def _region(gain: Floats, axis: Axis) -> str:
    """The stretch of neighbouring bins that gains most, in words; shape (bins + 2,)."""
    first, last = _stretch(gain)
    if axis.levels:
        low, high = (f"{axis.edges[0] - 0.5 + bin_:,.0f}" for bin_ in (first, last))
    else:
        low, high = (_edge(axis, min(edge, axis.bins)) for edge in (max(first - 1, 0), last))
    if first == 0:
        return f"{high} and less"
    if last == axis.bins + 1:
        return f"{low} and more"
    return low if low == high else f"{low} to {high}"


def _stretch(gain: Floats) -> tuple[int, int]:
    """First and last index of the run with the largest sum, less the 5 % of it at either end."""
    reached = np.concatenate([[0.0], np.cumsum(gain)])
    rises = np.triu(reached[None, :] - reached[:, None])
    first, end = (int(i) for i in np.unravel_index(int(rises.argmax()), rises.shape))
    inside = np.cumsum(gain[first:end])
    kept = np.flatnonzero(
        (inside > 0.05 * inside[-1]) & (inside - gain[first:end] < 0.95 * inside[-1])
    )
    return first + int(kept[0]), first + int(kept[-1])


def _edge(axis: Axis, index: int) -> str:
    """An edge no more exactly than the bins around it are wide."""
    edge = float(axis.edges[index])
    grain = 10.0 ** math.floor(math.log10(axis.resolution(edge) / 2))
    return _number(round(edge / grain) * grain, grain)


def _value(value: float, resolution: float = math.inf) -> str:
    """A value to four digits, or finer where the axis resolves more."""
    four = 10.0 ** (math.floor(math.log10(abs(value))) - 3) if value else 1.0
    text = _number(value, min(four, resolution))
    return text.rstrip("0").rstrip(".") if "." in text and "e" not in text else text


def _number(value: float, resolution: float) -> str:
    """A number in plain figures, to the decimal place of its resolution."""
    decimals = max(0, -math.floor(math.log10(resolution)))
    if abs(value) >= 1e9 or decimals > 9:
        return f"{value:.4g}"
    text = f"{value:,.{decimals}f}"
    return text if any(digit in text for digit in "123456789") else text.lstrip("-")


def _ratio(before: float, after: float) -> str:
    if before <= 0 or after <= 0 or before == after or not 1e-3 < after / before < 1e3:
        return ""
    return f" (×{after / before:.2f})"


def _percent(share: float) -> str:
    if 0 < share < 0.0005:
        return "<0.1 %"
    digits = 1 if 0 < share < 0.0995 or 0.9 < share < 1 else 0  # the rare part deserves a figure
    return f"{100 * share:.{digits}f} %"


def _finite(values: NDArray[np.float64]) -> Floats:
    flat = np.asarray(values, dtype=np.float64).ravel()
    kept = np.clip(flat[np.isfinite(flat)], -HUGE, HUGE)
    return np.where(np.abs(kept) < TINY, 0.0, kept)


def _printable(text: str) -> str:
    """A model names itself in the log: nothing of it may steer the terminal."""
    return "".join(sign if sign.isprintable() else "?" for sign in text)


def _crop(text: str, width: int) -> str:
    return text if len(text) <= width else text[: width - 1] + "…"


def _flow(items: Iterable[str], width: int) -> list[str]:
    """Items side by side, as many a line as there is room for; an item is split only in need."""
    line = "   ".join(item.replace(" ", "\xa0") for item in items)
    wrapped = textwrap.wrap(line, width, break_on_hyphens=False)
    return [part.replace("\xa0", " ") for part in wrapped]
