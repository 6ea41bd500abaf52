"""Delivery over real HTTP to targets that are reachable, unreachable, slow or failing."""

from __future__ import annotations

import itertools
import time
from collections.abc import Iterator
from typing import Any

import pytest
from structlog.testing import capture_logs

from monitor.config.sections.notifications import Target
from monitor.notify import delivery
from monitor.notify.counts import DeliveryCounts
from monitor.notify.delivery import DeliveryWorker
from monitor.notify.message import Sender
from monitor.notify.queue import EventQueue
from tests.integration.harness import until
from tests.monitor.notify.drift_events import event, pagerduty, slack
from tests.monitor.notify.receiver import Received, Receiver, Reply, Respond
from tests.monitor.notify.receiver import pagerduty as pagerduty_api
from tests.monitor.notify.receiver import slack as slack_api


class Harness:
    """A delivery worker with its queue."""

    def __init__(self, target: Target) -> None:
        self.counts = DeliveryCounts()
        self.queue = EventQueue(target, time.monotonic)
        self.worker = DeliveryWorker("team", self.queue, self.counts, Sender("plumbline"))
        self.offset = 0

    def add(self, *args: Any, **other: Any) -> None:
        """Add an event of partition 0 to the queue."""
        self.queue.add(0, self.offset, event(*args, **other))
        self.offset += 1

    def run_until_empty(self, seconds: float = 5.0) -> None:
        """Run iterations until no event waits; no iteration may block."""

        def done() -> bool:
            started = time.monotonic()
            self.worker.run_once()
            assert time.monotonic() - started < 0.5
            return not self.queue.waiting

        until(done, "the queue to be empty", seconds)


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    """Run a server that responds as Slack does."""
    with Receiver() as receiver:
        yield receiver


@pytest.fixture(autouse=True)
def logs() -> Iterator[list[Any]]:
    """Capture the log."""
    with capture_logs() as entries:
        yield entries


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Shorten the first backoff."""
    monkeypatch.setattr(delivery, "MIN_BACKOFF_SECONDS", 0.1)


def at_first(times: int, reply: Reply, then: Respond = slack_api) -> Respond:
    """Respond with `reply` for the first requests, and then as `then` does."""
    left = [reply] * times
    return lambda request: left.pop() if left else then(request)


def test_an_event_is_delivered_as_one_message(receiver: Receiver) -> None:
    """The message is counted and the offset after the event can be committed."""
    harness = Harness(slack(receiver.url))
    harness.add()
    harness.run_until_empty()
    assert len(receiver.received) == 1
    assert harness.counts.sent == {"team": 1}
    assert harness.queue.offsets() == {0: 1}
    assert harness.counts.retried.total() == harness.counts.failed.total() == 0


@pytest.mark.parametrize(
    ("status", "reason"), [(500, "server_error"), (503, "server_error"), (408, "timeout")]
)
def test_a_retryable_error_is_retried(receiver: Receiver, status: int, reason: str) -> None:
    """The same message is sent again with doubled backoff, before any other message."""
    receiver.answer = at_first(3, Reply(status, b"busy"))
    harness = Harness(slack(receiver.url))
    harness.add(feature="first")
    harness.add(feature="second")
    harness.run_until_empty()
    texts = [request.json["text"].split()[0] for request in receiver.received]
    assert texts == ["first"] * 4 + ["second"]
    times = [request.time for request in receiver.received]
    gaps = [later - earlier for earlier, later in itertools.pairwise(times)]
    for gap, least in zip(gaps, (0.1, 0.2, 0.4), strict=False):
        assert least <= gap < least + 1
    assert harness.counts.retried["team", reason] == 3
    assert harness.counts.sent["team"] == 2


def test_the_backoff_is_limited(monkeypatch: pytest.MonkeyPatch, receiver: Receiver) -> None:
    """After many failures the backoff stays below MAX_BACKOFF_SECONDS."""
    monkeypatch.setattr(delivery, "MAX_BACKOFF_SECONDS", 0.15)
    receiver.answer = at_first(8, Reply(502))
    harness = Harness(slack(receiver.url))
    harness.add()
    harness.run_until_empty()
    times = [request.time for request in receiver.received]
    assert max(b - a for a, b in itertools.pairwise(times)) < 0.5


def test_retry_after_is_applied(receiver: Receiver) -> None:
    """With Retry-After: 1 the next attempt follows after one second."""
    receiver.answer = at_first(1, Reply(429, b"slow down", {"Retry-After": "1"}))
    harness = Harness(slack(receiver.url))
    harness.add()
    harness.run_until_empty()
    first, second = (request.time for request in receiver.received)
    assert 1.0 <= second - first < 1.6
    assert harness.counts.retried["team", "rate_limited"] == 1


@pytest.mark.parametrize(
    ("status", "reason"), [(400, "rejected"), (404, "rejected"), (302, "redirected")]
)
def test_a_rejected_message_is_abandoned_and_logged(
    receiver: Receiver, logs: list[Any], status: int, reason: str
) -> None:
    """It is counted and logged with its sentences, is not retried, and the next one is sent."""
    receiver.answer = at_first(1, Reply(status, b"no_service s3cret-path"))
    harness = Harness(slack(receiver.url))
    harness.add(feature="lost")
    harness.add(feature="next")
    harness.run_until_empty()
    assert len(receiver.received) == 2
    assert harness.counts.failed["team", reason] == 1
    assert harness.counts.sent["team"] == 1
    (line,) = [entry for entry in logs if entry["event"] == "notification abandoned"]
    assert (line["status"], line["detail"], line["log_level"]) == (
        status,
        "no_service ***",
        "error",
    )
    assert line["summaries"][0].startswith("lost of chat has drifted")
    assert "s3cret" not in repr(logs)


def test_an_unreachable_target_receives_the_message_later(logs: list[Any]) -> None:
    """Attempts continue until a server listens on the port."""
    with Receiver() as stopped:
        port = stopped.port
    harness = Harness(slack(f"http://127.0.0.1:{port}/s3cret-path"))
    harness.add()
    with pytest.raises(AssertionError, match="waited"):
        harness.run_until_empty(0.5)
    assert harness.counts.retried["team", "unreachable"] >= 2
    assert harness.queue.offsets() == {0: 0}
    assert "s3cret" not in repr(logs)
    with Receiver(port=port) as restarted:
        harness.run_until_empty()
        assert len(restarted.received) == 1


def test_a_message_that_always_fails_is_abandoned(
    monkeypatch: pytest.MonkeyPatch, receiver: Receiver
) -> None:
    """A message that the target always answers with errors does not block the others forever."""
    monkeypatch.setattr(delivery, "GIVE_UP_SECONDS", 0.25)

    def answer(request: Received) -> Reply:
        return Reply(500) if "poison" in request.json["text"] else Reply()

    receiver.answer = answer
    harness = Harness(slack(receiver.url))
    harness.add(feature="poison")
    harness.add(feature="fine")
    harness.run_until_empty()
    assert harness.counts.failed["team", "gave_up"] == 1
    assert harness.counts.sent["team"] == 1


def test_a_message_to_an_unreachable_target_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without any response a message is never abandoned."""
    monkeypatch.setattr(delivery, "GIVE_UP_SECONDS", 0.0)
    harness = Harness(slack("http://127.0.0.1:1/x"))
    harness.add()
    with pytest.raises(AssertionError, match="waited"):
        harness.run_until_empty(0.4)
    assert harness.counts.failed.total() == 0
    assert harness.queue.offsets() == {0: 0}


