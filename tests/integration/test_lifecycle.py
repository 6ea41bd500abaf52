"""Coming, going and outages: no record lost, none counted twice."""

from __future__ import annotations

import signal
import uuid
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka import ConsumerGroupTopicPartitions, KafkaError, KafkaException
from confluent_kafka.admin import (  # type: ignore[attr-defined]  # public, unlisted
    AclBinding,
    AclBindingFilter,
    AclOperation,
    AclPermissionType,
    AdminClient,
    ResourcePatternType,
    ResourceType,
)

from monitor.decode.shorten import BUILT
from tests.integration.broker import KafkaBroker
from tests.integration.harness import (
    SHORT_SESSION,
    Daemon,
    Feed,
    letters,
    numbered,
    produce,
    times,
    until,
)

MakeTopic = Callable[..., str]

pytestmark = pytest.mark.usefixtures("real_broker")


def committed(broker: KafkaBroker, prefix: str, logs: str) -> int:
    """The sum of the offsets that ingest has committed."""
    admin = AdminClient({"bootstrap.servers": broker.bootstrap})
    wanted = ConsumerGroupTopicPartitions(f"{prefix}-ingest")
    (future,) = admin.list_consumer_group_offsets([wanted]).values()
    return sum(p.offset for p in future.result(30).topic_partitions or [] if p.topic == logs)


def test_waiting_for_broker_and_topic(tmp_path: Path) -> None:
    """A daemon that comes before the broker, and before the topic, waits and says so once for each
    role; it is alive but not ready, and works as soon as both are there.
    """
    broker, prefix = KafkaBroker(tmp_path / "kafka"), "early"
    with Daemon(tmp_path, broker.bootstrap, prefix=prefix, logs=["late"]) as daemon:
        daemon.wait_for("waiting for the broker", count=2)
        assert daemon.get("/healthz")[0] == 200
        assert daemon.get("/readyz")[0] == 503
        with broker:
            daemon.wait_for("the broker is there", count=2)
            assert daemon.wait_for("waiting for a topic to read")["topic"] == "late"
            daemon.wait(lambda: daemon.get("/readyz")[1] == "not ready: ingest\n", "detect")
            broker.create_topic("late", 2)
            produce(broker.bootstrap, "late", map(numbered, range(100)))
            daemon.wait_metric("records_watched_total", 100)
            assert daemon.get("/readyz")[0] == 200
            assert len(daemon.said("waiting for the broker")) == 2
            assert daemon.stop() == 0


def test_outage_under_load(tmp_path: Path) -> None:
    """The broker is restarted under load: the daemon goes on by itself, and every record is counted
    once and is in the feature topic once. It ends in order and in time even with no broker.
    """
    prefix, logs = "outage", "logs"
    with KafkaBroker(tmp_path / "kafka") as broker:
        broker.create_topic(logs, 2)
        kafka = {"client": SHORT_SESSION}
        with (
            Daemon(tmp_path, broker.bootstrap, prefix=prefix, logs=[logs], kafka=kafka) as daemon,
            Feed(broker.bootstrap, logs, rate=4_000, most=200_000, bad=100) as feed,
        ):
            daemon.wait_metric("records_watched_total", 2_000)
            broker.restart()
            daemon.wait_metric("records_consumed_total", 4_000 + feed.sent)
            total = feed.finish()
            daemon.wait_metric("records_consumed_total", total)
            good = len(feed.good())
            # what a restored checkpoint repeats is watched twice by one process, in effect once
            daemon.wait_metric("records_watched_total", good)
            assert daemon.process.poll() is None
            assert daemon.metric("records_consumed_total") == total
            assert daemon.metric("records_rejected_total") == total - good
            assert times(broker.bootstrap, prefix) == feed.good()
            assert set(letters(broker.bootstrap, prefix).values()) == {1}
            produce(broker.bootstrap, logs, map(numbered, range(1000)))
            broker.stop()
            assert daemon.stop() == 0


def test_handing_over_under_load(broker: KafkaBroker, topic: MakeTopic, tmp_path: Path) -> None:
    """SIGTERM under load ends a daemon with status 0 and its offsets committed; one that is killed
    cannot commit. Those that go on after them leave every record and every dead letter once.
    """
    logs, prefix = topic(2), uuid.uuid4().hex
    kafka = {"client": SHORT_SESSION | {"transaction.timeout.ms": 5_000}}

    def daemon() -> Daemon:
        return Daemon(tmp_path, broker.bootstrap, prefix=prefix, logs=[logs], kafka=kafka)

    with Feed(broker.bootstrap, logs, rate=5_000, most=500_000, bad=50) as feed:
        with daemon() as first:
            first.wait_metric("records_consumed_total", 5_000)
            assert first.stop() == 0
            assert 5_000 <= committed(broker, prefix, logs) < feed.sent + 1
        with daemon() as second:
            second.wait_metric("records_consumed_total", 5_000)
            second.kill()
        with daemon() as third:
            third.wait_metric("records_consumed_total", 1)
            total = feed.finish()
            third.wait(lambda: committed(broker, prefix, logs) == total, "the end of the log")
            assert third.stop() == 0
    assert times(broker.bootstrap, prefix) == feed.good()
    dead = letters(broker.bootstrap, prefix)
    assert len(dead) == total - len(feed.good())
    assert set(dead.values()) == {1}


