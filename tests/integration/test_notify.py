"""Notify on a real broker: each event is sent, whatever targets, members and kills do."""

from __future__ import annotations

import re
import time
import uuid
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import msgspec
import pytest
from msgspec import structs

from monitor.cli.backtest import backtest
from monitor.cli.demo.traffic import traffic
from monitor.config.schema import Config
from monitor.events.codec import encode_event
from monitor.events.types import DriftEvent
from monitor.kafka.topics import Topics
from tests.integration.broker import KafkaBroker
from tests.integration.harness import QUICK, SHORT_SESSION, Daemon, committed, produce
from tests.long_form import long_only
from tests.monitor.notify import receiver
from tests.monitor.notify.drift_events import event
from tests.monitor.notify.receiver import Received, Receiver, Reply

MakeTopic = Callable[..., str]

pytestmark = pytest.mark.usefixtures("real_broker")

KAFKA = {"client": SHORT_SESSION | {"heartbeat.interval.ms": 500}}
"""Members notice within half a second that another one joins or leaves."""
POLL_SECONDS = 6
"""max.poll.interval.ms of a member, in seconds; no less than its session."""


class Place:
    """Topics of one Plumbline on the broker; the tests write its event topic."""

    def __init__(self, broker: KafkaBroker, directory: Path, partitions: int = 2) -> None:
        self.broker, self.directory = broker, directory
        self.prefix = uuid.uuid4().hex
        broker.create_topic(Topics(self.prefix).events, partitions)

    def secret(self, text: str) -> dict[str, str]:
        """Return a setting whose value is in a file."""
        path = self.directory / f"secret-{uuid.uuid4().hex}"
        path.write_text(text)
        return {"file": str(path)}

    def daemon(self, roles: str = "notify", **targets: dict[str, Any]) -> Daemon:
        """Return a daemon that sends to these targets."""
        return Daemon(
            self.directory,
            self.broker.bootstrap,
            prefix=self.prefix,
            logs=["unused"],
            roles=roles,
            kafka=KAFKA,
            notifications={"targets": targets},
        )

    def write(self, *found: DriftEvent | bytes) -> None:
        """Write events, or other bytes, as detect does."""
        values = [each if isinstance(each, bytes) else encode_event(each) for each in found]
        produce(self.broker.bootstrap, Topics(self.prefix).events, values, key=_model)


def _model(value: bytes | None) -> bytes:
    try:
        model: str = msgspec.json.decode(value or b"")["model"]
    except (msgspec.DecodeError, KeyError, RecursionError):
        return b"poison"
    return model.encode()


@pytest.fixture
def place(broker: KafkaBroker, tmp_path: Path) -> Place:
    """Topics of the test's own."""
    return Place(broker, tmp_path)


@pytest.fixture
def hook() -> Iterator[Receiver]:
    """A webhook that accepts all events."""
    with Receiver(lambda _: Reply()) as there:
        yield there


def sent(requests: Iterable[Received]) -> Counter[str]:
    """Count the events in the requests to a webhook by their ids."""
    return Counter(each["id"] for request in requests for each in request.json["events"])


def ids(found: Iterable[DriftEvent]) -> Counter[str]:
    """Count each event once by its id."""
    return Counter(each.id for each in found)


def webhook(place: Place, url: str, **other: Any) -> dict[str, Any]:
    """Return the configuration of a webhook target."""
    return {"kind": "webhook", "url": place.secret(url), "per_minute": 60} | other


def test_drift_is_sent_to_each_kind_of_target(
    broker: KafkaBroker, topic: MakeTopic, tmp_path: Path, place: Place, hook: Receiver
) -> None:
    """One daemon with all roles sends the events of a backtest to a webhook and resolves the
    PagerDuty incidents of the alarms that have ended.
    """
    logs = topic()
    lines = [*traffic(7_000, change_at=4_000, seed=7, rate=50.0, start=1_760_000_000.0)]
    lines += traffic(3_000, change_at=3_000, seed=8, rate=50.0, start=1_760_000_140.0)
    file = tmp_path / "logs.jsonl"
    file.write_bytes(b"".join(line + b"\n" for line in lines))
    report = backtest([file], Config.model_validate(QUICK))
    expected = [*report.events, *report.updated, *report.resolved]
    assert report.events
    assert report.resolved
    produce(broker.bootstrap, logs, lines)
    with Receiver() as chat, Receiver(receiver.pagerduty) as pager:
        targets = {
            "hook": webhook(place, hook.url),
            "team": {"kind": "slack", "url": place.secret(chat.url), "per_minute": 60},
            "pager": {
                "kind": "pagerduty",
                "routing_key": place.secret("R" * 32),
                "endpoint": f"http://127.0.0.1:{pager.port}/v2/enqueue",
                "per_minute": 60,
            },
        }
        daemon = Daemon(
            tmp_path,
            broker.bootstrap,
            prefix=place.prefix,
            logs=[logs],
            roles="ingest,detect,notify",
            kafka=KAFKA,
            notifications={"targets": targets},
        )
        with daemon:
            daemon.wait_ready()
            daemon.wait(lambda: sent(hook.received) == ids(expected), "all events")
            daemon.wait(lambda: daemon.metric("notifications_waiting") == 0, "all deliveries")
            assert daemon.metric("notifications_sent_total", target="team") > 0
            assert daemon.metric("notifications_failed_total") == 0
            assert daemon.stop() == 0
            log = daemon.log_text()
        assert "s3cret-path" not in log
        assert "RRRR" not in log
        state = {
            r.json["dedup_key"]: r.json["event_action"]
            for r in pager.received
            if "many" not in r.json["dedup_key"]
        }
        opened = {f"plumbline-{e.alarm}" for e in expected if e.change != "resolved"}
        over = {f"plumbline-{e.alarm}" for e in report.resolved}
        open_now = {key for key, action in state.items() if action == "trigger"}
        assert open_now <= opened - over
        assert {key for key, action in state.items() if action == "resolve"} == over
        assert any("has drifted" in request.json["text"] for request in chat.received)


