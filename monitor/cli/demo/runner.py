"""`plumbline demo`: the daemon on an embedded broker, with synthetic traffic that drifts halfway.

The roles are those of `plumbline run`. The exit status is 0 if the injected drift was reported and
nothing else.
"""

from __future__ import annotations

import resource
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import nullcontext, suppress
from importlib.util import find_spec
from itertools import islice
from pathlib import Path

from confluent_kafka import Consumer, Producer
from rich.console import Console
from rich.live import Live
from rich.markup import escape
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    SpinnerColumn,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
)

from monitor.app import App
from monitor.cli import report
from monitor.cli.console import tables
from monitor.cli.demo.broker import EmbeddedBroker
from monitor.cli.demo.distribution import distribution
from monitor.cli.demo.stand_in_judge import NAME, StandInJudge
from monitor.cli.demo.traffic import INJECTED, MODELS, model_of, traffic
from monitor.config.schema import Config
from monitor.config.sections.detection import REFERENCE_WINDOWS, WarmupReference, WindowsConfig
from monitor.config.sections.judging.budget import ModelPrice
from monitor.config.sections.judging.client import JudgeClientConfig
from monitor.config.sections.judging.section import JudgesConfig
from monitor.config.sections.kafka.section import KafkaConfig
from monitor.config.sections.process import LogConfig
from monitor.config.sections.sampling import SamplingConfig
from monitor.detect.watch import Watch
from monitor.errors import UserError
from monitor.events.codec import UnknownEventType, decode_event
from monitor.events.types import DriftEvent, pages
from monitor.events.wording.drift import sentence
from monitor.ingest.files import Rejection
from monitor.kafka.clients import consumer_settings, producer_settings
from monitor.kafka.topics import Topics
from monitor.roles.names import ROLES
from monitor.telemetry import logging

SEED = 7
EVENT_START = 1_760_000_000.0
EVENT_RATE = 50.0
"""Records per second of event time: the defaults cover 27 minutes of traffic in 40 seconds."""
SAMPLED = 0.01
"""Share of the records that are judged."""
TICK_SECONDS = 0.05
MAX_LEAD = 4_000
"""Records that the producer may be ahead of ingest; the embedded broker drops older ones."""
DRAIN_SECONDS = 60.0
"""Time for the daemon to process the rest after the last record was produced."""
MAX_WIDTH = 80
MAX_RECORDS = 100_000_000


def run(seconds: float, rate: float, report_path: Path | None) -> int:
    """Run the demo; return 0 if the injected drift was reported and nothing else, otherwise 1.

    Raises UserError if the number of records is too small or too large.
    """
    records = int(min(seconds * rate, 2.0 * MAX_RECORDS))
    window = _window_records(records)
    broker = EmbeddedBroker()
    judge = StandInJudge() if _can_judge() else None
    config = _config(window, broker.bootstrap_servers, judge)
    logging.configure(config.log)
    topics = Topics(config.kafka.prefix).settings(
        sampled=config.sampled, judged=config.judges.enabled
    )
    broker.create([*config.kafka.logs, *topics])
    daemon = App(config, ROLES)
    serving = threading.Thread(target=daemon.run, name="daemon")
    started, cpu = time.perf_counter(), time.process_time()
    console = tables.new_console()
    console.width = min(console.width, MAX_WIDTH)
    _print_setup(console, config, records, rate)
    serving.start()
    with judge or nullcontext():
        try:
            events, watches = _follow(console, daemon, config, records, rate)
        finally:
            daemon.stop()
            serving.join()
    elapsed = time.perf_counter() - started
    result = report.build(
        models={watch.model: watch.seen for watch in watches},
        rejections=[Rejection(*each) for each in daemon.metrics.rejected.most_common()],
        seconds=elapsed,
        events=sorted(events, key=lambda event: event.time),
    )
    if report_path:
        report.write(result, report_path)
    _print_distribution(console, watches)
    _print_quality(console, daemon)
    _print_cost(console, result, time.process_time() - cpu)
    return _print_verdict(console, result, records)


