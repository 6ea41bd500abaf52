"""Events and status from a real topic: the commands and the JSON API."""

from __future__ import annotations

import json
import subprocess
import sys
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from monitor.cli.demo.traffic import traffic
from monitor.events.codec import encode_event
from monitor.kafka.topics import Topics
from tests.integration.broker import KafkaBroker
from tests.integration.harness import ROOT, RUN, TIMEOUT_S, Daemon, produce, until
from tests.monitor.events.drift_events import event, numbers

MakeTopic = Callable[..., str]

pytestmark = pytest.mark.usefixtures("real_broker")


def plumbline(daemon: Daemon, *words: str) -> str:
    """Run a command with the configuration of a daemon; return its output."""
    command = [sys.executable, "-c", RUN, *words, "-c", str(daemon.config_file)]
    done = subprocess.run(
        command, cwd=ROOT, capture_output=True, text=True, timeout=TIMEOUT_S, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def listed(daemon: Daemon, *words: str) -> list[dict[str, Any]]:
    """Return the events that `plumbline events` lists."""
    return [json.loads(line) for line in plumbline(daemon, "events", "--json", *words).splitlines()]


def test_events_and_status_of_a_drift(
    broker: KafkaBroker, topic: MakeTopic, tmp_path: Path
) -> None:
    """The commands and the API show the drift, also in a process that does not watch the model."""
    logs, prefix = topic(), uuid.uuid4().hex
    produce(
        broker.bootstrap,
        logs,
        traffic(12_000, change_at=9_000, seed=7, rate=50.0, start=1_760_000_000.0),
    )
    with (
        Daemon(tmp_path, broker.bootstrap, prefix=prefix, logs=[logs]) as daemon,
        Daemon(tmp_path, broker.bootstrap, prefix=prefix, logs=[logs], roles="ingest") as other,
    ):
        daemon.wait_metric("records_watched_total", 12_000)
        until(lambda: bool(json.loads(other.get("/api/v1/alarms")[1])["alarms"]), "an open alarm")
        events = listed(daemon)
        opened = [event for event in events if event["change"] == "opened"]
        assert opened
        open_alarms = {event["alarm"] for event in listed(daemon, "--open")}
        resolved = {event["alarm"] for event in events if event["change"] == "resolved"}
        assert open_alarms == {event["alarm"] for event in opened} - resolved
        for process in (daemon, other):
            alarms = json.loads(process.get("/api/v1/alarms")[1])["alarms"]
            assert {alarm["id"] for alarm in alarms} == open_alarms
            status = json.loads(process.get("/api/v1/status")[1])
            degraded = {m["model"] for m in status["models"] if m["state"] == "degraded"}
            assert degraded == {alarm["model"] for alarm in alarms}
        assert opened[0]["summary"] in plumbline(daemon, "events")
        url = f"http://127.0.0.1:{daemon.said('started')[0]['port']}"
        assert "degraded" in plumbline(daemon, "status", "--url", url)
        assert daemon.stop() == 0
        assert other.stop() == 0


def test_follow_shows_later_events(broker: KafkaBroker, topic: MakeTopic, tmp_path: Path) -> None:
    """`events --follow` prints what arrives after its start, once, and skips unknown messages."""
    logs, prefix = topic(), uuid.uuid4().hex
    events = Topics(prefix).events
    broker.create_topic(events, 2)
    daemon = Daemon(tmp_path, broker.bootstrap, prefix=prefix, logs=[logs])
    messages = [encode_event(event(numbers(), numbers(90.0), id=f"e{n}")) for n in range(3)]
    produce(broker.bootstrap, events, [messages[0], b"no event", b'{"type": "later"}'])
    command = [sys.executable, "-u", "-c", RUN, "events", "--follow", "--json"]
    with subprocess.Popen(
        [*command, "-c", str(daemon.config_file)], cwd=ROOT, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        try:
            assert json.loads(process.stdout.readline())["id"] == "e0"
            produce(broker.bootstrap, events, [messages[0], messages[1], messages[1], messages[2]])
            later = [json.loads(process.stdout.readline())["id"] for _ in range(2)]
            assert sorted(later) == ["e1", "e2"]
        finally:
            process.kill()


def test_a_broker_that_is_away_is_an_error(tmp_path: Path) -> None:
    """While the events cannot be read, the API answers 503 with the reason, not "no alarms"."""
    with Daemon(tmp_path, "127.0.0.1:9", prefix="p", logs=["logs"]) as daemon:
        status, body = daemon.get("/api/v1/alarms")
        assert status == 503
        assert "p.events: " in json.loads(body)["error"]
