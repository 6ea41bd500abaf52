"""Partitions without a partition of the topic of their state wait."""

from __future__ import annotations

import pytest
from structlog.testing import capture_logs

from monitor.config.sections.kafka.section import KafkaConfig
from monitor.kafka.admin import TopicState
from monitor.roles import waiting_partitions
from monitor.roles.state_checks import CHECK_SECONDS
from monitor.roles.waiting_partitions import WaitingPartitions

TOPIC = "plumbline.judge-state"


def test_partitions_wait_until_the_state_topic_has_grown(monkeypatch: pytest.MonkeyPatch) -> None:
    """The log contains the command; the broker is asked again after a while only."""
    found, now = {TOPIC: TopicState(2, "a")}, [0.0]
    monkeypatch.setattr(waiting_partitions, "topic_states", lambda *_: found)
    waiting = WaitingPartitions(KafkaConfig(), "judge", "plumbline.samples", TOPIC, lambda: now[0])
    with capture_logs() as lines:
        assert waiting.choose([0, 1, 2]) == {2}
    (line,) = lines
    assert line["command"].endswith("--alter --topic plumbline.judge-state --partitions 3")
    now[0] = CHECK_SECONDS
    assert not waiting.has_ended()
    found[TOPIC] = TopicState(3, "a")
    assert not waiting.has_ended()
    now[0] *= 2
    assert waiting.has_ended()
    assert not waiting.has_ended()


def test_nothing_waits_for_a_broker_that_does_not_respond(monkeypatch: pytest.MonkeyPatch) -> None:
    """The restore that follows reports the error."""
    monkeypatch.setattr(waiting_partitions, "topic_states", lambda *_: {})
    assert (
        WaitingPartitions(KafkaConfig(), "judge", "plumbline.samples", TOPIC).choose([0, 1])
        == set()
    )