def _window_records(records: int) -> int:
    """Return a window length for a demo of this many records.

    Raises UserError if there are too few or too many.
    """
    window = min(1000, records // 6_000 * 100)
    if window < 200:
        raise UserError(
            f"{records:,} records are too few for a demo: --seconds times --rate must be at least "
            "12,000"
        )
    if records > MAX_RECORDS:
        raise UserError(f"--seconds times --rate must be at most {MAX_RECORDS:,}")
    return window


def _can_judge() -> bool:
    """Return whether the client of judges is installed: it is not part of a plain install."""
    return find_spec("aiohttp") is not None


def _config(window: int, bootstrap_servers: str, judge: StandInJudge | None) -> Config:
    """Return the defaults, with this window and the smallest reference that it allows."""
    return Config(
        judges=JudgesConfig() if judge is None else _judges(judge),
        sampling=SamplingConfig(rate=SAMPLED),
        kafka=KafkaConfig(bootstrap_servers=bootstrap_servers),
        windows=WindowsConfig(records=window, stride=window // 10),
        reference=WarmupReference(records=REFERENCE_WINDOWS * window),
        http={"port": 0},  # type: ignore[arg-type]  # pydantic converts it
        log=LogConfig(level="error"),
    )


def _judges(judge: StandInJudge) -> JudgesConfig:
    """Return a section that judges by the stand-in, which costs nothing."""
    return JudgesConfig(
        rubrics=("answer_quality",),
        model=NAME,
        client=JudgeClientConfig(base_url=judge.url),
        prices={NAME: ModelPrice(input=0.0, output=0.0)},
    )


def _print_setup(console: Console, config: Config, records: int, rate: float) -> None:
    models = " and ".join(f"[bold]{model.name}[/]" for model in MODELS)
    window = config.windows.records
    _print_line(console, "broker", "an embedded Kafka broker in this process")
    _print_line(console, "traffic", f"{records:,} synthetic records of {models}, {rate:,.0f}/s")
    _print_line(
        console,
        "daemon",
        f"windows of {window:,} records; reference: the first {REFERENCE_WINDOWS * window:,} of "
        "each model",
    )
    _print_line(console, "drift", f"halfway, [bold]{INJECTED.model}[/] changes: {INJECTED.cause}")
    console.print()


def _print_line(console: Console, head: str, text: str, colour: str = "cyan") -> None:
    tables.print_paragraph(console, f"[{colour}]{head:<8}[/]", text)


def _follow(
    console: Console, daemon: App, config: Config, records: int, rate: float
) -> tuple[list[DriftEvent], list[Watch]]:
    """Produce the traffic and print events and progress until the daemon has processed all records.

    Returns the events, and the watches as they were at the end.
    """
    events: list[DriftEvent] = []
    consumer = _event_consumer(config)
    producer = threading.Thread(
        target=_produce, args=(daemon, config, records, rate), name="producer"
    )
    progress = Progress(
        SpinnerColumn(),
        TextColumn("{task.description:<32}"),
        BarColumn(bar_width=14),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        console=console,
    )
    task = progress.add_task("starting", total=records)
    producer.start()
    deadline = None
    with Live(progress, console=console, transient=True, refresh_per_second=8):
        while daemon.stopping.is_set() is False:
            for event in _new_events(consumer):
                events.append(event)
                tables.print_event(console, event)
            seen = sum(watch.seen for watch in _watches(daemon))
            _update_progress(console, progress, task, seen, _phase(daemon, seen, records))
            if not producer.is_alive() and deadline is None:
                deadline = time.monotonic() + DRAIN_SECONDS
            if seen >= records or (deadline and time.monotonic() > deadline):
                break
    producer.join()
    watches = _watches(daemon)  # before the stop: a detect role drops them when it leaves its group
    daemon.stop()
    last = list(_new_events(consumer, timeout=2.0))
    for event in last:
        tables.print_event(console, event)
    consumer.close()
    return events + last, watches


def _update_progress(
    console: Console, progress: Progress, task: TaskID, seen: int, phase: str
) -> None:
    """Update the progress bar; in a file or a pipe, print a line when a phase begins."""
    if phase != progress.tasks[0].description and not console.is_terminal:
        console.print(f"{seen:>9,} records  {phase}")
    progress.update(task, completed=seen, description=phase)


def _produce(daemon: App, config: Config, records: int, rate: float) -> None:
    """Produce the traffic at `rate` records per second, at most MAX_LEAD ahead of ingest."""
    producer = Producer(producer_settings(config.kafka, "demo", transactional=False))
    lines = traffic(records, change_at=records // 2, seed=SEED, rate=EVENT_RATE, start=EVENT_START)
    topic, sent, start = config.kafka.logs[0], 0, time.monotonic()
    while sent < records and not daemon.stopping.is_set():
        room = MAX_LEAD - (sent - daemon.metrics.consumed[topic])
        due = min(int((time.monotonic() - start) * rate), records) - sent
        for line in islice(lines, max(0, min(room, due))):
            producer.produce(topic, line, key=model_of(line))
            sent += 1
        producer.poll(TICK_SECONDS)
    producer.flush(DRAIN_SECONDS)


def _event_consumer(config: Config) -> Consumer:
    consumer = Consumer(consumer_settings(config.kafka, "demo"))
    consumer.subscribe([Topics(config.kafka.prefix).events])
    return consumer


def _new_events(consumer: Consumer, timeout: float = 0.1) -> Iterator[DriftEvent]:
    """Yield the events since the last call; wait for up to `timeout` seconds."""
    for message in consumer.consume(100, timeout):
        if message.error() is None:
            with suppress(UnknownEventType):
                yield decode_event(message.value() or b"")


def _watches(daemon: App) -> list[Watch]:
    return [watch for monitor in daemon.monitors() for watch in monitor.log.whole()]


def _phase(daemon: App, seen: int, records: int) -> str:
    if daemon.health.not_ready:
        return "joining the consumer groups"
    watches = _watches(daemon)
    if len(watches) < len(MODELS) or any(watch.profile is None for watch in watches):
        return "warming up: building references"
    if seen >= records:
        return "all records processed"
    return "watching" if seen < records / 2 else "watching: after the change"


def _print_distribution(console: Console, watches: Sequence[Watch]) -> None:
    """Compare reference and current window of the feature with the injected drift."""
    for watch in watches:
        if watch.model == INJECTED.model and watch.profile is not None and watch.main.window.full:
            feature, window = INJECTED.features[0], watch.main.window
            title = f"{watch.model} {feature}"
            console.print()
            console.print(distribution(window.baseline, feature, window.current(), title))
            console.print()


def _print_quality(console: Console, daemon: App) -> None:
    """Print the judged quality by model, with the number of samples and who judged."""
    if daemon.metrics.judging is None:
        text = "not judged: pip install '.[judges]' in a checkout"
        _print_line(console, "quality", escape(text), "yellow")
        return
    for (model, rubric), counts in sorted(daemon.metrics.judging.scores.items()):
        number = sum(counts.buckets)
        _print_line(
            console,
            "quality",
            f"[bold]{model}[/] {rubric.replace('_', ' ')}: {counts.total / number:.2f} of 5, mean"
            f" of {number:,} judged samples, by an offline stand-in judge (no language model)",
        )


def _print_cost(console: Console, result: report.Report, cpu: float) -> None:
    """Print CPU time, memory and duration, with traffic generator and embedded broker."""
    megabytes = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    each = cpu / max(1, result.records) * 1e6
    _print_line(
        console,
        "cost",
        f"{each:.0f} us of CPU per record and {megabytes:.0f} MB of memory, with traffic generator "
        f"and broker; {result.records:,} records in {result.seconds:.0f} s",
    )


def _print_verdict(console: Console, result: report.Report, records: int) -> int:
    """Print true and false alarms, lost records and the verdict; return the exit status."""
    change = EVENT_START + records // 2 / EVENT_RATE
    paged = [event for event in result.events if pages(event.severity)]
    true = [e for e in paged if INJECTED.explains(e.model, e.feature) and e.time >= change]
    false = [event for event in paged if event not in true]
    for event in true:
        p_value = "" if event.p_value is None else f", p {event.p_value:.0e}"
        _print_line(
            console,
            "found",
            f"[bold]{event.feature}[/] {event.severity} {_delay(event.time - change)} after the "
            f"change, by {', '.join(event.found_by)}{p_value}",
        )
    lost = records - result.records
    if lost:
        _print_line(console, "lost", f"{lost:,} of {records:,} records were not processed", "red")
    for event in false:
        _print_line(console, "false", f"false alarm: {escape(sentence(event))}", "red")
    missed = not any(event.feature == INJECTED.features[0] for event in true)
    if missed:
        _print_line(
            console, "missed", f"the drift of {INJECTED.features[0]} was not reported", "red"
        )
    if lost or false or missed:
        return 1
    text = "The injected drift was reported, and nothing else."
    _print_line(console, "verdict", f"[green]{text}[/]", "green")
    return 0


def _delay(seconds: float) -> str:
    """Format a delay in event time, with the records of both models in it."""
    return f"{seconds:.0f} s ({seconds * EVENT_RATE:,.0f} records)"
