"""Detect: consume feature chunks and produce drift events.

A worker receives the whole traffic of a model in order. An iteration of the loop reads the chunks
that are available, joins those of each model and evaluates them. With a backlog it joins more
chunks, and so catches up. It never waits for chunks that have not arrived, and reads at most
ITERATION_CHUNKS chunks and about ITERATION_BYTES.

A checkpoint commits the state of each feature partition and its offset in one transaction. At an
assignment both are restored, and reading resumes at the offset of the checkpoint. Events are
produced immediately; after a crash some are found again, with the same ids.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from typing import Any

import structlog
from confluent_kafka import Consumer, KafkaException, Message, Producer, TopicPartition

from detectors import registry
from monitor.config.schema import Config
from monitor.detect.audit.auditor import Auditor
from monitor.detect.checkpoint.partition_state import Partition
from monitor.detect.monitor import References
from monitor.detect.watch import Watch
from monitor.events.codec import encode_event, event_fields
from monitor.events.types import DriftEvent, pages
from monitor.events.wording.drift import sentence
from monitor.ingest.chunks.chunk import ChunkError, decode_chunk
from monitor.ingest.chunks.columns import Columns
from monitor.kafka.clients import consumer_settings, producer_settings
from monitor.kafka.errors import RejoinError, is_abortable, with_group
from monitor.kafka.messages import message_offset, topic_partition
from monitor.kafka.offsets import unread
from monitor.kafka.output.produce import produce
from monitor.kafka.transactions import abort, commit_with_offsets, init_transactions
from monitor.roles.detect_commands import Commands
from monitor.roles.detect_output import checkpoint_messages, raise_if_failed, report
from monitor.roles.detect_restore import Restorer
from monitor.roles.lag import LagMeter
from monitor.roles.names import DETECT as ROLE
from monitor.roles.role import Role
from monitor.roles.state_checks import StateTopicChecks
from monitor.telemetry.counters.metrics import Metrics, event_labels
from monitor.telemetry.health import Health
from monitor.telemetry.publisher import Publisher

log = structlog.get_logger(__name__)

ITERATION_CHUNKS = 2_000
"""Maximum number of chunks that an iteration reads."""
ITERATION_BYTES = 16 * 1024 * 1024
"""Size of the chunks after which an iteration stops reading: they are kept in memory."""
AUDIT_SHARE = 0.01
"""Maximum share of the time for the self-audit."""
FLUSH_SECONDS = 10.0
COMMIT_SECONDS = 15.0
OPERATION_SECONDS = 30.0
REVOKE_SECONDS = 60.0
"""Maximum time for the checkpoint at a revocation; after it the role fails and is started again.
The group waits up to max.poll.interval.ms."""
STATE_BYTES_PER_SECOND = 8 * 1024 * 1024
"""Maximum average rate at which checkpoints are written."""


class Detect(Role):
    """A member of the detect group, with a drift monitor for each assigned feature partition.

    checkpoint_due, audit_due: monotonic time of the next checkpoint and step of the self-audit.
    """

    name = ROLE

    def __init__(
        self,
        config: Config,
        references: References,
        metrics: Metrics,
        health: Health,
        stop: Callable[[float], bool],
    ) -> None:
        super().__init__(config, metrics, health, stop)
        self.outputs = self.topics.state, self.topics.events, self.topics.commands
        self.restorer = Restorer(config, references, metrics, self._check_running)
        self.commands = Commands(config, metrics, self._check_running)
        self.partitions: dict[int, Partition] = {}
        self.auditor = Auditor()
        self.publisher = Publisher(metrics)
        self.meter = LagMeter()
        self.checks = StateTopicChecks(config.kafka)
        self.metrics.expired.update({self.topics.features: 0})
        self.audit_due = self.checkpoint_due = 0.0

    def _session(self) -> None:
        kafka = self.config.kafka
        self.event_producer = Producer(producer_settings(kafka, ROLE, transactional=False))
        settings = producer_settings(kafka, ROLE, transactional=True)
        self.state_producer = Producer(settings)
        self.consumer = Consumer(consumer_settings(kafka, ROLE))
        try:
            registry.prepare()  # not with the first reference, while records wait
            self.checks.start()
            init_transactions(self.state_producer, settings, OPERATION_SECONDS, self._wait)
            self.consumer.subscribe(
                [self.topics.features],
                on_assign=self._assigned,
                on_revoke=self._revoked,
                on_lost=self._lost,
            )
            self.checkpoint_due = time.monotonic() + self.config.state.checkpoint_seconds
            while not self.stop(0):
                self._run_once()
        except Exception as error:
            self.partitions.clear()  # `close` revokes them: incomplete work must not be committed
            if not self._stopped_by(error):
                raise
        finally:
            self._leave(self.consumer.close)
            self.commands.close()

    def _run_once(self) -> None:
        self.health.beat(ROLE)
        self._read()
        self._evaluate_pending()
        self._apply_commands()
        self.event_producer.poll(0)
        now = time.monotonic()
        if now >= self.publisher.due:
            self._publish()
        if self.meter.due():
            self._measure_lag()
        self._check_state_topic()
        if now >= self.checkpoint_due:
            self._checkpoint()
        if now >= self.audit_due:
            self._audit()

    # --- chunks and events ------------------------------------------------------------------------

    def _read(self) -> None:
        """Read the chunks that are available; wait only for the first."""
        size = 0
        available = self._available(self.consumer, self.meter.reached_end)
        for message in islice(available, ITERATION_CHUNKS):
            size += self._add(message)
            if size > ITERATION_BYTES:
                break

    def _add(self, message: Message) -> int:
        """Add a chunk to the pending ones; return its size in bytes."""
        payload = message.value() or b""
        _, number = topic_partition(message)
        partition = self.partitions.get(number)
        # prefetched messages of a revoked partition may still arrive
        if partition is None or self.commands.hold(message):
            return len(payload)
        offset = message_offset(message)
        if offset < partition.offset:  # the client starts anew at offsets that do not exist
            raise RejoinError(f"offset {offset} of partition {number} is read again")
        self.meter.read((self.topics.features, number), offset, offset + 1, 1)
        partition.offset = offset + 1
        try:
            chunk = decode_chunk(payload)
        except ChunkError as error:
            self.metrics.chunks_rejected += 1
            log.error("feature chunk skipped", error=str(error), partition=number, offset=offset)
        else:
            self._evaluate(partition, partition.coalescer.add(chunk))
        return len(payload)

    def _evaluate_pending(self) -> None:
        """Evaluate all pending chunks; the offsets then cover evaluated chunks only."""
        for partition in self.partitions.values():
            self._evaluate(partition, partition.coalescer.take())

    def _evaluate(self, partition: Partition, chunks: Sequence[Columns]) -> None:
        for chunk in chunks:
            for event in partition.monitor.process(chunk):
                self._emit(partition, event)
            report(self.metrics, partition.monitor, chunk)

    def _emit(self, partition: Partition, event: DriftEvent) -> None:
        """Produce and log an event; it is counted with the next checkpoint."""
        message = self.topics.events, encode_event(event), event.model.encode()
        self._produce(self.event_producer, *message, on_delivery=raise_if_failed)
        labels = event_labels(event)
        self.metrics.count_events({labels: 0})
        partition.uncounted[labels] += event.change in {"opened", "escalated"}
        quiet = event.change == "resolved" or not pages(event.severity)
        level = log.info if quiet else log.warning
        level("drift " + event.change, summary=sentence(event), **event_fields(event))

    def _apply_commands(self) -> None:
        """Apply the commands that are due, each between two checkpoints: see `detect_commands`."""
        self.commands.poll()
        due = self.commands.due(self.partitions, self.consumer)
        if any(partition.changed for partition in due.values()):
            self._checkpoint()
        for number, partition in due.items():
            if not partition.changed:  # the checkpoint has not failed
                for event in self.commands.advance(number, partition):
                    self._emit(partition, event)
        if any(partition.changed for partition in due.values()):
            self._checkpoint()
        for message in self.commands.release(due, self.consumer):
            self._add(message)

    def _produce(self, producer: Producer, *message: Any, **options: Any) -> None:
        produce(producer, lambda: self.health.beat(ROLE), *message, **options)

    # --- checkpoints ------------------------------------------------------------------------------

    def _checkpoint(self) -> None:
        """Commit state and offsets in one transaction; after a failure the last one stays valid.

        1. Evaluate the pending chunks and deliver the events: no checkpoint may be ahead of them.
        2. Begin a transaction.
        3. Write the changed state, with the manifest of each partition last.
        4. Add the offsets to the transaction, which fences former members of the group.
        5. Commit the transaction.
        """
        started = time.monotonic()
        self.checkpoint_due = started + self.config.state.checkpoint_seconds
        size = 0
        self._evaluate_pending()
        changed = {n: partition for n, partition in self.partitions.items() if partition.changed}
        if changed and not self._flush():
            return
        try:
            if changed:
                producer = self.state_producer
                producer.begin_transaction()
                for number, partition in changed.items():
                    size += self._write(number, partition)
                offsets = self._offsets()
                commit_with_offsets(producer, self.consumer, offsets, COMMIT_SECONDS, self._wait)
        except KafkaException as error:
            self._roll_back(error)
        else:
            for partition in changed.values():
                partition.mark_written()
                self.metrics.count_events(partition.uncounted)
                partition.uncounted.clear()
            self.metrics.count_checkpoint(time.monotonic() - started, size)
        # Large checkpoints on slow disks must leave time for records.
        pause = max(self.config.state.checkpoint_seconds, size / STATE_BYTES_PER_SECOND)
        self.checkpoint_due = time.monotonic() + pause

    def _check_state_topic(self) -> None:
        """Write everything to a state topic that was made again.

        Raises RejoinError if the feature topic was made again, to read it from its start, and when
        partitions that wait for the state topic can be restored.
        """
        made_again, complete = self.checks.check()
        for partition in self.partitions.values():
            if made_again:
                partition.mark_unwritten()
            if "" != partition.features_id != self.checks.features_id:
                raise RejoinError("the feature topic was made again")
        if complete:
            self._checkpoint()
            raise RejoinError("the state topic has enough partitions")

    def _flush(self) -> bool:
        """Deliver the events produced so far; return whether all were delivered."""
        left = self.event_producer.flush(FLUSH_SECONDS)
        if left:
            log.warning("checkpoint postponed, events not delivered", count=left)
        return not left

    def _write(self, number: int, partition: Partition) -> int:
        """Produce the messages of a checkpoint; return the size of their values in bytes."""
        size = 0
        for message in checkpoint_messages(self.topics, number, partition):
            self._produce(self.state_producer, *message)
            size += len(message[1] or b"")
        self.state_producer.poll(0)
        return size

    def _offsets(self) -> list[TopicPartition]:
        return [
            TopicPartition(self.topics.features, number, partition.offset)
            for number, partition in self.partitions.items()
        ]

    def _roll_back(self, error: KafkaException) -> None:
        """Abort a checkpoint; the next one writes its content again."""
        cause = error.args[0]
        log.warning("checkpoint rolled back", error=with_group(cause, self.group).str())
        self.metrics.checkpoints_failed += 1
        for partition in self.partitions.values():
            if partition.mark_rolled_back():
                log.warning("answers to commands dropped", topic=self.topics.commands)
        if self._stopped_by(error):
            self.partitions.clear()  # no broker to commit to
        elif is_abortable(cause):
            abort(self.state_producer, cause, COMMIT_SECONDS, self._wait)
            self._check_rights(cause)
        else:
            raise error

    # --- rebalances -------------------------------------------------------------------------------

    def _assigned(self, consumer: Consumer, partitions: list[TopicPartition]) -> None:
        """Restore each partition, and resume at the offset of its checkpoint."""
        with self.metrics.lock:
            self.metrics.rebalances[ROLE] += 1
        waiting = self.checks.without_state([each.partition for each in partitions])
        for each in partitions:
            if each.partition in waiting:
                continue
            restored = self.restorer.restore(consumer, each.partition, self.checks.features_id)
            self.partitions[each.partition] = restored
            self.commands.assign(each.partition, restored.commands_offset)
            for event in restored.monitor.take_pending():
                self._emit(restored, event)
            self.meter.assign((each.topic, each.partition), restored.offset)
            each.offset = restored.offset
        consumer.incremental_assign(partitions)
        if waiting:
            consumer.pause([each for each in partitions if each.partition in waiting])
        log.info("partitions assigned", role=ROLE, partitions=[p.partition for p in partitions])
        if not waiting:
            self.health.mark_ready(ROLE)

    def _revoked(self, consumer: Consumer, partitions: list[TopicPartition]) -> None:
        """Write a checkpoint before another member is assigned the partitions."""
        log.info("partitions revoked", role=ROLE, partitions=[p.partition for p in partitions])
        self.deadline = time.monotonic() + REVOKE_SECONDS
        try:
            self._checkpoint()
        finally:
            self.deadline = math.inf
        self._drop(partitions)

    def _lost(self, consumer: Consumer, partitions: list[TopicPartition]) -> None:
        """Drop partitions that another member already has; it resumes at the last checkpoint."""
        log.warning("partitions lost", role=ROLE, partitions=[p.partition for p in partitions])
        self._drop(partitions)

    def _drop(self, partitions: Sequence[TopicPartition]) -> None:
        with self.metrics.lock:
            for each in partitions:
                self.partitions.pop(each.partition, None)
                self.commands.drop(each.partition, self.consumer)
                self.checks.waiting.discard(each.partition)
                key = self.topics.features, each.partition
                self.meter.drop([key])
                self.metrics.lag.pop(key, None)
        self.publisher.drop_partitions(each.partition for each in partitions)
        self._publish_totals()

    # --- self-audit and metrics; drift events do not depend on them -------------------------------

    def _audit(self) -> None:
        """Run one step of the self-audit, then pause for the rest of its share of the time."""
        started = time.monotonic()
        self.auditor.step(self._watches())
        ended = time.monotonic()
        self.audit_due = ended + (ended - started) * (1 / AUDIT_SHARE - 1)

    def _watches(self) -> Iterator[Watch]:
        return (w for p in self.partitions.values() for w in p.monitor.watches())

    def _publish(self) -> None:
        """Publish the state of some models."""
        if self.publisher.step(self.partitions):
            self._publish_totals()

    def _measure_lag(self) -> None:
        waiting = [(self.topics.features, number) for number in self.checks.waiting]
        lag = self.meter.lag(self.consumer) | unread(self.consumer, waiting)
        expired = self.meter.expired(self.consumer)
        with self.metrics.lock:
            self.metrics.lag |= lag
            self.metrics.expired.update(expired)

    def _publish_totals(self) -> None:
        audits = list(filter(None, map(self.auditor.result, self._watches())))
        with self.metrics.lock:
            self.metrics.audits = audits
            self.metrics.segments_dropped = sum(
                p.monitor.segments_dropped for p in self.partitions.values()
            )
