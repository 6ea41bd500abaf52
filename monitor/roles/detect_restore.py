"""Restore the state of a feature partition from its checkpoint."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import structlog
from confluent_kafka import Consumer, TopicPartition

from monitor.config.schema import Config
from monitor.detect.checkpoint import partition_state
from monitor.detect.checkpoint.partition_state import Partition
from monitor.detect.checkpoint.state_topic import StateError
from monitor.detect.monitor import DriftMonitor, References
from monitor.kafka.offsets import watermarks
from monitor.kafka.readers.compacted import read_compacted
from monitor.kafka.topics import Topics
from monitor.roles.lag import count_expired
from monitor.telemetry.counters.metrics import Metrics

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Restorer:
    """Restores partitions, and applies `state.unusable` to checkpoints that cannot be used.

    beat: called at least every few seconds; an exception that it raises ends the restore.
    """

    config: Config
    references: References
    metrics: Metrics
    beat: Callable[[], None]

    def restore(self, consumer: Consumer, number: int, features_id: str = "") -> Partition:
        """Return the partition in the state of its checkpoint, or without state.

        features_id: of the feature topic; empty if it is not known. If the topic is not the one of
        the checkpoint, it is read from its start, with the state of the checkpoint.
        Raises StateError if the checkpoint is unusable and `state.unusable` is "stop".
        """
        started = time.monotonic()
        topics = Topics(self.config.kafka.prefix)
        messages = read_compacted(self.config.kafka, topics.state, number, self.beat)
        low, high = watermarks(consumer, TopicPartition(topics.features, number), self.beat)
        try:
            partition = partition_state.restore(messages, self.config, self.references)
            if partition is not None and partition.continue_in(features_id, low):
                log.warning(
                    "the feature topic was made again, reading it from its start",
                    topic=topics.features,
                    partition=number,
                    offset=low,
                )
            if partition is not None and not low <= partition.offset <= high:
                key = topics.features, number
                self.metrics.expired[key[0]] += count_expired(key, partition.offset, low)
                raise StateError(f"its offset {partition.offset} is not in {low} to {high}")
        except StateError as error:
            partition = self._discard(number, str(error), messages, low, high)
            partition.continue_in(features_id, low)
            return partition
        if partition is None:
            log.info("no checkpoint found", partition=number, offset=low)
            partition = self._without_state(messages, low)
            partition.continue_in(features_id, low)
            return partition
        log.info(
            "state restored",
            partition=number,
            watches=sum(1 for _ in partition.monitor.watches()),
            offset=partition.offset,
            behind=high - partition.offset,
            seconds=round(time.monotonic() - started, 3),
        )
        if partition.restarted:
            log.warning(
                "windows or detectors started anew, because their versions differ",
                partition=number,
                watches=dict(partition.restarted),
            )
        return partition

    def _discard(
        self, number: int, reason: str, messages: Mapping[bytes, bytes], low: int, high: int
    ) -> Partition:
        """Apply the policy `state.unusable` to a checkpoint."""
        policy = self.config.state.unusable
        self.metrics.checkpoints_unusable += 1
        lost = "windows, detectors and open alarms of its models"
        log.error("checkpoint unusable", partition=number, reason=reason, lost=lost, policy=policy)
        if policy == "stop":
            raise StateError(f"the checkpoint of feature partition {number} is unusable: {reason}")
        offset = low if policy == "earliest" else high
        log.warning("partition started without state", partition=number, offset=offset)
        return self._without_state(messages, offset)

    def _without_state(self, messages: Mapping[bytes, bytes], offset: int) -> Partition:
        """Return a partition without state; the next checkpoint deletes the old messages."""
        partition = Partition(DriftMonitor(self.config, self.references), offset)
        partition.checkpointer.stale_keys.update(messages)
        return partition
