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

from monitor import outlook_text
from monitor.audit import ADVICE
from monitor.events import DriftEvent, printable, sentence
from monitor.outlook import Outlook
from monitor.outlook_text import three_digits
from monitor.references import Version
from monitor.report import Budget, Report

COLOURS = {"warning": "yellow", "critical": "bold red"}
PIPED_WIDTH = 160
"""Columns of a table in a file or a pipe, which has no width of its own."""
WARMING_UP = 5
"""Models that are named while they warm up; there may be hundreds."""


def screen(*, stderr: bool = False) -> Console:
    """A console that shows text as it is: no emoji for `:name:`, no colours by guess."""
    made = Console(stderr=stderr, highlight=False, emoji=False)
    if not made.is_terminal:
        made.width = max(made.width, PIPED_WIDTH)
    return made


@contextmanager
def reading(
    paths: Sequence[Path],
) -> Iterator[tuple[Callable[[int], None], Callable[[DriftEvent], None]]]:
    """A progress bar over the bytes of files on standard error, if that is a terminal.

    Yields what to tell of bytes read, and what to give events that are to be shown above the bar.
    """
    console = screen(stderr=True)
    if not console.is_terminal:
        yield (lambda _: None, lambda event: print_event(console, event))
        return
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
            lambda event: print_event(console, event),
        )


def print_event(console: Console, event: DriftEvent) -> None:
    """One event: one line in a file or a pipe, an indented paragraph on a terminal."""
    when = datetime.fromtimestamp(event.time, UTC).strftime("%Y-%m-%d %H:%M:%S")
    colour = "green" if event.change == "resolved" else COLOURS[event.severity]
    text = escape(f"{sentence(event)}, record {event.position:,}{_examples(event)}")
    mark = f"[{colour}]\N{BLACK CIRCLE}[/] " if console.is_terminal else ""
    print_paragraph(console, mark + when, text)


def _examples(event: DriftEvent) -> str:
    """Where to look: the newest request id or two."""
    ids = event.explanation.examples[:2]
    return printable(f"; see {', '.join(ids)}") if ids else ""


def print_paragraph(console: Console, head: str, text: str) -> None:
    """Text beside its head, both in rich markup; wrapped on a terminal, else one line."""
    if not console.is_terminal:
        console.print(f"{head}  {text}", soft_wrap=True)
        return
    grid = Table.grid(padding=(0, 2, 0, 0))
    grid.add_column(no_wrap=True)
    grid.add_column(overflow="fold")
    grid.add_row(head, text)
    console.print(grid)


def print_report(report: Report) -> None:
    """Counts, and each event with its numbers."""
    console = screen()
    rate = report.records / report.seconds if report.seconds else 0.0
    console.print(
        f"{_count(report.records, 'record')} of {_count(len(report.models), 'model')} in "
        f"{report.seconds:.1f} s ({rate:,.0f} a second), {report.rejected:,} refused"
        + "".join(f"\n  {count:,} {reason}" for reason, count in report.rejections.items()),
        soft_wrap=True,
    )
    if report.events:
        console.print(_events(report))
    elif report.budget or not report.warming_up:
        console.print("[green]no drift[/]")
    _print_warming_up(console, report)
    for model, budget in report.budget.items():
        _print_budget(console, model, budget)


def _print_warming_up(console: Console, report: Report) -> None:
    """Who has no verdict yet, and how far each is: the nearest to having one first."""
    gathered = {model: report.models[model]["records"] for model in report.warming_up}
    nearest = sorted(gathered, key=lambda model: gathered[model], reverse=True)
    for model in nearest[:WARMING_UP]:
        needed = _count(report.warming_up[model], "record")
        text = f"{model}: not watched, still warming up: {gathered[model]:,} of {needed}"
        console.print(f"[yellow]{escape(printable(text))}[/]", soft_wrap=True)
    if nearest[WARMING_UP:]:
        rest = _count(len(nearest) - WARMING_UP, "more model")
        console.print(f"[yellow]{rest} warming up[/]")


