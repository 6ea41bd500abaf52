"""Records of an experiment, and the sums in the state topic, for the integration tests."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from monitor.config.schema import Config
from monitor.experiments.decisions.result import Result, decode_result
from monitor.experiments.sums.look import LookData
from monitor.experiments.sums.looks import Looks
from monitor.experiments.sums.state import decode_partial
from monitor.ingest import files
from monitor.kafka.topics import Topics
from monitor.roles import experiment_messages
from monitor.roles.experiment_messages import Assembler
from monitor.roles.local_experiments import LocalExperiments, configured
from tests.integration.harness import read_all

NAME = "exp"
START = 1_767_225_600.0
EXPERIMENT: dict[str, Any] = {
    "variants": {"control": 0.5, "treatment": 0.5},
    "goal": "latency_ms",
    "secondary": ["feedback", "latency_ms.p50", "output_tokens"],
    "guardrails": ["error"],
    "mde": 0.1,
}
"""An experiment in which a lower latency is better."""


def experiment_records(
    n: int, *, users: int = 600, slower: float = 1.3, seconds: float = 900.0, seed: int = 0
) -> list[bytes]:
    """Return n records in the order of their times; the treatment is slower by a factor."""
    random = np.random.default_rng(seed)
    of_user = random.integers(0, users, n)
    times = START + np.sort(random.random(n)) * seconds
    latency = random.lognormal(6, 0.5, n) * np.where(of_user % 2, slower, 1.0)
    liked = random.random(n) < 0.5
    failed = random.random(n) < 0.02
    return [
        msgspec.json.encode(
            {
                "request_id": f"r{i}",
                "timestamp": float(times[i]),
                "model": "m",
                "latency_ms": float(latency[i]),
                "output_tokens": int(latency[i]),
                "user_id": f"u{of_user[i]}",
                "experiments": {NAME: "treatment" if of_user[i] % 2 else "control"},
                "feedback": float(liked[i]),
                "error": "timeout" if failed[i] else None,
            }
        )
        for i in range(n)
    ]


def local(config: Config, values: list[bytes], folder: Path) -> LocalExperiments:
    """Return the experiments of a file with these records, as backtest computes them."""
    path = folder / "records.jsonl"
    path.write_bytes(b"\n".join(values))
    experiments, reader = LocalExperiments(config), files.reader(config)
    reader.observe = experiments.observe
    for _ in reader.batches([path], lambda _: None):
        pass
    experiments.finish()
    return experiments


def state_values(bootstrap: str, prefix: str) -> list[experiment_messages.StateMessage]:
    """Return all messages of the state topic, in the order of each partition."""
    found = read_all(bootstrap, Topics(prefix).experiment_state)
    decoded = [experiment_messages.decode(message.value() or b"") for message in found]
    return [message for message in decoded if message is not None]


def published(config: Config, bootstrap: str, prefix: str) -> LookData:
    """Return the merged newest sums of the state topic."""
    looks, assembler = Looks(*configured(config)[NAME]), Assembler()
    for message in state_values(bootstrap, prefix):
        if message.kind == "closed" and (value := assembler.add(message)) is not None:
            looks.update(message.shard, message.partition, decode_partial(value.payload))
    return looks.data(1.0)


def results(bootstrap: str, prefix: str) -> list[Result]:
    """Return all results in the state topic, in their order."""
    return [
        decode_result(message.payload)
        for message in state_values(bootstrap, prefix)
        if message.kind == "result"
    ]


def assert_same_sums(one: LookData, other: LookData) -> None:
    """Assert that the sums are equal, bit for bit."""
    assert one.requests == other.requests
    assert one.weekdays == other.weekdays
    assert one.sums.keys() == other.sums.keys()
    for name, sums in one.sums.items():
        assert sums.x.tobytes() == other.sums[name].x.tobytes()
        assert sums.n.tobytes() == other.sums[name].n.tobytes()
    for name, counts in one.histograms.items():
        assert counts.tobytes() == other.histograms[name].tobytes()
