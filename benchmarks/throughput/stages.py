"""Where the time goes: the daemon's stages one after the other, in one thread, each with a clock.

    python -m benchmarks.stages BOOTSTRAP TOPIC RECORDS

The same functions as the daemon's on batches as it reads them; prints microseconds a
record by stage. In the daemon ingest and detect overlap, and Kafka's own threads work beside both.
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
from itertools import chain
from typing import TypeVar

import numpy as np
from confluent_kafka import Message, Producer
from numpy.typing import NDArray

from benchmarks.consumers import next_batch, whole_topic
from monitor import columns, kafka, logfiles, logs, reference
from monitor.columns import Columns
from monitor.config import Config, KafkaConfig, LogConfig
from monitor.decode.decoded import Decoded
from monitor.features import Batch
from monitor.metrics import Metrics
from monitor.reference import Profile
from monitor.roles.ingest import COMMIT_SECONDS, EXTRACT_RECORDS
from monitor.segments import WHOLE
from monitor.watch import Watch

T = TypeVar("T")
WARM_UP = 10_000
TIMEOUT = 30.0
PER_COMMIT = ("commit", "metrics")
"""What is done for several batches together."""


class Stages:
    """Seconds by stage and batch, and how many records each batch had."""

    def __init__(self) -> None:
        self.seconds: defaultdict[str, list[float]] = defaultdict(list)
        self.records: list[int] = []

    def timed(self, stage: str, work: Callable[[], T]) -> T:
        """What `work` returns; its time is added to the stage's in the newest batch."""
        started = time.perf_counter()
        result = work()
        row = self.seconds[stage]
        row += [0.0] * (len(self.records) - len(row))
        row[-1] += time.perf_counter() - started
        return result

    def medians(self) -> dict[str, float]:
        """Microseconds a record by stage: medians over batches, but the mean of PER_COMMIT."""
        total = sum(self.records)
        found = {}
        for stage, row in self.seconds.items():
            if stage in PER_COMMIT:
                found[stage] = sum(row) / total * 1e6
            else:
                used = [s / n * 1e6 for s, n in zip(row, self.records, strict=False) if s]
                found[stage] = statistics.median(used)
        return found


class Detection:
    """The windows and detectors of one model's Watch, with a clock on each detector."""

    def __init__(self, config: Config, profile: Profile, stages: Stages) -> None:
        self.stages = stages
        self.watch = Watch("model", WHOLE, config, lambda: None)
        self.watch.adopt(profile)

    def take(self, chunk: Columns) -> None:
        """Move the window on by a chunk and evaluate every stride of it."""
        timed, watch = self.stages.timed, self.watch
        for strides in timed("windows", lambda: list(watch.buffer.strides(chunk))):
            extend = partial(watch.window.extend, strides.values, strides.categories)
            windows = timed("windows", extend)
            for detector in watch.detectors:
                timed(detector.name, partial(detector.update, windows))


class Pipeline:
    """Ingest and detect without their threads."""

    def __init__(self, bootstrap: str) -> None:
        self.config = Config(
            kafka=KafkaConfig(bootstrap_servers=bootstrap, prefix=f"bench-{uuid.uuid4().hex[:8]}")
        )
        self.topic = kafka.Topics(self.config.kafka.prefix).features
        settings = kafka.producer_settings(self.config.kafka, "bench", transactional=True)
        self.producer = Producer(settings)
        self.producer.init_transactions(TIMEOUT)
        self.opened: float | None = None
        self.uncommitted: list[Batch] = []
        self.decoded: list[Decoded] = []
        self.positions: list[NDArray[np.int64]] = []
        self.decode = logfiles.decode_of(self.config)
        self.extractor = logfiles.extractor_of(self.config)
        self.metrics = Metrics()
        self.stages = Stages()
        self.warm_up: list[Columns] = []
        self.detection: Detection | None = None

    def read(self, messages: Sequence[Message]) -> None:
        """Decode what was read at a time."""
        decode = partial(self.decode.many, [message.value() or b"" for message in messages])
        decoded = self.stages.timed("decode", decode)
        self.decoded.append(decoded)
        positions = np.array([kafka.offset(message) + 1 for message in messages])
        self.positions.append(positions[decoded.kept])

    def go_on(self) -> None:
        """Take what has gathered through all other stages."""
        timed = self.stages.timed
        batch = timed("features", self._features)
        payloads = timed("chunk", lambda: [columns.encode(c) for c in batch.by_model()])
        timed("produce", lambda: self._produce(payloads))
        self.uncommitted.append(batch)
        if self.opened is not None and time.monotonic() - self.opened >= COMMIT_SECONDS:
            timed("commit", self._commit)
            timed("metrics", self._count)
        chunks = timed("chunk_decode", lambda: [columns.decode(p) for p in payloads])
        for chunk in chunks:
            self._detect(chunk)

    def _features(self) -> Batch:
        records = list(chain.from_iterable(each.records for each in self.decoded))
        counted = np.concatenate([each.counted for each in self.decoded], axis=1)
        batch = self.extractor.batch(records, np.concatenate(self.positions), counted)
        self.decoded, self.positions = [], []
        return batch

    def _produce(self, payloads: Sequence[bytes]) -> None:
        if self.opened is None:
            self.producer.begin_transaction()
            self.opened = time.monotonic()
        for payload in payloads:
            self.producer.produce(self.topic, payload, b"model")
        self.producer.poll(0)

    def _commit(self) -> None:
        self.producer.commit_transaction(TIMEOUT)
        self.opened = None

    def _count(self) -> None:
        self.metrics.ingested(self.uncommitted, Counter(), Counter())
        self.uncommitted = []

    def _detect(self, chunk: Columns) -> None:
        if self.detection is not None:
            self.detection.take(chunk)
            return
        self.warm_up.append(chunk)
        if sum(map(len, self.warm_up)) >= WARM_UP:
            window, most = self.config.windows.records, self.config.limits.categories
            profile = reference.build(self.warm_up, segment=WHOLE, window=window, categories=most)
            self.detection = Detection(self.config, profile, self.stages)


def run(bootstrap: str, topic: str, records: int) -> dict[str, float]:
    """Microseconds a record by stage, over the first `records` records of a topic."""
    pipeline = Pipeline(bootstrap)
    kafka.ensure_topics(pipeline.config.kafka, {}, "bench")
    consumer = whole_topic(bootstrap, topic)
    stages = pipeline.stages
    done = 0
    try:
        while done < records:
            stages.records.append(1)
            taken = 0
            while taken < EXTRACT_RECORDS and done + taken < records:
                messages = stages.timed("consume", lambda: next_batch(consumer))
                pipeline.read(messages)
                taken += len(messages)
            stages.records[-1] = taken
            pipeline.go_on()
            done += taken
    finally:
        consumer.close()
    return stages.medians()


def main() -> int:
    """Measure the stages once."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("bootstrap")
    parser.add_argument("topic")
    parser.add_argument("records", type=int)
    a = parser.parse_args()
    logs.configure(LogConfig(level="error"))  # to standard error: the result alone is on the other
    found = run(a.bootstrap, a.topic, a.records)
    print(json.dumps(found))
    return 0


if __name__ == "__main__":
    sys.exit(main())
