"""Measures the real daemon: `plumbline run`, both roles in one process, from outside.

What is measured is the daemon at work, not its start. Until it is up, dummy members of its own
consumer group hold the partitions of the log; they leave, and the log is all its own at that
moment. Progress is asked of the broker (committed offsets), because each look at /metrics costs the
daemon time; only the end, detect's own count, is asked of the daemon.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from confluent_kafka import Producer

from benchmarks import group
from monitor import kafka
from monitor.config import Config, KafkaConfig
from monitor.kafka import Topics
from monitor.roles.detect import STATE_BYTES_PER_SECOND

ROOT = Path(__file__).resolve().parents[1]
COMMAND = (sys.executable, "-c", "import sys; from monitor.cli import main; sys.exit(main())")
START_SECONDS = 90.0
STALLED_SECONDS = 60.0
"""Without any progress for so long, the daemon counts as broken."""


class DaemonError(Exception):
    """The daemon did not start, stopped, or did not do all that was to be measured."""


@dataclass(frozen=True, slots=True)
class Primer:
    """What detect has to have seen before the log begins: (model, chunk), and how many records."""

    chunks: Sequence[tuple[str, bytes]]
    records: int


@dataclass(frozen=True, slots=True)
class Job:
    """One measurement: which topic of how many records, and the daemon's configuration."""

    bootstrap: str
    topic: str
    partitions: int
    records: int
    reference: Mapping[str, Any]
    primer: Primer | None = None

    @property
    def evaluated(self) -> int:
        """The records, of one model, that meet a full window and a reference."""
        if self.primer is not None:
            return self.records
        windows = Config().windows
        idle = int(self.reference["records"]) + windows.records - windows.stride
        return max(0, self.records - idle)


@dataclass(frozen=True, slots=True)
class Measured:
    """wall_us, cpu_us: microseconds a record; rss_mb: peak resident memory."""

    wall_us: float
    cpu_us: float
    rss_mb: float


def measure(job: Job, directory: Path) -> Measured:
    """Run the daemon over the whole topic, from scratch.

    Raises DaemonError.
    """
    config = KafkaConfig(
        bootstrap_servers=job.bootstrap, prefix=f"bench-{uuid.uuid4().hex[:8]}", logs=(job.topic,)
    )
    with (
        group.holding(config, job.topic, job.partitions) as release,
        _running(config, job, directory) as daemon,
    ):
        daemon.wait("ready", daemon.ready, START_SECONDS)
        if job.primer is not None:
            _produce(config, job.primer)
            primed = job.primer.records
            daemon.wait("primed", lambda: daemon.watched() >= primed, START_SECONDS)
            daemon.wait_until_saved()
        release()
        wall_us, cpu_us = _follow(daemon, config, job)
        if job.evaluated > 0:
            daemon.wait("watching", daemon.watching, START_SECONDS)
        return Measured(wall_us, cpu_us, daemon.peak_rss_mb())


def _follow(daemon: Daemon, config: KafkaConfig, job: Job) -> tuple[float, float]:
    """Microseconds a record by the clock, and of CPU time.

    From ingest's first commit to detect's last record. Conservative: what detect has to do for the
    first commit, and the wait for the last one, are in the time, and the records of the first
    commit are not in the count.
    """
    goal = job.records + (job.primer.records if job.primer else 0)
    counted, started, cpu = 0, time.perf_counter(), daemon.cpu_seconds()
    with group.committed(config, job.topic, job.partitions) as committed:
        daemon.wait("reading", lambda: committed() > 0, START_SECONDS, 0.02)
        first = committed()
        if first < job.records:  # else so few that one commit holds all: the wait for it counts
            counted, started, cpu = first, time.perf_counter(), daemon.cpu_seconds()
        daemon.wait_while_moving(committed, job.records)
    daemon.wait_while_moving(daemon.watched, goal)
    seconds = time.perf_counter() - started, daemon.cpu_seconds() - cpu
    wall, cpu = (each / (job.records - counted) * 1e6 for each in seconds)
    return wall, cpu


