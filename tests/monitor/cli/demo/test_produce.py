"""Tests of the traffic producer."""

import os
import signal
import subprocess
import sys
import time
from collections import Counter
from itertools import islice
from pathlib import Path

import msgspec
import numpy as np
import pytest
from confluent_kafka import Consumer

from monitor.cli.demo import produce
from monitor.cli.demo.broker import EmbeddedBroker
from monitor.cli.demo.traffic import INJECTED, MODELS, model_of
from monitor.config.sections.kafka.section import KafkaConfig
from monitor.kafka.clients import consumer_settings

ROOT = Path(__file__).parents[4]
RATE, PHASE = 100.0, 50.0
COUNT = int(RATE * PHASE)


def test_phases_alternate() -> None:
    """Latency rises in the second phase and falls again in the third; request ids are unique."""
    lines = islice(produce.alternating_traffic(RATE, PHASE, start=1.7e9), 3 * COUNT)
    records = [msgspec.json.decode(line) for line in lines]
    medians = [
        np.median([r["latency_ms"] for r in phase if r["model"] == INJECTED.model])
        for phase in (records[:COUNT], records[COUNT : 2 * COUNT], records[2 * COUNT :])
    ]
    assert medians[1] / medians[0] == pytest.approx(INJECTED.factor, rel=0.1)
    assert medians[2] / medians[0] == pytest.approx(1.0, rel=0.1)
    assert len({record["request_id"] for record in records}) == len(records)
    times = [record["timestamp"] for record in records]
    assert times == sorted(times)
    assert times[-1] == pytest.approx(1.7e9 + 3 * PHASE, abs=1)


def test_records_arrive_keyed_by_model() -> None:
    """Records are produced at the given rate, all records of a model to one partition."""
    broker = EmbeddedBroker()
    config = KafkaConfig(bootstrap_servers=broker.bootstrap_servers)
    broker.create(config.logs)
    end = time.monotonic() + 1.0

    def stop(seconds: float) -> bool:
        time.sleep(seconds)
        return time.monotonic() > end

    sent = produce.run(config, produce.alternating_traffic(RATE, PHASE, start=1.7e9), RATE, stop)
    assert 0.5 * RATE < sent < 1.5 * RATE
    consumer = Consumer(consumer_settings(config, "test") | {"enable.partition.eof": False})
    consumer.subscribe(list(config.logs))
    counts: Counter[tuple[str, int | None]] = Counter()
    deadline = time.monotonic() + 20
    while counts.total() < sent and time.monotonic() < deadline:
        for message in consumer.consume(sent, 0.2):
            assert message.error() is None
            model = model_of(message.value() or b"")
            assert (message.key() or b"") == model.encode()
            counts[model, message.partition()] += 1
    consumer.close()
    assert counts.total() == sent
    assert {model for model, _ in counts} == {model.name for model in MODELS}
    assert len(counts) == len(MODELS)


def test_stops_on_sigterm() -> None:
    """SIGTERM ends the process with status 0, here while it waits for the broker."""
    command = [sys.executable, "-m", "monitor.cli.demo.produce", "127.0.0.1:1"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    with subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True) as process:
        try:
            assert process.stderr is not None
            assert any("waiting for the broker" in line for line in process.stderr)
            process.send_signal(signal.SIGTERM)
            assert process.wait(timeout=20) == 0
        finally:
            process.kill()


@pytest.mark.parametrize("words", [[], ["a:1", "--rate", "0"], ["a:1", "--phase", "soon"]])
def test_invalid_arguments_are_an_error(
    words: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    """Missing and invalid arguments print an error and exit with status 2."""
    with pytest.raises(SystemExit) as ended:
        produce.main(words)
    assert ended.value.code == 2
    assert capsys.readouterr().err
