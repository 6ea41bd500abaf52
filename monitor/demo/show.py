"""`plumbline demo`: the daemon itself at work on made traffic that drifts half-way.

The embedded broker stands in for Kafka; ingest, detect and all between them are what `plumbline
run` runs. The demo ends well (status 0) when it has reported the injected drift and no other.
"""

from __future__ import annotations

import resource
import threading
import time
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path

import msgspec
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

from monitor import app, console, kafka, logs, report
from monitor.app import App
from monitor.config import (
    REFERENCE_WINDOWS,
    Config,
    KafkaConfig,
    LogConfig,
    WarmupReference,
    WindowsConfig,
)
from monitor.demo import plot
from monitor.demo.broker import EmbeddedBroker
from monitor.demo.traffic import INJECTED, PROFILES, model_of, traffic
from monitor.errors import UserError
from monitor.events import DriftEvent, sentence
from monitor.kafka import Topics
from monitor.segments import WHOLE
from monitor.watch import Watch

SEED = 7
EVENT_START = 1_760_000_000.0
EVENT_RATE = 50.0
"""Records a second of event time: the demo shows half an hour of a busy service in a minute."""
TICK = 0.05
AHEAD = 4_000
"""How many records the feed may be ahead of ingest: the embedded broker forgets what is older."""
PATIENCE = 60.0
"""Seconds that the daemon is given to read the rest, once all is fed."""
WIDEST = 80
MOST_RECORDS = 100_000_000


def run(seconds: float, rate: float, report_path: Path | None) -> int:
    """Show the demo; 0 if the injected drift was reported and no other, else 1.

    Raises UserError where there would be too few records to see anything.
    """
    records = int(min(seconds * rate, 2.0 * MOST_RECORDS))
    window = _window(records)
    broker = EmbeddedBroker()
    config = _config(window, broker.bootstrap_servers)
    logs.configure(config.log)
    broker.create([*config.kafka.logs, *Topics(config.kafka.prefix).settings()])
    daemon = App(config, app.ROLES)
    serving = threading.Thread(target=daemon.run, name="daemon")
    started, cpu = time.perf_counter(), time.process_time()
    screen = console.screen()
    screen.width = min(screen.width, WIDEST)
    _introduce(screen, config, records, rate)
    serving.start()
    try:
        events, watches = _play(screen, daemon, config, records, rate)
    finally:
        daemon.stop()
        serving.join()
    elapsed = time.perf_counter() - started
    result = report.build(
        models={watch.model: watch.seen for watch in watches},
        rejections=daemon.metrics.rejected,
        seconds=elapsed,
        events=sorted(events, key=lambda event: event.time),
    )
    if report_path:
        report.write(result, report_path)
    _plot(screen, watches)
    _cost(screen, result, time.process_time() - cpu)
    return _verdict(screen, result, records)


