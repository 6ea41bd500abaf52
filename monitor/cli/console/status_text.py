"""The status of the models as a table and one line per open alarm."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime

from rich.markup import escape
from rich.table import Table

from detectors.trends import Trend
from monitor.cli.console.tables import SEVERITY_COLOURS, new_console, print_paragraph
from monitor.events.wording.drift import printable, records_of
from monitor.telemetry.http.status import AlarmStatus, ModelStatus, Status

STATE_COLOURS = {"healthy": "green", "degraded": "bold red", "warming_up": "yellow"}
STATE_NAMES = {"warming_up": "warming up"}
MAX_SCORES = 3
"""Drift scores in a row of the table, the largest ones."""


def print_status(status: Status) -> None:
    """Print a table of the models, their open alarms, other sources, and trends of their scores."""
    console = new_console()
    if status.not_ready:
        console.print(f"[yellow]not ready: {escape(', '.join(status.not_ready))}[/]")
    if not status.models:
        console.print("no models yet: no record has arrived, or another process watches them all")
        return
    console.print(_table(status))
    for model in status.models:
        for alarm in model.alarms:
            colour = SEVERITY_COLOURS.get(alarm.severity, "default")
            head = f"[{colour}]open since {_time(alarm)}[/]"
            print_paragraph(console, head, escape(printable(alarm.summary)))
        for line in (*_source_lines(model), *_trend_lines(model)):
            console.print(escape(printable(line)), soft_wrap=True)


def _table(status: Status) -> Table:
    table = Table(box=None, header_style="bold", padding=(0, 2, 0, 0), pad_edge=False)
    headings = ("model", "state", "records", "open alarms", "warnings, critical in 24 h")
    for heading in (*headings, "drift (PSI)"):
        numeric = heading in {"records", "open alarms"}
        table.add_column(heading, justify="right" if numeric else "left")
    for model in status.models:
        day = model.last_day
        drift = list(model.drift.items())[:MAX_SCORES]
        state = STATE_NAMES.get(model.state, model.state)
        table.add_row(
            escape(printable(model.model)),
            f"[{STATE_COLOURS[model.state]}]{state}[/]",
            "elsewhere" if model.records is None else f"{model.records:,}",
            str(len(model.alarms)),
            f"{day.get('warning', 0)}, {day.get('critical', 0)}",
            escape(printable(", ".join(f"{name} {psi:.2f}" for name, psi in drift))),
        )
    return table


def _time(alarm: AlarmStatus) -> str:
    """Return the event time at which an alarm opened."""
    try:
        return datetime.fromtimestamp(alarm.opened, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
    except (ValueError, OverflowError, OSError):  # a log may contain any timestamp
        return f"{alarm.opened:g}"


def _source_lines(model: ModelStatus) -> Iterator[str]:
    for each in model.sources:
        state = f"warming up, {each.warmup:,} more needed" if each.warmup else "watched"
        yield f"{records_of(each.source)} of {model.model}: {each.records:,}, {state}"


def _trend_lines(model: ModelStatus) -> Iterator[str]:
    for feature, trend in model.trends.items():
        yield f"{feature} of {model.model} is {trend_text(trend)}"


def trend_text(trend: Trend) -> str:
    """Return a trend in words, with its interval."""
    return (
        f"{trend.direction}: mean {trend.mean:.4g}, reference {trend.reference_mean:.4g},"
        f" change {trend.change:+.3g} (95% interval {trend.lower:+.3g} to {trend.upper:+.3g})"
    )
