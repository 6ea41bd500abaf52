"""Chunks of two sources of one model in the feature topic, with a real broker."""

from __future__ import annotations

import json
import subprocess
import sys
import uuid
from collections.abc import Iterable
from pathlib import Path

import msgspec
import pytest

from monitor.config.schema import Config
from monitor.detect.monitor import DriftMonitor
from monitor.ingest.chunks.chunk import encode_chunk
from monitor.ingest.chunks.columns import Columns
from monitor.kafka.topics import Topics
from monitor.records import Source
from tests.integration.broker import KafkaBroker
from tests.integration.harness import (
    JUDGES,
    QUICK,
    ROOT,
    RUN,
    SHORT_SESSION,
    TIMEOUT_S,
    Daemon,
    committed,
    produce,
    read_all,
)
from tests.monitor import judged, synthetic

pytestmark = pytest.mark.usefixtures("real_broker")


def chunks() -> list[Columns]:
    """Return chunks of records and judged samples of the model "m" in turn; both drift."""
    log = [synthetic.stream(3_000, seed=1), synthetic.stream(1_000, seed=2, factor=2.0)]
    judge = [
        judged.samples(3_000, seed=3),
        judged.samples(1_000, seed=4, first=3_000, quality=judged.WORSE),
    ]
    parts = [
        [part for each in columns for part in synthetic.cut(each, range(0, len(each), 100))]
        for columns in (log, judge)
    ]
    return [chunk for pair in zip(*parts, strict=True) for chunk in pair]


def ids(found: Iterable[tuple[str, str, str]], source: Source) -> list[tuple[str, str]]:
    """Return ids and transitions of the events of a source, sorted."""
    return sorted((identity, change) for identity, change, of in found if of == source)


def test_two_sources_of_a_model_survive_a_kill(broker: KafkaBroker, tmp_path: Path) -> None:
    """Killed amid the traffic, detect finds the events of each source by itself, with their ids.

    The API names the source, and judged samples can be accepted as a reference of their own.
    """
    prefix, both = uuid.uuid4().hex, chunks()
    features, events = Topics(prefix).features, Topics(prefix).events
    config = Config.model_validate(QUICK | {"judges": JUDGES})
    monitor = DriftMonitor(config, {})
    expected = [
        (event.id, event.change, str(event.source))
        for chunk in both
        for event in monitor.process(chunk)
    ]
    half = 2 * len(both) // 3

    def daemon() -> Daemon:
        return Daemon(
            tmp_path,
            broker.bootstrap,
            prefix=prefix,
            logs=[f"{prefix}-logs"],
            roles="detect",
            kafka={"client": SHORT_SESSION | {"transaction.timeout.ms": 5_000}},
            state={"checkpoint_seconds": 0.5},
            judges=JUDGES,
        )

    def found() -> set[tuple[str, str, str]]:
        decoded = [
            msgspec.json.decode(m.value() or b"") for m in read_all(broker.bootstrap, events)
        ]
        return {(event["id"], event["change"], event["source"]) for event in decoded}

    def send(part: list[Columns]) -> None:
        produce(broker.bootstrap, features, map(encode_chunk, part), key=lambda _: b"m")

    broker.create_topic(features)
    send(both[:half])
    with daemon() as dies:
        dies.wait_metric("samples_watched_total", 2_000)
        dies.wait_for("warm-up ended, watching", 2)
        dies.kill()
    send(both[half:])
    with daemon() as last:
        last.wait(
            lambda: committed(broker.bootstrap, f"{prefix}-detect", features) == len(both),
            "the end of the feature topic",
        )
        assert found() == set(expected)
        for source in (Source.LOG, Source.JUDGE):
            assert ids(found(), source)
        last.wait(
            lambda: shown(last) == ({"judge"}, {"log", "judge"}), "the status of both sources"
        )
        assert last.metric("chunks_rejected_total") == 0
        answer = _accept_judged(last)
        assert (answer["outcome"], answer["records"]) == ("applied", 2_000)
        last.wait(lambda: shown(last) == ({"judge"}, {"log"}), "the end of the judged alarms")
        assert last.stop() == 0


def shown(daemon: Daemon) -> tuple[set[str], set[str]]:
    """Return the other sources that the status lists, and the sources of the open alarms."""
    status, body = daemon.get("/api/v1/status")
    models = json.loads(body)["models"] if status == 200 else []
    sources = {each["source"] for model in models for each in model["sources"]}
    return sources, {alarm["source"] for model in models for alarm in model["alarms"]}


def _accept_judged(daemon: Daemon) -> dict[str, object]:
    """Accept the newest 2,000 judged samples; return the answer of detect."""
    words = ["reference", "accept", "m", "--source", "judge", "--since", "2000d", "--json"]
    words += ["--records", "2000", "-c", str(daemon.config_file)]
    done = subprocess.run(
        [sys.executable, "-c", RUN, *words],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=TIMEOUT_S,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    answer: dict[str, object] = json.loads(done.stdout)
    return answer
