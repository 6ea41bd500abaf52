"""The consumer of a target without a broker: the errors of its commits."""

from __future__ import annotations

import pytest
from confluent_kafka import KafkaError, TopicPartition
from structlog.testing import capture_logs

from monitor.config.schema import Config
from monitor.roles.notify import TargetConsumer
from monitor.telemetry.counters.metrics import Metrics
from tests.monitor.notify.drift_events import pagerduty


@pytest.mark.parametrize(
    ("code", "text"),
    [
        (KafkaError.TOPIC_AUTHORIZATION_FAILED, "topic plumbline.events: denied"),
        (KafkaError.GROUP_AUTHORIZATION_FAILED, "group plumbline-notify-ops: denied"),
        (KafkaError._TIMED_OUT, "denied"),
    ],
)
def test_a_commit_without_a_right_names_its_object(code: int, text: str) -> None:
    """The line names the topic or the group, and the commit is repeated."""
    consumer = TargetConsumer("ops", pagerduty(), Config(), Metrics(), lambda: None)
    consumer.committed[0] = 5, ""
    with capture_logs() as lines:
        consumer._on_commit(KafkaError(code, "denied"), [TopicPartition("plumbline.events", 0, 5)])
    assert [line["error"] for line in lines] == [text]
    assert not consumer.committed