class Daemon:
    """A running `plumbline run`, as seen from outside."""

    def __init__(self, process: subprocess.Popen[bytes], log: Path) -> None:
        self.process = process
        self.log = log
        self.port = 0

    def wait(
        self, what: str, condition: Callable[[], bool], seconds: float, pause: float = 0.1
    ) -> None:
        """Wait until a condition holds.

        Raises DaemonError when that takes too long, or the daemon ends.
        """
        deadline = time.monotonic() + seconds
        while not condition():
            self.check()
            if time.monotonic() > deadline:
                raise DaemonError(f"not {what} after {seconds:g} s:\n{self._tail()}")
            time.sleep(pause)

    def wait_while_moving(self, progress: Callable[[], int], goal: int) -> None:
        """Wait until a count reaches its goal, as long as it grows."""
        last, since = -1, time.monotonic()
        while (count := progress()) < goal:
            self.check()
            if count > last:
                last, since = count, time.monotonic()
            elif time.monotonic() - since > STALLED_SECONDS:
                raise DaemonError(f"stuck at {count} of {goal} records:\n{self._tail()}")
            time.sleep(0.05)

    def wait_until_saved(self) -> None:
        """Wait until a checkpoint has all references, and the pause after it is over.

        They are written once, which belongs to the start: from then on checkpoints come as often,
        and are as large, as they are on any day.
        """
        written, since = self.checkpointed(), time.monotonic()
        pause = 0.0
        while time.monotonic() - since < pause + 1:
            self.check()
            time.sleep(0.1)
            if (now := self.checkpointed()) != written:
                written, since = now, time.monotonic()
            pause = max(Config().state.checkpoint_seconds, written / STATE_BYTES_PER_SECOND)

    def check(self) -> None:
        """Raise DaemonError if it has ended."""
        if self.process.poll() is not None:
            raise DaemonError(f"the daemon ended by itself:\n{self._tail()}")

    def _tail(self) -> str:
        return self.log.read_text(errors="replace")[-2000:]

    def ready(self) -> bool:
        """Whether all roles have joined their groups; finds the port that it listens on."""
        if not self.port:
            for line in self.log.read_text(errors="replace").splitlines():
                if '"event": "started"' in line:
                    self.port = int(json.loads(line)["port"])
        return bool(self.port) and self._get("/readyz") is not None

    def watched(self) -> int:
        """Records that detect has seen."""
        return int(sum(self._series("plumbline_records_watched_total")))

    def checkpointed(self) -> int:
        """Bytes of all checkpoints."""
        return int(sum(self._series("plumbline_checkpoint_bytes_total")))

    def watching(self) -> bool:
        """Whether every model has a reference and a full window: the detectors really worked."""
        references = self._series("plumbline_reference_records")
        windows = self._series("plumbline_window_records")
        full = Config().windows.records
        return 0 < len(references) == len(windows) and min(references) > 0 and min(windows) >= full

    def _series(self, name: str) -> list[float]:
        lines = (self._get("/metrics") or "").splitlines()
        found = [line for line in lines if line.startswith((f"{name}{{", f"{name} "))]
        return [float(line.rsplit(" ", 1)[1]) for line in found]

    def _get(self, path: str) -> str | None:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.port}{path}", timeout=30) as page:
                return str(page.read().decode())
        except urllib.error.HTTPError:
            return None

    def cpu_seconds(self) -> float:
        """User and system time of all its threads."""
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def peak_rss_mb(self) -> float:
        """The most resident memory that it ever had, in MB."""
        for line in Path(f"/proc/{self.process.pid}/status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) / 1000
        raise DaemonError("no VmHWM in /proc")

    def end(self) -> None:
        """Stop it in order, or by force."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(60)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


@contextmanager
def _running(config: KafkaConfig, job: Job, directory: Path) -> Iterator[Daemon]:
    settings = {
        "kafka": config.model_dump(include={"bootstrap_servers", "prefix", "logs"}, mode="json"),
        "reference": dict(job.reference),
        "http": {"port": 0},
        "log": {"format": "json"},
    }
    file, log = directory / f"{config.prefix}.yaml", directory / f"{config.prefix}.log"
    file.write_text(yaml.safe_dump(settings))
    # the shell's own settings must not change what is measured
    kept = {key: v for key, v in os.environ.items() if not key.startswith("PLUMBLINE__")}
    with log.open("wb") as out:
        process = subprocess.Popen(
            [*COMMAND, "run", "-c", str(file)], cwd=ROOT, env=kept, stdout=out, stderr=out
        )
    daemon = Daemon(process, log)
    try:
        yield daemon
    finally:
        daemon.end()


def _produce(config: KafkaConfig, primer: Primer) -> None:
    producer = Producer(kafka.producer_settings(config, "bench", transactional=False))
    topic = Topics(config.prefix).features
    for model, chunk in primer.chunks:
        producer.produce(topic, chunk, model.encode())
    if producer.flush(60):
        raise DaemonError("the primer was not taken")


def children(arguments: Sequence[str]) -> Any:
    """What a module of ours, run as a fresh process, prints as JSON."""
    done = subprocess.run(
        [sys.executable, "-m", *arguments], cwd=ROOT, check=False, capture_output=True, text=True
    )
    if done.returncode:
        raise DaemonError(f"{arguments[0]} failed:\n{done.stderr[-2000:]}")
    return json.loads(done.stdout)
