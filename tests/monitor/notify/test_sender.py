"""Sending to a target that is there, away, slow or in a mood, over real HTTP."""

from __future__ import annotations

import itertools
import time
from collections.abc import Iterator
from typing import Any

import pytest
from structlog.testing import capture_logs

from monitor.config_notify import Target
from monitor.metrics import Notices
from monitor.notify import sender as module
from monitor.notify.outbox import Outbox
from monitor.notify.sender import Sender
from tests.integration.harness import until
from tests.monitor.notify.news import event, pagerduty, slack
from tests.monitor.notify.receiver import Answering, Received, Receiver, Reply
from tests.monitor.notify.receiver import pagerduty as pagerduty_api
from tests.monitor.notify.receiver import slack as slack_api


class Office:
    """A sender with its outbox, turned until something holds."""

    def __init__(self, target: Target) -> None:
        self.notices = Notices()
        self.outbox = Outbox(target, time.monotonic)
        self.sender = Sender("team", self.outbox, self.notices, "plumbline", None)
        self.offset = 0

    def take(self, *args: Any, **other: Any) -> None:
        """An event to tell of."""
        self.outbox.take(0, self.offset, event(*args, **other))
        self.offset += 1

    def work(self, seconds: float = 5.0) -> None:
        """Turn until nothing waits; no turn may wait for anything."""

        def done() -> bool:
            started = time.monotonic()
            self.sender.turn()
            assert time.monotonic() - started < 0.5
            return not self.outbox.waiting

        until(done, "everything to be told", seconds)


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    """A server that answers as Slack does."""
    with Receiver() as there:
        yield there


