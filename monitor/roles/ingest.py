"""Ingest: consume inference logs; produce feature chunks and dead letters.

An iteration of the loop decodes a batch of messages. Features are extracted from several batches
together, and pending features are encoded as one chunk per model. About twice a second the chunks,
the dead letters and the input offsets are committed in one transaction. With a backlog larger than
the last transaction, it stays open for a second: chunks then hold more records of each model,
which costs less per record.

After any error the transaction is rolled back and its messages are read again. No record is lost or
counted twice, in the topics or in the metrics. The exception are the parts of calls that wait for
others in memory: a restart loses them (`monitor.ingest.decode.framing.parts`).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

import structlog
from confluent_kafka import (
    Consumer,
    KafkaError,
    KafkaException,
    Message,
    Producer,
    TopicPartition,
)

from monitor.config.schema import Config
from monitor.ingest.decode.framing.schemas import RegistryUnavailable
from monitor.kafka.clients import (
    consumer_settings,
    largest_message,
    producer_settings,
    reset_offset,
)
from monitor.kafka.errors import is_abortable, with_group
from monitor.kafka.messages import (
    Run,
    TopicPartitionKey,
    consumer_error,
    is_end,
    partition_names,
    runs,
    topic_partition,
)
from monitor.kafka.offsets import committed_offsets
from monitor.kafka.transactions import abort, commit_with_offsets, init_transactions
from monitor.redaction.rules.registry import KINDS
from monitor.roles.ingest_joins import joins_partitions
from monitor.roles.ingest_records import RecordPipeline
from monitor.roles.ingest_transaction import Transaction
from monitor.roles.lag import LagMeter
from monitor.roles.names import INGEST as ROLE
from monitor.roles.open_alarms import OpenAlarms
from monitor.roles.registry_wait import RegistryWait
from monitor.roles.role import POLL_SECONDS, Role
from monitor.telemetry.counters.metrics import Metrics
from monitor.telemetry.health import Health

log = structlog.get_logger(__name__)

BATCH = 2_000
"""Maximum number of messages decoded at a time; enough to make the cost of a call negligible."""
BATCH_BYTES = 6 * 1024 * 1024
"""Size of these messages, by the mean size of the batch before: larger ones are read in fewer."""
FIRST_BATCH = 300
"""Messages of the first batch, whose size is not known."""
COMMIT_SECONDS = 0.5
"""Time that a transaction stays open; the delay of a record after it was read."""
BEHIND_SECONDS = 1.0
"""The same with a backlog."""
OPERATION_SECONDS = 10.0
"""Timeout of a commit or an abort, after which it is retried, or given up when the daemon stops."""


class Ingest(Role):
    """A member of the ingest group.

    rewind: offset to read again by partition; None for a partition that was revoked.
    behind: whether the backlog exceeds the last transaction.
    batch: number of messages to read at a time.
    """

    name = ROLE

    def __init__(
        self, config: Config, metrics: Metrics, health: Health, stop: Callable[[float], bool]
    ) -> None:
        super().__init__(config, metrics, health, stop)
        self.inputs = config.kafka.logs
        self.outputs = self.topics.features, self.topics.dead_letters
        if config.sampled:
            self.outputs = *self.outputs, self.topics.samples
            kinds = (*KINDS, *config.sampling.redact_patterns)
            self.metrics.samples.redacted.update(dict.fromkeys(kinds, 0))
        if config.experiments:
            self.outputs = *self.outputs, self.topics.exposures
            self.metrics.exposures_without_unit.update(dict.fromkeys(config.experiments, 0))
        if config.joined:
            self.outputs = *self.outputs, self.topics.joins
        self.settings = producer_settings(config.kafka, ROLE, transactional=True)
        self.alarms = OpenAlarms(config.kafka, stop)
        self.pipeline = RecordPipeline(
            config,
            self.topics,
            largest_message(self.settings),
            self._unwritable,
            lambda: self.alarms.models,
        )
        self.outbox = self.pipeline.outbox
        self.framing = self.pipeline.framing
        self.registry = RegistryWait(metrics, health)
        self.first_offset = reset_offset(consumer_settings(config.kafka, ROLE))
        self.metrics.expired.update(dict.fromkeys(self.inputs, 0))
        self.transaction: Transaction | None = None
        self.paused: bool | None = False
        self.rewind: dict[TopicPartitionKey, int | None] = {}
        self.meter = LagMeter()
        self.behind = False
        self.batch = FIRST_BATCH

    def _session(self) -> None:
        self.paused, self.rewind, self.behind = False, {}, False
        self.meter = LagMeter()
        if self.config.sampled and self.config.sampling.boost.open_alarms > 0:
            self.alarms.start()
        if self.pipeline.keys is not None:
            self.pipeline.keys.partitions = joins_partitions(self.config, ROLE)
        self.producer = Producer(self.settings)
        self.consumer = Consumer(consumer_settings(self.config.kafka, ROLE))
        try:
            init_transactions(self.producer, self.settings, OPERATION_SECONDS, self._wait)
            self.consumer.subscribe(
                list(self.inputs),
                on_assign=self._assigned,
                on_revoke=self._revoked,
                on_lost=self._lost,
            )
            while not self.stop(0):
                self._run_once()
            self._drain()
        except KafkaException as error:
            if not self._stopped_by(error):
                raise
            log.warning("transaction not committed at shutdown", error=error.args[0].str())
        finally:
            self.transaction = None  # `close` revokes partitions: do not commit incomplete work
            self.outbox.clear()
            self.framing.roll_back()
            self._leave(self.consumer.close)

    def _run_once(self) -> None:
        self.health.beat(ROLE)
        messages = self._read()
        try:
            self.metrics.expired.update(self.meter.check_assigned(self.consumer))
            if messages:
                self._process(messages)
            due = self._due_transaction(behind=self.behind and bool(messages))
            if due:
                self.pipeline.encode(due)
            self._produce()
            self._apply_backpressure()
            if due and not self.outbox:
                self._commit()
        except KafkaException as error:
            self._recover(error)
        except RegistryUnavailable as error:
            self._roll_back()
            self.registry.failed(error)
        self._measure_lag()

    # --- messages ---------------------------------------------------------------------------------

    def _read(self) -> list[Message]:
        """Return the next messages, without those that a rebalance has invalidated.

        A rebalance inside `consume` may revoke partitions or roll back the transaction after their
        messages are in the batch. These are dropped; partitions that are kept are read again.
        """
        messages = self.consumer.consume(self.batch, POLL_SECONDS)
        if not self.rewind:
            return messages
        self._apply_backpressure()  # partitions must not be paused for a seek
        rewind, self.rewind = self.rewind, {}
        rewind |= self._committed(self.meter.unchecked & rewind.keys())
        for (topic, partition), offset in rewind.items():
            if offset is not None:
                self.consumer.seek(TopicPartition(topic, partition, offset))
        return [m for m in messages if m.error() is not None or topic_partition(m) not in rewind]

    def _committed(self, keys: set[TopicPartitionKey]) -> dict[TopicPartitionKey, int]:
        """Return the offsets at which partitions are read that were just assigned again.

        Within one call of `consume` a partition may be revoked and assigned again. Its messages in
        the batch may be of both assignments: they are dropped, and read again.
        """
        if not keys:
            return {}
        try:
            offsets = committed_offsets(self.consumer, keys, OPERATION_SECONDS)
        except KafkaException as error:
            log.warning("offset query failed, retrying", role=ROLE, error=error.args[0].str())
            self.rewind = dict.fromkeys(keys)  # until then, their messages are dropped
            return {}
        return {key: offsets.get(key, self.first_offset) for key in keys}

    def _process(self, messages: Sequence[Message]) -> None:
        """Decode a batch and add it to the transaction; extract and encode when there is enough."""
        valid = [message for message in messages if message.error() is None]
        if valid:
            self._process_messages(valid)
        if len(valid) < len(messages):
            self._process_errors(messages)

    def _process_messages(self, valid: Sequence[Message]) -> None:
        read, offsets = runs(valid)
        transaction = self._extend_transaction(read)
        size = self.pipeline.process(valid, offsets, transaction)
        self.batch = min(BATCH, BATCH_BYTES * len(valid) // max(1, size) + 1)
        self.registry.succeeded()

    def _process_errors(self, messages: Sequence[Message]) -> None:
        """Record the ends of partitions, and log the distinct errors; raise a fatal one."""
        ends = self.transaction.ends if self.transaction is not None else {}
        for message in messages:
            if is_end(message):
                self.meter.reached_end(message, ends.get(topic_partition(message)))
        for text in {consumer_error(message, self.group) for message in messages} - {None}:
            log.warning("read failed, retrying", role=ROLE, error=text)

    def _extend_transaction(self, read: Sequence[Run]) -> Transaction:
        """Add messages to the open transaction, or to a new one; return it."""
        transaction = self.transaction or Transaction(time.monotonic())
        transaction.cover(read)
        if self.transaction is None:
            self.transaction = transaction
            self.producer.begin_transaction()
        return transaction

    def _produce(self) -> None:
        """Move messages from the outbox to the producer, as far as its queue has space."""
        while self.outbox:
            out = self.outbox[0]
            try:
                self.producer.produce(
                    out.topic,
                    out.value,
                    out.key,
                    headers=out.headers,
                    on_delivery=out.on_delivery,
                    partition=out.partition,
                )
            except BufferError:
                break
            self.outbox.popleft()
            if out.alone:
                self.producer.flush(POLL_SECONDS)
        self.producer.poll(0)

    def _apply_backpressure(self) -> None:
        """Pause reading while the outbox has messages; polling keeps the group membership.

        The same while the schema registry does not answer, once the messages to read again are
        sought: partitions must not be paused for that.
        """
        full = bool(self.outbox) or (self.registry.active and not self.rewind)
        if full == self.paused:
            return
        if full:
            self.consumer.pause(self.consumer.assignment())
        else:
            self.consumer.resume(self.consumer.assignment())
        self.paused = full

    # --- the transaction --------------------------------------------------------------------------

    def _due_transaction(self, *, behind: bool) -> Transaction | None:
        """Return the transaction if it is time to commit it."""
        transaction, limit = self.transaction, BEHIND_SECONDS if behind else COMMIT_SECONDS
        due = transaction and time.monotonic() - transaction.opened >= limit
        return transaction if due else None

    def _commit(self) -> None:
        """Commit the transaction and its offsets, then count it."""
        transaction = self.transaction
        if transaction is None:
            return
        ends = [TopicPartition(*key, offset) for key, offset in transaction.ends.items()]
        commit_with_offsets(self.producer, self.consumer, ends, OPERATION_SECONDS, self._wait)
        self.transaction = None
        self.metrics.count_transaction(
            transaction.batches, transaction.consumed, transaction.rejected
        )
        self.metrics.decoding.formats.update(transaction.formats)
        self.metrics.decoding.skipped.update(transaction.skipped)
        self.metrics.decoding.duplicates += transaction.duplicates
        self.framing.commit()
        self.metrics.decoding.calls_waiting = self.framing.parts.pending
        self.metrics.dead_letters_incomplete.update(transaction.dead_letters)
        self.metrics.samples.update(transaction.samples)
        self.metrics.exposures_without_unit.update(transaction.exposure_counts.no_unit)
        self.metrics.join_keys_written += transaction.keys_written
        self.metrics.scores_dropped = self.pipeline.extractor.scores_dropped
        for key, end in transaction.ends.items():
            self.meter.read(key, transaction.starts[key], end, transaction.counts[key])
        lag = self.meter.lag(self.consumer)
        missing = sum(lag.get(key, 0) for key in transaction.ends)
        self.behind = missing > transaction.consumed.total()

    def _measure_lag(self) -> None:
        if not self.meter.due():
            return
        lag = self.meter.lag(self.consumer)
        expired = self.meter.expired(self.consumer)
        with self.metrics.lock:
            self.metrics.lag |= lag
            self.metrics.expired.update(expired)

    def _recover(self, error: KafkaException) -> None:
        """Roll back after an abortable error; raise any other error."""
        cause = error.args[0]
        if not is_abortable(cause):
            raise error
        log.warning("transaction rolled back", error=with_group(cause, self.group).str())
        self._roll_back(cause)
        self._check_rights(cause)

    def _roll_back(self, cause: KafkaError | None = None) -> None:
        """Abort the transaction; its messages are read again."""
        transaction, self.transaction = self.transaction, None
        self.outbox.clear()
        self.framing.roll_back()
        if transaction is None:
            return
        self.metrics.transactions_aborted[ROLE] += 1
        abort(self.producer, cause, OPERATION_SECONDS, self._wait)
        self.rewind |= transaction.starts

    def _drain(self) -> None:
        """Commit the open transaction within a limited time, otherwise roll it back."""
        deadline = time.monotonic() + OPERATION_SECONDS
        try:
            if self.transaction is not None:
                self.pipeline.encode(self.transaction)
            while self.outbox and time.monotonic() < deadline:
                self._produce()
                self.producer.poll(POLL_SECONDS)
            if self.outbox:
                self._roll_back()
            self._commit()
        except KafkaException as error:
            self._recover(error)

    def _report_unwritable(self, cause: KafkaError | None = None) -> set[str]:
        """Drop dead letters and samples while their topic cannot be written."""
        unwritable = super()._report_unwritable(cause)
        self.pipeline.refuse(unwritable)
        return unwritable

    # --- rebalances -------------------------------------------------------------------------------

    def _assigned(self, consumer: Consumer, partitions: list[TopicPartition]) -> None:
        with self.metrics.lock:
            self.metrics.rebalances[ROLE] += 1
        for each in partitions:
            self.meter.assign((each.topic, each.partition))
        self.paused = None  # unknown: new partitions are not paused, the others may be
        log.info("partitions assigned", role=ROLE, partitions=partition_names(partitions))
        self.health.mark_ready(ROLE)

    def _revoked(self, consumer: Consumer, partitions: list[TopicPartition]) -> None:
        """Commit before another member is assigned the partitions."""
        log.info("partitions revoked", role=ROLE, partitions=partition_names(partitions))
        self._drain()
        self._drop(partitions)

    def _lost(self, consumer: Consumer, partitions: list[TopicPartition]) -> None:
        """Roll back, because another member already has the partitions."""
        log.warning("partitions lost", role=ROLE, partitions=partition_names(partitions))
        self._roll_back()
        self._drop(partitions)

    def _drop(self, partitions: Sequence[TopicPartition]) -> None:
        keys = [(partition.topic, partition.partition) for partition in partitions]
        self.rewind |= dict.fromkeys(keys)
        self.meter.drop(keys)
        with self.metrics.lock:
            for key in keys:
                self.metrics.lag.pop(key, None)
