"""Events of judges reach the events topic, whose other readers skip them."""

from __future__ import annotations

import uuid
from collections.abc import Callable

import pytest

from monitor.config.sections.kafka.section import KafkaConfig
from monitor.events.codec import UnknownEventType, decode_event
from monitor.events.findings.judges import decode_judge
from monitor.kafka.topics import Topics
from monitor.roles.judge_events import JudgeEvents
from tests.integration.broker import KafkaBroker
from tests.integration.harness import read_all, until
from tests.monitor.notify.judge_events import changed

pytestmark = pytest.mark.usefixtures("real_broker")


def test_events_are_written_with_the_judge_as_key(
    broker: KafkaBroker, topic: Callable[..., str]
) -> None:
    """In order, also with a name that is no UTF-8; a reader of drift events skips the type."""
    prefix = uuid.uuid4().hex
    name = Topics(prefix).events
    broker.create_topic(name, 1)
    config = KafkaConfig.model_validate({"bootstrap_servers": broker.bootstrap, "prefix": prefix})
    events = [changed("down"), changed("recovered"), changed(judge="j\u00fcdge")]
    writer = JudgeEvents(config)
    for event in events:
        writer.write([event])
    delivered: list[str] = []

    def all_delivered() -> bool:
        delivered.extend(writer.take_delivered())
        return len(delivered) >= len(events)

    until(all_delivered, "the delivery of the events")
    writer.close()
    assert delivered == [event.id for event in events]
    assert writer.take_delivered() == []
    found = list(read_all(broker.bootstrap, name))
    assert [decode_judge(each.value() or b"") for each in found] == events
    assert [each.key() for each in found] == [b"claude", b"claude", "j\u00fcdge".encode()]
    for each in found:
        with pytest.raises(UnknownEventType, match="not a drift event"):
            decode_event(each.value() or b"")


def test_a_topic_that_is_absent_ends_nothing(broker: KafkaBroker) -> None:
    """Judging goes on without events; the log has them."""
    prefix = uuid.uuid4().hex
    settings = {"message.timeout.ms": 1_000}
    config = KafkaConfig.model_validate(
        {"bootstrap_servers": broker.bootstrap, "prefix": prefix, "client": settings}
    )
    writer = JudgeEvents(config)
    writer.write([changed("down")])
    writer.close()
    assert writer.take_delivered() == [], "an event that is not in the topic is kept"


def test_an_event_that_was_not_delivered_is_written_again(broker: KafkaBroker) -> None:
    """Once, when the topic exists, and without another event: it may be the last one."""
    prefix = uuid.uuid4().hex
    name = Topics(prefix).events
    config = KafkaConfig.model_validate(
        {
            "bootstrap_servers": broker.bootstrap,
            "prefix": prefix,
            "client": {"message.timeout.ms": 1_000, "topic.metadata.refresh.interval.ms": 200},
        }
    )
    writer = JudgeEvents(config)
    event = changed("down")
    writer.write([event])
    writer.close()
    broker.create_topic(name, 1)
    delivered: list[str] = []

    def all_delivered() -> bool:
        delivered.extend(writer.take_delivered())
        writer.write([])
        return bool(delivered)

    until(all_delivered, "the delivery of the event")
    writer.write([])
    writer.close()
    assert delivered == [event.id]
    assert [decode_judge(each.value() or b"") for each in read_all(broker.bootstrap, name)] == [
        event
    ]