def test_members_share_the_work(broker: KafkaBroker, topic: MakeTopic, tmp_path: Path) -> None:
    """Two members of the ingest group share four partitions; one comes and goes under load, and
    every record is in the feature topic once.
    """
    logs, prefix = topic(4), uuid.uuid4().hex
    both = [
        Daemon(tmp_path, broker.bootstrap, prefix=prefix, logs=[logs], roles="ingest")
        for _ in range(2)
    ]
    with both[0] as stays, Feed(broker.bootstrap, logs, rate=4_000, most=500_000) as feed:
        stays.wait_metric("records_consumed_total", 1)
        with both[1] as leaves:
            leaves.wait_metric("records_consumed_total", 4_000)
            assert leaves.stop() == 0
        total = feed.finish()
        stays.wait(lambda: committed(broker, prefix, logs) == total, "the end of the log")
        assert stays.stop() == 0
    assert times(broker.bootstrap, prefix) == feed.good()


def test_second_signal_ends_at_once(tmp_path: Path) -> None:
    """A daemon that was told to stop and is told again does not wait for anything."""
    with Daemon(tmp_path, "127.0.0.1:1", prefix="p", logs=["l"]) as daemon:
        assert daemon.wait_for("started")["compiled"] is BUILT
        daemon.process.send_signal(signal.SIGTERM)
        daemon.wait_for("stopping")
        daemon.process.send_signal(signal.SIGINT)
        assert daemon.process.wait(5) == 128 + signal.SIGINT


def test_what_may_not_be_created_is_named(tmp_path: Path) -> None:
    """Where the broker forbids creating topics the log says which commands do it, and the daemon
    works without a restart once somebody has.
    """
    rules = {
        "authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
        "allow.everyone.if.no.acl.found": "true",
    }
    event = "cannot create a topic; unless the broker makes it on first use, create it"
    with KafkaBroker(tmp_path / "kafka", properties=rules) as broker:
        broker.create_topic("logs")
        allow_again = forbid_creating(broker, "held")
        with Daemon(tmp_path, broker.bootstrap, prefix="held", logs=["logs"]) as daemon:
            daemon.wait_for(event, count=8)  # four topics, named by both roles
            lines = {line["topic"]: line for line in daemon.said(event)}
            assert "Authorization failed" in lines["held.features"]["error"]
            assert lines["held.features"]["command"].startswith(
                f"kafka-topics.sh --bootstrap-server {broker.bootstrap} --create "
                "--topic held.features --partitions 2 --config retention.ms=1209600000"
            )
            allow_again()
            for name in lines:
                until(partial(creates, broker, name), f"the right to create {name}")
            produce(broker.bootstrap, "logs", map(numbered, range(100)))
            daemon.wait_metric("records_watched_total", 100)
            assert daemon.stop() == 0
    assert len(lines) == 4


def creates(broker: KafkaBroker, topic: str) -> bool:
    """Create a topic; whether one may."""
    try:
        broker.create_topic(topic, 2)
    except KafkaException as error:
        if error.args[0].code() != KafkaError.TOPIC_AUTHORIZATION_FAILED:
            raise
        return False
    return True


def forbid_creating(broker: KafkaBroker, prefix: str) -> Callable[[], None]:
    """Take from everybody the right to create topics with a prefix; what gives it back."""
    admin = AdminClient({"bootstrap.servers": broker.bootstrap})
    places = (
        (ResourceType.BROKER, "kafka-cluster", ResourcePatternType.LITERAL),
        (ResourceType.TOPIC, prefix, ResourcePatternType.PREFIXED),
    )
    rights = (
        (AclOperation.ALL, AclPermissionType.ALLOW),
        (AclOperation.CREATE, AclPermissionType.DENY),
    )
    bindings = [
        AclBinding(*place, "User:ANONYMOUS", "*", *right) for place in places for right in rights
    ]
    for created in admin.create_acls(bindings).values():
        created.result(30)

    def undo() -> None:
        anything: Any = None
        denials = AclBindingFilter(
            ResourceType.ANY,
            anything,
            ResourcePatternType.ANY,
            anything,
            anything,
            AclOperation.CREATE,
            AclPermissionType.DENY,
        )
        for deleted in admin.delete_acls([denials]).values():
            deleted.result(30)

    return undo
