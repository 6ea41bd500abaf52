"""Starts, stops and outages: no record is lost and none is counted twice."""

from __future__ import annotations

import signal
import uuid
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka import KafkaError, KafkaException
from confluent_kafka.admin import (  # type: ignore[attr-defined]  # public, unlisted
    AclBinding,
    AclBindingFilter,
    AclOperation,
    AclPermissionType,
    AdminClient,
    ResourcePatternType,
    ResourceType,
)

from monitor.ingest.decode.native.usual import READER_BUILT
from monitor.kafka.topics import Topics
from tests.integration.broker import KafkaBroker
from tests.integration.harness import (
    SHORT_SESSION,
    TIMEOUT_S,
    Daemon,
    Feed,
    committed,
    letters,
    numbered,
    produce,
    read_all,
    times,
    until,
)

MakeTopic = Callable[..., str]

pytestmark = pytest.mark.usefixtures("real_broker")


def test_waiting_for_broker_and_topic(tmp_path: Path) -> None:
    """A daemon that starts before the broker and the topic logs once for each role that it waits;
    it is alive but not ready, and starts work as soon as both are there.
    """
    broker, prefix = KafkaBroker(tmp_path / "kafka"), "early"
    with Daemon(tmp_path, broker.bootstrap, prefix=prefix, logs=["late"]) as daemon:
        daemon.wait_for("waiting for the broker", count=2)
        assert daemon.get("/healthz")[0] == 200
        assert daemon.get("/readyz")[0] == 503
        with broker:
            daemon.wait_for("broker connected", count=2)
            assert daemon.wait_for("waiting for a topic to read")["topic"] == "late"
            daemon.wait(lambda: daemon.get("/readyz")[1] == "not ready: ingest\n", "detect")
            broker.create_topic("late", 2)
            produce(broker.bootstrap, "late", map(numbered, range(100)))
            daemon.wait_metric("records_watched_total", 100)
            assert daemon.get("/readyz")[0] == 200
            assert len(daemon.said("waiting for the broker")) == 2
            assert daemon.stop() == 0


def test_outage_under_load(tmp_path: Path) -> None:
    """After a restart of the broker under load the daemon continues, and every record is counted
    once and is in the feature topic once. It stops with status 0 even without a broker.
    """
    prefix, logs = "outage", "logs"
    with KafkaBroker(tmp_path / "kafka") as broker:
        broker.create_topic(logs, 2)
        kafka = {"client": SHORT_SESSION}
        with (
            Daemon(tmp_path, broker.bootstrap, prefix=prefix, logs=[logs], kafka=kafka) as daemon,
            Feed(broker.bootstrap, logs, rate=2_000, bad=100) as feed,
        ):
            daemon.wait_metric("records_watched_total", 2_000)
            broker.restart()
            daemon.wait_metric("records_consumed_total", 4_000 + feed.sent)
            total = feed.finish()
            assert len(read_all(broker.bootstrap, logs)) == total
            daemon.wait_metric("records_consumed_total", total)
            good = len(feed.good())
            # a process counts a record as watched again when it is restored to an earlier offset
            daemon.wait_metric("records_watched_total", good)
            assert daemon.process.poll() is None
            assert times(broker.bootstrap, prefix) == feed.good()
            assert daemon.metric("records_consumed_total") == total
            assert daemon.metric("records_rejected_total") == total - good
            assert set(letters(broker.bootstrap, prefix).values()) == {1}
            produce(broker.bootstrap, logs, map(numbered, range(1000)))
            broker.stop()
            assert daemon.stop() == 0


