"""Replay on a real broker: from drift to a verdict, through lm-eval against a local endpoint."""

from __future__ import annotations

import hashlib
import os
import random
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
import yaml

from monitor.config.load import load
from monitor.events.codec import encode_event
from monitor.events.replay import ReplayEvent, decode_replay
from monitor.kafka.topics import Topics
from monitor.roles.replay_actions import signature
from monitor.roles.replay_lease import LEASE_SECONDS
from monitor.roles.replay_setup import workplace
from monitor.roles.replay_worker import ReplayWorker
from monitor.telemetry.counters.metrics import Metrics
from replay.sets.item import Item, Provenance
from replay.sets.versions import freeze
from replay.store import Store, baselines, chain, open_store, outbox, queue, results
from replay.store.queries.integrity import verify
from replay.store.queries.runs import Filter, list_runs
from tests.integration.broker import KafkaBroker
from tests.integration.harness import ROOT, Daemon, produce, read_all, until
from tests.integration.prometheus import Prometheus
from tests.integration.role_panels import (
    panels_without_data,
    scraping,
    selectors_without_series,
)
from tests.long_form import long_only
from tests.monitor.cli.command_line import run
from tests.monitor.notify.drift_events import event as drift_event
from tests.monitor.notify.receiver import Receiver, Reply
from tests.replay.openai_server import OpenAIServer

GOOD, BAD = "steady", "broken"
HOSTILE = [b"hostile", b'{"type":"replay"}', None]
SECRET = "a-secret-of-the-actions"
NO_DATA = {
    "replay_gpu_budget_remaining_seconds": "no GPU time is limited",
    "replay_errors_total": "no run fails",
}
"""Part of a panel's query -> why it has no data."""


def word(text: str) -> str:
    """Return a word that follows from a text."""
    return "w" + hashlib.sha256(text.encode()).hexdigest()[:9]


def prompt(model: str, number: int) -> str:
    """Return a question; two of them have hardly a word in common."""
    return " ".join([model, *(word(f"{number} {part}") for part in range(8))])


class Models:
    """The models behind the endpoint: both know all answers, until one is broken."""

    def __init__(self) -> None:
        self.broken = False

    def answer(self, text: str) -> str:
        """Return the expected word; of the broken model in half of the cases."""
        lost = self.broken and text.startswith(BAD) and int(word(text)[1:], 16) % 2
        return "something else" if lost else word(text)


def records(model: str, count: int, first: int, factor: float = 1.0) -> Iterator[bytes]:
    """Yield records with references, whose latency is lognormal times a factor."""
    numbers = random.Random(f"{model} {first}")
    for number in range(first, first + count):
        text = prompt(model, number)
        yield msgspec.json.encode(
            {
                "request_id": f"{model}-{number}",
                "timestamp": time.time(),
                "model": model,
                "prompt": text,
                "response": word(text),
                "reference": word(text),
                "latency_ms": factor * numbers.lognormvariate(5.0, 0.3),
            }
        )


def sections(tmp_path: Path, server: OpenAIServer, hook: str) -> dict[str, Any]:
    """Return the parts of the configuration that replay needs."""
    secret = tmp_path / "secret"
    secret.write_text(SECRET)
    return {
        "sampling": {"rate": 0.2},
        "store": {"url": f"sqlite:///{tmp_path}/store.db"},
        "replay": {
            "model": {"base_url": server.url, "max_new_tokens": 16},
            "items": {"baseline": 60, "least": 40, "drifted": 5},
            "on": {"severity": "warning", "features": ["latency*"]},
            "margin": 0.2,
            "chunk_size": 20,
            "directory": str(tmp_path / "work"),
            "actions": {"secret": {"file": str(secret)}, "roll_back": {"url": hook}},
        },
    }


def events(bootstrap: str, prefix: str) -> list[dict[str, Any]]:
    """Return the events of the events topic, without what the test itself wrote."""
    values = [message.value() for message in read_all(bootstrap, Topics(prefix).events)]
    return [msgspec.json.decode(value) for value in values if value and value not in HOSTILE]


def verdicts(bootstrap: str, prefix: str) -> list[ReplayEvent]:
    """Return the replay events of the events topic."""
    found = [each for each in events(bootstrap, prefix) if each["type"] == "replay"]
    return [decode_replay(msgspec.json.encode(each)) for each in found]


def alarms(bootstrap: str, prefix: str) -> dict[str, set[str]]:
    """Return the ids of the alarms of drift by model."""
    found: dict[str, set[str]] = {}
    for event in events(bootstrap, prefix):
        if event["type"] == "drift":
            found.setdefault(event["model"], set()).add(event["alarm"])
    return found


