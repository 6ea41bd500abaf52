"""`plumbline demo`: the daemon on an embedded broker, with synthetic traffic that drifts halfway.

The roles are those of `plumbline run`. The exit status is 0 if the injected drift was reported and
nothing else.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext, suppress
from importlib.util import find_spec
from itertools import islice
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from confluent_kafka import Consumer, Producer
from msgspec.structs import replace
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
from monitor.cli.demo import pages as web_pages
from monitor.cli.demo import printing
from monitor.cli.demo.broker import EmbeddedBroker
from monitor.cli.demo.experiment import experiments
from monitor.cli.demo.stand_in_judge import NAME, StandInJudge
from monitor.cli.demo.traffic import MODELS, model_of, traffic
from monitor.config.schema import Config
from monitor.config.sections.detection import REFERENCE_WINDOWS, WarmupReference, WindowsConfig
from monitor.config.sections.ingest.sampling import SamplingConfig
from monitor.config.sections.judging.budget import ModelPrice
from monitor.config.sections.judging.client import JudgeClientConfig
from monitor.config.sections.judging.section import JudgesConfig
from monitor.config.sections.kafka.section import KafkaConfig
from monitor.config.sections.process.section import LogConfig
from monitor.detect.watch import Watch
from monitor.errors import UserError
from monitor.events.codec import UnknownEventType, decode_event
from monitor.events.types import DriftEvent
from monitor.experiments.report.summary import summaries
from monitor.ingest.files import Rejection
from monitor.kafka.clients import consumer_settings, producer_settings
from monitor.kafka.topics import Topics
from monitor.roles.names import ROLES
from monitor.telemetry import logging

SEED = 7
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
    with TemporaryDirectory(prefix="plumbline-demo-") as folder, judge or nullcontext():
        config = _config(window, broker.bootstrap_servers, judge, Path(folder))
        logging.configure(config.log)
        topics = Topics(config.kafka.prefix).settings(
            sampled=config.sampled,
            judged=config.judges.enabled,
            experiments=bool(config.experiments),
        )
        broker.create([*config.kafka.logs, *topics])
        daemon = App(config, ROLES)
        console = tables.new_console()
        console.width = min(console.width, MAX_WIDTH)
        printing.print_setup(console, config, records, rate)
        with _serving(daemon):
            return _run(console, daemon, records, rate, report_path)


@contextmanager
def _serving(daemon: App) -> Iterator[None]:
    """Run the daemon in a thread, and stop it at the end."""
    serving = threading.Thread(target=daemon.run, name="daemon")
    serving.start()
    try:
        yield
    finally:
        daemon.stop()
        serving.join()


def _run(console: Console, daemon: App, records: int, rate: float, report_path: Path | None) -> int:
    """Produce the traffic, print and write the result, show the pages; return the exit status."""
    started, cpu = time.perf_counter(), time.process_time()
    events, watches = _follow(console, daemon, daemon.config, records, rate)
    elapsed, cpu = time.perf_counter() - started, time.process_time() - cpu
    result = report.build(
        models={watch.model: watch.seen for watch in watches},
        rejections=[Rejection(*each) for each in daemon.metrics.rejected.most_common()],
        seconds=elapsed,
        events=sorted(events, key=lambda event: event.time),
    )
    result = replace(result, experiments=_experiments(daemon))
    if report_path:
        report.write(result, report_path)
    printing.print_distribution(console, watches)
    printing.print_quality(console, daemon)
    printing.print_experiments(console, result)
    printing.print_cost(console, result, cpu)
    status = printing.print_verdict(console, result, records)
    _show_pages(console, daemon)
    return status


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


def _config(
    window: int, bootstrap_servers: str, judge: StandInJudge | None, folder: Path
) -> Config:
    """Return the defaults, with this window and the smallest reference that it allows."""
    return Config(
        judges=JudgesConfig() if judge is None else _judges(judge),
        experiments=experiments(),
        web=web_pages.section(),
        store=web_pages.store(folder),
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
    lines = traffic(
        records,
        change_at=records // 2,
        seed=SEED,
        rate=printing.EVENT_RATE,
        start=printing.EVENT_START,
    )
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
    if not daemon.started or daemon.health.not_ready:
        return "joining the consumer groups"
    watches = _watches(daemon)
    if len(watches) < len(MODELS) or any(watch.profile is None for watch in watches):
        return "warming up: building references"
    if seen >= records:
        return "all records processed"
    return "watching" if seen < records / 2 else "watching: after the change"


def _experiments(daemon: App) -> dict[str, Any]:
    """Return the experiments as in a report: before the stop, when the role drops its results."""
    with daemon.metrics.lock:
        known = daemon.metrics.experiments
        return {} if known is None else summaries(known.results)


def _show_pages(console: Console, daemon: App) -> None:
    """Print the address of the pages and keep them until a key is pressed, at a terminal."""
    if not web_pages.at_terminal() or daemon.stopping.is_set():
        return
    if daemon.web is None:
        text = "not installed: pip install '.[web]' in a checkout"
        printing.print_line(console, "pages", escape(text), "yellow")
        return
    address = f"http://127.0.0.1:{daemon.web.port}/"
    printing.print_line(console, "pages", f"[bold]{address}[/], until you press a key")
    web_pages.wait_for_key(daemon.stopping)
