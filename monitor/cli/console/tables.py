"""Console output: a progress bar, events, reports, references and forecasts.

Names and texts from a log are escaped, so that they cannot control the terminal.
"""

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

from monitor.cli.console import budget_text, dropped_text, experiment_text, forecast_text
from monitor.cli.report import Dropped, Report
from monitor.config.sections.detection import REFERENCE_WINDOWS
from monitor.detect.audit.forecast import Forecast
from monitor.detect.audit.page_costs import PageCosts
from monitor.detect.reference.store import Version
from monitor.events.types import DriftEvent, pages
from monitor.events.wording.drift import printable, sentence
from monitor.ingest.files import Rejection, plain_size
from monitor.ingest.files.rejections import text as rejection_text

SEVERITY_COLOURS = {"info": "blue", "warning": "yellow", "critical": "bold red"}
PIPE_WIDTH = 160
"""Width of a table, in columns, in a file or a pipe."""
MIN_WINDOW = 100
"""Shortest window that is suggested; smaller ones detect large changes only."""
MAX_WARMING_UP = 5
"""Models in their warm-up to list by name; there may be hundreds."""


def new_console(*, stderr: bool = False) -> Console:
    """Return a console that does not replace `:name:` with emoji or highlight numbers."""
    console = Console(stderr=stderr, highlight=False, emoji=False)
    if not console.is_terminal:
        console.width = max(console.width, PIPE_WIDTH)
    return console


@contextmanager
def read_progress(
    paths: Sequence[Path],
) -> Iterator[tuple[Callable[[int], None], Callable[[DriftEvent], None]]]:
    """Show a progress bar over the bytes of files on standard error, if that is a terminal.

    Yields two functions: one to call with a number of bytes read, one to print an event above the
    bar.
    """
    console = new_console(stderr=True)
    if not console.is_terminal:
        yield (lambda _: None, lambda event: print_event(console, event))
        return
    sizes = [plain_size(path) for path in paths]
    total = None if None in sizes else sum(filter(None, sizes))
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
    """Print an event that pages: one line in a file or a pipe, a paragraph on a terminal."""
    if not pages(event.severity):
        return
    when = datetime.fromtimestamp(event.time, UTC).strftime("%Y-%m-%d %H:%M:%S")
    colour = "green" if event.change == "resolved" else SEVERITY_COLOURS[event.severity]
    record = f", record {event.position:,}" if event.position else ""  # 0: unknown
    text = escape(f"{sentence(event)}{record}{_examples(event)}")
    mark = f"[{colour}]\N{BLACK CIRCLE}[/] " if console.is_terminal else ""
    print_paragraph(console, mark + when, text)


def _examples(event: DriftEvent) -> str:
    """Return the ids of up to two example requests, as a clause."""
    ids = event.explanation.examples[:2]
    return printable(f"; see {', '.join(ids)}") if ids else ""


def print_paragraph(console: Console, head: str, text: str) -> None:
    """Print a heading and a text, both in rich markup; the text is wrapped on a terminal only."""
    if not console.is_terminal:
        console.print(f"{head}  {text}", soft_wrap=True)
        return
    grid = Table.grid(padding=(0, 2, 0, 0))
    grid.add_column(no_wrap=True)
    grid.add_column(overflow="fold")
    grid.add_row(head, text)
    console.print(grid)


def print_report(report: Report) -> None:
    """Print counts, events, models in their warm-up, and the false-page budget by model."""
    console = new_console()
    rate = report.records / report.seconds if report.seconds else 0.0
    console.print(
        f"{_count(report.records, 'record')} of {_count(len(report.models), 'model')} in "
        f"{report.seconds:.1f} s ({rate:,.0f} per second), {report.rejected:,} rejected",
        soft_wrap=True,
    )
    print_rejections(console, report.rejections, report.records)
    for kind, number in report.skipped.items():
        console.print(f"skipped, no inference: {number:,} {escape(printable(kind))}")
    print_dropped(console, report.dropped)
    paged = [event for event in report.events if pages(event.severity)]
    if paged:
        console.print(_event_table(paged))
    elif report.rejections and report.budget:
        console.print(f"no alarm in the {_count(report.records, 'record')} that were read")
    elif report.records and (report.budget or not report.warming_up):
        console.print("[green]no drift[/]")
    if small := sum(event.severity == "info" for event in report.events):
        console.print(f"{_count(small, 'small change')} (info)")
    _print_warming_up(console, report)
    for model, budget in report.budget.items():
        _print_budget(console, model, budget)
    for line in experiment_text.lines(report.experiments):
        console.print(escape(printable(line)), soft_wrap=True)


def print_rejections(console: Console, rejections: Sequence[Rejection], records: int) -> None:
    """Print the rejected records by reason, and which share was not read. records: those read."""
    for rejection in rejections:
        console.print("  " + escape(printable(rejection_text(rejection))), soft_wrap=True)
    rejected = sum(rejection.count for rejection in rejections)
    if rejected:
        all_records = records + rejected
        share = f"{rejected:,} of {all_records:,} ({100 * rejected / all_records:.1f} %)"
        console.print(f"[yellow]{share} could not be read and are not checked[/]", soft_wrap=True)