def test_a_new_target_gets_no_history(place: Place, hook: Receiver) -> None:
    """A new target gets events from its start on, and after a restart continues where it was.
    Messages that are no events, or of unknown types, are skipped and counted; an event that detect
    writes again is sent once.
    """
    target = webhook(place, hook.url)
    place.write(*(event(model=f"m{i}") for i in range(20)))
    first, second, third = event(model="m1"), event(model="m2"), event(model="m3")
    with place.daemon(hook=target) as daemon:
        daemon.wait_ready()
        later = b'{"type": "replay", "id": 1}', b'{"type": "x", "model": "m1"}', b'{"type":"judge"}'
        place.write(first, b"", b"{}", b"\xff", b'{"x":' * 5000, *later, second)
        daemon.wait_metric("notifications_suppressed_total", 7)
        daemon.wait(lambda: sent(hook.received) == ids([first, second]), "both events")
        assert daemon.metric("notifications_suppressed_total", reason="unreadable") == 6
        assert daemon.metric("notifications_suppressed_total", reason="type") == 1
        assert daemon.stop() == 0
    place.write(third)
    with place.daemon(hook=target) as daemon:
        daemon.wait(lambda: sent(hook.received) == ids([first, second, third]), "the third")
        place.write(first, third)
        daemon.wait_metric("notifications_suppressed_total", 2)
        assert daemon.metric("notifications_suppressed_total", reason="duplicate") == 2
        assert daemon.stop() == 0
    assert sent(hook.received) == ids([first, second, third])


def test_a_shared_incident_ends_with_its_last_alarm_after_restarts(place: Place) -> None:
    """Its members are in the metadata of the committed offsets: an alarm with an incident of its
    own, which stays open, does not keep the shared one open.
    """
    with Receiver(receiver.pagerduty) as pager:
        target = {
            "kind": "pagerduty",
            "routing_key": place.secret("R" * 32),
            "endpoint": f"http://127.0.0.1:{pager.port}/v2/enqueue",
            "per_minute": 1,
        }

        def shared() -> list[str]:
            requests = [r.json for r in pager.received if "-many-" in r.json["dedup_key"]]
            return [request["event_action"] for request in requests]

        alone, one, two = (event(model="m") for _ in range(3))
        steps = [
            ([alone], []),
            ([one, two], ["trigger"]),
            ([event("resolved", one.id, model="m")], ["trigger"]),
            ([event("resolved", two.id, model="m")], ["trigger", "resolve"]),
        ]
        # the limit per minute starts anew with each process
        for number, (found, expected) in enumerate(steps):
            if number:
                place.write(*found)
            with place.daemon(pager=target) as daemon:
                daemon.wait_ready()
                if not number:  # a new target gets events from now on
                    place.write(*found)
                daemon.wait(lambda: daemon.metric("notifications_sent_total") > 0, "a message")
                daemon.wait(lambda: daemon.metric("notifications_waiting") == 0, "the deliveries")
                assert daemon.stop() == 0
            assert shared() == expected


def test_a_dead_target_holds_up_nothing(place: Place, hook: Receiver) -> None:
    """While a target is unreachable for longer than max.poll.interval.ms, the other target gets
    its events, the member stays in its group and the daemon stops in order. When the target is
    back, it gets every event once.
    """
    with Receiver() as gone:
        port, url = gone.port, gone.url
    found = [event(model=f"m{i}") for i in range(8)]
    client = {"session.timeout.ms": 6000, "max.poll.interval.ms": POLL_SECONDS * 1000}
    targets = {"hook": webhook(place, hook.url), "dead": webhook(place, url)}

    def daemon() -> Daemon:
        return Daemon(
            place.directory,
            place.broker.bootstrap,
            prefix=place.prefix,
            logs=["unused"],
            roles="notify",
            kafka={"client": client},
            notifications={"targets": targets},
        )

    with daemon() as first:
        first.wait_ready()
        place.write(*found[:4])
        first.wait(lambda: sent(hook.received) == ids(found[:4]), "the reachable target")
        time.sleep(POLL_SECONDS + 1)
        retried = {"target": "dead", "reason": "unreachable"}
        first.wait(lambda: first.metric("notifications_retried_total", **retried) >= 3, "retries")
        assert first.get("/healthz")[0] == 200
        assert first.metric("rebalances_total") == 2
        assert first.metric("notifications_waiting", target="dead") == 4
        assert first.metric("notifications_waiting", target="hook") == 0
        assert first.stop() == 0
        assert "s3cret-path" not in first.log_text()
    place.write(*found[4:])
    with daemon() as second, Receiver(lambda _: Reply(), port) as back:
        second.wait(lambda: sent(back.received) == ids(found), "the target that is back")
        second.wait(lambda: sent(hook.received) == ids(found), "the other target")
        assert second.stop() == 0


