"""Kafka: the names of topics and groups, client settings, and waiting for a broker to be there."""

from __future__ import annotations

import math
import socket
import threading
import time
import uuid
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar, cast

import structlog
from confluent_kafka import (
    Consumer,
    KafkaError,
    KafkaException,
    Message,
    Producer,
    TopicPartition,
)
from confluent_kafka.admin import (  # type: ignore[attr-defined]  # NewTopic is there, not exported
    AdminClient,
    NewTopic,
)

from monitor.config import KafkaConfig
from monitor.errors import UserError

log = structlog.get_logger(__name__)

T = TypeVar("T")

DAY_MS = 86_400_000
_FOREVER_WAIT = 2.0
"""Seconds between looks for a broker that is not there."""
_ANSWER_SECONDS = 5.0
REPEAT_SECONDS = 60.0
GRACE_SECONDS = 2.0
"""How much longer than agreed a call may take."""
_PROCESS = uuid.uuid4().hex
_PASSING = frozenset(
    {
        KafkaError._TIMED_OUT,
        KafkaError._TRANSPORT,
        KafkaError._ALL_BROKERS_DOWN,
        KafkaError._DESTROY_BROKER,
        KafkaError.NETWORK_EXCEPTION,
        KafkaError.REQUEST_TIMED_OUT,
        KafkaError.LEADER_NOT_AVAILABLE,
        KafkaError.NOT_LEADER_FOR_PARTITION,
        KafkaError.OFFSET_NOT_AVAILABLE,
    }
)
"""What a broker that is away, or just back, answers: outside transactions no error says that."""
_UNKNOWN = frozenset(
    {
        KafkaError._UNKNOWN_PARTITION,
        KafkaError._UNKNOWN_TOPIC,
        KafkaError.UNKNOWN_TOPIC_OR_PART,
    }
)
"""What is said of a topic that was made a moment ago: it takes time until every broker knows it."""
_KNOWN_SECONDS = 30.0
_PAUSE_SECONDS = 0.2


@dataclass(frozen=True, slots=True)
class Topics:
    """The topics that Plumbline writes, by what they carry."""

    prefix: str

    @property
    def features(self) -> str:
        """Feature chunks, keyed by model."""
        return f"{self.prefix}.features"

    @property
    def dead_letters(self) -> str:
        """Messages that were no records, byte for byte, and why."""
        return f"{self.prefix}.dlq"

    @property
    def events(self) -> str:
        """Drift events, keyed by model."""
        return f"{self.prefix}.events"

    @property
    def state(self) -> str:
        """Checkpoints of detect, compacted; partitioned like the features."""
        return f"{self.prefix}.state"

    def settings(self) -> dict[str, dict[str, str]]:
        """Each topic with the settings that it is created with."""
        two_weeks = {"retention.ms": str(14 * DAY_MS), "cleanup.policy": "delete"}
        large = {"max.message.bytes": str(8 * 1024 * 1024)}
        return {
            self.features: two_weeks | large,
            self.dead_letters: two_weeks | large,
            self.state: {
                "cleanup.policy": "compact",
                "min.cleanable.dirty.ratio": "0.2",
                "segment.bytes": str(64 * 1024 * 1024),
            },
            self.events: {"retention.ms": str(90 * DAY_MS), "cleanup.policy": "delete"},
        }


def client_settings(config: KafkaConfig, role: str) -> dict[str, Any]:
    """What all clients share; the user's librdkafka settings come first, ours cannot be undone."""
    defaults = {
        "client.id": f"{config.prefix}-{role}-{socket.gethostname()}",
        "statistics.interval.ms": 0,
    }
    ours = {"bootstrap.servers": config.bootstrap_servers, "logger": _ClientLog()}
    return defaults | config.client_settings() | ours


def consumer_settings(config: KafkaConfig, role: str) -> dict[str, Any]:
    """A member of the role's group that reads committed records only and commits by itself."""
    defaults: dict[str, Any] = {
        "auto.offset.reset": "earliest",
        # enough prefetched that a busy loop never waits, little enough to bound memory
        "queued.max.messages.kbytes": 65_536,
        "fetch.max.bytes": 16 * 1024 * 1024,
        # a full queue would else not be looked at again for a second, and run empty meanwhile
        "fetch.queue.backoff.ms": 5,
        # a restore, or a commit at a revocation, must not get the member thrown out
        "max.poll.interval.ms": 600_000,
    }
    ours: dict[str, Any] = {
        "group.id": f"{config.prefix}-{role}",
        "isolation.level": "read_committed",
        "enable.auto.commit": False,
        "enable.auto.offset.store": False,
    }
    if config.group_protocol == "consumer":
        ours["group.protocol"] = "consumer"  # here the broker assigns, and knows the timeouts
    else:
        defaults["session.timeout.ms"] = 15_000
        ours["partition.assignment.strategy"] = "cooperative-sticky"
    if config.instance is not None:
        ours["group.instance.id"] = f"{config.instance}-{role}"
    return defaults | client_settings(config, role) | ours