def print_dropped(console: Console, dropped: Dropped) -> None:
    """Print what the limits cut off."""
    for line in dropped_text.lines(dropped):
        console.print(f"[yellow]{escape(printable(line))}[/]", soft_wrap=True)


def _print_warming_up(console: Console, report: Report) -> None:
    """Print the models that have no reference yet, those with most records first."""
    records = {model: report.models[model]["records"] for model in report.warming_up}
    models = sorted(records, key=lambda model: records[model], reverse=True)
    for model in models[:MAX_WARMING_UP]:
        needed = _count(report.warming_up[model], "record")
        text = f"{model}: not watched, still warming up: {records[model]:,} of {needed}"
        console.print(f"[yellow]{escape(printable(text))}[/]", soft_wrap=True)
    if models[MAX_WARMING_UP:]:
        rest = _count(len(models) - MAX_WARMING_UP, "more model")
        console.print(f"[yellow]{rest} warming up[/]")
    if models and not report.budget:
        hint = _warm_up_hint(records[models[0]], report.warming_up[models[0]])
        console.print(hint, soft_wrap=True)


def _warm_up_hint(records: int, needed: int) -> str:
    """Return settings with which half of these records, of one model, are a reference.

    With too few records, return how many are needed, and with which settings. needed: size of the
    configured reference in records.
    """
    window = min(1000, records // 2 // REFERENCE_WINDOWS // 10 * 10)
    if window >= MIN_WINDOW:
        hint = "to watch the second half of this log, configure a smaller reference (-c FILE):"
    elif needed > REFERENCE_WINDOWS * MIN_WINDOW:
        window = MIN_WINDOW
        enough = _count(2 * REFERENCE_WINDOWS * window, "record")
        hint = (
            f"no model has enough records to be watched: use a log with at least {enough} of a"
            " model and configure a smaller reference (-c FILE):"
        )
    else:
        return (
            "no model has enough records to be watched: use a log with at least"
            f" {_count(2 * needed, 'record')} of a model, of which the first half is the reference"
        )
    return (
        f"{hint}\n"
        f"  reference: {{source: warmup, records: {REFERENCE_WINDOWS * window}}}\n"
        f"  windows: {{records: {window}, stride: {max(10, window // 10)}}}"
    )


def _event_table(events: Sequence[DriftEvent]) -> Table:
    table = Table(box=None, header_style="bold", padding=(0, 2, 0, 0), pad_edge=False)
    for title in ("record", "PSI", "detector", "statistic", "threshold", "p", "feature"):
        numeric = title not in {"detector", "feature"}
        table.add_column(title, justify="right" if numeric else "left", no_wrap=numeric)
    for event in events:
        table.add_row(
            f"{event.position:,}",
            f"[{SEVERITY_COLOURS[event.severity]}]{event.psi:.2f}[/]",
            event.detector,
            _number(event.statistic),
            _number(event.threshold),
            _number(event.p_value, 1),
            escape(printable(_stream_name(event))),
        )
    return table


def _print_budget(console: Console, model: str, budget: PageCosts) -> None:
    """Print the allowed and the measured rate of false pages, then the rate of pages by feature."""
    colour = "red" if budget.contradicts else "default"
    line = escape(printable(budget_text.headline(model, budget)))
    console.print(f"[{colour}]{line}[/]", soft_wrap=True)
    for line in (*budget_text.causes(budget), *budget_text.costs(budget)):
        console.print("  " + escape(printable(line)), soft_wrap=True)


def print_forecast(forecast: Forecast) -> None:
    """Print the forecast of a configuration."""
    console = new_console()
    for line in forecast_text.lines(forecast):
        colour = "yellow" if line.startswith(forecast_text.WARNING) else "default"
        console.print(f"[{colour}]{escape(printable(line))}[/]", soft_wrap=True)


def print_versions(versions: Sequence[Version]) -> None:
    """Print a table of versions of named references."""
    if not versions:
        new_console().print("no references")
        return
    table = Table(box=None, header_style="bold")
    for title in ("name", "version", "id", "promoted", "built", "models", "records", "source"):
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
    new_console().print(table)


def print_profiles(version: Version) -> None:
    """Print a table of features for each model and segment of a version."""
    console = new_console()
    for profile in version.profiles:
        title = escape(printable(f"{profile.model} {profile.segment}".strip()))
        console.print(f"[bold]{title}[/]  {profile.records:,} records, id {profile.id}")
        table = Table(box=None, header_style="bold")
        for heading in ("feature", "kind", "values", "missing", "mean", "p50", "p95", "categories"):
            table.add_column(heading)
        for feature, kind, row in profile.summaries():
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


def _stream_name(event: DriftEvent) -> str:
    return f"{event.feature} of {event.model}" + (f" [{event.segment}]" if event.segment else "")


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"


def _number(value: float | None, digits: int = 4) -> str:
    return "" if value is None else f"{value:.{digits}g}"
