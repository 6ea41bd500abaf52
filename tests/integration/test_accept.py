"""`plumbline reference accept` and `reference build --from-topic` with a real broker."""

from __future__ import annotations

import json
import subprocess
import sys
import uuid
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import pytest

from monitor.cli.demo.traffic import traffic
from monitor.events.commands import decode_command
from monitor.kafka.topics import Topics, partition_of
from tests.integration.broker import KafkaBroker
from tests.integration.harness import (
    ROOT,
    RUN,
    SHORT_SESSION,
    TIMEOUT_S,
    Daemon,
    produce,
    read_all,
)

MakeTopic = Callable[..., str]

pytestmark = pytest.mark.usefixtures("real_broker")

MODEL = "chat-large"
LINES = list(traffic(24_000, change_at=4_000, seed=7, rate=50.0, start=1_760_000_000.0))
BEFORE, AFTER = LINES[:12_000], LINES[12_000:]


def plumbline(daemon: Daemon, *words: str, status: int = 0) -> str:
    """Run a command with the configuration of a daemon; return its output, or its error."""
    command = [sys.executable, "-c", RUN, *words, "-c", str(daemon.config_file)]
    done = subprocess.run(
        command, cwd=ROOT, capture_output=True, text=True, timeout=TIMEOUT_S, check=False
    )
    assert done.returncode == status, done.stderr or done.stdout
    return done.stderr if status else done.stdout


def listed(daemon: Daemon, *words: str) -> list[dict[str, Any]]:
    """Return the events of the model that `plumbline events` lists."""
    output = plumbline(daemon, "events", "--json", "--model", MODEL, "--last", "1000", *words)
    return [json.loads(line) for line in output.splitlines()]


def found(events: Iterable[dict[str, Any]]) -> set[tuple[str, str, str]]:
    """Return id, transition and feature of each event."""
    return {(event["id"], event["change"], event["feature"]) for event in events}


def test_an_accepted_change_is_the_new_reference(
    broker: KafkaBroker, topic: MakeTopic, tmp_path: Path
) -> None:
    """The alarms end with the reason, the same traffic raises none, and a restart keeps it."""
    logs, prefix = topic(), uuid.uuid4().hex
    produce(broker.bootstrap, logs, BEFORE)
    with Daemon(tmp_path, broker.bootstrap, prefix=prefix, logs=[logs]) as daemon:
        daemon.wait_metric("records_watched_total", len(BEFORE))
        alarms = listed(daemon, "--open")
        assert alarms
        plan = plumbline(daemon, "reference", "accept", MODEL, "--dry-run")
        assert f"open alarms that end: {len(alarms)}" in plan
        assert listed(daemon, "--open") == alarms
        answer = json.loads(plumbline(daemon, "reference", "accept", MODEL, "--json"))
        assert (answer["outcome"], answer["alarms"]) == ("applied", len(alarms))
        assert answer["records"] == 2_000
        assert listed(daemon, "--open") == []
        ended = [e for e in listed(daemon) if e["reason"]]
        assert {event["alarm"] for event in ended} == {event["alarm"] for event in alarms}
        assert all("accepted as the new reference" in event["reason"] for event in ended)
        assert all("alarm closed because 2,000 records" in event["summary"] for event in ended)
        before = found(listed(daemon))
        assert daemon.stop() == 0
    with Daemon(tmp_path, broker.bootstrap, prefix=prefix, logs=[logs]) as daemon:
        produce(broker.bootstrap, logs, AFTER)
        daemon.wait_metric("records_watched_total", len(AFTER))
        assert daemon.metric("commands_total") == 0
        assert found(listed(daemon)) == before
        late = plumbline(daemon, "reference", "accept", MODEL, "--records", "1000", status=2)
        assert "1,000 records" in late
        unknown = plumbline(daemon, "reference", "accept", "chat-larger", status=2)
        assert "no records of model 'chat-larger'" in unknown
        built = plumbline(
            daemon, "reference", "build", "--name", "kept", "--from-topic", MODEL, "--json",
            "--directory", str(tmp_path / "references"),
        )  # fmt: skip
        assert json.loads(built)[0]["records"] == 2_000
        assert daemon.stop() == 0


def test_a_kill_or_a_replay_does_not_change_the_result(
    broker: KafkaBroker, topic: MakeTopic, tmp_path: Path
) -> None:
    """Killed after the command, detect applies it once; without its state, at the same offset."""
    logs, prefix = topic(), uuid.uuid4().hex
    topics = Topics(prefix)
    quick: dict[str, Any] = {"kafka": {"client": SHORT_SESSION}, "prefix": prefix, "logs": [logs]}
    produce(broker.bootstrap, logs, BEFORE)
    with Daemon(tmp_path, broker.bootstrap, **quick) as daemon:
        daemon.wait_metric("records_watched_total", len(BEFORE))
        alarms = {event["alarm"] for event in listed(daemon, "--open")}
        assert alarms
        no_answer = plumbline(daemon, "reference", "accept", MODEL, "--timeout", "0.01", status=2)
        daemon.kill()
        assert "no answer within" in no_answer
    with Daemon(tmp_path, broker.bootstrap, **quick) as daemon:
        produce(broker.bootstrap, logs, AFTER)
        daemon.wait_metric("records_watched_total", len(AFTER))
        ended = [event for event in listed(daemon) if event["reason"]]
        assert {event["alarm"] for event in ended} == alarms
        assert listed(daemon, "--open") == []
        events = found(listed(daemon))
        assert daemon.stop() == 0
    messages = read_all(broker.bootstrap, topics.commands)
    assert [type(decode_command(m.value() or b"")).__name__ for m in messages] == [
        "AcceptReference",
        "Answer",
    ]
    assert {m.partition() for m in messages} == {partition_of(MODEL.encode(), 2)}
    # the state is lost: everything is read again, with the command at the offset in its answer
    broker.delete_topic(topics.state)
    with Daemon(tmp_path, broker.bootstrap, **quick) as daemon:
        daemon.wait_metric("records_watched_total", len(LINES))
        assert found(listed(daemon)) == events
        assert daemon.metric("commands_total", outcome="applied") == 1
        assert daemon.stop() == 0
