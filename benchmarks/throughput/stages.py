"""Time the daemon's stages, run one after the other in one thread.

    python -m benchmarks.throughput.stages BOOTSTRAP TOPIC RECORDS

The stages call the daemon's functions on batches as the daemon reads them. The command prints
microseconds per record by stage. In the daemon, ingest and detect overlap, and Kafka's threads run
beside both.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import time
import uuid
from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from functools import partial
from typing import TypeVar

import numpy as np
from confluent_kafka import Message, Producer
from numpy.typing import NDArray

from benchmarks.throughput.consumers import next_batch, whole_topic
from monitor.config.schema import Config
from monitor.config.sections.kafka.section import KafkaConfig
from monitor.config.sections.process.section import LogConfig
from monitor.detect.reference import builder, sources
from monitor.detect.reference.profile import Profile
from monitor.detect.watch import Watch
from monitor.ingest import files
from monitor.ingest.chunks.chunk import decode_chunk, encode_chunk
from monitor.ingest.chunks.columns import Columns
from monitor.ingest.chunks.segments import WHOLE
from monitor.ingest.decode.decoded import Decoded
from monitor.ingest.features import Batch
from monitor.ingest.fields import fields
from monitor.kafka.admin import ensure_topics
from monitor.kafka.clients import producer_settings
from monitor.kafka.messages import message_offset
from monitor.kafka.topics import Topics
from monitor.records import Source
from monitor.roles.ingest import COMMIT_SECONDS
from monitor.roles.ingest_records import EXTRACT_RECORDS
from monitor.telemetry import logging
from monitor.telemetry.counters.metrics import Metrics

T = TypeVar("T")
WARM_UP = 10_000
TIMEOUT_SECONDS = 60.0
PER_COMMIT = ("commit", "metrics")
"""Stages that process several batches at once."""


class Stages:
    """Seconds by stage and batch, and records by batch."""

    def __init__(self) -> None:
        self.seconds: defaultdict[str, list[float]] = defaultdict(list)
        self.records: list[int] = []

    def timed(self, stage: str, work: Callable[[], T]) -> T:
        """Return the result of `work`; add its time to the stage in the newest batch."""
        started = time.perf_counter()
        result = work()
        row = self.seconds[stage]
        row += [0.0] * (len(self.records) - len(row))
        row[-1] += time.perf_counter() - started
        return result

    def medians(self) -> dict[str, float]:
        """Return microseconds per record by stage: the mean for PER_COMMIT, else the median."""
        total = sum(self.records)
        medians = {}
        for stage, row in self.seconds.items():
            if stage in PER_COMMIT:
                medians[stage] = sum(row) / total * 1e6
            else:
                used = [s / n * 1e6 for s, n in zip(row, self.records, strict=False) if s]
                medians[stage] = statistics.median(used)
        return medians


class Detection:
    """The windows and detectors of one model's Watch, each detector timed."""

    def __init__(self, config: Config, profile: Profile, stages: Stages) -> None:
        self.stages = stages
        self.watch = Watch("model", WHOLE, sources.settings(config)[Source.LOG], lambda: None)
        self.watch.adopt(profile)
        self.records = 0

    def process(self, chunk: Columns) -> None:
        """Add a chunk to the window and evaluate every stride of it."""
        timed, track = self.stages.timed, self.watch.main
        numbers = np.arange(self.records + 1, self.records + 1 + len(chunk))
        self.records += len(chunk)
        for strides in timed("windows", lambda: list(track.buffer.strides(chunk, numbers))):
            extend = partial(track.window.extend, strides.values, strides.categories)
            windows = timed("windows", extend)
            for detector in track.detectors:
                timed(detector.name, partial(detector.update, windows))


