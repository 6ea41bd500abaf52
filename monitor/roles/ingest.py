"""Ingest: logs in; feature chunks, dead letters and the logs' offsets out, in one transaction.

A turn of the loop decodes a batch; features are made of some batches together, and what has
gathered is produced, one chunk for each model. About twice a second the transaction is committed
together with the offsets; while there is more to catch up with than one transaction takes, every
two seconds: the longer it is open, the more records of each model stand together, and the less each
of them costs.
Whatever goes wrong before that is rolled back, and the same messages are read again: no record is
lost and none counted twice, here or in the metrics.
"""

from __future__ import annotations

import time
from collections import Counter, deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import chain, groupby

import numpy as np
import structlog
from confluent_kafka import (
    Consumer,
    KafkaException,
    Message,
    Producer,
    TopicPartition,
)
from numpy.typing import NDArray

from monitor import columns, kafka, logfiles
from monitor.columns import Columns
from monitor.config import Config
from monitor.decode.decoded import Decoded
from monitor.features import Batch, join
from monitor.health import Health
from monitor.kafka import Place, Topics
from monitor.metrics import Metrics
from monitor.records import RefusedError

log = structlog.get_logger(__name__)

ROLE = "ingest"
BATCH = 300
"""Messages decoded at a time: their texts are still in the core's own cache, from being copied."""
EXTRACT_RECORDS = 1_000
"""Records whose features are made at a time: enough for what a call costs not to matter."""
CHUNK_RECORDS = 50_000
"""Records that are put into chunks together, at most."""
POLL_SECONDS = 0.1
COMMIT_SECONDS = 0.5
"""How long a transaction is open: what no record waits longer for, once it has been read."""
BEHIND_SECONDS = 2.0
"""The same while ingest is behind: its records are late already, and must not be dear as well."""
OPERATION_SECONDS = 10.0
"""How long a commit or an abort may take before it is tried again, or given up on shutdown."""
CHUNK_BYTES = 900_000
"""Most bytes of a chunk: within the limit of a broker that nobody has told of larger messages."""
HEADROOM = 64 * 1024
"""What a dead letter's key, headers and frame may take of the largest message."""

Headers = list[tuple[str, str | bytes | None]]


@dataclass(frozen=True, slots=True)
class Outgoing:
    """A message to be produced."""

    topic: str
    key: bytes | None
    value: bytes | None
    headers: Headers | None = None


@dataclass(slots=True)
class Transaction:
    """What the open transaction holds.

    starts: by partition, the first offset in it: where reading resumes when it is rolled back.
    ends: by partition, the offset after the last one in it: what is committed with it.
    """

    opened: float
    starts: dict[Place, int] = field(default_factory=dict)
    ends: dict[Place, int] = field(default_factory=dict)
    consumed: Counter[str] = field(default_factory=Counter)
    rejected: Counter[str] = field(default_factory=Counter)
    batches: list[Batch] = field(default_factory=list)
    waiting: list[Batch] = field(default_factory=list)
    """What is not in chunks yet; `batches` has the rest."""
    decoded: list[tuple[Decoded, NDArray[np.int64]]] = field(default_factory=list)
    """What has no features yet, with the positions of its records."""

    def cover(self, places: Sequence[Place], offsets: Sequence[int]) -> None:
        """Take in messages by place and offset; those of one partition are in order."""
        after = 0
        for place, run in groupby(places):  # a batch comes in long runs of one partition
            first, after = after, after + len(list(run))
            self.starts.setdefault(place, offsets[first])
            self.ends[place] = offsets[after - 1] + 1
            self.consumed[place[0]] += after - first


