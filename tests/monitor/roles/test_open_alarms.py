"""The models with an open alarm."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from confluent_kafka import KafkaError, KafkaException
from structlog.testing import capture_logs

from monitor.config.sections.kafka.section import KafkaConfig
from monitor.events.codec import encode_event
from monitor.roles import open_alarms
from monitor.roles.open_alarms import OpenAlarms, add_event
from tests.monitor.notify.drift_events import event


def message(alarm: str, change: str = "opened", **other: Any) -> bytes:
    """Return a message of the events topic."""
    return encode_event(event(change, alarm, **other))


def test_alarms_are_open_until_they_resolve() -> None:
    """Alarms that do not page do not count, nor do messages that are no events."""
    alarms: dict[str, str] = {}
    for value in (b"", b"{}", b'{"type": "replay"}', b"\xff", b"[" * 100_000):
        add_event(alarms, value)
    add_event(alarms, message("a", model="m1", severity="critical"))
    add_event(alarms, message("b", model="m1", severity="warning"))
    add_event(alarms, message("c", model="m2", severity="info"))
    assert alarms == {"a": "m1", "b": "m1"}
    add_event(alarms, message("c", "escalated", model="m2", severity="warning"))
    add_event(alarms, message("a", "resolved", model="m1", severity="critical"))
    assert alarms == {"b": "m1", "c": "m2"}
    add_event(alarms, message("b", "updated", model="m1", severity="info"))
    assert alarms == {"c": "m2"}


def test_alarms_are_limited(monkeypatch: pytest.MonkeyPatch) -> None:
    """The alarm that was silent for the longest time is dropped."""
    monkeypatch.setattr(open_alarms, "MAX_ALARMS", 2)
    alarms: dict[str, str] = {}
    for each in ("a", "b", "a", "c"):
        add_event(alarms, message(each, model=each, severity="critical"))
    assert alarms == {"a": "a", "c": "c"}


class Follower:
    """A topic with one alarm, which can be read every second time only."""

    opened = 0

    def __init__(self, *_: object) -> None:
        Follower.opened += 1
        self.caught_up = False
        self._values: Iterator[bytes | None] = iter((message("a", model="m"), None, None))

    def poll(self, _: float) -> bytes | None:
        """Return the alarm, and then fail."""
        if Follower.opened != 2:
            raise KafkaException(KafkaError(KafkaError.TOPIC_AUTHORIZATION_FAILED))
        for value in self._values:
            self.caught_up = value is None
            return value
        raise KafkaException(KafkaError(KafkaError.TOPIC_AUTHORIZATION_FAILED))

    def cause(self, error: KafkaException) -> str:
        """Return the text of the error."""
        return str(error.args[0].str())

    def close(self) -> None:
        """Close nothing."""


def test_a_topic_that_cannot_be_read_is_logged_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """There are no open alarms then; after the right was granted and removed it is logged again."""
    monkeypatch.setattr(open_alarms, "TopicFollower", Follower)
    Follower.opened = 0
    seen = set()

    def stop(_: float) -> bool:
        seen.add((Follower.opened, frozenset(alarms.models)))
        return Follower.opened > 4

    alarms = OpenAlarms(KafkaConfig(), stop)
    with capture_logs() as logs:
        alarms.start()
        assert alarms._thread is not None
        alarms._thread.join(10)
    assert (2, frozenset({"m"})) in seen
    assert alarms.models == frozenset()
    assert {number for number, models in seen if models} == {2}
    lines = [each for each in logs if each["log_level"] == "warning"]
    assert [each["event"] for each in lines] == [
        "events not read, sampling without open alarms"
    ] * 2
