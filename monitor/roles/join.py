"""Join: consume feedback and the keys of records; produce chunks and exposures of what matches.

Both inputs meet in the joins topic, which is partitioned by the hash of the id: ingest writes keys
there, and this role the values of the feedback that it reads. About once a second, a transaction
holds the values of the feedback that was read, the joined values that have settled, and the offsets
of both topics. The state of a partition is read again from the joins topic when it is assigned
(`join_partition`), so that every value is sent once, whatever is killed.
"""

from __future__ import annotations

import math
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from itertools import islice

import structlog
from confluent_kafka import (
    OFFSET_END,
    Consumer,
    KafkaError,
    KafkaException,
    Message,
    Producer,
    TopicPartition,
)

from monitor.config.schema import Config
from monitor.kafka.clients import (
    consumer_settings,
    largest_message,
    producer_settings,
    reset_offset,
)
from monitor.kafka.errors import RejoinError, is_abortable, with_group
from monitor.kafka.messages import (
    message_offset,
    partition_names,
    topic_partition,
)
from monitor.kafka.offsets import committed_metadata, watermarks
from monitor.kafka.output.dead_letters import DeadLetters
from monitor.kafka.output.produce import produce
from monitor.kafka.transactions import abort, commit_with_offsets, init_transactions
from monitor.roles import join_output
from monitor.roles.ingest_joins import joins_partitions
from monitor.roles.ingest_transaction import Outgoing
from monitor.roles.join_feedback import FeedbackInput, FeedbackRouter, Routed, dead_letters
from monitor.roles.join_partition import Checkpoint, Partition, checkpoint_of, place
from monitor.roles.lag import LagMeter, count_expired
from monitor.roles.names import JOIN as ROLE
from monitor.roles.role import POLL_SECONDS, Role
from monitor.telemetry.counters.joins import JoinMetrics
from monitor.telemetry.counters.metrics import Metrics
from monitor.telemetry.health import Health

log = structlog.get_logger(__name__)

READ = 2_000
"""Maximum number of messages that an iteration reads."""
READ_BYTES = 16 * 1024 * 1024
MAX_EVENTS = 50_000
"""Events that are read and not committed, beyond which reading of feedback is paused."""
COMMIT_SECONDS = 1.0
"""Time between two commits; a part of the delay of a value."""
OPERATION_SECONDS = 15.0
REVOKE_SECONDS = 60.0
"""Maximum time for the commit at a revocation."""