def test_drift_leads_to_a_verdict(
    real_broker: KafkaBroker, topic: Callable[..., str], tmp_path: Path
) -> None:
    """The model that lost half of its answers has regressed; the one that only slowed has not."""
    log, models = topic(), Models()
    with OpenAIServer(answer=models.answer) as server, Receiver(lambda _: Reply(200)) as hook:
        daemon = Daemon(
            tmp_path,
            real_broker.bootstrap,
            prefix=log,
            logs=[log],
            roles="ingest,detect,replay",
            **sections(tmp_path, server, hook.url),
        )
        with daemon, scraping(daemon, tmp_path) as prometheus:
            begun = time.time()
            daemon.wait_ready()
            for model in (GOOD, BAD):
                produce(real_broker.bootstrap, log, records(model, 2_200, 0))
            produce(real_broker.bootstrap, Topics(log).events, HOSTILE)
            daemon.wait_for("warm-up ended, watching", 2)
            daemon.wait_for("items frozen", 2)
            daemon.wait_for("baseline ended", 2)
            models.broken = True
            for model in (GOOD, BAD):
                produce(real_broker.bootstrap, log, records(model, 400, 3_000, factor=3.0))
            daemon.wait(lambda: len(verdicts(real_broker.bootstrap, log)) >= 2, "two verdicts")
            found = {event.model: event for event in verdicts(real_broker.bootstrap, log)}
            check_events(found, alarms(real_broker.bootstrap, log))
            check_metrics(daemon)
            status, page = daemon.get(f"/api/v1/replays?model={BAD}")
            (shown,) = msgspec.json.decode(page)["replays"]
            assert (status, shown["verdict"]) == (200, "regressed")
            daemon.wait(lambda: len(hook.received) == 1, "the webhook")
            check_queries(prometheus, begun)
            check_action(hook.received[0])
            assert daemon.stop() == 0
    check_store(tmp_path, found)


def check_events(found: dict[str, ReplayEvent], by_model: dict[str, set[str]]) -> None:
    """The verdicts are right, and linked to the alarms."""
    assert {model: event.verdict for model, event in found.items()} == {
        GOOD: "not_regressed",
        BAD: "regressed",
    }
    for model, event in found.items():
        assert event.alarm in by_model[model]
        assert event.feature == "latency_ms"
        assert event.items >= 40
        assert event.absolute[0].candidate is not None
    worse = found[BAD]
    assert worse.severity == "critical"
    assert worse.metric == "exact_match"
    assert worse.baseline == 1.0
    assert worse.delta is not None
    assert worse.upper is not None
    assert worse.delta < -0.3
    assert worse.upper < 0.0
    assert found[GOOD].delta == 0.0


def check_metrics(daemon: Daemon) -> None:
    """The numbers of the verdicts are in the metrics, and messages that are no events counted."""
    daemon.wait_metric("replay_seconds_count", 2)  # once their events are read
    for model, verdict in ((GOOD, "not_regressed"), (BAD, "regressed")):
        assert daemon.metric("replay_runs_total", model=model, verdict=verdict) == 1
    assert daemon.metric("replay_delta", model=BAD) < -0.3
    assert daemon.metric("replay_score", model=GOOD, metric="exact_match") >= 1.0
    assert daemon.metric("replay_events_total", outcome="queued") == 2
    assert daemon.metric("replay_events_total", outcome="baseline") == 2
    assert daemon.metric("replay_events_total", outcome="unreadable") == 3
    assert daemon.metric("replay_events_total", outcome="own") >= 1
    assert daemon.metric("replay_errors_total") == 0


def check_queries(prometheus: Prometheus, begun: float) -> None:
    """Selectors of the alert rules have series, and panels of the dashboard have data."""
    rate = f'increase(plumbline_replay_runs_total{{model="{BAD}",verdict="regressed"}}[5m]) > 0'
    until(lambda: bool(prometheus.query(rate)), "the scrape of the verdict")
    assert selectors_without_series(prometheus, "replay_") == []
    without = panels_without_data(
        prometheus, "replay", "", begun, least=20, chosen={"model": BAD}, no_data=NO_DATA
    )
    assert without == []


def check_action(received: Any) -> None:
    """The webhook that rolls back has a valid signature."""
    timestamp = int(received.headers["x-plumbline-timestamp"])
    signed = signature(SECRET, timestamp, received.body)
    assert received.headers["x-plumbline-signature"] == f"v1={signed}"
    body = msgspec.json.decode(received.body)
    assert (body["action"], body["model"], body["verdict"]) == ("roll_back", BAD, "regressed")


def check_store(tmp_path: Path, found: dict[str, ReplayEvent]) -> None:
    """Runs, baselines, scores and the ledger are in the store."""
    with open_store(f"sqlite:///{tmp_path}/store.db") as store, store.read() as connection:
        for model, event in found.items():
            run = queue.find(connection, event.run)
            assert run is not None
            assert (run.verdict, run.alarm) == (event.verdict, event.alarm)
            baseline = baselines.find(connection, model)
            assert baseline is not None
            assert baseline.set_digest == event.set_digest
            scores = results.load(connection, event.run)
            assert sum(len(task.scores) for task in scores) >= 40
            assert len(list(chain.entries(connection, "decision", event.run))) == 1
        assert verify(connection).broken is None
    assert not list((tmp_path / "work" / "runs").iterdir())