def _events(report: Report) -> Table:
    """Each event with its numbers."""
    table = Table(box=None, header_style="bold", padding=(0, 2, 0, 0), pad_edge=False)
    for title in ("record", "PSI", "by", "statistic", "needed", "p", "feature"):
        numeric = title not in {"by", "feature"}
        table.add_column(title, justify="right" if numeric else "left", no_wrap=numeric)
    for event in report.events:
        table.add_row(
            f"{event.position:,}",
            f"[{COLOURS[event.severity]}]{event.psi:.2f}[/]",
            event.detector,
            _number(event.statistic),
            _number(event.threshold),
            _number(event.p_value, 1),
            escape(printable(_stream(event))),
        )
    return table


def _print_budget(console: Console, model: str, budget: Budget) -> None:
    """Promised and measured false pages on one line, then what the log's alarms would have cost."""
    period = f"in {budget.per_days:g} days"
    allowed = "false page" if budget.promised == 1 else "false pages"
    line = f"{model}: promised {three_digits(budget.promised)} {allowed} {period}, "
    if budget.measured is None or budget.low is None or budget.high is None:
        line += f"not measured: {budget.reason}"
    else:
        low, high = three_digits(budget.low), three_digits(budget.high)
        line += (
            f"measured {three_digits(budget.measured)} (95 % interval {low} to {high}; reference "
            f"replayed for {budget.records:,} records, {budget.days:,.2g} days of traffic)"
        )
    colour = "red" if budget.contradicts else "default"
    console.print(f"[{colour}]{escape(printable(line))}[/]", soft_wrap=True)
    if budget.contradicts:
        most = ", ".join(f"{each.feature} by {each.detector}" for each in budget.false_pages[:3])
        console.print(
            f"  more than promised, mostly {escape(printable(most))}: {ADVICE}", soft_wrap=True
        )
    for feature, cost in budget.features.items():
        told = f"{feature}: {_count(cost.pages, 'page')} in this log, "
        told += f"{three_digits(cost.per_period)} {period} at this rate"
        console.print("  " + escape(printable(told)), soft_wrap=True)


def print_outlook(outlook: Outlook) -> None:
    """What follows from a configuration, in words."""
    console = screen()
    for line in outlook_text.lines(outlook):
        colour = "yellow" if line.startswith(outlook_text.WARNING) else "default"
        console.print(f"[{colour}]{escape(printable(line))}[/]", soft_wrap=True)


def print_versions(versions: Sequence[Version]) -> None:
    """Versions of named references, the promoted ones marked."""
    if not versions:
        screen().print("no references")
        return
    table = Table(box=None, header_style="bold")
    for title in ("name", "version", "id", "promoted", "built", "models", "records", "from"):
        table.add_column(title)
    for version in versions:
        models = {profile.model for profile in version.profiles}
        table.add_row(
            escape(printable(version.name)),
            str(version.number),
            version.id,
            "yes" if version.promoted else "",
            datetime.fromtimestamp(version.built, UTC).strftime("%Y-%m-%d %H:%M"),
            str(len(models)),
            f"{sum(p.records for p in version.profiles if not p.segment):,}",
            escape(printable(version.source)),
        )
    screen().print(table)


def print_profiles(version: Version) -> None:
    """What one version holds, feature by feature."""
    console = screen()
    for profile in version.profiles:
        title = escape(printable(f"{profile.model} {profile.segment}".strip()))
        console.print(f"[bold]{title}[/]  {profile.records:,} records, id {profile.id}")
        table = Table(box=None, header_style="bold")
        for heading in ("feature", "kind", "values", "missing", "mean", "p50", "p95", "categories"):
            table.add_column(heading)
        for feature, kind, row in profile.rows():
            shares = ", ".join(f"{name} {share:.1%}" for name, share in (row.shares or {}).items())
            table.add_row(
                escape(printable(feature)),
                kind,
                f"{row.n:,}",
                f"{row.missing:.1%}",
                _number(row.mean),
                _number(row.p50),
                _number(row.p95),
                escape(printable(shares)),
            )
        console.print(table)


def _stream(event: DriftEvent) -> str:
    return f"{event.feature} of {event.model}" + (f" [{event.segment}]" if event.segment else "")


def _count(number: int, what: str) -> str:
    return f"{number:,} {what}" if number == 1 else f"{number:,} {what}s"


def _number(value: float | None, digits: int = 4) -> str:
    return "" if value is None else f"{value:.{digits}g}"
