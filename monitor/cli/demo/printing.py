"""What the demo prints: its setup, and what the daemon found."""

from __future__ import annotations

import resource
from collections.abc import Sequence

from rich.console import Console
from rich.markup import escape

from monitor.app import App
from monitor.cli import report
from monitor.cli.console import experiment_text, tables
from monitor.cli.demo.distribution import distribution
from monitor.cli.demo.experiment import EFFECT
from monitor.cli.demo.traffic import INJECTED, MODELS
from monitor.config.schema import Config
from monitor.config.sections.detection import REFERENCE_WINDOWS
from monitor.detect.watch import Watch
from monitor.events.types import pages
from monitor.events.wording.drift import sentence

EVENT_START = 1_760_000_000.0
EVENT_RATE = 50.0
"""Records per second of event time: the defaults cover 27 minutes of traffic in 40 seconds."""


def print_setup(console: Console, config: Config, records: int, rate: float) -> None:
    """Print what runs, the traffic and its drift."""
    models = " and ".join(f"[bold]{model.name}[/]" for model in MODELS)
    window = config.windows.records
    print_line(console, "broker", "an embedded Kafka broker in this process")
    print_line(console, "traffic", f"{records:,} synthetic records of {models}, {rate:,.0f}/s")
    print_line(
        console,
        "daemon",
        f"windows of {window:,} records; reference: the first {REFERENCE_WINDOWS * window:,} of "
        "each model",
    )
    print_line(console, "drift", f"halfway, [bold]{INJECTED.model}[/] changes: {INJECTED.cause}")
    print_line(
        console,
        "compare",
        f"[bold]{EFFECT.model}[/] is in an experiment, {EFFECT.experiment}: the {EFFECT.treatment}"
        f" has better scores of {EFFECT.score}",
    )
    console.print()


def print_line(console: Console, head: str, text: str, colour: str = "cyan") -> None:
    """Print a line with a coloured head; its continuation is indented."""
    tables.print_paragraph(console, f"[{colour}]{head:<8}[/]", text)


def print_distribution(console: Console, watches: Sequence[Watch]) -> None:
    """Compare reference and current window of the feature with the injected drift."""
    for watch in watches:
        if watch.model == INJECTED.model and watch.profile is not None and watch.main.window.full:
            feature, window = INJECTED.features[0], watch.main.window
            title = f"{watch.model} {feature}"
            console.print()
            console.print(distribution(window.baseline, feature, window.current(), title))
            console.print()


def print_quality(console: Console, daemon: App) -> None:
    """Print the judged quality by model, with the number of samples and who judged."""
    if daemon.metrics.judging is None:
        text = "not judged: pip install '.[judges]' in a checkout"
        print_line(console, "quality", escape(text), "yellow")
        return
    for (model, rubric), counts in sorted(daemon.metrics.judging.scores.items()):
        number = sum(counts.buckets)
        print_line(
            console,
            "quality",
            f"[bold]{model}[/] {rubric.replace('_', ' ')}: {counts.total / number:.2f} of 5, mean"
            f" of {number:,} judged samples, by an offline stand-in judge (no language model)",
        )


def print_experiments(console: Console, result: report.Report) -> None:
    """Print the verdict of each variant."""
    for line in experiment_text.lines(result.experiments):
        print_line(console, "compare", escape(line))


def print_cost(console: Console, result: report.Report, cpu: float) -> None:
    """Print CPU time, memory and duration, with traffic generator and embedded broker."""
    megabytes = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    each = cpu / max(1, result.records) * 1e6
    print_line(
        console,
        "cost",
        f"{each:.0f} us of CPU per record and {megabytes:.0f} MB of memory, with traffic generator "
        f"and broker; {result.records:,} records in {result.seconds:.0f} s",
    )


def print_verdict(console: Console, result: report.Report, records: int) -> int:
    """Print true and false alarms, lost records and the verdict; return the exit status."""
    change = EVENT_START + records // 2 / EVENT_RATE
    paged = [event for event in result.events if pages(event.severity)]
    true = [e for e in paged if INJECTED.explains(e.model, e.feature) and e.time >= change]
    false = [event for event in paged if event not in true]
    for event in true:
        p_value = "" if event.p_value is None else f", p {event.p_value:.0e}"
        print_line(
            console,
            "found",
            f"[bold]{event.feature}[/] {event.severity} {_delay(event.time - change)} after the "
            f"change, by {', '.join(event.found_by)}{p_value}",
        )
    lost = records - result.records
    if lost:
        print_line(console, "lost", f"{lost:,} of {records:,} records were not processed", "red")
    for event in false:
        print_line(console, "false", f"false alarm: {escape(sentence(event))}", "red")
    missed = not any(event.feature == INJECTED.features[0] for event in true)
    if missed:
        print_line(
            console, "missed", f"the drift of {INJECTED.features[0]} was not reported", "red"
        )
    if lost or false or missed:
        return 1
    text = "The injected drift was reported, and nothing else."
    print_line(console, "verdict", f"[green]{text}[/]", "green")
    return 0


def _delay(seconds: float) -> str:
    """Format a delay in event time, with the records of both models in it."""
    return f"{seconds:.0f} s ({seconds * EVENT_RATE:,.0f} records)"