def test_a_killed_worker_is_continued(tmp_path: Path) -> None:
    """After SIGKILL amid lm-eval another worker ends the run: each item once, one verdict."""
    models, folder = Models(), tmp_path / "sets"
    with OpenAIServer(answer=models.answer, delay=0.05) as server:
        path = tmp_path / "plumbline.yaml"
        path.write_text(yaml.safe_dump(sections(tmp_path, server, "http://127.0.0.1:9/")))
        freeze(folder, "kept", frozen_items(60), 1.0)
        options = ("-c", path)
        assert run("replay", "run", GOOD, "--baseline", "--set", folder / "kept", *options) == 0
        assert run("replay", "run", GOOD, "--queue", *options) == 0
        answered = len(server.received)
        with open_store(f"sqlite:///{tmp_path}/store.db") as store:
            kill_amid(store, path)
            config = load(path, {})
            place = workplace(config, store, Metrics(), lambda _: False)
            later = replace(place, clock=lambda: time.time() + 2 * LEASE_SECONDS)
            assert ReplayWorker(later, "second").work_once()
            with store.read() as connection:
                (found,) = list_runs(connection, Filter(verdict="not_regressed"))
                scores = results.load(connection, found.id)
                assert len(outbox.pending(connection)) == 1
                assert verify(connection).broken is None
    assert found.attempts == 2
    ids = [score.doc_id for task in scores for score in task.scores]
    assert len(ids) == len(set(ids)) >= 40
    assert len(server.received) - answered < 60 + 20 + 4, "chunks that were stored are not repeated"


def frozen_items(count: int) -> list[Item]:
    """Return approved items of the model that stays good."""
    return [
        Item(
            prompt=prompt(GOOD, number),
            scoring="exact_match",
            target=word(prompt(GOOD, number)),
            approved="a person",
            provenance=Provenance(origin="file"),
        )
        for number in range(count)
    ]


def kill_amid(store: Store, path: Path) -> None:
    """Let a worker process begin the queued run; kill it after its first chunk."""
    main = "import sys; from monitor.cli.main import main; sys.exit(main(sys.argv[1:]))"
    command = [sys.executable, "-c", main, "replay", "work", "--once", "-c", str(path)]
    process = subprocess.Popen(command, cwd=ROOT, start_new_session=True)

    def begun() -> bool:
        assert process.poll() is None, "the worker has ended"
        with store.read() as connection:
            (found,) = list_runs(connection, Filter(state="running")) or (None,)
        return found is not None and found.done >= 20

    try:
        until(begun, "the first chunk")
    finally:
        os.kill(process.pid, signal.SIGKILL)
        process.wait(60)


@long_only
def test_outages_of_broker_and_store_lose_nothing(tmp_path: Path) -> None:
    """The role goes on: what it read before, meanwhile and afterwards is in the queue once."""
    names = [f"m{number}" for number in range(6)]

    def drift(model: str) -> bytes:
        return encode_event(drift_event(model=model, alarm=f"alarm-{model}"))

    with OpenAIServer() as server, KafkaBroker(tmp_path / "kafka") as own:
        chosen = sections(tmp_path, server, "http://127.0.0.1:9/")
        chosen["replay"] |= {"workers": 0, "on": {}}
        topic = Topics("outage").events
        own.create_topic(topic, 2)
        daemon = Daemon(
            tmp_path, own.bootstrap, prefix="outage", logs=["x"], roles="replay", **chosen
        )

        def write(*models: str) -> None:
            produce(own.bootstrap, topic, map(drift, models), key=lambda _: b"k")

        def queued() -> float:
            return daemon.metric("replay_queue_runs", state="queued")

        with daemon:
            daemon.wait_ready()
            write(*names[:2])
            daemon.wait(lambda: queued() == 2, "the first runs")
            own.kill()
            time.sleep(5)
            assert daemon.get("/healthz")[0] == 200
            own.restart()
            write(*names[2:4])
            daemon.wait(lambda: queued() == 4, "runs after the outage of the broker")
            with closing(sqlite3.connect(tmp_path / "store.db", isolation_level=None)) as lock:
                lock.execute("BEGIN EXCLUSIVE")
                write(*names[4:])
                daemon.wait_metric("replay_store_errors_total", 1)
                lock.execute("ROLLBACK")
            daemon.wait(lambda: queued() == 6, "runs after the outage of the store")
            assert daemon.metric("replay_events_total", outcome="queued") == 6
            assert daemon.metric("replay_events_total", outcome="duplicate") == 0
            assert daemon.stop() == 0
