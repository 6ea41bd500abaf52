"""Experiments on a real broker: sums equal to those of files, bit for bit, and their verdicts."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import msgspec
import pytest

from monitor.config.schema import Config
from monitor.experiments.sums.units import expected_share_missed
from monitor.kafka.topics import Topics
from tests.integration.broker import KafkaBroker
from tests.integration.experiments import (
    EXPERIMENT,
    NAME,
    assert_same_sums,
    experiment_records,
    local,
    published,
    results,
)
from tests.integration.harness import SHORT_SESSION, Daemon, produce, read_all, until
from tests.long_form import LONG

SECTIONS = {"experiments": {NAME: EXPERIMENT}, "state": {"checkpoint_seconds": 0.5}}
CONFIG = Config.model_validate(SECTIONS)


def start(broker: KafkaBroker, folder: Path, topic: str, stack: ExitStack, roles: str) -> Daemon:
    """Start a daemon with the roles of an experiment."""
    kafka = {"partitions": 4, "client": SHORT_SESSION}
    daemon = Daemon(
        folder, broker.bootstrap, prefix=topic, logs=[topic], roles=roles, kafka=kafka, **SECTIONS
    )
    return stack.enter_context(daemon)


def requests(broker: KafkaBroker, prefix: str) -> int:
    """Return the number of requests in the published sums."""
    return sum(published(CONFIG, broker.bootstrap, prefix).requests)


def test_a_slower_variant_is_worse_and_sums_are_those_of_a_file(
    real_broker: KafkaBroker, topic: Callable[..., str], tmp_path: Path
) -> None:
    """The verdict has the right direction; bad messages stop nothing; a restart changes nothing."""
    log, values = topic(partitions=2), experiment_records(12_000)
    expected = local(CONFIG, values, tmp_path).by_name[NAME]
    assert expected.data is not None
    with ExitStack() as stack:
        daemon = start(real_broker, tmp_path, log, stack, "ingest,experiment")
        daemon.wait_ready()
        produce(real_broker.bootstrap, Topics(log).exposures, [b"hostile", None, b"\x9b\x01"])
        produce(real_broker.bootstrap, log, values[:7_000])
        until(lambda: requests(real_broker, log) == 7_000, "the first sums")
        daemon_counted = daemon.metric("experiment_exposures_total")
        assert daemon.metric("experiment_exposures_ignored_total", reason="unreadable") == 3
        assert daemon.stop() == 0
        other = start(real_broker, tmp_path, log, stack, "ingest,experiment")
        produce(real_broker.bootstrap, log, values[7_000:])
        until(lambda: requests(real_broker, log) == 12_000, "all sums")

        def last_time() -> float:
            found = results(real_broker.bootstrap, log)
            return found[-1].time if found else 0.0

        until(lambda: last_time() == expected.data.time, "the last look")  # type: ignore[union-attr] # there is data
        status, page = other.get(f"/api/v1/experiments/{NAME}")
        assert (status, msgspec.json.decode(page)["arms"][1]["verdict"]) == (200, "worse")
        assert other.metric("experiment_users", experiment=NAME) == sum(expected.data.users)
        assert daemon_counted + other.metric("experiment_exposures_total") == 12_000
        lines = daemon.said("experiment verdict") + other.said("experiment verdict")
        assert [(line["level"], line["interval_level"]) for line in lines] == [("info", 0.05)]
        assert other.stop() == 0
    data = published(CONFIG, real_broker.bootstrap, log)
    assert_same_sums(data, expected.data)
    assert sum(data.users) == pytest.approx(sum(expected.data.users), abs=2)
    assert sum(data.users) >= 600 * (1 - expected_share_missed(600)) - 2
    events = [
        msgspec.json.decode(message.value() or b"")
        for message in read_all(real_broker.bootstrap, Topics(log).events)
    ]
    verdicts = [event for event in events if event["type"] == "experiment"]
    assert verdicts
    assert len({event["id"] for event in verdicts}) == len(verdicts)


def test_a_killed_process_loses_and_repeats_nothing(
    real_broker: KafkaBroker, topic: Callable[..., str], tmp_path: Path
) -> None:
    """Three processes, of which one is killed while records arrive, have the sums of a file."""
    part = 20_000 if LONG else 5_000
    log, values = topic(partitions=3), experiment_records(3 * part, seed=1)
    expected = local(CONFIG, values, tmp_path).by_name[NAME]
    assert expected.data is not None
    with ExitStack() as stack:
        daemons = [start(real_broker, tmp_path, log, stack, "ingest,experiment") for _ in range(3)]
        for daemon in daemons:
            daemon.wait_ready()
        produce(real_broker.bootstrap, log, values[:part])
        until(lambda: requests(real_broker, log) > 0, "the first sums")
        produce(real_broker.bootstrap, log, values[part : 2 * part])
        daemons[0].kill()
        produce(real_broker.bootstrap, log, values[2 * part :])
        until(lambda: requests(real_broker, log) == 3 * part, "all sums")
        assert [daemon.stop() for daemon in daemons[1:]] == [0, 0]
    data = published(CONFIG, real_broker.bootstrap, log)
    assert_same_sums(data, expected.data)
    assert sum(data.users) == pytest.approx(sum(expected.data.users), abs=2)
    assert results(real_broker.bootstrap, log)


def test_scores_of_judges_are_metrics(
    real_broker: KafkaBroker, topic: Callable[..., str], tmp_path: Path
) -> None:
    """Scores of uniform samples are in the sums of their variant, without new requests."""
    log, values, goal = topic(), experiment_records(400), "check.brief"
    sections: dict[str, Any] = {
        "judges": {"checks": {"brief": {"kind": "length", "max_chars": 10}}},
        "sampling": {"rate": 1},
        "experiments": {NAME: EXPERIMENT | {"goal": goal, "secondary": ["latency_ms"]}},
        "state": {"checkpoint_seconds": 0.5},
    }
    config = Config.model_validate(sections)
    texts = [b'"response":"%s",' % (b"x" * (5 if i % 4 else 15)) for i in range(len(values))]
    records = [b"{" + text + value[1:] for text, value in zip(texts, values, strict=True)]
    with Daemon(
        tmp_path,
        real_broker.bootstrap,
        prefix=log,
        logs=[log],
        roles="ingest,judge,experiment",
        **sections,
    ) as daemon:
        daemon.wait_ready()
        produce(real_broker.bootstrap, log, records)

        def counted() -> tuple[float, int]:
            data = published(config, real_broker.bootstrap, log)
            return (data.sums[goal].n.sum() if data.sums else 0.0), sum(data.requests)

        daemon.wait(lambda: counted() == (400, 400), "all scores and requests")
        assert daemon.stop() == 0
    data = published(config, real_broker.bootstrap, log)
    arms = [msgspec.json.decode(value)["experiments"][NAME] for value in values]
    for arm, name in enumerate(EXPERIMENT["variants"]):
        expected = sum(i % 4 > 0 for i, each in enumerate(arms) if each == name)
        assert data.sums[goal].x[arm].sum() == expected
        assert data.sums[goal].n[arm].sum() == arms.count(name)