def _window(records: int) -> int:
    """A window short enough for so few records.

    Raises UserError where there is none.
    """
    window = min(1000, records // 6_000 * 100)
    if window < 200:
        raise UserError(
            f"{records:,} records are too few to see anything: --seconds times --rate must be "
            "at least 12,000"
        )
    if records > MOST_RECORDS:
        raise UserError(f"--seconds times --rate must be at most {MOST_RECORDS:,} records")
    return window


def _config(window: int, bootstrap_servers: str) -> Config:
    """The defaults, with this window and a reference of as few records as may be."""
    return Config(
        kafka=KafkaConfig(bootstrap_servers=bootstrap_servers),
        windows=WindowsConfig(records=window, stride=window // 10),
        reference=WarmupReference(records=REFERENCE_WINDOWS * window),
        http={"port": 0},  # type: ignore[arg-type]  # pydantic reads it as HttpConfig
        log=LogConfig(level="error"),
    )


def _introduce(screen: Console, config: Config, records: int, rate: float) -> None:
    models = ", ".join(f"[bold]{profile.model}[/]" for profile in PROFILES)
    window = config.windows.records
    _tell(screen, "broker", "Kafka's wire protocol, embedded in this process")
    _tell(screen, "traffic", f"{records:,} made inference logs at {rate:,.0f} a second of {models}")
    _tell(
        screen,
        "daemon",
        f"windows of {window:,} records; the first {REFERENCE_WINDOWS * window:,} of each model "
        "become its reference",
    )
    _tell(screen, "half-way", f"[bold]{INJECTED.model}[/] changes: {INJECTED.cause}")
    screen.print()


def _tell(screen: Console, head: str, text: str, colour: str = "cyan") -> None:
    console.print_paragraph(screen, f"[{colour}]{head:<8}[/]", text)


def _play(
    screen: Console, daemon: App, config: Config, records: int, rate: float
) -> tuple[list[DriftEvent], list[Watch]]:
    """Feed the traffic and follow the daemon until it has seen all.

    Returns the events that it wrote, and its watches as they were at the end.
    """
    events: list[DriftEvent] = []
    listener = _listener(config)
    feed = threading.Thread(target=_feed, args=(daemon, config, records, rate), name="feed")
    progress = Progress(
        SpinnerColumn(),
        TextColumn("{task.description:<32}"),
        BarColumn(bar_width=14),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        console=screen,
    )
    task = progress.add_task("starting", total=records)
    feed.start()
    deadline = None
    with Live(progress, console=screen, transient=True, refresh_per_second=8):
        while daemon.stopping.is_set() is False:
            for event in _heard(listener):
                events.append(event)
                console.print_event(screen, event)
            seen = sum(watch.seen for watch in _watches(daemon))
            _advance(screen, progress, task, seen, _phase(daemon, seen, records))
            if not feed.is_alive() and deadline is None:
                deadline = time.monotonic() + PATIENCE
            if seen >= records or (deadline and time.monotonic() > deadline):
                break
    feed.join()
    watches = _watches(daemon)  # a detect role that leaves its group forgets them
    daemon.stop()
    last = list(_heard(listener, patience=2.0))
    for event in last:
        console.print_event(screen, event)
    listener.close()
    return events + last, watches


def _advance(screen: Console, progress: Progress, task: TaskID, seen: int, phase: str) -> None:
    """Move the bar; where there is none, in a file or a pipe, say when a phase begins."""
    if phase != progress.tasks[0].description and not screen.is_terminal:
        screen.print(f"{seen:>9,} records  {phase}")
    progress.update(task, completed=seen, description=phase)


def _feed(daemon: App, config: Config, records: int, rate: float) -> None:
    """Produce the traffic at `rate` records a second, never far ahead of ingest."""
    producer = Producer(kafka.producer_settings(config.kafka, "demo", transactional=False))
    lines = traffic(records, change_at=records // 2, seed=SEED, rate=EVENT_RATE, start=EVENT_START)
    topic, sent, start = config.kafka.logs[0], 0, time.monotonic()
    while sent < records and not daemon.stopping.is_set():
        room = AHEAD - (sent - daemon.metrics.consumed[topic])
        due = min(int((time.monotonic() - start) * rate), records) - sent
        for line in islice(lines, max(0, min(room, due))):
            producer.produce(topic, line, key=model_of(line))
            sent += 1
        producer.poll(TICK)
    producer.flush(PATIENCE)


def _listener(config: Config) -> Consumer:
    settings = kafka.consumer_settings(config.kafka, "demo")
    listener = Consumer(settings)
    listener.subscribe([Topics(config.kafka.prefix).events])
    return listener


def _heard(listener: Consumer, patience: float = 0.1) -> Iterator[DriftEvent]:
    """The events written since it was last asked."""
    for message in listener.consume(100, patience):
        if message.error() is None:
            yield msgspec.json.decode(message.value() or b"", type=DriftEvent)


def _watches(daemon: App) -> list[Watch]:
    monitors = daemon.monitors()
    return [w for m in monitors for (_, segment), w in list(m.watches.items()) if segment == WHOLE]


def _phase(daemon: App, seen: int, records: int) -> str:
    if daemon.health.waiting:
        return "joining the consumer groups"
    if not seen or any(watch.profile is None for watch in _watches(daemon)):
        return "warming up: gathering references"
    if seen >= records:
        return "all seen"
    return "watching" if seen < records / 2 else "watching: the change is in"


def _plot(screen: Console, watches: Sequence[Watch]) -> None:
    """Reference against current for what was injected."""
    for watch in watches:
        if watch.model == INJECTED.model and watch.profile is not None:
            feature = INJECTED.features[0]
            reference, current = watch.values(feature)
            title = f"{watch.model} {feature}"
            width = max(40, min(screen.width, 72))
            drawn = plot.histogram_plot(reference, current, title=title, unit="ms", width=width)
            screen.print()
            screen.print(plot.render(drawn))
            screen.print()


def _cost(screen: Console, result: report.Report, cpu: float) -> None:
    """What it took, feed and embedded broker included."""
    megabytes = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    each = cpu / max(1, result.records) * 1e6
    _tell(
        screen,
        "cost",
        f"{each:.0f} us of CPU a record, traffic and broker included; {megabytes:.0f} MB of "
        f"memory; {result.records:,} records in {result.seconds:.0f} s",
    )


def _verdict(screen: Console, result: report.Report, records: int) -> int:
    """Say what was found; whether it is what was injected, and nothing else."""
    change = EVENT_START + records // 2 / EVENT_RATE
    true = [e for e in result.events if INJECTED.explains(e.model, e.feature) and e.time >= change]
    false = [event for event in result.events if event not in true]
    for event in true:
        known = "" if event.p_value is None else f", p {event.p_value:.0e}"
        _tell(
            screen,
            "found",
            f"[bold]{event.feature}[/] {event.severity} {_after(event.time - change)} after the "
            f"change, by {', '.join(event.found_by)}{known}",
        )
    lost = records - result.records
    if lost:
        _tell(screen, "lost", f"{lost:,} records did not arrive", "red")
    for event in false:
        _tell(screen, "false", f"reported without cause: {escape(sentence(event))}", "red")
    missed = not any(event.feature == INJECTED.features[0] for event in true)
    if missed:
        _tell(screen, "missed", f"the change of {INJECTED.features[0]} was not reported", "red")
    if lost or false or missed:
        return 1
    _tell(screen, "verdict", "[green]The injected drift was reported, and no other.[/]", "green")
    return 0


def _after(seconds: float) -> str:
    """Event time, at which the whole traffic comes at EVENT_RATE."""
    return f"{seconds:.0f} s ({seconds * EVENT_RATE:,.0f} records)"