def test_a_slow_target_does_not_block_an_iteration(receiver: Receiver) -> None:
    """Only `finish_attempt` waits for the response, until its deadline."""
    receiver.answer = lambda _: Reply(seconds=0.7)
    harness = Harness(slack(receiver.url))
    harness.add()
    harness.worker.run_once()
    started = time.monotonic()
    harness.worker.finish_attempt(started + 0.2)
    assert 0.2 <= time.monotonic() - started < 0.5
    assert harness.queue.offsets() == {0: 0}
    harness.worker.finish_attempt(started + 5)
    assert time.monotonic() - started < 2
    assert harness.queue.offsets() == {0: 1}


def test_only_undelivered_requests_are_sent_again() -> None:
    """Requests that PagerDuty has accepted or rejected are not repeated."""
    with Receiver(pagerduty_api) as receiver:

        def answer(request: Received) -> Reply:
            key = request.json["dedup_key"]
            seen = sum(other.json["dedup_key"] == key for other in receiver.received)
            if key == "plumbline-b":
                return Reply(400, b"invalid event")
            if key == "plumbline-c" and seen == 1:
                return Reply(429)
            return pagerduty_api(request)

        receiver.answer = answer
        harness = Harness(pagerduty(f"http://127.0.0.1:{receiver.port}/", per_minute=1))
        for alarm in "abcd":
            harness.add("resolved", alarm=alarm)
        harness.run_until_empty()
        keys = [
            request.json["dedup_key"].removeprefix("plumbline-") for request in receiver.received
        ]
    assert keys == ["a", "b", "c", "c", "d", "many-0"]
    assert harness.counts.sent["team"] == 4
    assert harness.counts.failed["team", "rejected"] == 1


def test_a_message_of_a_revoked_partition_is_not_retried(receiver: Receiver) -> None:
    """Its events of other partitions are sent in a new message."""
    receiver.answer = at_first(1, Reply(500))
    harness = Harness(slack(receiver.url, per_minute=1))
    harness.queue.add(0, 0, event(feature="revoked"))
    harness.queue.add(1, 0, event(feature="kept"))
    harness.worker.run_once()
    harness.worker.finish_attempt(time.monotonic() + 5)
    harness.queue.drop_partitions([0])
    harness.worker.drop_partitions([0])
    harness.queue.sent_times.clear()  # a minute later
    harness.run_until_empty()
    assert "2 changes" in receiver.received[0].json["text"]
    assert receiver.received[1].json["text"].startswith("kept of chat")
    assert len(receiver.received) == 2


def test_series_exist_from_the_start() -> None:
    """Prometheus sees the first failure as an increase only if the series was 0 before."""
    counts = Harness(slack()).counts
    assert counts.sent == {"team": 0}
    assert counts.failed.keys() == {("team", r) for r in ("redirected", "rejected", "gave_up")}
    assert ("team", "unreachable") in counts.retried
    assert ("team", "duplicate") in counts.suppressed
    assert counts.waiting == {"team": 0}