def producer_settings(config: KafkaConfig, role: str, *, transactional: bool) -> dict[str, Any]:
    """An idempotent producer; a transactional one is fenced by its consumer group (KIP-447)."""
    defaults: dict[str, Any] = {
        "linger.ms": 20,
        "compression.type": "lz4",
        "message.max.bytes": 8 * 1024 * 1024,
        "queue.buffering.max.kbytes": 65_536,
    }
    # murmur2 is what Java producers use: a model's key finds the same partition from anywhere
    ours: dict[str, Any] = {"enable.idempotence": True, "partitioner": "murmur2"}
    if transactional:
        # a name that is kept lets a restart end what its predecessor left open at once; without
        # one the broker does, after transaction.timeout.ms
        name = config.instance or _PROCESS
        ours["transactional.id"] = f"{config.prefix}-{role}-{name}"
        defaults["transaction.timeout.ms"] = 20_000
    return defaults | client_settings(config, role) | ours


def check(config: KafkaConfig) -> None:
    """Make the clients that the roles will make, so that a bad setting is found before anything.

    Raises UserError.
    """
    try:
        Consumer(consumer_settings(config, "check")).close()
        Producer(producer_settings(config, "check", transactional=True))
    except KafkaException as error:
        raise UserError(f"kafka.client: {error.args[0].str()}") from None


Place = tuple[str, int]
"""A topic and a partition of it."""


def place(message: Message) -> Place:
    """Where a message that arrived was read."""
    topic, partition = message.topic(), message.partition()
    assert topic is not None  # only a message that was never delivered has none
    assert partition is not None
    return topic, partition


def offset(message: Message) -> int:
    """The offset of a message that arrived."""
    number = message.offset()
    assert number is not None
    return number


def places(messages: Sequence[Message]) -> tuple[list[Place], list[int]]:
    """Places and offsets of messages that arrived, those of a batch at the speed of a batch."""
    topics = [message.topic() for message in messages]
    partitions = [message.partition() for message in messages]
    offsets = [message.offset() for message in messages]
    return cast(list[Place], list(zip(topics, partitions, strict=True))), cast(list[int], offsets)


def trouble(message: Message) -> str | None:
    """What a consumer was given instead of a message, in words; None for a message.

    Raises KafkaException where the client says that it cannot go on.
    """
    error = message.error()
    if error is None:
        return None
    if error.fatal():
        raise KafkaException(error)
    return f"{message.topic()}: {error.str()}"


def patiently(operation: Callable[[], None], waiting: Callable[[float], bool]) -> None:
    """Do what librdkafka says can be tried again until it is done; other errors are the caller's.

    waiting: waits so many seconds and says whether to give up; then that error is raised as well.
    """
    while True:
        try:
            return operation()
        except KafkaException as error:
            if not error.args[0].retriable() or waiting(0):
                raise
            log.warning("trying again", error=error.args[0].str())


class StuckError(Exception):
    """A call of the client library did not return in time: its producer is of no more use."""


def send_offsets(
    producer: Producer,
    offsets: list[TopicPartition],
    group: Any,
    seconds: float,
    waiting: Callable[[float], bool],
) -> None:
    """Let offsets join the producer's transaction.

    librdkafka up to 2.16 at least keeps no time here, and waits for ever where the broker that
    coordinated the group has left the cluster, if only for a restart (its issues 5456 and 5511).
    So the call has a thread of its own, which is left behind when it is stuck.
    Raises StuckError then, and KafkaException as `patiently` does.
    """
    errors: list[BaseException] = []
    returned = threading.Event()

    def call() -> None:
        try:
            producer.send_offsets_to_transaction(offsets, group, seconds)
        except BaseException as error:
            errors.append(error)
        returned.set()

    def attempt() -> None:
        errors.clear()
        returned.clear()
        threading.Thread(target=call, name="send offsets", daemon=True).start()
        if not returned.wait(seconds + GRACE_SECONDS):
            raise StuckError
        if errors:
            raise errors[0]

    patiently(attempt, waiting)


