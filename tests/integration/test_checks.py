"""Checks alone: the judge role runs without model, price and key."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from pathlib import Path

import pytest

from monitor.events.evaluations import decode_evaluation
from monitor.kafka.topics import Topics
from monitor.records import Source
from tests.integration.broker import KafkaBroker
from tests.integration.harness import Daemon, chunks, committed, numbered, produce, read_all

pytestmark = pytest.mark.usefixtures("real_broker")


def test_checks_are_features_without_a_judge(
    broker: KafkaBroker, topic: Callable[..., str], tmp_path: Path
) -> None:
    """Each sample has a value of source judge; a check that does not apply has none."""
    logs, prefix, n = topic(), uuid.uuid4().hex, 60
    checks = {
        "short": {"kind": "length", "max_chars": 10},
        "trap": {"kind": "trap", "terms": ["Zorblax"]},
    }
    with Daemon(
        tmp_path,
        broker.bootstrap,
        prefix=prefix,
        logs=[logs],
        roles="ingest,detect,judge",
        judges={"checks": checks},
        sampling={"rate": 1},
    ) as daemon:
        responses = ["short", "a long response"]
        produce(broker.bootstrap, logs, [numbered(i, response=responses[i % 2]) for i in range(n)])
        samples = Topics(prefix).samples
        daemon.wait(
            lambda: committed(broker.bootstrap, f"{prefix}-judge", samples) == n, "all samples"
        )
        daemon.wait_metric("judge_quality", 0.5)
        assert daemon.metric("judge_unscored_total") == 0
        assert daemon.metric("judge_quality", rubric="check.short") == pytest.approx(0.5)
        assert daemon.stop() == 0
    found = [
        decode_evaluation(each.value() or b"")
        for each in read_all(broker.bootstrap, Topics(prefix).evaluations)
    ]
    assert {(each.name, each.score, each.passed) for each in found} == {
        ("check.short", 1.0, True),
        ("check.short", 0.0, False),
    }
    judged = [each for each in chunks(broker.bootstrap, prefix) if each.source is Source.JUDGE]
    values = [value for each in judged for value in each.row("check.short").tolist()]
    assert sorted(values) == [0.0] * (n // 2) + [1.0] * (n // 2)
