"""Made traffic goes into a broker at its rate, and drifts in every other phase."""

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

from monitor import kafka
from monitor.config import KafkaConfig
from monitor.demo import produce
from monitor.demo.broker import EmbeddedBroker
from monitor.demo.traffic import INJECTED, PROFILES, model_of

ROOT = Path(__file__).parents[3]
RATE, PHASE = 100.0, 50.0
COUNT = int(RATE * PHASE)


def test_phases_take_turns() -> None:
    """Latency rises in the second phase and falls again in the third; ids are given once."""
    lines = islice(produce.made(RATE, PHASE, start=1.7e9), 3 * COUNT)
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
    """What is produced can be read, a model on a partition, at the rate asked for."""
    broker = EmbeddedBroker()
    config = KafkaConfig(bootstrap_servers=broker.bootstrap_servers)
    broker.create(config.logs)
    end = time.monotonic() + 1.0

    def stop(seconds: float) -> bool:
        time.sleep(seconds)
        return time.monotonic() > end

    sent = produce.run(config, produce.made(RATE, PHASE, start=1.7e9), RATE, stop)
    assert 0.5 * RATE < sent < 1.5 * RATE
    consumer = Consumer(kafka.consumer_settings(config, "test"))
    consumer.subscribe(list(config.logs))
    places: Counter[tuple[str, int | None]] = Counter()
    deadline = time.monotonic() + 20
    while places.total() < sent and time.monotonic() < deadline:
        for message in consumer.consume(sent, 0.2):
            assert message.error() is None
            model = model_of(message.value() or b"")
            assert (message.key() or b"") == model.encode()
            places[model, message.partition()] += 1
    consumer.close()
    assert places.total() == sent
    assert {model for model, _ in places} == {profile.model for profile in PROFILES}
    assert len(places) == len(PROFILES)


def test_stops_on_sigterm() -> None:
    """A container that is told to stop ends well, here while it waits for its broker."""
    command = [sys.executable, "-m", "monitor.demo.produce", "127.0.0.1:1"]
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
def test_bad_arguments_are_refused(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    """What is missing or makes no sense is said, with status 2."""
    with pytest.raises(SystemExit) as ended:
        produce.main(words)
    assert ended.value.code == 2
    assert capsys.readouterr().err