def is_abortable(error: KafkaError) -> bool:
    """Whether a transaction can be rolled back, and the work go on, after this error."""
    # once a delivery has failed, `produce` says no more than that the state is wrong
    return not error.fatal() and (error.txn_requires_abort() or error.code() == KafkaError._STATE)


def membership(consumer: Consumer) -> object:
    """What a transaction is fenced with: the group lets only a member of now commit offsets.

    Raises KafkaException, abortable, where the consumer is no member: one that was thrown out and
    has not noticed yet has no name, and from the nameless the broker takes any offset.
    """
    metadata = consumer.consumer_group_metadata()
    if not consumer.memberid():
        raise KafkaException(KafkaError(KafkaError._STATE, "no longer a member of the group"))
    return metadata


def read_compacted(
    config: KafkaConfig, topic: str, partition: int, beat: Callable[[], None]
) -> dict[bytes, bytes]:
    """The newest committed value of every key of a partition; deleted ones are left out.

    Waits for the end of transactions that are open: what one of them writes may yet be committed,
    and would then be newer than what was read. Of a writer that died the broker aborts it, after
    transaction.timeout.ms.

    beat: is called every now and then, for this may take a while; what it raises ends it.
    Raises KafkaException where the partition cannot be read.
    """
    end = _end(config, topic, partition, beat)
    settings = consumer_settings(config, "restore")
    # the end is only told with an answer, and the broker holds an empty one back so long
    settings |= {"enable.partition.eof": True, "fetch.wait.max.ms": 20}
    reader = Consumer(settings)
    place = TopicPartition(topic, partition)
    newest: dict[bytes, bytes] = {}
    waiting = False
    try:
        # once it has talked to the leader, and is told an offset, it reads without delay
        place.offset, _ = watermarks(reader, place, beat)
        reader.assign([place])
        while True:
            beat()
            # one at a time: `consume` waits for a full batch even at the end
            message = reader.poll(0.5)
            if message is None:
                continue
            error = message.error()
            if error is None:
                key, value = message.key() or b"", message.value()
                if value is None:
                    newest.pop(key, None)
                else:
                    newest[key] = value
            elif error.code() == KafkaError._PARTITION_EOF:
                if offset(message) >= end:
                    return newest
                if not waiting:
                    log.info("waiting for an open transaction", topic=topic, partition=partition)
                    waiting = True
            elif error.code() in _PASSING:
                log.warning("cannot read the state for now", topic=topic, error=error.str())
            else:
                raise KafkaException(error)
    finally:
        reader.close()


def _end(config: KafkaConfig, topic: str, partition: int, beat: Callable[[], None]) -> int:
    """The offset after the last message of a partition, those of open transactions included."""
    settings = consumer_settings(config, "restore") | {"isolation.level": "read_uncommitted"}
    asker = Consumer(settings)
    place = TopicPartition(topic, partition)
    try:
        return watermarks(asker, place, beat)[1]
    finally:
        asker.close()


def watermarks(
    consumer: Consumer, place: TopicPartition, beat: Callable[[], None]
) -> tuple[int, int]:
    """A partition's first offset and the one after its last, when the broker is there to say so.

    beat: is called between two attempts; what it raises ends it.
    Raises KafkaException where asking again will not help.
    """
    return _asked(lambda: consumer.get_watermark_offsets(place, _ANSWER_SECONDS), place.topic, beat)


def committed(consumer: Consumer, topic: str, beat: Callable[[], None]) -> dict[int, int]:
    """By partition of a topic, the offset that the consumer's group has committed, if any.

    beat: as for `watermarks`. Raises KafkaException where asking again will not help.
    """

    def ask() -> list[TopicPartition]:
        known = consumer.list_topics(topic, timeout=_ANSWER_SECONDS).topics[topic].partitions
        return consumer.committed([TopicPartition(topic, n) for n in known], _ANSWER_SECONDS)

    return {p.partition: p.offset for p in _asked(ask, topic, beat) if p.offset >= 0}


