"""What people see of a run in a terminal: progress, events as they come, tables."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from rich.console import Console
from rich.markup import escape
from rich.progress import (
    BarColumn,
    DownloadColumn,
    Progress,
    SpinnerColumn,
    TextColumn,
    TimeRemainingColumn,
    TransferSpeedColumn,
)
from rich.table import Table

from monitor.events import DriftEvent, sentence
from monitor.references import Version
from monitor.report import Report

COLOURS = {"warning": "yellow", "critical": "bold red"}


@contextmanager
def reading(
    paths: Sequence[Path],
) -> Iterator[tuple[Callable[[int], None], Callable[[DriftEvent], None]]]:
    """A progress bar over the bytes of files on standard error.

    Yields what to tell of bytes read, and what to give events that are to be shown above the bar.
    """
    console = Console(stderr=True)
    sizes = [path.stat().st_size for path in paths if path.suffix != ".gz" and path.is_file()]
    total = sum(sizes) if len(sizes) == len(paths) else None
    columns = (
        SpinnerColumn(),
        TextColumn("reading"),
        BarColumn(),
        DownloadColumn(),
        TransferSpeedColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console, transient=True) as progress:
        task = progress.add_task("reading", total=total)
        yield (
            lambda read: progress.advance(task, read),
            lambda event: console.print(event_line(event)),
        )


def event_line(event: DriftEvent) -> str:
    """One event on one line, in rich markup; what comes from a log is escaped."""
    when = datetime.fromtimestamp(event.time, UTC).strftime("%Y-%m-%d %H:%M:%S")
    colour = "green" if event.change == "resolved" else COLOURS[event.severity]
    return (
        f"{when}  record {event.position:>9,}  "
        f"[{colour}]{event.change:<9}[/] {escape(_plain(sentence(event)))}"
    )


def print_report(report: Report) -> None:
    """Counts, and each event with its numbers."""
    console = Console()
    rate = report.records / report.seconds if report.seconds else 0.0
    console.print(
        f"{report.records:,} records of {len(report.models)} models in {report.seconds:.1f} s "
        f"({rate:,.0f} a second), {report.rejected:,} refused"
        + "".join(f"\n  {count:,} {reason}" for reason, count in report.rejections.items())
    )
    if not report.events:
        console.print("[green]no drift[/]")
        return
    table = Table(box=None, header_style="bold")
    for title in (
        "record",
        "model",
        "feature",
        "severity",
        "by",
        "statistic",
        "threshold",
        "p",
        "PSI",
    ):
        table.add_column(title, justify="left" if title in {"model", "feature", "by"} else "right")
    for event in report.events:
        where = f"{event.model} {event.segment}".strip()
        table.add_row(
            f"{event.position:,}",
            escape(_plain(where)),
            escape(_plain(event.feature)),
            f"[{COLOURS[event.severity]}]{event.severity}[/]",
            event.detector,
            _number(event.statistic),
            _number(event.threshold),
            _number(event.p_value),
            f"{event.psi:.3f}",
        )
    console.print(table)


def print_versions(versions: Sequence[Version]) -> None:
    """Versions of named references, the promoted ones marked."""
    table = Table(box=None, header_style="bold")
    for title in ("name", "version", "id", "promoted", "built", "models", "records", "from"):
        table.add_column(title)
    for version in versions:
        models = {profile.model for profile in version.profiles}
        table.add_row(
            escape(version.name),
            str(version.number),
            version.id,
            "yes" if version.promoted else "",
            datetime.fromtimestamp(version.built, UTC).strftime("%Y-%m-%d %H:%M"),
            str(len(models)),
            f"{sum(p.records for p in version.profiles if not p.segment):,}",
            escape(version.source),
        )
    Console().print(table)


def print_profiles(version: Version) -> None:
    """What one version holds, feature by feature."""
    console = Console()
    for profile in version.profiles:
        title = escape(_plain(f"{profile.model} {profile.segment}".strip()))
        console.print(f"[bold]{title}[/]  {profile.records:,} records, id {profile.id}")
        table = Table(box=None, header_style="bold")
        for heading in ("feature", "kind", "values", "missing", "mean", "p50", "p95", "categories"):
            table.add_column(heading)
        for feature, kind, row in profile.rows():
            shares = ", ".join(f"{name} {share:.1%}" for name, share in (row.shares or {}).items())
            table.add_row(
                escape(_plain(feature)),
                kind,
                f"{row.n:,}",
                f"{row.missing:.1%}",
                _number(row.mean),
                _number(row.p50),
                _number(row.p95),
                escape(_plain(shares)),
            )
        console.print(table)


def _plain(text: str) -> str:
    """Text from a log without control characters: a terminal would obey them."""
    return "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in text)


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.4g}"
