"""Measure what sampling adds to the CPU time of ingest.

    python -m benchmarks.sampling [--make-records PATH] [--records N] [--rounds N]

The pipeline of ingest, from messages to what it produces, processes the same records without and
with samples, at the default rates, in interleaved rounds. The ratio of a round compares two runs
that follow each other, so that a slow phase of the machine affects both. Kafka's part of the work
is not included; `share of ingest` relates the addition to the CPU time of a whole ingest process,
as the committed result of the throughput benchmark has it.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast

import numpy as np
from confluent_kafka import Message

from benchmarks.throughput import records
from monitor.config.schema import Config
from monitor.config.sections.process.section import LogConfig
from monitor.kafka.topics import Topics
from monitor.roles.ingest import BATCH
from monitor.roles.ingest_records import RecordPipeline
from monitor.roles.ingest_transaction import Transaction
from monitor.roles.interpreter import tune_interpreter
from monitor.telemetry import logging

THROUGHPUT = Path(__file__).parents[1] / "results" / "throughput.json"
LARGEST = 8 << 20
JUDGES = {
    "rubrics": ["answer_quality"],
    "model": "judge",
    "prices": {"judge": {"input": 1, "output": 1}},
    "client": {"provider": "compatible", "base_url": "http://127.0.0.1:9/v1"},
}
CONFIGS: dict[str, dict[str, Any]] = {
    "without samples": {},
    "samples": {"judges": JUDGES},
    "samples without redaction": {"judges": JUDGES, "sampling": {"redact": False}},
}


class Stored:
    """A message in memory."""

    def __init__(self, payload: bytes) -> None:
        self.payload = payload

    def value(self) -> bytes:
        """Return the value."""
        return self.payload


def cpu_us(config: Config, messages: Sequence[Message]) -> tuple[float, int]:
    """Return the CPU time per record in microseconds, and the number of samples."""
    pipeline = RecordPipeline(config, Topics("bench"), LARGEST, set)
    transaction = Transaction(0.0)
    started = time.process_time()
    for first in range(0, len(messages), BATCH):
        batch = messages[first : first + BATCH]
        pipeline.process(batch, np.arange(first, first + len(batch)), transaction)
    pipeline.encode(transaction)
    seconds = time.process_time() - started
    return seconds / len(messages) * 1e6, transaction.samples.written.total()


def measure(payloads: Sequence[bytes], rounds: int) -> dict[str, dict[str, float]]:
    """Return by configuration: CPU time, ratio and addition (medians), and number of samples."""
    messages = [cast(Message, Stored(payload)) for payload in payloads]
    configs = {name: Config.model_validate(sections) for name, sections in CONFIGS.items()}
    times: dict[str, list[float]] = {name: [] for name in configs}
    drawn = {}
    for _ in range(rounds):
        for name, config in configs.items():
            each, drawn[name] = cpu_us(config, messages)
            times[name].append(each)
    base = times["without samples"]
    ingest = json.loads(THROUGHPUT.read_text())["contenders"]["ingest"]["cpu_us"]["median"]
    result = {}
    for name, row in times.items():
        added = statistics.median(now - before for now, before in zip(row, base, strict=True))
        result[name] = {
            "cpu_us": statistics.median(row),
            "ratio": statistics.median(n / b for n, b in zip(row, base, strict=True)),
            "added_us": added,
            "share_of_ingest": added / ingest,
            "samples": drawn[name],
        }
    return result


def main() -> int:
    """Measure and print the result as a table."""
    parser = argparse.ArgumentParser(prog="benchmarks.sampling", description=__doc__)
    parser.add_argument("--make-records", type=Path, default=records.TOOL)
    parser.add_argument("--records", type=int, default=50_000)
    parser.add_argument("--rounds", type=int, default=9)
    a = parser.parse_args()
    logging.configure(LogConfig(level="error"))
    with tempfile.TemporaryDirectory() as name:
        path = Path(name) / "records.jsonl"
        source = records.write(path, a.records, a.make_records)
        payloads = list(records.read(path, a.records))
    tune_interpreter()  # as the daemon does
    print(f"{len(payloads)} records of {source}, {a.rounds} rounds")
    for config, row in measure(payloads, a.rounds).items():
        print(
            f"{config:26} {row['cpu_us']:6.2f} us a record, ratio {row['ratio']:.3f},"
            f" {row['added_us']:+.2f} us, {row['share_of_ingest']:+.1%} of ingest,"
            f" {row['samples']:.0f} samples"
        )
    return 0


if __name__ == "__main__":
    sys.exit(main())
