"""Notify on a real broker: every event told, whatever the targets, the members and kills do."""

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

from monitor import events
from monitor.backtest import backtest
from monitor.config import Config
from monitor.demo.traffic import traffic
from monitor.events import DriftEvent
from monitor.kafka import Topics
from tests.integration.broker import KafkaBroker
from tests.integration.harness import QUICK, SHORT_SESSION, Daemon, produce
from tests.monitor.notify import receiver
from tests.monitor.notify.news import event
from tests.monitor.notify.receiver import Received, Receiver, Reply

MakeTopic = Callable[..., str]

pytestmark = pytest.mark.usefixtures("real_broker")

KAFKA = {"client": SHORT_SESSION | {"heartbeat.interval.ms": 500}}
"""Members learn within half a second that another one comes or goes."""


class Place:
    """A Plumbline of its own on the broker, with events written to its topic by hand."""

    def __init__(self, broker: KafkaBroker, directory: Path, partitions: int = 2) -> None:
        self.broker, self.directory = broker, directory
        self.prefix = uuid.uuid4().hex
        broker.create_topic(Topics(self.prefix).events, partitions)

    def secret(self, text: str) -> dict[str, str]:
        """A setting that is in a file."""
        path = self.directory / f"secret-{uuid.uuid4().hex}"
        path.write_text(text)
        return {"file": str(path)}

    def daemon(self, roles: str = "notify", **targets: dict[str, Any]) -> Daemon:
        """A daemon that tells these targets."""
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
        """Write events, or what is none, as detect does."""
        values = [each if isinstance(each, bytes) else events.encode(each) for each in found]
        produce(self.broker.bootstrap, Topics(self.prefix).events, values, key=_model)


def _model(value: bytes | None) -> bytes:
    try:
        model: str = msgspec.json.decode(value or b"")["model"]
    except (msgspec.DecodeError, KeyError, RecursionError):
        return b"poison"
    return model.encode()


@pytest.fixture
def place(broker: KafkaBroker, tmp_path: Path) -> Place:
    """A place of its own."""
    return Place(broker, tmp_path)


@pytest.fixture
def hook() -> Iterator[Receiver]:
    """A program that takes events."""
    with Receiver(lambda _: Reply()) as there:
        yield there


def told(requests: Iterable[Received]) -> Counter[str]:
    """The ids of the events that a program was sent, with how often."""
    return Counter(each["id"] for request in requests for each in request.json["events"])


def ids(found: Iterable[DriftEvent]) -> Counter[str]:
    """Each event once."""
    return Counter(each.id for each in found)


def webhook(place: Place, url: str, **other: Any) -> dict[str, Any]:
    """The configuration of a program."""
    return {"kind": "webhook", "url": place.secret(url), "per_minute": 60} | other


def test_drift_is_told(
    broker: KafkaBroker, topic: MakeTopic, tmp_path: Path, place: Place, hook: Receiver
) -> None:
    """From the log to each kind of target, in one daemon with all roles: a program gets the very
    events of a back-test, and of PagerDuty's incidents those are open whose alarms are.
    """
    logs = topic()
    lines = [*traffic(7_000, change_at=4_000, seed=7, rate=50.0, start=1_760_000_000.0)]
    lines += traffic(3_000, change_at=3_000, seed=8, rate=50.0, start=1_760_000_140.0)
    file = tmp_path / "logs.jsonl"
    file.write_bytes(b"".join(line + b"\n" for line in lines))
    report = backtest([file], Config.model_validate(QUICK))
    expected = [*report.events, *report.resolved]
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
            daemon.wait(lambda: told(hook.received) == ids(expected), "all events")
            daemon.wait(
                lambda: daemon.metric("notifications_waiting") == 0, "all targets to be told"
            )
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


def test_a_new_target_is_told_of_what_comes(place: Place, hook: Receiver) -> None:
    """Not of weeks of history; later it goes on where it was. What is no event is passed over, and
    what detect has written again is told once, after a restart too.
    """
    target = webhook(place, hook.url)
    place.write(*(event(model=f"m{i}") for i in range(20)))
    first, second, third = event(model="m1"), event(model="m2"), event(model="m3")
    with place.daemon(hook=target) as daemon:
        daemon.wait_ready()
        place.write(first, b"", b"{}", b"\xff", b'{"x":' * 5000, second)
        daemon.wait_metric("notifications_suppressed_total", 4)
        daemon.wait(lambda: told(hook.received) == ids([first, second]), "both events")
        assert daemon.metric("notifications_suppressed_total", reason="unreadable") == 4
        assert daemon.stop() == 0
    place.write(third)
    with place.daemon(hook=target) as daemon:
        daemon.wait(lambda: told(hook.received) == ids([first, second, third]), "the third")
        place.write(first, third)
        daemon.wait_metric("notifications_suppressed_total", 2)
        assert daemon.metric("notifications_suppressed_total", reason="duplicate") == 2
        assert daemon.stop() == 0
    assert told(hook.received) == ids([first, second, third])


