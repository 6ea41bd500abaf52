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

from monitor.audit import ADVICE
from monitor.delays import Delay
from monitor.events import DriftEvent, printable, sentence
from monitor.outlook import Feature, ModelOutlook, Outlook
from monitor.references import Version
from monitor.report import Budget, Report

COLOURS = {"warning": "yellow", "critical": "bold red"}
PIPED_WIDTH = 160
"""Columns of a table in a file or a pipe, which has no width of its own."""


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
    text = f"{escape(sentence(event))}, record {event.position:,}"
    mark = f"[{colour}]\N{BLACK CIRCLE}[/] " if console.is_terminal else ""
    print_paragraph(console, mark + when, text)


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
    else:
        console.print("[green]no drift[/]")
    for model, budget in report.budget.items():
        _print_budget(console, model, budget)


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
    line = f"{model}: promised {_rate(budget.promised)} {allowed} {period}, "
    if budget.measured is None:
        line += f"not measured: {budget.reason}"
    else:
        line += (
            f"measured {_rate(budget.measured)} (95 % interval {_rate(budget.low)} to "
            f"{_rate(budget.high)}; the reference replayed for {budget.records:,} records, "
            f"{budget.days:,.2g} days of traffic)"
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
        told += f"{_rate(cost.per_period)} {period} at this rate"
        console.print("  " + escape(printable(told)), soft_wrap=True)


def print_outlook(outlook: Outlook) -> None:
    """What follows from a configuration, in words."""
    console = screen()

    def say(text: str, colour: str = "default") -> None:
        console.print(f"[{colour}]{escape(printable(text))}[/]", soft_wrap=True)

    pages = "false page" if outlook.false_pages == 1 else "false pages"
    say(
        f"{_rate(outlook.false_pages)} {pages} in {outlook.per_days:g} days allowed to each model "
        "when nothing has changed"
        + (
            ""
            if outlook.whole_model == outlook.false_pages
            else f": {_rate(outlook.whole_model)} to its whole traffic, as many to each segment key"
        )
    )
    for warning in outlook.warnings:
        say(f"  ! {warning}", "yellow")
    for model in outlook.models:
        _print_model(say, model)
    if outlook.left_out:
        say(f"and {_count(outlook.left_out, 'model')} with fewer records")


def _print_model(say: Callable[..., None], model: ModelOutlook) -> None:
    """One model: who has which part of the budget, how soon shifts are seen, what to mind."""
    name = "a model of independent records (assumed)" if model.assumed else model.model
    say(
        f"{name}: {_rate(model.records_per_second)} records a second, evaluated every "
        f"{_rate(model.seconds_per_evaluation)} s against {model.reference_records:,}"
    )
    say(f"  the budget goes to {_parts(model)}")
    for feature in model.features:
        if feature.delays:
            first, *more = feature.delays
            clauses = [_first_delay(feature, first), *(_next_delay(feature, d) for d in more)]
            say(f"  {feature.name}: " + "; ".join(clauses))
    for warning in model.warnings:
        say(f"  ! {warning}", "yellow")


def _parts(model: ModelOutlook) -> str:
    """Shares of the budget, their sum, and the level that follows for each detector."""
    parts = sorted(model.parts, key=lambda part: -part.share)
    told = [
        f"{part.detector} {part.share:.1%} (chance {part.level:.1g} each time, for each of "
        f"{_count(part.streams, 'feature')})"
        for part in parts
        if part.share
    ]
    rest = [part.detector for part in parts if not part.share]
    whole = sum(part.share for part in parts)
    text = f"{', '.join(told)}: together {whole:.0%}"
    return text + (f"; nothing to {', '.join(rest)}" if rest else "")


def _first_delay(feature: Feature, delay: Delay) -> str:
    """When a shift is seen, and when it pages, as a sentence."""
    moved = f"{_unit(feature, delay.before)} -> {_unit(feature, delay.after)}"
    moved = f"median {moved}" if feature.kind == "numeric" else moved
    text = f"a shift of {delay.sd:g} sd ({moved}) is "
    if delay.seen is None:
        return f"{text}not seen within {delay.limit:,} records"
    text += f"seen after about {delay.seen:,} records"
    if delay.paged is None:
        return f"{text}, too small to page (PSI {delay.psi:.2f})"
    return f"{text}, paged after {delay.paged:,}"


def _next_delay(feature: Feature, delay: Delay) -> str:
    """The same of a further shift, in short."""
    text = f"{delay.sd:g} sd (-> {_unit(feature, delay.after)}) "
    if delay.seen is None:
        return text + "not seen"
    page = f"paged {delay.paged:,}" if delay.paged is not None else "too small to page"
    return f"{text}seen after {delay.seen:,}, {page}"


def _unit(feature: Feature, number: float) -> str:
    return _rate(number) if feature.kind == "numeric" else f"{number:.1%}"


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


def _rate(value: float | None) -> str:
    """Three digits, and all of those before the point."""
    if value is None:
        return ""
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def _number(value: float | None, digits: int = 4) -> str:
    return "" if value is None else f"{value:.{digits}g}"
