"""A state topic that is made again, or that gets its partitions later."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from pathlib import Path

import pytest
from confluent_kafka.admin import (  # type: ignore[attr-defined]  # public, unlisted
    AdminClient,
    NewPartitions,
)

from monitor.kafka.topics import Topics
from tests.integration.broker import KafkaBroker
from tests.integration.harness import Daemon, numbered, produce
from tests.long_form import long_only

MakeTopic = Callable[..., str]

pytestmark = pytest.mark.usefixtures("real_broker")
COMPACTED = {"cleanup.policy": "compact"}


def test_a_state_topic_that_is_made_again(
    broker: KafkaBroker, topic: MakeTopic, tmp_path: Path
) -> None:
    """Everything is written to the new topic, references too, and the next process restores it."""
    logs, prefix = topic(), uuid.uuid4().hex
    state = Topics(prefix).state
    admin = AdminClient({"bootstrap.servers": broker.bootstrap})
    settings = {"checkpoint_seconds": 0.5}
    produce(broker.bootstrap, logs, [numbered(i) for i in range(3_000)])
    with Daemon(tmp_path, broker.bootstrap, prefix=prefix, logs=[logs], state=settings) as one:
        one.wait_metric("reference_records", 2_000)
        one.wait_metric("checkpoint_bytes_total", 1)
        admin.delete_topics([state])[state].result(30)
        broker.create_topic(state, 2, COMPACTED)
        one.wait_for("the state topic was made again, writing all state")
        produce(broker.bootstrap, logs, [numbered(i) for i in range(3_000, 3_100)])
        one.wait_metric("records_watched_total", 3_100)
        assert one.stop() == 0
    with Daemon(tmp_path, broker.bootstrap, prefix=prefix, logs=[logs], state=settings) as two:
        two.wait_metric("reference_records", 2_000)
        assert two.metric("checkpoints_unusable_total") == 0
        assert two.stop() == 0


@long_only
def test_a_state_topic_with_fewer_partitions(
    broker: KafkaBroker, topic: MakeTopic, tmp_path: Path
) -> None:
    """Partitions without state wait, the others are read; all are read when there are enough."""
    logs, prefix, total = topic(), uuid.uuid4().hex, 2_000
    broker.create_topic(Topics(prefix).features, 4)
    broker.create_topic(Topics(prefix).state, 2, COMPACTED)
    produce(broker.bootstrap, logs, [numbered(i, f"m{i % 8}") for i in range(total)])
    with Daemon(tmp_path, broker.bootstrap, prefix=prefix, logs=[logs]) as daemon:
        what = "the state topic has fewer partitions than the feature topic: the others wait"
        assert "--partitions 4" in daemon.wait_for(what)["command"]
        daemon.wait_metric("records_watched_total", 1)
        assert daemon.metric("records_watched_total") < total
        admin = AdminClient({"bootstrap.servers": broker.bootstrap})
        new = NewPartitions(Topics(prefix).state, 4)
        admin.create_partitions([new])[Topics(prefix).state].result(30)
        daemon.wait_metric("records_watched_total", total)
        assert daemon.metric("records_watched_total") == total
        assert daemon.stop() == 0