class Pipeline:
    """Ingest and detect in one thread."""

    def __init__(self, bootstrap: str) -> None:
        self.config = Config(
            kafka=KafkaConfig(bootstrap_servers=bootstrap, prefix=f"bench-{uuid.uuid4().hex[:8]}")
        )
        self.topic = Topics(self.config.kafka.prefix).features
        settings = producer_settings(self.config.kafka, "bench", transactional=True)
        self.producer = Producer(settings)
        self.producer.init_transactions(TIMEOUT_SECONDS)
        self.transaction_began: float | None = None
        self.uncommitted: list[Batch] = []
        self.decoded: list[Decoded] = []
        self.positions: list[NDArray[np.int64]] = []
        self.decode = files.decoder_for(self.config)
        self.extractor = files.extractor_for(self.config)
        self.metrics = Metrics()
        self.stages = Stages()
        self.warm_up: list[Columns] = []
        self.detection: Detection | None = None

    def read(self, messages: Sequence[Message]) -> None:
        """Decode one batch of messages."""
        decode = partial(self.decode.many, [message.value() or b"" for message in messages])
        decoded = self.stages.timed("decode", decode)
        self.decoded.append(decoded)
        positions = np.array([message_offset(message) + 1 for message in messages])
        self.positions.append(positions[decoded.indices])

    def process(self) -> None:
        """Run all other stages on the records decoded so far."""
        timed = self.stages.timed
        batch = timed("features", self._features)
        payloads = timed("chunk", lambda: [encode_chunk(c) for c in batch.by_model()])
        timed("produce", lambda: self._produce(payloads))
        self.uncommitted.append(batch)
        if self._commit_due():
            timed("commit", self._commit)
            timed("metrics", self._count)
        chunks = timed("chunk_decode", lambda: [decode_chunk(p) for p in payloads])
        for chunk in chunks:
            self._detect(chunk)

    def _features(self) -> Batch:
        records = fields.join([each.fields for each in self.decoded])
        batch = self.extractor.batch(records, np.concatenate(self.positions))
        self.decoded, self.positions = [], []
        return batch

    def _produce(self, payloads: Sequence[bytes]) -> None:
        if self.transaction_began is None:
            self.producer.begin_transaction()
            self.transaction_began = time.monotonic()
        for payload in payloads:
            self.producer.produce(self.topic, payload, b"model")
        self.producer.poll(0)

    def _commit_due(self) -> bool:
        began = self.transaction_began
        return began is not None and time.monotonic() - began >= COMMIT_SECONDS

    def _commit(self) -> None:
        self.producer.commit_transaction(TIMEOUT_SECONDS)
        self.transaction_began = None

    def _count(self) -> None:
        self.metrics.count_transaction(self.uncommitted, Counter(), Counter())
        self.uncommitted = []

    def _detect(self, chunk: Columns) -> None:
        if self.detection is not None:
            self.detection.process(chunk)
            return
        self.warm_up.append(chunk)
        if sum(map(len, self.warm_up)) >= WARM_UP:
            window, most = self.config.windows.records, self.config.limits.categories
            profile = builder.build(self.warm_up, segment=WHOLE, window=window, categories=most)
            self.detection = Detection(self.config, profile, self.stages)


def run(bootstrap: str, topic: str, records: int) -> dict[str, float]:
    """Return microseconds per record by stage, over the first `records` records of a topic."""
    pipeline = Pipeline(bootstrap)
    ensure_topics(pipeline.config.kafka, {}, "bench")
    consumer = whole_topic(bootstrap, topic)
    stages = pipeline.stages
    done = 0
    try:
        while done < records:
            stages.records.append(1)
            batch = 0
            while batch < EXTRACT_RECORDS and done + batch < records:
                messages = stages.timed("consume", lambda: next_batch(consumer))
                pipeline.read(messages)
                batch += len(messages)
            stages.records[-1] = batch
            pipeline.process()
            done += batch
    finally:
        consumer.close()
    return stages.medians()


def main() -> int:
    """Measure the stages once and print the result as JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("bootstrap")
    parser.add_argument("topic")
    parser.add_argument("records", type=int)
    a = parser.parse_args()
    logging.configure(LogConfig(level="error"))  # to stderr: stdout carries the result only
    print(json.dumps(run(a.bootstrap, a.topic, a.records)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