@pytest.fixture(autouse=True)
def logs() -> Iterator[list[Any]]:
    """What is logged; it goes nowhere else, wherever another test may have sent logs."""
    with capture_logs() as entries:
        yield entries


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Waits that a test has time for."""
    monkeypatch.setattr(module, "FIRST_WAIT", 0.1)


def at_first(times: int, reply: Reply, then: Answering = slack_api) -> Answering:
    """Answers so many times so, and then in good order."""
    left = [reply] * times
    return lambda request: left.pop() if left else then(request)


def test_delivered(receiver: Receiver) -> None:
    """One event, one message, counted."""
    office = Office(slack(receiver.url))
    office.take()
    office.work()
    assert len(receiver.received) == 1
    assert office.notices.sent == {"team": 1}
    assert office.outbox.positions() == {0: 1}
    assert office.notices.retried.total() == office.notices.failed.total() == 0


@pytest.mark.parametrize(
    ("status", "reason"), [(500, "server_error"), (503, "server_error"), (408, "timeout")]
)
def test_a_passing_trouble_is_waited_out(receiver: Receiver, status: int, reason: str) -> None:
    """The same message is sent again, each time after twice as long, and nothing else before it."""
    receiver.answer = at_first(3, Reply(status, b"busy"))
    office = Office(slack(receiver.url))
    office.take(feature="first")
    office.take(feature="second")
    office.work()
    texts = [request.json["text"].split()[0] for request in receiver.received]
    assert texts == ["first"] * 4 + ["second"]
    times = [request.time for request in receiver.received]
    gaps = [later - earlier for earlier, later in itertools.pairwise(times)]
    for gap, least in zip(gaps, (0.1, 0.2, 0.4), strict=False):
        assert least <= gap < least + 1
    assert office.notices.retried["team", reason] == 3
    assert office.notices.sent["team"] == 2


def test_waits_are_bounded(monkeypatch: pytest.MonkeyPatch, receiver: Receiver) -> None:
    """However often it has failed, it is tried again within the bound."""
    monkeypatch.setattr(module, "LONGEST_WAIT", 0.15)
    receiver.answer = at_first(8, Reply(502))
    office = Office(slack(receiver.url))
    office.take()
    office.work()
    times = [request.time for request in receiver.received]
    assert max(b - a for a, b in itertools.pairwise(times)) < 0.5


def test_retry_after_is_obeyed(receiver: Receiver) -> None:
    """Who asks for a second is given it."""
    receiver.answer = at_first(1, Reply(429, b"slow down", {"Retry-After": "1"}))
    office = Office(slack(receiver.url))
    office.take()
    office.work()
    first, second = (request.time for request in receiver.received)
    assert 1.0 <= second - first < 1.6
    assert office.notices.retried["team", "rate_limited"] == 1


@pytest.mark.parametrize(
    ("status", "reason"), [(400, "rejected"), (404, "rejected"), (302, "redirected")]
)
def test_a_refusal_is_final_and_said(
    receiver: Receiver, logs: list[Any], status: int, reason: str
) -> None:
    """It is not tried again; it is counted and logged with what was lost, and the next is sent."""
    receiver.answer = at_first(1, Reply(status, b"no_service s3cret-path"))
    office = Office(slack(receiver.url))
    office.take(feature="lost")
    office.take(feature="next")
    office.work()
    assert len(receiver.received) == 2
    assert office.notices.failed["team", reason] == 1
    assert office.notices.sent["team"] == 1
    (line,) = [entry for entry in logs if entry["event"] == "notification given up"]
    assert (line["status"], line["detail"], line["log_level"]) == (
        status,
        "no_service ***",
        "error",
    )
    assert line["summaries"][0].startswith("lost of chat has drifted")
    assert "s3cret" not in repr(logs)


def test_nobody_there_loses_nothing(logs: list[Any]) -> None:
    """A port that nobody listens on is tried until somebody does."""
    with Receiver() as gone:
        port = gone.port
    office = Office(slack(f"http://127.0.0.1:{port}/s3cret-path"))
    office.take()
    with pytest.raises(AssertionError, match="waited"):
        office.work(0.5)
    assert office.notices.retried["team", "unreachable"] >= 2
    assert office.outbox.positions() == {0: 0}
    assert "s3cret" not in repr(logs)
    with Receiver(port=port) as back:
        office.work()
        assert len(back.received) == 1


def test_errors_are_given_up_in_the_end(
    monkeypatch: pytest.MonkeyPatch, receiver: Receiver
) -> None:
    """One message that the target cannot take must not hold up the rest for ever."""
    monkeypatch.setattr(module, "GIVE_UP_SECONDS", 0.25)

    def answer(request: Received) -> Reply:
        return Reply(500) if "poison" in request.json["text"] else Reply()

    receiver.answer = answer
    office = Office(slack(receiver.url))
    office.take(feature="poison")
    office.take(feature="fine")
    office.work()
    assert office.notices.failed["team", "gave_up"] == 1
    assert office.notices.sent["team"] == 1


def test_nobody_there_is_never_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """An outage, however long, says nothing about the message."""
    monkeypatch.setattr(module, "GIVE_UP_SECONDS", 0.0)
    office = Office(slack("http://127.0.0.1:1/x"))
    office.take()
    with pytest.raises(AssertionError, match="waited"):
        office.work(0.4)
    assert office.notices.failed.total() == 0
    assert office.outbox.positions() == {0: 0}


def test_a_slow_target_blocks_no_turn(receiver: Receiver) -> None:
    """While an answer is waited for, the loop turns on; settling waits as long as it may."""
    receiver.answer = lambda _: Reply(seconds=0.7)
    office = Office(slack(receiver.url))
    office.take()
    office.sender.turn()
    started = time.monotonic()
    office.sender.settle(started + 0.2)
    assert 0.2 <= time.monotonic() - started < 0.5
    assert office.outbox.positions() == {0: 0}
    office.sender.settle(started + 5)
    assert time.monotonic() - started < 2
    assert office.outbox.positions() == {0: 1}


def test_of_many_requests_only_those_left_are_sent_again() -> None:
    """A message to PagerDuty may be several; what it took is not repeated, nor what it refused."""
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
        office = Office(pagerduty(f"http://127.0.0.1:{receiver.port}/", per_minute=1))
        for alarm in "abcd":
            office.take("resolved", alarm=alarm)
        office.work()
        keys = [
            request.json["dedup_key"].removeprefix("plumbline-") for request in receiver.received
        ]
    assert keys == ["a", "b", "c", "c", "d", "many-0"]
    assert office.notices.sent["team"] == 4
    assert office.notices.failed["team", "rejected"] == 1


def test_what_another_member_will_tell_is_not_tried_again(receiver: Receiver) -> None:
    """When a partition goes, its message is dropped, and what else was in it is made anew."""
    receiver.answer = at_first(1, Reply(500))
    office = Office(slack(receiver.url, per_minute=1))
    office.outbox.take(0, 0, event(feature="goes"))
    office.outbox.take(1, 0, event(feature="stays"))
    office.sender.turn()
    office.sender.settle(time.monotonic() + 5)
    office.outbox.forget([0])
    office.sender.drop([0])
    office.outbox.sent.clear()  # a minute later
    office.work()
    assert "2 changes" in receiver.received[0].json["text"]
    assert receiver.received[1].json["text"].startswith("stays of chat")
    assert len(receiver.received) == 2


def test_labels_are_there_from_the_start() -> None:
    """A rate over the first failure is one only if there was a zero before it."""
    notices = Office(slack()).notices
    assert notices.sent == {"team": 0}
    assert notices.failed.keys() == {("team", r) for r in ("redirected", "rejected", "gave_up")}
    assert ("team", "unreachable") in notices.retried
    assert ("team", "duplicate") in notices.suppressed
    assert notices.waiting == {"team": 0}