def test_a_dead_target_holds_up_nothing(place: Place, hook: Receiver) -> None:
    """The others are told at once, the member stays in its group although nothing can be sent for
    longer than a poll may take, the daemon ends in order; and when the target is back, it is told
    of everything, once.
    """
    with Receiver() as gone:
        port, url = gone.port, gone.url
    found = [event(model=f"m{i}") for i in range(8)]
    client = {"session.timeout.ms": 6000, "max.poll.interval.ms": 6000}
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
        first.wait(lambda: told(hook.received) == ids(found[:4]), "the living target")
        time.sleep(7)
        assert first.get("/healthz")[0] == 200
        assert first.metric("rebalances_total") == 2
        assert first.metric("notifications_waiting", target="dead") == 4
        assert first.metric("notifications_retried_total", target="dead", reason="unreachable") >= 3
        assert first.metric("notifications_waiting", target="hook") == 0
        assert first.stop(15) == 0
        assert "s3cret-path" not in first.log_text()
    place.write(*found[4:])
    with daemon() as second, Receiver(lambda _: Reply(), port) as back:
        second.wait(lambda: told(back.received) == ids(found), "the target that is back")
        second.wait(lambda: told(hook.received) == ids(found), "the living target")
        assert second.stop() == 0


def test_a_kill_repeats_what_was_being_sent_and_loses_nothing(place: Place, hook: Receiver) -> None:
    """Killed between delivery and commit, a member is followed by one that tells the same again,
    and what came meanwhile; nothing before it is repeated.
    """
    found = [event(model="m") for _ in range(5)]
    target = webhook(place, hook.url)
    with place.daemon(hook=target) as dies:
        dies.wait_ready()
        place.write(found[0])
        dies.wait(lambda: told(hook.received) == ids(found[:1]), "the first")
        dies.wait(lambda: dies.metric("notifications_sent_total") == 1, "its answer")
        time.sleep(1)  # its commit
        hook.answer = lambda _: Reply(seconds=60.0)
        place.write(found[1])
        dies.wait(lambda: told(hook.received) == ids(found[:2]), "the second")
        dies.kill()
    hook.answer = lambda _: Reply()
    place.write(*found[2:])
    with place.daemon(hook=target) as follows:
        follows.wait(lambda: set(told(hook.received)) == set(ids(found)), "the rest")
        follows.wait(lambda: follows.metric("notifications_waiting") == 0, "the end")
        assert follows.stop() == 0
    assert told(hook.received) == ids(found) + ids(found[1:2])


def test_a_storm_is_a_message_or_two(place: Place) -> None:
    """Sixty alarms at once do not make sixty messages, and each is counted in one."""
    with Receiver() as chat:
        target = {"kind": "slack", "url": place.secret(chat.url), "per_minute": 6}
        with place.daemon(team=target) as daemon:
            daemon.wait_ready()
            place.write(*(event(model=f"m{i % 7}", feature=f"f{i}") for i in range(60)))

            def all_told() -> bool:
                heads = [request.json["text"] for request in chat.received]
                counts = [re.match(r"(\d+) changes at once", head) for head in heads]
                return sum(int(count[1]) if count else 1 for count in counts) == 60

            daemon.wait(all_told, "all sixty")
            daemon.wait(lambda: daemon.metric("notifications_waiting") == 0, "the commit")
            assert len(chat.received) <= 6
            assert daemon.metric("notifications_sent_total") == len(chat.received)
            assert daemon.stop() == 0


def test_members_share_and_hand_over(place: Place, hook: Receiver) -> None:
    """Two members tell of a partition each; when one leaves, the other tells of all. In order, each
    event is told once.
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
        stays.wait(lambda: told(hook.received) == ids(found[:20]), "the first half")
        for each in (stays, leaves):
            assert each.metric("notifications_sent_total") > 0
        place.write(*found[20:30])
        assert leaves.stop() == 0
        place.write(*found[30:])
        stays.wait(lambda: told(hook.received) == ids(found), "the second half")
        assert stays.stop() == 0