def since(consumer: Consumer, place: TopicPartition, time: float, beat: Callable[[], None]) -> int:
    """The offset of a partition's first message written since a time of day; its end if none was.

    beat: as for `watermarks`. Raises KafkaException where asking again will not help.
    """
    at = TopicPartition(place.topic, place.partition, int(time * 1000))
    (found,) = _asked(lambda: consumer.offsets_for_times([at], _ANSWER_SECONDS), place.topic, beat)
    return found.offset if found.offset >= 0 else watermarks(consumer, place, beat)[1]


def _asked(question: Callable[[], T], topic: str, beat: Callable[[], None]) -> T:
    """The broker's answer, when it is there to give one, and knows the topic."""
    known_by = time.monotonic() + _KNOWN_SECONDS
    while True:
        beat()
        try:
            return question()
        except KafkaException as error:
            code = error.args[0].code()
            if code not in _PASSING and not (code in _UNKNOWN and time.monotonic() < known_by):
                raise
            text = error.args[0].str()
            log.warning("cannot ask for offsets for now", topic=topic, error=text)
            time.sleep(_PAUSE_SECONDS)


class _ClientLog:
    """What librdkafka logs, as our log; it calls `log(level, format, *args)` of a logger.

    A lost broker is lost with every connection and every attempt: the same is said once a minute.
    """

    def __init__(self) -> None:
        self.said: dict[str, float] = {}

    def log(self, level: int, text: str, *args: object) -> None:
        detail = text % args if args else text
        if "will be ignored by this" in detail:  # clients of all kinds are given all settings
            return
        what, now = detail.partition(" (after ")[0], time.monotonic()
        if now - self.said.get(what, -math.inf) < REPEAT_SECONDS:
            return
        if len(self.said) >= 100:
            self.said.clear()
        self.said[what] = now
        log.log(level, "kafka client", detail=detail)


def wait_for_broker(
    config: KafkaConfig, stop: Callable[[float], bool], role: str
) -> Mapping[str, int] | None:
    """The broker's topics and their partitions, once it answers; None if told to stop before.

    stop: waits so many seconds, and says whether to give up.
    """
    complaints: deque[KafkaError] = deque(maxlen=10)
    admin = AdminClient(client_settings(config, role) | {"error_cb": complaints.append})
    said = False
    while True:
        try:
            topics = admin.list_topics(timeout=_ANSWER_SECONDS).topics
        except KafkaException as error:
            if not said:
                admin.poll(0)
                log.warning(
                    "waiting for the broker",
                    role=role,
                    bootstrap_servers=config.bootstrap_servers,
                    error=_cause(complaints, error.args[0]),
                )
                said = True
            if stop(_FOREVER_WAIT):
                return None
        else:
            if said:
                log.info("the broker is there", role=role)
            return {name: len(topic.partitions) for name, topic in topics.items()}


def _cause(complaints: Iterable[KafkaError], error: KafkaError) -> str:
    """Why a connection failed, a handshake for instance; "timed out" says only that it did."""
    vague = KafkaError._ALL_BROKERS_DOWN
    told = [each.str() for each in complaints if each.code() != vague]
    return told[-1] if told else error.str()


def ensure_topics(config: KafkaConfig, existing: Mapping[str, int], role: str) -> None:
    """Create the topics of ours that are missing; say what to create where we may not."""
    wanted = Topics(config.prefix).settings()
    missing = {name: settings for name, settings in wanted.items() if name not in existing}
    if not missing:
        return
    admin = AdminClient(client_settings(config, role))
    new = [
        NewTopic(name, num_partitions=config.partitions, replication_factor=-1, config=settings)
        for name, settings in missing.items()
    ]
    for name, future in admin.create_topics(new, request_timeout=10).items():
        try:
            future.result(timeout=15)
        except KafkaException as error:
            if error.args[0].code() != KafkaError.TOPIC_ALREADY_EXISTS:
                _say_what_to_create(name, config, missing[name], error.args[0].str())
        except TimeoutError:
            _say_what_to_create(name, config, missing[name], "the broker did not answer")
        else:
            log.info("topic created", topic=name, partitions=config.partitions)


def _say_what_to_create(
    name: str, config: KafkaConfig, settings: Mapping[str, str], error: str
) -> None:
    options = " ".join(f"--config {key}={value}" for key, value in settings.items())
    log.warning(
        "cannot create a topic; unless the broker makes it on first use, create it",
        topic=name,
        error=error,
        command=f"kafka-topics.sh --bootstrap-server {config.bootstrap_servers} --create "
        f"--topic {name} --partitions {config.partitions} {options}",
    )
