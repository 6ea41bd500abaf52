"""A table that compares the distribution of a numeric feature in the reference and in the window.

A row is a bin of the reference: the bins from which PSI is computed, of about equal frequency in
the reference. A change therefore shows as bars of different length.
"""

from __future__ import annotations

from collections.abc import Iterator

from rich.bar import Bar
from rich.table import Table
from rich.text import Text

from detectors.arrays import Floats
from detectors.baseline import Baseline
from detectors.window import Windows
from monitor.cli.console.forecast_text import three_digits
from monitor.detect.explain.event_summaries import event_summaries
from monitor.events.types import Summary
from monitor.events.wording.comparison import unit_of
from monitor.events.wording.drift import printable

REFERENCE, CURRENT = "dodger_blue1", "dark_orange"
BAR_WIDTH = 10
"""In columns; the table is then narrower than 60 columns."""


def distribution(baseline: Baseline, feature: str, window: Windows, title: str) -> Table:
    """Return a table of a numeric feature's shares by bin, mean, p50, p95 and count of values.

    window: the current window, full. Shares are of all records; empty bins are left out.
    Raises ValueError for a feature that is not numeric.
    """
    index = [stream.name for stream in baseline.numeric].index(feature)
    stream = baseline.numeric[index]
    reference = _shares(stream.bin_counts())
    current = _shares(window.bin_counts[0, index, : len(reference)])
    longest = max(reference + current)
    table = _empty_table(f"{title} ({unit_of(feature)})".removesuffix(" ()"))
    for name, before, after in zip(stream.bin_names(), reference, current, strict=True):
        if before or after:
            left = Bar(longest, 0, before, width=BAR_WIDTH, color=REFERENCE)
            right = Bar(longest, 0, after, width=BAR_WIDTH, color=CURRENT)
            table.add_row(name, f"{before:.1%}", left, f"{after:.1%}", right)
    table.add_row()
    for name, *sides in _statistics(*event_summaries(baseline, index, window)):
        table.add_row(name, sides[0], "", sides[1], "")
    return table


def _empty_table(title: str) -> Table:
    table = Table(box=None, padding=(0, 1, 0, 0), pad_edge=False)
    table.title, table.title_justify = Text(printable(title), "bold", overflow="fold"), "left"
    table.add_column("", overflow="fold")
    for name, colour in (("reference", REFERENCE), ("current", CURRENT)):
        table.add_column(name, justify="right", no_wrap=True, header_style=colour)
        table.add_column("")
    return table


def _shares(counts: Floats) -> list[float]:
    return [float(share) for share in counts / max(1.0, counts.sum())]


def _statistics(before: Summary, after: Summary) -> Iterator[tuple[str, str, str]]:
    """Yield each statistic with its value in the reference and in the window."""
    yield "mean", _number(before.mean), _number(after.mean)
    yield "p50", _number(before.p50), _number(after.p50)
    yield "p95", _number(before.p95), _number(after.p95)
    yield "values", f"{before.n:,}", f"{after.n:,}"


def _number(value: float | None) -> str:
    return "" if value is None else three_digits(value)
