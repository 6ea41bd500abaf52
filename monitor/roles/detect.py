"""Detect: feature chunks in, drift events out. One worker sees a model's whole traffic in order.

A turn of the loop takes the chunks that are at hand, puts those of each model together and
evaluates them: a detect that is behind takes more of them at once, and so catches up. No chunk
waits for one that has not arrived, and none for more than TURN_CHUNKS chunks and TURN_BYTES.

A checkpoint makes the state of each feature partition, and the offset that it belongs to, durable
in one transaction; on assignment both are restored and reading resumes at the checkpoint's own
offset. Events are written at once: after a crash some are found again, with the ids that they had.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence

import structlog
from confluent_kafka import (
    Consumer,
    KafkaError,
    KafkaException,
    Message,
    Producer,
    TopicPartition,
)

from monitor import checkpoint, columns, events, kafka
from monitor.auditor import Auditor
from monitor.checkpoint import Partition
from monitor.columns import ChunkError, Columns
from monitor.config import Config
from monitor.drift import DriftMonitor, References
from monitor.events import DriftEvent
from monitor.health import Health
from monitor.kafka import Topics
from monitor.metrics import Metrics
from monitor.publishing import Publisher
from monitor.state import Messages, StateError
from monitor.watch import Watch

log = structlog.get_logger(__name__)

ROLE = "detect"
TURN_CHUNKS = 2_000
TURN_BYTES = 16 * 1024 * 1024
"""Chunks, and bytes of them, that a turn takes at most: they wait in memory to be evaluated."""
POLL_SECONDS = 0.1
AUDIT_SHARE = 0.01
"""How much of the time the self-audit may take."""
FLUSH_SECONDS = 10.0
COMMIT_SECONDS = 15.0
OPERATION_SECONDS = 30.0
REVOKE_SECONDS = 60.0
"""How long a member may try to checkpoint what it gives away; then it fails, and is started again.
The group waits for it, up to max.poll.interval.ms."""
STATE_BYTES_PER_SECOND = 8 * 1024 * 1024
"""Checkpoints are written no faster than this on average."""


class Detect:
    """One member of the detect group: a drift monitor for each feature partition that it has.

    stop: waits so many seconds and says whether to end.
    """

    def __init__(
        self,
        config: Config,
        references: References,
        metrics: Metrics,
        health: Health,
        stop: Callable[[float], bool],
    ) -> None:
        self.config = config
        self.references = references
        self.metrics = metrics
        self.health = health
        self.stop = stop
        self.topics = Topics(config.kafka.prefix)
        self.partitions: dict[int, Partition] = {}
        self.auditor = Auditor(config)
        self.publisher = Publisher(metrics)
        self.audit_due = 0.0
        self.due = 0.0
        self.patience = math.inf

    def run(self) -> None:
        """Join, work until told to stop, deliver what is in hand, leave."""
        existing = kafka.wait_for_broker(self.config.kafka, self._waiting, ROLE)
        if existing is None:
            return
        kafka.ensure_topics(self.config.kafka, existing, ROLE)
        while not self.stop(0):
            try:
                self._session()
            except kafka.StuckError:
                log.warning("the kafka client is stuck, going on with a new one", role=ROLE)

    def _session(self) -> None:
        """What one set of clients does, until told to stop."""
        self.producer = Producer(
            kafka.producer_settings(self.config.kafka, ROLE, transactional=False)
        )
        self.writer = Producer(kafka.producer_settings(self.config.kafka, ROLE, transactional=True))
        self.consumer = Consumer(kafka.consumer_settings(self.config.kafka, ROLE))
        try:
            self._patiently(lambda: self.writer.init_transactions(OPERATION_SECONDS))
            self.consumer.subscribe(
                [self.topics.features],
                on_assign=self._assigned,
                on_revoke=self._revoked,
                on_lost=self._lost,
            )
            self.due = time.monotonic() + self.config.state.checkpoint_seconds
            while not self.stop(0):
                self._turn()
        except Exception as error:
            self.partitions.clear()  # half-done work must not be checkpointed on leaving
            told = self.stop(0) and isinstance(error, KafkaException) and error.args[0].retriable()
            if not told:
                raise
        finally:
            self.consumer.close()

    def _waiting(self, seconds: float) -> bool:
        self.health.beat(ROLE)
        return self.stop(seconds) or time.monotonic() > self.patience

    def _go_on(self) -> None:
        """Raises KafkaException once told to stop: a restore may wait long for a broker."""
        if self._waiting(0):
            raise KafkaException(KafkaError(KafkaError._TIMED_OUT, "told to stop", retriable=True))

    def _turn(self) -> None:
        self.health.beat(ROLE)
        self._gather()
        self._evaluate_gathered()
        self.producer.poll(0)
        now = time.monotonic()
        if now >= self.publisher.due:
            self._publish()
        if now >= self.due:
            self._checkpoint()
        if now >= self.audit_due:
            self._audit()

    def _gather(self) -> None:
        """Take in what is at hand; wait a little only while that is nothing."""
        room, patience = TURN_BYTES, POLL_SECONDS
        for _ in range(TURN_CHUNKS):
            # One at a time: a rebalance runs within, and gives partitions away, or back at an
            # earlier offset, when a batch would already hold messages of them.
            message = self.consumer.poll(patience)
            if message is None:
                break
            text = kafka.trouble(message)
            if text is None:
                room -= self._take(message)
                patience = 0.0
            else:
                log.warning("cannot read for now", role=ROLE, error=text)
            if room < 0:
                break

    def _take(self, message: Message) -> int:
        """Gather a message's chunk; the message's size."""
        payload = message.value() or b""
        _, number = kafka.place(message)
        partition = self.partitions.get(number)
        if partition is None:  # a partition given away may still deliver what had been fetched
            return len(payload)
        partition.offset = kafka.offset(message) + 1
        try:
            chunk = columns.decode(payload)
        except ChunkError as error:
            self.metrics.chunks_rejected += 1
            where = {"partition": number, "offset": kafka.offset(message)}
            log.error("feature chunk skipped", error=str(error), **where)
        else:
            self._evaluate(partition, partition.gathering.add(chunk))
        return len(payload)

    def _evaluate_gathered(self) -> None:
        """Evaluate all that was gathered: from here on the offsets say what has been seen."""
        for partition in self.partitions.values():
            self._evaluate(partition, partition.gathering.take())

    def _evaluate(self, partition: Partition, chunks: Sequence[Columns]) -> None:
        for chunk in chunks:
            for event in partition.monitor.process(chunk):
                self._emit(event)
            with self.metrics.lock:
                self.metrics.watched[chunk.model] += len(chunk)

    def _emit(self, event: DriftEvent) -> None:
        """One event feeds log, metrics and topic."""
        self.metrics.drift(event)
        level = log.info if event.change == "resolved" else log.warning
        level("drift " + event.change, summary=events.sentence(event), **events.fields(event))
        while True:
            try:
                self.producer.produce(
                    self.topics.events,
                    events.encode(event),
                    event.model.encode(),
                    on_delivery=_delivered,
                )
                return
            except BufferError:
                self.producer.poll(POLL_SECONDS)
                self.health.beat(ROLE)

    def _flush(self) -> bool:
        """Deliver the events found so far; whether all of them are."""
        left = self.producer.flush(FLUSH_SECONDS)
        if left:
            log.warning("events not delivered yet, no checkpoint", count=left)
        return not left

    def _checkpoint(self) -> None:
        """Make state and offsets durable together, in five steps; a failure leaves the last one.

        1. What was gathered is evaluated, and the events found so far are delivered: no checkpoint
           may be ahead of them.
        2. A transaction is begun.
        3. What has changed is written, each partition's manifest last.
        4. The offsets join the transaction, which fences a member that is no longer one.
        5. The transaction is committed.
        """
        started = time.monotonic()
        self.due = started + self.config.state.checkpoint_seconds
        size = 0
        self._evaluate_gathered()
        changed = {n: partition for n, partition in self.partitions.items() if partition.changed}
        if changed and not self._flush():
            return
        try:
            if changed:
                self.writer.begin_transaction()
                for number, partition in changed.items():
                    size += self._write(number, partition.messages())
                offsets, group = self._positions(), kafka.membership(self.consumer)
                kafka.send_offsets(self.writer, offsets, group, COMMIT_SECONDS, self._waiting)
                self._patiently(lambda: self.writer.commit_transaction(COMMIT_SECONDS))
        except KafkaException as error:
            self._give_up(error)
        else:
            for partition in changed.values():
                partition.written()
            self.metrics.checkpoint(time.monotonic() - started, size)
        # a slow disk must not leave time for nothing but checkpoints
        pause = max(self.config.state.checkpoint_seconds, size / STATE_BYTES_PER_SECOND)
        self.due = time.monotonic() + pause

    def _write(self, partition: int, messages: Messages) -> int:
        """Produce a checkpoint's messages, waiting for room where the queue is full; their size."""
        for key, value in messages:
            while True:
                try:
                    self.writer.produce(self.topics.state, value, key, partition)
                    break
                except BufferError:
                    self.writer.poll(POLL_SECONDS)
                    self.health.beat(ROLE)
        self.writer.poll(0)
        return sum(len(value or b"") for _, value in messages)

    def _positions(self) -> list[TopicPartition]:
        return [
            TopicPartition(self.topics.features, number, partition.offset)
            for number, partition in self.partitions.items()
        ]

    def _give_up(self, error: KafkaException) -> None:
        """Roll a checkpoint back: the next one writes all of it again."""
        cause = error.args[0]
        log.warning("checkpoint rolled back", error=cause.str())
        self.metrics.checkpoints_failed += 1
        if self.stop(0) and cause.retriable():
            self.partitions.clear()  # told to leave, and no broker to give anything to
        elif kafka.is_abortable(cause):
            self._patiently(lambda: self.writer.abort_transaction(COMMIT_SECONDS))
        else:
            raise error

    def _patiently(self, operation: Callable[[], None]) -> None:
        kafka.patiently(operation, self._waiting)

    def _assigned(self, consumer: Consumer, partitions: list[TopicPartition]) -> None:
        """Restore each partition, and resume at its checkpoint's own offset."""
        with self.metrics.lock:
            self.metrics.rebalances[ROLE] += 1
        for each in partitions:
            restored = self._restore(each.partition)
            self.partitions[each.partition] = restored
            each.offset = restored.offset
        consumer.incremental_assign(partitions)
        log.info("partitions assigned", role=ROLE, partitions=[p.partition for p in partitions])
        self.health.ready(ROLE)

    def _restore(self, number: int) -> Partition:
        """The partition as its checkpoint has it, or as the policy for unusable ones wants it."""
        started = time.monotonic()
        messages = kafka.read_compacted(self.config.kafka, self.topics.state, number, self._go_on)
        low, high = kafka.watermarks(
            self.consumer, TopicPartition(self.topics.features, number), self._go_on
        )
        try:
            partition = checkpoint.restore(messages, self.config, self.references)
            if partition is None:
                log.info("no checkpoint", partition=number, offset=low)
                partition = Partition(DriftMonitor(self.config, self.references), low)
                partition.checkpointer.useless.update(messages)
                return partition
            if not low <= partition.offset <= high:
                raise StateError(f"its offset {partition.offset} is not in {low} to {high}")
        except StateError as error:
            return self._start_afresh(number, str(error), messages, low, high)
        log.info(
            "state restored",
            partition=number,
            watches=len(partition.monitor.watches),
            offset=partition.offset,
            behind=high - partition.offset,
            seconds=round(time.monotonic() - started, 3),
        )
        return partition

    def _start_afresh(
        self, number: int, why: str, messages: Mapping[bytes, bytes], low: int, high: int
    ) -> Partition:
        """What becomes of a partition whose checkpoint cannot be used."""
        policy = self.config.state.unusable
        self.metrics.checkpoints_unusable += 1
        lost = "windows, detectors and open alarms of its models"
        log.error("checkpoint unusable", partition=number, reason=why, lost=lost, policy=policy)
        if policy == "stop":
            raise StateError(f"the checkpoint of feature partition {number} is unusable: {why}")
        offset = low if policy == "earliest" else high
        log.warning("starting afresh", partition=number, offset=offset)
        partition = Partition(DriftMonitor(self.config, self.references), offset)
        partition.checkpointer.useless.update(messages)
        return partition

    def _revoked(self, consumer: Consumer, partitions: list[TopicPartition]) -> None:
        """Checkpoint before the partitions go to another member."""
        log.info("partitions revoked", role=ROLE, partitions=[p.partition for p in partitions])
        self.patience = time.monotonic() + REVOKE_SECONDS
        self._checkpoint()
        self.patience = math.inf
        self._forget(partitions)

    def _lost(self, consumer: Consumer, partitions: list[TopicPartition]) -> None:
        """Another member has the partitions already, and goes on from the last checkpoint."""
        log.warning("partitions lost", role=ROLE, partitions=[p.partition for p in partitions])
        self._forget(partitions)

    def _forget(self, partitions: Sequence[TopicPartition]) -> None:
        with self.metrics.lock:
            for each in partitions:
                self.partitions.pop(each.partition, None)
                self.metrics.lag.pop((self.topics.features, each.partition), None)
        self.publisher.forget(each.partition for each in partitions)
        self._publish_totals()

    def _audit(self) -> None:
        """Replay a little of a reference; what is watched does not depend on it."""
        started = time.monotonic()
        self.auditor.step(self._watches())
        ended = time.monotonic()
        self.audit_due = ended + (ended - started) * (1 / AUDIT_SHARE - 1)

    def _watches(self) -> Iterator[Watch]:
        return (w for p in self.partitions.values() for w in p.monitor.watches.values())

    def _publish(self) -> None:
        """Work out what people see; the events do not depend on it."""
        if self.publisher.step(self.partitions):
            self._publish_totals()
        with self.metrics.lock:
            for at in self._positions():
                _, high = self.consumer.get_watermark_offsets(at, cached=True)
                if high >= 0:
                    self.metrics.lag[at.topic, at.partition] = max(0, high - at.offset)

    def _publish_totals(self) -> None:
        audits = list(filter(None, map(self.auditor.audited, self._watches())))
        with self.metrics.lock:
            self.metrics.audits = audits
            self.metrics.segments_dropped = sum(
                p.monitor.segments_dropped for p in self.partitions.values()
            )


def _delivered(error: KafkaError | None, message: Message) -> None:
    """An event that cannot be delivered ends the role: started again, it finds the event again."""
    if error is not None:
        raise KafkaException(error)