def test_a_kill_repeats_only_the_open_delivery(place: Place, hook: Receiver) -> None:
    """After a kill between a delivery and its commit, the next member sends that event again and
    all later ones, and none of the events before it.
    """
    found = [event(model="m") for _ in range(5)]
    target = webhook(place, hook.url)
    with place.daemon(hook=target) as dies:
        dies.wait_ready()
        place.write(found[0])
        dies.wait(lambda: sent(hook.received) == ids(found[:1]), "the first")
        group, topic = f"{place.prefix}-notify-hook", Topics(place.prefix).events
        dies.wait(lambda: committed(place.broker.bootstrap, group, topic) == 1, "its commit")
        hook.answer = lambda _: Reply(seconds=60.0)
        place.write(found[1])
        dies.wait(lambda: sent(hook.received) == ids(found[:2]), "the second")
        dies.kill()
    hook.answer = lambda _: Reply()
    place.write(*found[2:])
    with place.daemon(hook=target) as follows:
        follows.wait(lambda: set(sent(hook.received)) == set(ids(found)), "the rest")
        follows.wait(lambda: follows.metric("notifications_waiting") == 0, "the end")
        assert follows.stop() == 0
    assert sent(hook.received) == ids(found) + ids(found[1:2])


def test_open_alarms_are_posted_again_after_a_restart(place: Place) -> None:
    """A new process posts the open alarms to Alertmanager again, also those whose last event is
    older than the events that other targets read again; and none that have resolved.
    """
    with Receiver(receiver.alertmanager) as member:
        target = {"kind": "alertmanager", "urls": [f"http://127.0.0.1:{member.port}"]}
        others = [event(model="m", feature=f"f{i}") for i in range(1_200)]
        ended = [structs.replace(each, id=each.id + "r", change="resolved") for each in others]
        place.write(event(model="m", feature="old"), *others, *ended)
        place.write(event(model="n", feature="error"))

        def open_alarms() -> set[str]:
            alerts = [a for request in member.received[-1:] for a in request.json]
            return {a["labels"]["feature"] for a in alerts if "feature" in a["labels"]}

        for _ in range(2):
            member.received.clear()
            with place.daemon(am=target) as daemon:
                daemon.wait(lambda: open_alarms() == {"old", "error"}, "the open alarms")
                assert daemon.metric("notifications_sent_total") == 0
                assert daemon.stop() == 0
            assert all(r.json[0]["labels"]["sender"] == "plumbline" for r in member.received)


def test_many_alarms_are_few_messages(place: Place) -> None:
    """Sixty alarms at once are a few messages, which count each alarm once."""
    with Receiver() as chat:
        target = {"kind": "slack", "url": place.secret(chat.url), "per_minute": 6}
        with place.daemon(team=target) as daemon:
            daemon.wait_ready()
            place.write(*(event(model=f"m{i % 7}", feature=f"f{i}") for i in range(60)))

            def all_counted() -> bool:
                heads = [request.json["text"] for request in chat.received]
                counts = [re.match(r"(\d+) changes at once", head) for head in heads]
                return sum(int(count[1]) if count else 1 for count in counts) == 60

            daemon.wait(all_counted, "all sixty")
            daemon.wait(lambda: daemon.metric("notifications_waiting") == 0, "the commit")
            assert len(chat.received) <= 6
            assert daemon.metric("notifications_sent_total") == len(chat.received)
            assert daemon.stop() == 0


@long_only
def test_members_share_and_hand_over(place: Place, hook: Receiver) -> None:
    """Two members send the events of a partition each; when one leaves, the other sends those of
    both. Each event is sent once.
    """
    target = webhook(place, hook.url)
    found = [event(model=f"m{i}") for i in range(40)]
    with ExitStack() as stack:
        stays = stack.enter_context(place.daemon(hook=target))
        stays.wait_ready()
        leaves = stack.enter_context(place.daemon(hook=target))
        leaves.wait_ready()
        stays.wait(lambda: stays.said("partitions revoked") != [], "its partition to go")
        place.write(*found[:20])
        stays.wait(lambda: sent(hook.received) == ids(found[:20]), "the first half")
        for each in (stays, leaves):
            assert each.metric("notifications_sent_total") > 0
        place.write(*found[20:30])
        assert leaves.stop() == 0
        place.write(*found[30:])
        stays.wait(lambda: sent(hook.received) == ids(found), "the second half")
        assert stays.stop() == 0
