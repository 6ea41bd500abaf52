"""Measure one run of the daemon, ingest and detect in one process, over a whole topic.

The start of the daemon is not measured: dummy members of its consumer group hold the partitions of
the log until it is ready. Progress is read from the committed offsets on the broker, because each
request to `/metrics` costs the daemon time. Only the count of detect is read from `/metrics`.
"""

from __future__ import annotations

import math
import time
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from confluent_kafka import Producer

from benchmarks.harness.daemon import ROOT, START_SECONDS, Daemon, DaemonError, running
from benchmarks.throughput import group
from monitor.config.schema import Config
from monitor.config.sections.kafka.section import KafkaConfig
from monitor.kafka.clients import producer_settings
from monitor.kafka.topics import Topics

INGEST_ONLY = "ingest"


@dataclass(frozen=True, slots=True)
class Primer:
    """Chunks that detect processes before the log begins.

    chunks: (model, chunk). records: number of records in all of them.
    """

    chunks: Sequence[tuple[str, bytes]]
    records: int


@dataclass(frozen=True, slots=True)
class Job:
    """One measurement: a topic, its number of records, and the daemon's `reference` settings.

    roles: the daemon's roles. flags: further ones of `plumbline run`.
    per_message: records in a message.
    root: checkout whose daemon is measured. settings: further sections of its configuration.
    """

    bootstrap: str
    topic: str
    partitions: int
    records: int
    reference: Mapping[str, Any]
    primer: Primer | None = None
    roles: str = "ingest,detect"
    per_message: int = 1
    root: Path = ROOT
    flags: tuple[str, ...] = ()
    settings: Mapping[str, Any] = field(default_factory=dict)

    @property
    def messages(self) -> int:
        """Number of messages."""
        return -(-self.records // self.per_message)

    @property
    def evaluated(self) -> int:
        """Records of one model that are evaluated: with a reference and a full window."""
        if self.roles == INGEST_ONLY:
            return 0
        if self.primer is not None:
            return self.records
        windows = Config().windows
        unevaluated = int(self.reference["records"]) + windows.records - windows.stride
        return max(0, self.records - unevaluated)


@dataclass(frozen=True, slots=True)
class Measurement:
    """wall_us, cpu_us: microseconds per record; rss_mb: peak resident memory.

    CPU time is that of all threads of the process; other work on the machine hardly changes it.
    Memory is measured for the daemon only; NaN for the others.
    """

    wall_us: float
    cpu_us: float
    rss_mb: float = math.nan


def measure(job: Job, directory: Path) -> Measurement:
    """Run a new daemon over the whole topic.

    Raises DaemonError.
    """
    config = KafkaConfig(
        bootstrap_servers=job.bootstrap, prefix=f"bench-{uuid.uuid4().hex[:8]}", logs=(job.topic,)
    )
    settings = {
        "kafka": config.model_dump(include={"bootstrap_servers", "prefix", "logs"}, mode="json"),
        "reference": dict(job.reference),
        "http": {"port": 0},
        "log": {"format": "json"},
        **job.settings,
    }
    with (
        group.holding(config, job.topic, job.partitions) as release,
        running(settings, directory, job.roles, job.root, job.flags) as daemon,
    ):
        daemon.wait("ready", daemon.ready, START_SECONDS)
        if job.primer is not None:
            _produce(config, job.primer)
            primed = job.primer.records
            daemon.wait("primed", lambda: daemon.watched() >= primed, START_SECONDS)
            daemon.wait_for_checkpoint()
        release()
        wall_us, cpu_us = _time_records(daemon, config, job)
        if job.evaluated > 0:
            daemon.wait("evaluating all models", daemon.evaluates_all_models, START_SECONDS)
        return Measurement(wall_us, cpu_us, daemon.peak_rss_mb())


def _time_records(daemon: Daemon, config: KafkaConfig, job: Job) -> tuple[float, float]:
    """Return wall and CPU time per record in microseconds.

    Measured from the first commit of ingest to the last record of detect. The result is
    conservative: the time includes detect's work on the first commit and the wait for the last
    one; the count excludes the records of the first commit.
    """
    goal = job.records + (job.primer.records if job.primer else 0)
    counted, started, cpu = 0, time.perf_counter(), daemon.cpu_seconds()
    with group.committed(config, job.topic, job.partitions) as committed:
        daemon.wait("consuming", lambda: committed() > 0, START_SECONDS, 0.02)
        first = committed()
        # If the first commit contains all records, the wait for it is measured instead.
        if first < job.messages:
            counted, started, cpu = (
                first * job.per_message,
                time.perf_counter(),
                daemon.cpu_seconds(),
            )
        daemon.wait_for_progress(committed, job.messages)
    if job.roles != INGEST_ONLY:
        daemon.wait_for_progress(daemon.watched, goal)
    seconds = time.perf_counter() - started, daemon.cpu_seconds() - cpu
    wall, cpu = (each / (job.records - counted) * 1e6 for each in seconds)
    return wall, cpu


def _produce(config: KafkaConfig, primer: Primer) -> None:
    producer = Producer(producer_settings(config, "bench", transactional=False))
    topic = Topics(config.prefix).features
    for model, chunk in primer.chunks:
        producer.produce(topic, chunk, model.encode())
    if producer.flush(60):
        raise DaemonError("the broker did not accept all chunks of the primer within 60 s")
