"""All measurements of the restart benchmark, against one broker."""

from __future__ import annotations

import sys
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from confluent_kafka import Producer

from benchmarks.harness.daemon import START_SECONDS, Daemon, DaemonError, running
from benchmarks.harness.messages import send
from benchmarks.restart import report
from benchmarks.restart.memory import watch_bytes
from benchmarks.restart.report import OFF, ON, Measurements, Restart, Run
from benchmarks.restart.traffic import BEFORE, WARM_UP, chunks, sample, warm_up_chunks
from monitor.config.sections.kafka.section import KafkaConfig
from monitor.kafka.clients import producer_settings
from monitor.kafka.readers.compacted import read_compacted
from monitor.kafka.topics import Topics
from tests.integration.broker import KafkaBroker

IDLE_SECONDS = 0.5
"""A daemon that has used no CPU for this long has no work left."""
IDLE_CPU_SECONDS = 0.015
"""CPU time that heartbeats of an idle daemon may use between two checks."""
WAIT_SECONDS = 300.0
FLUSH_SECONDS = 120.0


@dataclass(frozen=True, slots=True)
class Plan:
    """Size of the benchmark.

    restarts: number of restarts. pairs: pairs of runs with and without checkpoints. records:
    records of one run, all models together.
    """

    models: int
    restarts: int
    pairs: int
    records: int