class Join(Role):
    """A member of the join group.

    inputs_read: what was read of each partition of the feedback topic. partitions: assigned ones of
    the joins topic.
    """

    name = ROLE

    def __init__(
        self, config: Config, metrics: Metrics, health: Health, stop: Callable[[float], bool]
    ) -> None:
        super().__init__(config, metrics, health, stop)
        topics = self.topics
        self.feedback = config.kafka.feedback
        self.inputs = (self.feedback,)
        self.outputs = topics.joins, topics.features, topics.dead_letters
        if config.experiments:
            self.outputs = *self.outputs, topics.exposures
        self.inputs_read: dict[int, FeedbackInput] = {}
        self.partitions: dict[int, Partition] = {}
        self.settings = producer_settings(config.kafka, ROLE, transactional=True)
        self.letters = DeadLetters(
            topics.dead_letters,
            largest_message(self.settings),
            may_write=lambda: topics.dead_letters not in (self._unwritable() or ()),
        )
        self.router = FeedbackRouter(config)
        self.first_offset = reset_offset(consumer_settings(config.kafka, ROLE))
        self.meter = LagMeter()
        self.metrics.expired.update({self.feedback: 0, topics.joins: 0})
        self.counts = metrics.joins = JoinMetrics()
        self.counts.without_unit.update(dict.fromkeys(config.experiments, 0))
        self.commit_due = 0.0
        self.paused: bool | None = False

    def _session(self) -> None:
        self.paused, self.meter = False, LagMeter()
        self.producer = Producer(self.settings)
        self.consumer = Consumer(consumer_settings(self.config.kafka, ROLE))
        try:
            init_transactions(self.producer, self.settings, OPERATION_SECONDS, self._wait)
            self.consumer.subscribe(
                [self.feedback, self.topics.joins],
                on_assign=self._assigned,
                on_revoke=self._revoked,
                on_lost=self._lost,
            )
            while not self.stop(0):
                self._run_once()
            self._commit()
        except Exception as error:
            if not self._stopped_by(error):
                raise
        finally:
            self._forget()  # `close` revokes partitions: incomplete work must not be committed
            self._leave(self.consumer.close)

    def _run_once(self) -> None:
        self.health.beat(ROLE)
        self._apply_backpressure()
        self._read()
        if time.monotonic() >= self.commit_due or self._is_full():
            self._commit()
        if self.meter.due():
            self._measure()

    # --- messages ---------------------------------------------------------------------------------

    def _read(self) -> None:
        """Read the messages that are available; wait only for the first."""
        size = 0
        for message in islice(self._available(self.consumer, self.meter.reached_end), READ):
            self._add(message)
            size += len(message.value() or b"")
            if size > READ_BYTES or self._is_full():
                break

    def _add(self, message: Message) -> None:
        """Add a message to the state of its partition."""
        key, offset = topic_partition(message), message_offset(message)
        read: Mapping[int, FeedbackInput | Partition]
        read = self.inputs_read if key[0] == self.feedback else self.partitions
        found = read.get(key[1])
        if found is None:  # prefetched messages of a revoked partition may still arrive
            return
        if offset < found.offset:  # the client starts anew at offsets that do not exist
            raise RejoinError(f"offset {offset} of {key[0]}[{key[1]}] is read again")
        found.add(message)
        self.meter.read(key, offset, offset + 1, 1)

    def _is_full(self) -> bool:
        """Return whether enough feedback waits to be committed."""
        return sum(len(each.events) for each in self.inputs_read.values()) >= MAX_EVENTS

    def _apply_backpressure(self) -> None:
        """Pause the feedback topic while too much of it waits; polling keeps the membership."""
        full = self._is_full()
        if full == self.paused or not self.inputs_read:
            return
        own = [TopicPartition(self.feedback, number) for number in self.inputs_read]
        if full:
            self.consumer.pause(own)
        else:
            self.consumer.resume(own)
        self.paused = full

    # --- the transaction --------------------------------------------------------------------------

    def _commit(self) -> None:
        """Commit what was read and what is due in one transaction, then count it.

        After a failure the next transaction has the same content and more.
        """
        self.commit_due = time.monotonic() + COMMIT_SECONDS
        clock = time.time()
        due = {n: each.state.due(clock) for n, each in self.partitions.items()}
        read = [each for each in self.inputs_read.values() if each.read]
        moved = [each for n, each in self.partitions.items() if self._has_moved(each, len(due[n]))]
        if not read and not moved:
            return
        routed = self.router.route([event for each in read for event in each.events])
        checkpoints = {each.number: each.checkpoint(clock) for each in moved}
        incomplete: Counter[str] = Counter()
        try:
            self.producer.begin_transaction()
            for message in routed.messages:
                self._produce(message)
            for message in dead_letters(read, self.letters, incomplete):
                self._produce(message)
            for each in moved:
                joined, settings = due[each.number], (self.config.segments, self.config.experiments)
                for message in join_output.messages(self.topics, joined, *settings):
                    self._produce(message)
            offsets = [place(self.topics.joins, c, number) for number, c in checkpoints.items()]
            offsets += [
                TopicPartition(self.feedback, number, each.offset)
                for number, each in self.inputs_read.items()
                if each.read
            ]
            commit_with_offsets(
                self.producer, self.consumer, offsets, OPERATION_SECONDS, self._wait
            )
        except KafkaException as error:
            self._recover(error)
        else:
            self._mark_committed(checkpoints, read, routed, incomplete)

    def _has_moved(self, partition: Partition, due: int) -> bool:
        return bool(due) or partition.offset != partition.committed.offset

    def _produce(self, out: Outgoing) -> None:
        """Produce a message; wait while the producer's queue is full."""
        options = {"headers": out.headers or [], "partition": out.partition}
        if out.on_delivery is not None:
            options["on_delivery"] = out.on_delivery
        message = out.topic, out.value, out.key
        produce(self.producer, lambda: self.health.beat(ROLE), *message, **options)
        if out.alone:
            self.producer.flush(POLL_SECONDS)
        self.producer.poll(0)

    def _mark_committed(
        self,
        checkpoints: dict[int, Checkpoint],
        read: Sequence[FeedbackInput],
        routed: Routed,
        incomplete: Counter[str],
    ) -> None:
        """Record that a transaction is committed, and count its content."""
        counts = self.counts
        with self.metrics.lock:
            self.metrics.dead_letters_incomplete.update(incomplete)
            counts.values.update(routed.outcomes)
            counts.skipped.update(routed.skipped)
            counts.without_unit.update(routed.exposures.no_unit)
            for each in read:
                counts.messages.update(each.messages)
                counts.skipped.update(each.skipped)
                counts.rejected.update(error.reason for _, error in each.rejected)
                each.clear()
        for number, checkpoint in checkpoints.items():
            partition = self.partitions[number]
            partition.committed = checkpoint
            partition.state.mark_sent()
            partition.state.expire()
            self._take_counts(partition)

    def _take_counts(self, partition: Partition) -> None:
        """Move the counts of a partition to the metrics."""
        found = partition.state.counts
        with self.metrics.lock:
            self.counts.keys_dropped += found.pop("keys_dropped", 0)
            self.counts.values.update(found)
            self.counts.unreadable += partition.unreadable
        found.clear()
        partition.unreadable = 0

    def _recover(self, error: KafkaException) -> None:
        """Abort the transaction; the next one has the same content and more."""
        cause = error.args[0]
        if not is_abortable(cause):
            raise error
        log.warning("transaction rolled back", role=ROLE, error=with_group(cause, self.group).str())
        with self.metrics.lock:
            self.metrics.transactions_aborted[ROLE] += 1
        abort(self.producer, cause, OPERATION_SECONDS, self._wait)
        self._check_rights(cause)

    def _report_unwritable(self, cause: KafkaError | None = None) -> set[str]:
        """Drop dead letters while their topic cannot be written."""
        unwritable = super()._report_unwritable(cause)
        if self.topics.dead_letters in unwritable:
            self.letters.refused(KafkaError(KafkaError.TOPIC_AUTHORIZATION_FAILED))
        return unwritable

    # --- rebalances -------------------------------------------------------------------------------

    def _assigned(self, consumer: Consumer, partitions: list[TopicPartition]) -> None:
        """Restore the state of each partition; reading resumes at the committed offset."""
        with self.metrics.lock:
            self.metrics.rebalances[ROLE] += 1
        self.router.partitions = joins_partitions(self.config, ROLE)
        topics = {each.topic for each in partitions}
        beat = self._check_running
        committed = {topic: committed_metadata(consumer, topic, beat) for topic in topics}
        for each in partitions:
            offset, metadata = committed[each.topic].get(each.partition, (None, ""))
            each.offset = self._first(consumer, each, offset)
            if each.topic == self.feedback:
                self.inputs_read[each.partition] = FeedbackInput(each.offset)
            else:
                known = metadata if offset == each.offset else ""
                self._restore(each.partition, checkpoint_of(each.offset, known))
            self.meter.assign((each.topic, each.partition), each.offset)
        consumer.incremental_assign(partitions)
        self.paused = None  # unknown: new partitions are not paused, the others may be
        log.info("partitions assigned", role=ROLE, partitions=partition_names(partitions))
        self.health.mark_ready(ROLE)

    def _first(self, consumer: Consumer, partition: TopicPartition, committed: int | None) -> int:
        """Return the offset at which reading resumes: the committed one, if it still exists."""
        low, high = watermarks(consumer, partition, self._check_running)
        if committed is None:
            return high if self.first_offset == OFFSET_END else low
        if low <= committed <= high:
            return committed
        key = partition.topic, partition.partition
        self.metrics.expired[key[0]] += count_expired(key, committed, low)
        return low

    def _restore(self, number: int, checkpoint: Checkpoint) -> None:
        partition = Partition(number, self.config, checkpoint)
        lost = partition.restore(self.config, self.topics.joins, self._check_running)
        if lost:
            text = "ids expired before their horizon, their feedback will find no record"
            log.error(text, topic=self.topics.joins, partition=number, messages=lost)
            with self.metrics.lock:
                self.counts.lost += lost
        self.partitions[number] = partition
        state = partition.state
        log.info(
            "join restored",
            partition=number,
            keys=len(state.keys),
            values=len(state.values),
            offset=partition.offset,
            messages=checkpoint.offset - checkpoint.start,
        )

    def _revoked(self, consumer: Consumer, partitions: list[TopicPartition]) -> None:
        """Commit before another member is assigned the partitions."""
        log.info("partitions revoked", role=ROLE, partitions=partition_names(partitions))
        self.deadline = time.monotonic() + REVOKE_SECONDS
        try:
            self._commit()
        finally:
            self.deadline = math.inf
        self._drop(partitions)

    def _lost(self, consumer: Consumer, partitions: list[TopicPartition]) -> None:
        """Drop partitions that another member already has; it resumes at the last commit."""
        log.warning("partitions lost", role=ROLE, partitions=partition_names(partitions))
        self._drop(partitions)

    def _drop(self, partitions: Sequence[TopicPartition]) -> None:
        for each in partitions:
            if each.topic == self.feedback:
                self.inputs_read.pop(each.partition, None)
            else:
                self.partitions.pop(each.partition, None)
        keys = [(each.topic, each.partition) for each in partitions]
        self.meter.drop(keys)
        with self.metrics.lock:
            for key in keys:
                self.metrics.lag.pop(key, None)

    def _forget(self) -> None:
        self.inputs_read.clear()
        self.partitions.clear()

    # --- metrics ----------------------------------------------------------------------------------

    def _measure(self) -> None:
        lag = self.meter.lag(self.consumer)
        expired = self.meter.expired(self.consumer)
        states = [each.state for each in self.partitions.values()]
        with self.metrics.lock:
            self.metrics.lag |= lag
            self.metrics.expired.update(expired)
            self.counts.keys = sum(len(state.keys) for state in states)
            self.counts.waiting = sum(len(state.waiting) for state in states)
            self.counts.state_bytes = sum(state.nbytes for state in states)