class Ingest:
    """One member of the ingest group.

    stop: waits so many seconds and says whether to end.
    """

    def __init__(
        self, config: Config, metrics: Metrics, health: Health, stop: Callable[[float], bool]
    ) -> None:
        self.config = config
        self.metrics = metrics
        self.health = health
        self.stop = stop
        self.topics = Topics(config.kafka.prefix)
        self.decode = logfiles.decode_of(config)
        self.extractor = logfiles.extractor_of(config)
        self.transaction: Transaction | None = None
        self.outbox: deque[Outgoing] = deque()
        self.paused: bool | None = False
        self.rewind: dict[Place, int | None] = {}
        self.behind = False

    def run(self) -> None:
        """Join, work until told to stop, commit what is in hand, leave."""
        existing = kafka.wait_for_broker(self.config.kafka, self._waiting, ROLE)
        if existing is None:
            return
        kafka.ensure_topics(self.config.kafka, existing, ROLE)
        for topic in self.config.kafka.logs:
            if topic not in existing:
                log.warning("waiting for a topic to read", topic=topic)
        while not self.stop(0):
            try:
                self._session()
            except kafka.StuckError:
                log.warning("the kafka client is stuck, going on with a new one", role=ROLE)

    def _session(self) -> None:
        """What one pair of clients does, until told to stop."""
        self.paused, self.rewind, self.behind = False, {}, False
        settings = kafka.producer_settings(self.config.kafka, ROLE, transactional=True)
        self.largest_letter = int(settings["message.max.bytes"]) - HEADROOM
        self.producer = Producer(settings)
        self.consumer = Consumer(kafka.consumer_settings(self.config.kafka, ROLE))
        try:
            self._patiently(lambda: self.producer.init_transactions(OPERATION_SECONDS))
            self.consumer.subscribe(
                list(self.config.kafka.logs),
                on_assign=self._assigned,
                on_revoke=self._revoked,
                on_lost=self._lost,
            )
            while not self.stop(0):
                self._turn()
            self._drain()
        except KafkaException as error:
            if not (self.stop(0) and error.args[0].retriable()):
                raise
            log.warning("not committed; it will be read again", error=error.args[0].str())
        finally:
            self.transaction = None  # half-done work must not be committed on leaving
            self.outbox.clear()
            self.consumer.close()

    def _waiting(self, seconds: float) -> bool:
        self.health.beat(ROLE)
        return self.stop(seconds)

    def _turn(self) -> None:
        self.health.beat(ROLE)
        messages = self._read()
        try:
            if messages:
                self._take(messages)
            due = self._due(behind=self.behind and bool(messages))
            if due:
                self._chunk(due)
            self._produce()
            self._apply_backpressure()
            if due and not self.outbox:
                self._commit()
        except KafkaException as error:
            self._recover(error)

    def _read(self) -> list[Message]:
        """The next messages.

        A rebalance runs within `consume` and may give partitions away, or roll back, when messages
        of them are already in the batch: those are dropped, and read again if they are still ours.
        """
        messages = self.consumer.consume(BATCH, POLL_SECONDS)
        if not self.rewind:
            return messages
        self._apply_backpressure()  # a seek is for partitions that are not paused
        for (topic, partition), offset in self.rewind.items():
            if offset is not None:
                self.consumer.seek(TopicPartition(topic, partition, offset))
        rewind, self.rewind = self.rewind, {}
        return [m for m in messages if m.error() is not None or kafka.place(m) not in rewind]

    def _take(self, messages: Sequence[Message]) -> None:
        """Decode a batch and put what comes of it into the outbox."""
        arrived = [message for message in messages if message.error() is None]
        if len(arrived) < len(messages):
            self._complain(messages)
        if not arrived:
            return
        places, offsets = kafka.places(arrived)
        transaction = self._open(places, offsets)
        payloads = [message.value() or b"" for message in arrived]
        decoded = self.decode.many(payloads)
        for index, refused in decoded.refusals:
            self._refuse(arrived[index], refused, transaction)
        positions = np.fromiter(offsets, np.int64, len(offsets))[decoded.kept] + 1
        transaction.decoded.append((decoded, positions))
        if sum(len(each.records) for each, _ in transaction.decoded) >= EXTRACT_RECORDS:
            self._extract(transaction)
        if sum(len(batch.codes) for batch in transaction.waiting) >= CHUNK_RECORDS:
            self._chunk(transaction)

    def _extract(self, transaction: Transaction) -> None:
        """Make features of what has none."""
        if not transaction.decoded:
            return
        decoded, positions = zip(*transaction.decoded, strict=True)
        transaction.decoded = []
        records = list(chain.from_iterable(each.records for each in decoded))
        counted = np.concatenate([each.counted for each in decoded], axis=1)
        batch = self.extractor.batch(records, np.concatenate(positions), counted)
        transaction.waiting.append(batch)

    def _chunk(self, transaction: Transaction) -> None:
        """Put what waits into chunks: the more records, the more of each model stand together."""
        self._extract(transaction)
        if not transaction.waiting:
            return
        batch = join(transaction.waiting)
        transaction.batches.append(batch)
        transaction.waiting = []
        for chunk in batch.by_model():
            for payload in _payloads(chunk):
                self.outbox.append(Outgoing(self.topics.features, chunk.model.encode(), payload))

    def _refuse(self, message: Message, refused: RefusedError, transaction: Transaction) -> None:
        """Put a message into the dead letters, byte for byte, with the reason in its headers."""
        topic, partition = kafka.place(message)
        transaction.rejected[refused.reason] += 1
        headers: Headers = [
            *(message.headers() or []),
            ("plumbline.reason", refused.reason.encode()),
            ("plumbline.detail", refused.detail.encode()),
            ("plumbline.topic", topic.encode()),
            ("plumbline.partition", str(partition).encode()),
            ("plumbline.offset", str(kafka.offset(message)).encode()),
        ]
        value = message.value()
        if value is not None and len(value) > self.largest_letter:
            headers.append(("plumbline.truncated_from", str(len(value)).encode()))
            value = value[: self.largest_letter]
        self.outbox.append(Outgoing(self.topics.dead_letters, message.key(), value, headers))

    def _complain(self, messages: Sequence[Message]) -> None:
        """Say once a batch what cannot be read; a fatal error ends the role."""
        for text in {kafka.trouble(message) for message in messages} - {None}:
            log.warning("cannot read for now", role=ROLE, error=text)

    def _open(self, places: Sequence[Place], offsets: Sequence[int]) -> Transaction:
        """The transaction, begun if need be, that the messages are now part of."""
        transaction = self.transaction or Transaction(time.monotonic())
        transaction.cover(places, offsets)
        if self.transaction is None:
            self.transaction = transaction
            self.producer.begin_transaction()
        return transaction

    def _produce(self) -> None:
        """Hand the outbox to the producer, as far as its queue has room."""
        while self.outbox:
            out = self.outbox[0]
            try:
                self.producer.produce(out.topic, out.value, out.key, headers=out.headers)
            except BufferError:
                break
            self.outbox.popleft()
        self.producer.poll(0)

    def _apply_backpressure(self) -> None:
        """Read nothing more while the outbox waits; the group still sees a member that polls."""
        waiting = bool(self.outbox)
        if waiting != self.paused:
            (self.consumer.pause if waiting else self.consumer.resume)(self.consumer.assignment())
            self.paused = waiting

    def _due(self, *, behind: bool) -> Transaction | None:
        """The transaction, if it is time to commit it."""
        transaction, limit = self.transaction, BEHIND_SECONDS if behind else COMMIT_SECONDS
        old = transaction and time.monotonic() - transaction.opened >= limit
        return transaction if old else None

    def _commit(self) -> None:
        """Make the transaction and the offsets that it covers durable, then count it."""
        transaction = self.transaction
        if transaction is None:
            return
        ends = [TopicPartition(t, p, offset) for (t, p), offset in transaction.ends.items()]
        group = kafka.membership(self.consumer)
        kafka.send_offsets(self.producer, ends, group, OPERATION_SECONDS, self._waiting)
        self._patiently(lambda: self.producer.commit_transaction(OPERATION_SECONDS))
        self.transaction = None
        self.metrics.ingested(transaction.batches, transaction.consumed, transaction.rejected)
        self.metrics.scores_dropped = self.extractor.scores_dropped
        self._measure_lag(transaction)

    def _patiently(self, operation: Callable[[], None]) -> None:
        kafka.patiently(operation, self._waiting)

    def _recover(self, error: KafkaException) -> None:
        """Roll back and read again from where the transaction began, unless that is hopeless."""
        cause = error.args[0]
        if not kafka.is_abortable(cause):
            raise error
        log.warning("transaction rolled back, reading again", error=cause.str())
        self._roll_back()

    def _roll_back(self) -> None:
        """Undo the transaction; what was in it is read again."""
        transaction, self.transaction = self.transaction, None
        self.outbox.clear()
        if transaction is None:
            return
        self.metrics.transactions_aborted += 1
        self._patiently(lambda: self.producer.abort_transaction(OPERATION_SECONDS))
        self.rewind |= transaction.starts

    def _drain(self) -> None:
        """Commit what is in hand, within a bounded time; roll back what cannot be committed."""
        until = time.monotonic() + OPERATION_SECONDS
        try:
            if self.transaction is not None:
                self._chunk(self.transaction)
            while self.outbox and time.monotonic() < until:
                self._produce()
                self.producer.poll(POLL_SECONDS)
            if self.outbox:
                self._roll_back()
            self._commit()
        except KafkaException as error:
            self._recover(error)

    def _assigned(self, consumer: Consumer, partitions: list[TopicPartition]) -> None:
        with self.metrics.lock:
            self.metrics.rebalances[ROLE] += 1
        self.paused = None  # the new partitions are not paused, the old ones may be: see to all
        log.info("partitions assigned", role=ROLE, partitions=_names(partitions))
        self.health.ready(ROLE)

    def _revoked(self, consumer: Consumer, partitions: list[TopicPartition]) -> None:
        """Commit before the partitions go to another member."""
        log.info("partitions revoked", role=ROLE, partitions=_names(partitions))
        self._drain()
        self._forget(partitions)

    def _lost(self, consumer: Consumer, partitions: list[TopicPartition]) -> None:
        """Another member has the partitions already: what is in hand must not be committed."""
        log.warning("partitions lost", role=ROLE, partitions=_names(partitions))
        self._roll_back()
        self._forget(partitions)

    def _forget(self, partitions: Sequence[TopicPartition]) -> None:
        places = [(partition.topic, partition.partition) for partition in partitions]
        self.rewind |= dict.fromkeys(places)
        with self.metrics.lock:
            for place in places:
                self.metrics.lag.pop(place, None)

    def _measure_lag(self, transaction: Transaction) -> None:
        lag: dict[Place, int] = {}
        for (topic, partition), end in transaction.ends.items():
            _, high = self.consumer.get_watermark_offsets(
                TopicPartition(topic, partition), cached=True
            )
            if high >= 0:
                lag[topic, partition] = max(0, high - end)
        self.behind = sum(lag.values()) > sum(transaction.consumed.values())
        with self.metrics.lock:
            self.metrics.lag |= lag


def _payloads(chunk: Columns) -> Iterator[bytes]:
    """The chunk's bytes, in as many messages as the limit asks for."""
    payload = columns.encode(chunk)
    if len(payload) <= CHUNK_BYTES or len(chunk) == 1:
        yield payload
        return
    half = len(chunk) // 2
    yield from _payloads(chunk.take(slice(0, half)))
    yield from _payloads(chunk.take(slice(half, None)))


def _names(partitions: Sequence[TopicPartition]) -> list[str]:
    return [f"{p.topic}[{p.partition}]" for p in partitions]
