"""Measure what experiments cost: sums by record and metric, memory, and the addition at ingest.

    python -m benchmarks.experiment_sums [--make-records PATH] [--records N] [--rounds N]

Sums: messages of exposures of one shard are decoded and added, as in the role `experiment`. The
message holds the exposures of a shard that an ingest process writes at once.
Ingest: the pipeline, from messages to what it produces, processes the same records without and with
an experiment, in interleaved rounds; a ratio compares two runs that follow each other. Kafka's part
of the work is not included.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast

import msgspec
import numpy as np
from confluent_kafka import Message

from benchmarks.sampling.__main__ import LARGEST, Stored
from benchmarks.throughput import records
from monitor.config.schema import Config
from monitor.config.sections.process.section import LogConfig
from monitor.experiments.exposures.columns import (
    NOT_COMPARED,
    Exposures,
    decode_exposures,
    encode_exposures,
)
from monitor.experiments.sums.layout import Layout
from monitor.experiments.sums.shard import Shard
from monitor.experiments.sums.totals import Totals
from monitor.experiments.sums.units import FILTER_BITS
from monitor.kafka.topics import Topics
from monitor.roles.ingest import BATCH
from monitor.roles.ingest_records import RecordPipeline
from monitor.roles.ingest_transaction import Transaction
from monitor.roles.interpreter import tune_interpreter
from monitor.roles.local_experiments import configured
from monitor.telemetry import logging

LOGARITHMS = ("latency_ms", "output_tokens", "input_tokens")
METRICS = (*LOGARITHMS, "error", "refusal", "feedback", "score.a", "score.b", "score.c", "score.d")
EXPERIMENT: dict[str, Any] = {
    "variants": {"control": 1, "treatment": 1},
    "goal": METRICS[0],
    "secondary": [*METRICS[1:5], "latency_ms.p95"],
    "guardrails": METRICS[5:],
}
ROWS = (100, 1_000, 10_000)
"""Exposures of a message."""
PER_MINUTE = 10_000
"""Exposures of a shard by minute of event time."""


def layout() -> Layout:
    """Return the layout of the measured experiment."""
    return configured(Config.model_validate({"experiments": {"exp": EXPERIMENT}}))["exp"][1]


def messages(rows: int, count: int, seed: int = 0) -> list[bytes]:
    """Return messages of exposures of a shard with all features."""
    random = np.random.default_rng(seed)
    features = layout().features
    found = []
    for index in range(count):
        units = random.integers(0, 50_000, rows).astype(np.uint64) * np.uint64(0x9E3779B97F4A7C15)
        values = random.lognormal(5, 1, (len(features), rows))
        values[3:5] = random.random((2, rows)) < 0.02
        start = 1_767_225_600 + index * rows * 60 / PER_MINUTE
        exposures = Exposures(
            "exp",
            "p1",
            0,
            start + np.arange(rows) * 60 / PER_MINUTE,
            units >> np.uint64(4),
            ("control", "treatment"),
            (units % np.uint64(2)).astype(np.int16),
            np.full(rows, NOT_COMPARED, np.int16),
            features,
            values,
        )
        found.append(encode_exposures(exposures))
    return found


def sums_us(payloads: Sequence[bytes], rows: int) -> float:
    """Return the CPU time by record and metric in microseconds; quantiles count as metrics."""
    used = layout()
    shard = Shard(used)
    shard.add(decode_exposures(payloads[0]), 1e10)
    started = time.process_time()
    for payload in payloads[1:]:
        shard.add(decode_exposures(payload), 1e10)
    metrics = len(used.means) + len(used.histograms)
    return (time.process_time() - started) * 1e6 / (rows * (len(payloads) - 1) * metrics)


def ingest_us(config: Config, stored: Sequence[Message]) -> float:
    """Return the CPU time of the pipeline by record in microseconds."""
    pipeline = RecordPipeline(config, Topics("bench"), LARGEST, set)
    transaction = Transaction(0.0)
    started = time.process_time()
    for first in range(0, len(stored), BATCH):
        batch = stored[first : first + BATCH]
        pipeline.process(batch, np.arange(first, first + len(batch)), transaction)
    pipeline.encode(transaction)
    return (time.process_time() - started) / len(stored) * 1e6


def with_experiment(payloads: Sequence[bytes]) -> list[Message]:
    """Return records with a user, a variant and feedback."""
    found = []
    for index, payload in enumerate(payloads):
        record = msgspec.json.decode(payload)
        user = index * 7 % 5_000
        record |= {"user_id": f"user-{user:05}", "feedback": float(index % 2)}
        record["experiments"] = {"exp": "treatment" if user % 2 else "control"}
        found.append(cast(Message, Stored(msgspec.json.encode(record))))
    return found


def memory() -> dict[str, float]:
    """Return the bytes of the state of an experiment by part."""
    used = layout()
    totals, arms = Totals(used), len(used.arms)
    sums = totals.means.x.limbs.nbytes + totals.means.n.nbytes
    return {
        "a sum, by arm and metric": 16 * sums / (arms * len(used.means)),
        "a histogram, by arm and metric": 16 * totals.histograms.nbytes / arms,
        "filters of units": 16 * 2 * FILTER_BITS / 8,
    }


def main() -> int:
    """Measure and print the results."""
    parser = argparse.ArgumentParser(prog="benchmarks.experiment_sums", description=__doc__)
    parser.add_argument("--make-records", type=Path, default=records.TOOL)
    parser.add_argument("--records", type=int, default=20_000)
    parser.add_argument("--rounds", type=int, default=7)
    a = parser.parse_args()
    logging.configure(LogConfig(level="error"))
    with tempfile.TemporaryDirectory() as name:
        path = Path(name) / "records.jsonl"
        source = records.write(path, a.records, a.make_records)
        stored = with_experiment(list(records.read(path, a.records)))
    tune_interpreter()  # as the daemon does
    print(f"{len(stored)} records of {source}, {a.rounds} rounds")
    for rows in ROWS:
        payloads = messages(rows, max(5, a.records // rows))
        found = statistics.median(sums_us(payloads, rows) for _ in range(a.rounds))
        print(f"sums, {rows:6,} exposures a message: {found:.3f} us a record and metric")
    for part, size in memory().items():
        print(f"memory of {part}: {size / 1024:,.0f} KiB")
    without = Config()
    config = Config.model_validate({"experiments": {"exp": EXPERIMENT}})
    rows_of = [(ingest_us(without, stored), ingest_us(config, stored)) for _ in range(a.rounds)]
    base, used = (statistics.median(column) for column in zip(*rows_of, strict=True))
    ratio = statistics.median(b / a for a, b in rows_of)
    print(f"ingest: {base:.2f} us a record, {used:.2f} with an experiment, ratio {ratio:.2f}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
