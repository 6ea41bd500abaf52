"""Coming, going and outages: no record lost, none counted twice."""

from __future__ import annotations

import signal
import uuid
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest
from confluent_kafka.admin import (
    AclBinding,
    AclOperation,
    AclPermissionType,
    AdminClient,
    ResourcePatternType,
    ResourceType,
)

from tests.integration.broker import KafkaBroker
from tests.integration.harness import (
    SHORT_SESSION,
    Daemon,
    Feed,
    letters,
    numbered,
    produce,
    times,
)

MakeTopic = Callable[..., str]

pytestmark = pytest.mark.usefixtures("real_broker")


def committed(broker: KafkaBroker, prefix: str, logs: str) -> int:
    """The sum of the offsets that ingest has committed."""
    admin = AdminClient({"bootstrap.servers": broker.bootstrap})
    from confluent_kafka import ConsumerGroupTopicPartitions

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
            assert daemon.get("/readyz") == (503, "not ready: ingest\n") or daemon.wait_for(
                "topic created"
            )
            broker.create_topic("late", 2)
            produce(broker.bootstrap, "late", map(numbered, range(100)))
            daemon.wait_metric("records_watched_total", 100)
            assert daemon.get("/readyz")[0] == 200
            assert len(daemon.said("waiting for the broker")) == 2
            assert daemon.stop() == 0


def test_outage_under_load(tmp_path: Path) -> None:
    """The broker is stopped, later killed, and started again under load: the daemon goes on by
    itself, and every record is counted once and is in the feature topic once. It ends in order and
    in time even while the broker is away.
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
            daemon.wait_metric("records_watched_total", 4_000 + feed.sent)
            broker.kill()
            broker.restart()
            daemon.wait_metric("records_watched_total", 4_000 + feed.sent)
            total = feed.finish()
            daemon.wait_metric("records_consumed_total", total)
            good = len(feed.good())
            daemon.wait_metric("records_watched_total", good)
            assert daemon.metric("records_consumed_total") == total
            assert daemon.metric("records_rejected_total") == total - good
            assert daemon.metric("records_watched_total") == good
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
        daemon.wait_for("started")
        daemon.process.send_signal(signal.SIGTERM)
        daemon.wait_for("stopping")
        daemon.process.send_signal(signal.SIGINT)
        assert daemon.process.wait(5) == 128 + signal.SIGINT


def test_what_may_not_be_created_is_named(tmp_path: Path) -> None:
    """Where the broker refuses to create topics the log says which commands do, and the daemon
    works without a restart once somebody has run them.
    """
    rules = {
        "authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
        "allow.everyone.if.no.acl.found": "true",
    }
    with KafkaBroker(tmp_path / "kafka", properties=rules) as broker:
        broker.create_topic("logs")
        allow_all_but_creating(broker)
        with Daemon(tmp_path, broker.bootstrap, prefix="held", logs=["logs"]) as daemon:
            event = "cannot create a topic; unless the broker makes it on first use, create it"
            daemon.wait(
                lambda: len({line["topic"] for line in daemon.said(event)}) == 4, "four commands"
            )
            commands = {line["topic"]: line["command"] for line in daemon.said(event)}
            assert commands["held.features"].startswith(
                f"kafka-topics.sh --bootstrap-server {broker.bootstrap} --create "
                "--topic held.features --partitions 2 --config retention.ms=1209600000"
            )
            AdminClient({"bootstrap.servers": broker.bootstrap}).delete_acls  # noqa: B018