class Benchmark:
    """All measurements against one broker, in a temporary directory.

    Each run continues from the checkpoint of the one before it. A run from scratch would mostly
    measure its first checkpoint, which alone contains the references.
    """

    def __init__(self, plan: Plan, broker: KafkaBroker, directory: Path) -> None:
        self.plan = plan
        self.broker = broker
        self.directory = directory
        self.kafka = KafkaConfig(
            bootstrap_servers=broker.bootstrap, prefix="restart", instance="bench"
        )
        self.started = time.monotonic()
        self.sample = sample()

    def report(self, text: str) -> None:
        """Print progress to stderr."""
        print(f"[{time.monotonic() - self.started:4.0f} s] {text}", file=sys.stderr, flush=True)

    def run(self) -> dict[str, Any]:
        """Run all measurements and return the result for the JSON file."""
        self.report("measuring the memory of watches")
        bytes_by_component = watch_bytes(self.sample)
        self._warm_up()
        restarts = [self._restart() for _ in range(self.plan.restarts)]
        live, stored = self._state_bytes()
        per_model = max(1, self.plan.records // self.plan.models)
        runs = self._runs(per_model)
        return report.result(
            Measurements(
                models=self.plan.models,
                records=per_model * self.plan.models,
                restarts=restarts,
                live_bytes=live,
                topic_bytes=stored,
                runs=runs,
                watch_bytes=bytes_by_component,
            )
        )

    @contextmanager
    def _daemon(self, checkpoint_seconds: float = ON) -> Iterator[Daemon]:
        """Run detect; stop it with a final checkpoint.

        Raises DaemonError if the daemon ends with an error.
        """
        settings = {
            "kafka": self.kafka.model_dump(
                include={"bootstrap_servers", "prefix", "instance"}, mode="json"
            ),
            "reference": {"source": "warmup", "records": WARM_UP},
            "state": {"checkpoint_seconds": checkpoint_seconds},
            "http": {"port": 0},
            "log": {"format": "json"},
        }
        with running(settings, self.directory, "detect") as daemon:
            yield daemon
            daemon.process.terminate()
            if code := daemon.process.wait(WAIT_SECONDS):
                raise DaemonError(f"the daemon exited with code {code}:\n{daemon.tail()}")

    def _warm_up(self) -> None:
        """Give every model a reference and a full window, and write them to a checkpoint."""
        self.report(f"filling the windows of {self.plan.models} models")
        with self._daemon() as daemon:
            daemon.wait("ready", daemon.ready, START_SECONDS)  # the topics exist from here on
            self._produce(warm_up_chunks(self.sample, self.plan.models))
            goal = self.plan.models * BEFORE
            daemon.wait("warmed up", lambda: daemon.watched() >= goal, WAIT_SECONDS, 1.0)

    def _restart(self) -> Restart:
        started = time.perf_counter()
        with self._daemon() as daemon:
            daemon.wait("ready", daemon.ready, START_SECONDS, 0.02)
            seconds = time.perf_counter() - started
            restored = daemon.log_entries("state restored")
        watches = sum(entry["watches"] for entry in restored)
        if watches != self.plan.models:
            raise DaemonError(f"{watches} of {self.plan.models} models were restored")
        measured = Restart(seconds, sum(entry["seconds"] for entry in restored))
        self.report(f"  ready after {seconds:.2f} s, {measured.restoring:.2f} s of it restoring")
        return measured

    def _state_bytes(self) -> tuple[int, int]:
        """Return bytes of the newest value of every key, and bytes of the topic's files."""
        topic = Topics(self.kafka.prefix).state
        live = sum(
            len(key) + len(value)
            for number in range(self.kafka.partitions)
            for key, value in read_compacted(self.kafka, topic, number, lambda: None).items()
        )
        files = self.broker.directory.rglob(f"{topic}-*/*.log")
        return live, sum(file.stat().st_size for file in files)

    def _runs(self, per_model: int) -> dict[float, list[Run]]:
        messages = chunks(self.sample, self.plan.models, per_model)
        goal = per_model * self.plan.models
        runs: defaultdict[float, list[Run]] = defaultdict(list)
        for number in range(self.plan.pairs):
            self.report(f"pair {number + 1} of {self.plan.pairs}")
            # Alternate the order, so that neither side is always first.
            for seconds in (ON, OFF) if number % 2 else (OFF, ON):
                runs[seconds].append(self._run(messages, goal, seconds))
        return runs

    def _run(
        self, messages: Sequence[tuple[bytes, bytes]], goal: int, checkpoint_seconds: float
    ) -> Run:
        """Measure detect over all messages, which are produced before it starts."""
        self._produce(messages)
        with self._daemon(checkpoint_seconds) as daemon:
            daemon.wait("ready", daemon.ready, START_SECONDS, 0.02)
            started, cpu = time.perf_counter(), daemon.cpu_seconds()
            ended, cpu_ended = _wait_until_idle(daemon, lambda: daemon.watched() >= goal)
            totals = daemon.totals()
            run = Run(
                ended - started,
                cpu_ended - cpu,
                totals["plumbline_checkpoint_bytes_total"],
                totals["plumbline_checkpoint_seconds"],
            )
        setting = "with" if checkpoint_seconds == ON else "without"
        self.report(
            f"  {setting} checkpoints: {goal / run.wall:,.0f} records/s, {run.cpu:.2f} s of CPU,"
            f" {run.state_bytes / 1e6:.0f} MB written"
        )
        return run

    def _produce(self, messages: Iterable[tuple[bytes, bytes]]) -> None:
        producer = Producer(producer_settings(self.kafka, "bench", transactional=False))
        topic = Topics(self.kafka.prefix).features
        for key, chunk in messages:
            send(producer, topic, chunk, key)
            producer.poll(0)
        if producer.flush(FLUSH_SECONDS):
            raise DaemonError(f"the broker did not accept all chunks in {FLUSH_SECONDS:g} s")


def _wait_until_idle(daemon: Daemon, done: Callable[[], bool]) -> tuple[float, float]:
    """Return time and CPU seconds at the daemon's last activity, once it is done.

    `done` is queried only while the daemon uses no CPU: with 200 models the answer costs it much.
    """
    active, cpu = time.perf_counter(), daemon.cpu_seconds()
    deadline = time.monotonic() + WAIT_SECONDS
    while time.monotonic() < deadline:
        daemon.check()
        time.sleep(0.02)
        now, used = time.perf_counter(), daemon.cpu_seconds()
        if used - cpu > IDLE_CPU_SECONDS:
            active, cpu = now, used
        elif now - active > IDLE_SECONDS:
            if done():
                return active, cpu
            active, cpu = time.perf_counter(), daemon.cpu_seconds()
    raise DaemonError(f"the daemon did not process all records in {WAIT_SECONDS:g} s")
