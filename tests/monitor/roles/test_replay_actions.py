"""Signed webhooks, and the outbox that they and the events leave through."""

from __future__ import annotations

import hashlib
import hmac
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from confluent_kafka import KafkaError

from monitor.config.sections.replay.actions import ActionsConfig
from monitor.events.replay import ReplayVerdict
from monitor.notify.delivery import GIVE_UP_SECONDS
from monitor.roles.replay_actions import ActionSender, add_actions
from monitor.roles.replay_outbox import send_events
from monitor.telemetry.counters.metrics import Metrics
from monitor.telemetry.counters.replay import ReplayMetrics
from replay.store import Store, open_store, outbox
from tests.monitor.notify.receiver import Receiver, Reply
from tests.monitor.notify.replay_events import replayed

SECRET = "secret-of-the-actions"


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    """An empty store."""
    with open_store(f"sqlite:///{tmp_path}/store.db") as opened:
        yield opened


def actions(url: str, **chosen: Any) -> ActionsConfig:
    """Return all three actions with one URL."""
    names = ("promote", "roll_back", "retrain")
    hooks = {name: {"url": f"{url}/{name}"} | chosen for name in names}
    return ActionsConfig.model_validate({"secret": SECRET, **hooks})


@pytest.mark.parametrize(
    ("verdict", "trigger", "expected"),
    [
        ("regressed", "drift", {"roll_back", "retrain"}),
        ("not_regressed", "drift", {"promote"}),
        ("inconclusive", "drift", set()),
        ("error", "drift", set()),
        ("cancelled", "drift", set()),
        ("regressed", "schedule", {"roll_back", "retrain"}),
        ("regressed", "baseline", set()),
        ("regressed", "manual", set()),
        ("not_regressed", "manual", set()),
    ],
)
def test_actions_follow_from_verdicts(
    store: Store, verdict: ReplayVerdict, trigger: str, expected: set[str]
) -> None:
    """By default a regression rolls back and retrains, and its absence promotes."""
    event = replayed(verdict, trigger=trigger)
    with store.write() as connection:
        for _ in range(2):  # the second time nothing is added
            add_actions(connection, actions("http://127.0.0.1"), event, 1.0)
        assert {row.key for row in outbox.pending(connection)} == expected


class Place:
    """A sender of actions, whose time is set by the test."""

    def __init__(self, store: Store, config: ActionsConfig) -> None:
        self.store, self.now, self.counts = store, [1_790_000_000.0], ReplayMetrics()
        shared = Metrics(), self.counts, lambda _: False
        self.sender = ActionSender(store, config, *shared, lambda: True, lambda: self.now[0])
        with store.write() as connection:
            add_actions(connection, config, replayed("not_regressed"), self.now[0])

    def send(self) -> int:
        """Send what is due; return how many actions wait."""
        self.sender.send_due()
        with self.store.read() as connection:
            return outbox.waiting(connection)[0]


def test_a_webhook_is_signed_and_sent_once(store: Store) -> None:
    """The signature covers time and body; the secret is in neither."""
    with Receiver(lambda _: Reply(204)) as hook:
        place = Place(store, actions(hook.url))
        assert place.send() == 0
        assert place.send() == 0
    (received,) = hook.received
    stamp = received.headers["x-plumbline-timestamp"]
    message = stamp.encode() + b"." + received.body
    expected = hmac.new(SECRET.encode(), message, hashlib.sha256).hexdigest()
    assert received.headers["x-plumbline-signature"] == f"v1={expected}"
    assert received.headers["idempotency-key"].startswith("action-promote-")
    assert msgspec.json.decode(received.body)["action"] == "promote"
    assert SECRET not in received.body.decode() + repr(received.headers)
    assert place.counts.actions["promote", "sent"] == 1


@pytest.mark.parametrize(
    ("status", "waiting", "outcome"), [(503, 1, "retried"), (429, 1, "retried"), (400, 0, "failed")]
)
def test_a_failure_that_may_pass_is_repeated(
    store: Store, status: int, waiting: int, outcome: str
) -> None:
    """A rejected request is given up; another one is sent again after a pause."""
    replies = [Reply(status), Reply(200)]
    with Receiver(lambda _: replies.pop(0)) as hook:
        place = Place(store, actions(hook.url))
        assert place.send() == waiting
        assert place.counts.actions["promote", outcome] == 1
        assert place.send() == waiting, "not before the pause has ended"
        place.now[0] += 2
        assert place.send() == 0
        assert len(hook.received) == 1 + waiting


def test_an_endpoint_that_only_fails_is_given_up(store: Store) -> None:
    """After a day of errors the action is dropped, and counted."""
    with Receiver(lambda _: Reply(500)) as hook:
        place = Place(store, actions(hook.url))
        assert place.send() == 1
        place.now[0] += GIVE_UP_SECONDS
        assert place.send() == 0
        assert place.counts.actions["promote", "failed"] == 1


def test_an_old_action_is_not_sent(store: Store) -> None:
    """A roll-back that nobody could receive for a day would hit another model."""
    with Receiver(lambda _: Reply(200)) as hook:
        place = Place(store, actions(hook.url))
        place.now[0] += GIVE_UP_SECONDS
        assert place.send() == 0
        assert hook.received == []
        assert place.counts.actions["promote", "failed"] == 1


def test_one_process_of_several_sends(store: Store) -> None:
    """The others leave the actions to it."""
    turns = [False, False, True]
    with Receiver(lambda _: Reply(200)) as hook:
        config, counts = actions(hook.url), ReplayMetrics()
        with store.write() as connection:
            add_actions(connection, config, replayed("not_regressed"), time.time())
        sender = ActionSender(
            store, config, Metrics(), counts, lambda _: not turns, lambda: turns.pop(0)
        )
        sender.run()
        assert len(hook.received) == 1


def test_an_action_that_is_not_configured_any_more_is_dropped(store: Store) -> None:
    """It does not wait for ever."""
    place = Place(store, actions("http://127.0.0.1:9"))
    place.sender._actions.clear()
    assert place.send() == 0


# --- events -----------------------------------------------------------------------------------


class Producer:
    """A producer whose broker acknowledges, or does not."""

    def __init__(self) -> None:
        self.error: KafkaError | None = None
        self.sent: list[tuple[str, bytes, bytes]] = []
        self._waiting: list[Callable[[], None]] = []

    def produce(self, topic: str, value: bytes, key: bytes, on_delivery: Any) -> None:
        """Keep a message."""
        self.sent.append((topic, value, key))
        self._waiting.append(lambda: on_delivery(self.error, None))

    def flush(self, _: float) -> int:
        """Report the deliveries."""
        for report in self._waiting:
            report()
        self._waiting.clear()
        return 0


def test_events_are_marked_after_their_delivery(store: Store) -> None:
    """An event that was not acknowledged is sent again; actions are not sent to Kafka."""
    producer = Producer()
    with store.write() as connection:
        outbox.add(connection, "e1", "model", b"{}", 1.0)
        add_actions(connection, actions("http://127.0.0.1"), replayed(), 1.0)

    def send() -> int:
        return send_events(store, producer, "events", lambda: 2.0)  # type: ignore[arg-type] # as far as it is used

    producer.error = KafkaError(KafkaError._MSG_TIMED_OUT)
    assert send() == 0
    producer.error = None
    assert send() == 1
    assert send() == 0
    assert producer.sent == [("events", b"{}", b"model")] * 2
