"""Wait for the broker and create missing topics."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass

import structlog
from confluent_kafka import KafkaError, KafkaException, TopicCollection
from confluent_kafka.admin import (  # type: ignore[attr-defined]  # NewTopic is not in __all__
    AclOperation,
    AdminClient,
    ConfigResource,
    NewTopic,
    ResourceType,
    TopicDescription,
)

from monitor.config.sections.kafka.section import KafkaConfig
from monitor.kafka.clients import RESPONSE_SECONDS, client_settings
from monitor.kafka.errors import UNKNOWN_TOPIC
from monitor.kafka.topics import Topics

log = structlog.get_logger(__name__)

_BROKER_RETRY_SECONDS = 2.0
_MAX_CONNECTION_ERRORS = 10


def wait_for_broker(
    config: KafkaConfig, stop: Callable[[float], bool], role: str
) -> Mapping[str, int] | None:
    """Wait until the broker responds; return the number of partitions by topic.

    stop: waits the given number of seconds and returns whether to stop waiting; the result is then
        None.
    """
    errors: deque[KafkaError] = deque(maxlen=_MAX_CONNECTION_ERRORS)
    admin = AdminClient(client_settings(config, role) | {"error_cb": errors.append})
    logged = False
    while True:
        try:
            topics = admin.list_topics(timeout=RESPONSE_SECONDS).topics
        except KafkaException as error:
            if not logged:
                admin.poll(0)
                log.warning(
                    "waiting for the broker",
                    role=role,
                    bootstrap_servers=config.bootstrap_servers,
                    error=_cause(errors, error.args[0]),
                )
                logged = True
            if stop(_BROKER_RETRY_SECONDS):
                return None
        else:
            if logged:
                log.info("broker connected", role=role)
            return {name: len(topic.partitions) for name, topic in topics.items()}


def _cause(errors: Iterable[KafkaError], timeout: KafkaError) -> str:
    """Return the last specific connection error, for example of a handshake; else the timeout."""
    specific = [error.str() for error in errors if error.code() != KafkaError._ALL_BROKERS_DOWN]
    return specific[-1] if specific else timeout.str()


def ensure_topics(
    config: KafkaConfig,
    existing: Mapping[str, int],
    role: str,
    *,
    sampled: bool = False,
    judged: bool = False,
    experiments: bool = False,
    joins_seconds: float | None = None,
) -> None:
    """Create Plumbline's missing topics; log the command for a topic that cannot be created.

    existing: topics of the broker, as `wait_for_broker` returns them.
    sampled, judged, experiments: whether to create the topics that only they need.
    joins_seconds: how long messages of a join are needed; None without feedback.
    """
    topics = Topics(config.prefix).settings(
        sampled=sampled, judged=judged, experiments=experiments, joins_seconds=joins_seconds
    )
    missing = {name: settings for name, settings in topics.items() if name not in existing}
    if not missing:
        return
    admin = AdminClient(client_settings(config, role))
    numbers = {name: _partitions(config, existing, name) for name in missing}
    new = [
        NewTopic(name, num_partitions=numbers[name], replication_factor=-1, config=settings)
        for name, settings in missing.items()
    ]
    for name, future in admin.create_topics(new, request_timeout=10).items():
        try:
            future.result(timeout=15)
        except KafkaException as error:
            if error.args[0].code() != KafkaError.TOPIC_ALREADY_EXISTS:
                _log_create_command(name, config, missing[name], error.args[0].str())
        except TimeoutError:
            _log_create_command(name, config, missing[name], "no response from the broker")
        else:
            log.info("topic created", topic=name, partitions=numbers[name])


def _partitions(config: KafkaConfig, existing: Mapping[str, int], topic: str) -> int:
    """Return the number of partitions of a new topic.

    Commands are partitioned like the feature topic, which an earlier version may have created, and
    the state of experiments like exposures.
    """
    topics = Topics(config.prefix)
    like = {topics.commands: topics.features, topics.experiment_state: topics.exposures}
    return existing.get(like.get(topic, topic), config.partitions)


def _log_create_command(
    name: str, config: KafkaConfig, settings: Mapping[str, str], error: str
) -> None:
    options = " ".join(f"--config {key}={value}" for key, value in settings.items())
    log.warning(
        "topic not created; create it unless the broker creates topics on first use",
        topic=name,
        error=error,
        command=f"kafka-topics.sh --bootstrap-server {config.bootstrap_servers} --create "
        f"--topic {name} --partitions {config.partitions} {options}",
    )


@dataclass(frozen=True, slots=True)
class TopicState:
    """Number of partitions of a topic, and its id: a topic that is made again has another one."""

    partitions: int
    id: str


def topic_states(config: KafkaConfig, topics: Sequence[str], role: str) -> dict[str, TopicState]:
    """Return the states of the topics, without those that the broker does not describe."""
    admin = AdminClient(client_settings(config, role))
    states = {}
    for topic, future in _describe(admin, topics).items():
        try:
            found = future.result(timeout=2 * RESPONSE_SECONDS)
        except (KafkaException, TimeoutError):
            continue
        states[topic] = TopicState(len(found.partitions), str(found.topic_id))
    return states


def cleanup_policy(config: KafkaConfig, topic: str, role: str) -> str | None:
    """Return the cleanup policy of a topic; None without the right to describe its settings."""
    admin = AdminClient(client_settings(config, role))
    resource = ConfigResource(ResourceType.TOPIC, topic)
    (future,) = admin.describe_configs([resource], request_timeout=RESPONSE_SECONDS).values()
    try:
        entry = future.result(timeout=2 * RESPONSE_SECONDS).get("cleanup.policy")
    except (KafkaException, TimeoutError):
        return None
    return entry.value if entry is not None else None


def unwritable_topics(config: KafkaConfig, topics: Sequence[str], role: str) -> set[str] | None:
    """Return those of the topics that exist and may not be written; None if this is unknown."""
    if not topics:
        return set()
    admin = AdminClient(client_settings(config, role))
    unwritable = set()
    for topic, future in _describe(admin, topics).items():
        try:
            operations = future.result(timeout=2 * RESPONSE_SECONDS).authorized_operations
        except (KafkaException, TimeoutError) as error:
            code = error.args[0].code() if isinstance(error, KafkaException) else None
            if code == KafkaError.TOPIC_AUTHORIZATION_FAILED:
                unwritable.add(topic)
            elif code not in UNKNOWN_TOPIC:
                return None
        else:
            if not operations:  # a broker that does not report them
                return None
            if AclOperation.WRITE not in operations:
                unwritable.add(topic)
    return unwritable


def _describe(admin: AdminClient, topics: Sequence[str]) -> dict[str, Future[TopicDescription]]:
    return admin.describe_topics(
        TopicCollection(list(topics)),
        include_authorized_operations=True,
        request_timeout=RESPONSE_SECONDS,
    )