def test_handing_over_under_load(broker: KafkaBroker, topic: MakeTopic, tmp_path: Path) -> None:
    """A daemon that gets SIGTERM under load commits its offsets and exits with 0; one that gets
    SIGKILL commits nothing. After the last one, each record and each dead letter is there once.
    """
    logs, prefix = topic(2), uuid.uuid4().hex
    group = f"{prefix}-ingest"
    kafka = {"client": SHORT_SESSION | {"transaction.timeout.ms": 5_000}}

    def daemon() -> Daemon:
        return Daemon(tmp_path, broker.bootstrap, prefix=prefix, logs=[logs], kafka=kafka)

    with Feed(broker.bootstrap, logs, rate=3_000, bad=50) as feed:
        with daemon() as first:
            first.wait_metric("records_consumed_total", 5_000)
            assert first.stop() == 0
            assert 5_000 <= committed(broker.bootstrap, group, logs) <= feed.sent
        with daemon() as second:
            second.wait_metric("records_consumed_total", 5_000)
            second.kill()
        with daemon() as third:
            third.wait_metric("records_consumed_total", 1)
            total = feed.finish()
            third.wait(
                lambda: committed(broker.bootstrap, group, logs) == total, "the end of the log"
            )
            assert third.stop() == 0
    assert times(broker.bootstrap, prefix) == feed.good()
    dead = letters(broker.bootstrap, prefix)
    assert len(dead) == total - len(feed.good())
    assert set(dead.values()) == {1}


def test_members_share_the_work(broker: KafkaBroker, topic: MakeTopic, tmp_path: Path) -> None:
    """While a second member of the ingest group joins and leaves under load, every record comes
    into the feature topic once.
    """
    logs, prefix = topic(4), uuid.uuid4().hex
    group = f"{prefix}-ingest"
    both = [
        Daemon(tmp_path, broker.bootstrap, prefix=prefix, logs=[logs], roles="ingest")
        for _ in range(2)
    ]
    with both[0] as stays, Feed(broker.bootstrap, logs, rate=3_000) as feed:
        stays.wait_metric("records_consumed_total", 1)
        with both[1] as leaves:
            leaves.wait_metric("records_consumed_total", 4_000)
            assert leaves.stop() == 0
        total = feed.finish()
        stays.wait(lambda: committed(broker.bootstrap, group, logs) == total, "the end of the log")
        assert stays.stop() == 0
    assert times(broker.bootstrap, prefix) == feed.good()


def test_second_signal_ends_at_once(tmp_path: Path) -> None:
    """A second signal ends the daemon at once: without a broker the first one takes seconds."""
    with Daemon(tmp_path, "127.0.0.1:1", prefix="p", logs=["l"]) as daemon:
        assert daemon.wait_for("started")["compiled"] is READER_BUILT
        daemon.process.send_signal(signal.SIGTERM)
        daemon.wait_for("stopping")
        daemon.process.send_signal(signal.SIGINT)
        assert daemon.process.wait(TIMEOUT_S) == 128 + signal.SIGINT


def test_what_may_not_be_created_is_named(tmp_path: Path) -> None:
    """If the broker forbids creating topics, the log has the commands that create them, and the
    daemon works without a restart once the topics exist.
    """
    rules = {
        "authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
        "allow.everyone.if.no.acl.found": "true",
    }
    event = "topic not created; create it unless the broker creates topics on first use"
    with KafkaBroker(tmp_path / "kafka", properties=rules) as broker:
        broker.create_topic("logs")
        allow_again = forbid_creating(broker, "held")
        with Daemon(tmp_path, broker.bootstrap, prefix="held", logs=["logs"]) as daemon:
            daemon.wait_for(event, count=10)  # five topics, named by both roles
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
    assert lines.keys() == Topics("held").settings().keys()


def creates(broker: KafkaBroker, topic: str) -> bool:
    """Create a topic; return whether the broker allows it."""
    try:
        broker.create_topic(topic, 2)
    except KafkaException as error:
        if error.args[0].code() != KafkaError.TOPIC_AUTHORIZATION_FAILED:
            raise
        return False
    return True


def forbid_creating(broker: KafkaBroker, prefix: str) -> Callable[[], None]:
    """Forbid all users to create topics with a prefix; return a function that allows it again."""
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
