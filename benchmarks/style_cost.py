"""Measure what the style adds to the CPU time of ingest and detect, under a backlog.

    python -m benchmarks.style_cost [--make-records PATH] [--records N] [--rounds N]

The same records go through the pipeline of ingest, and its chunks through detect, without and with
style, in interleaved rounds; a ratio compares two runs that follow each other. References exist
beforehand. Kafka's part of the work is not included: `share of daemon` divides the addition by the
CPU time of a record in a whole daemon, as the throughput benchmark has it.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import cast

import numpy as np
from confluent_kafka import Message

from benchmarks.sampling.__main__ import LARGEST, THROUGHPUT, Stored
from benchmarks.throughput import records
from monitor.config.schema import Config
from monitor.config.sections.process.section import LogConfig
from monitor.detect.monitor import DriftMonitor
from monitor.detect.reference.sources import STYLE_REFERENCE
from monitor.ingest.chunks.chunk import decode_chunk
from monitor.kafka.topics import Topics
from monitor.records import Source
from monitor.roles.ingest import BATCH
from monitor.roles.ingest_records import CHUNK_RECORDS, RecordPipeline
from monitor.roles.ingest_transaction import Transaction
from monitor.roles.interpreter import tune_interpreter
from monitor.telemetry import logging


class Daemon:
    """Ingest and detect without Kafka, with or without style."""

    def __init__(self, *, style: bool) -> None:
        config = Config.model_validate({"style": {"enabled": style}})
        self.pipeline = RecordPipeline(config, Topics("bench"), LARGEST, set)
        self.monitor = DriftMonitor(config, {})
        self.style = style

    def run(self, messages: Sequence[Message]) -> tuple[float, float]:
        """Process messages; return the CPU time of ingest and of detect, in us per record."""
        ingest = detect = 0.0
        for start in range(0, len(messages), CHUNK_RECORDS):
            part = messages[start : start + CHUNK_RECORDS]
            began = time.process_time()
            transaction = Transaction(0.0)
            for first in range(0, len(part), BATCH):
                batch = part[first : first + BATCH]
                self.pipeline.process(batch, np.arange(first, first + len(batch)), transaction)
            self.pipeline.encode(transaction)
            between = time.process_time()
            while self.pipeline.outbox:
                value = self.pipeline.outbox.popleft().value
                assert value is not None
                self.monitor.process(decode_chunk(value))
            detect += time.process_time() - between
            ingest += between - began
        return ingest / len(messages) * 1e6, detect / len(messages) * 1e6

    def warm_up(self, messages: Sequence[Message]) -> None:
        """Process records until all references exist, and groups are passed over."""
        style = self.pipeline.style
        while (
            any(watch.profile is None for watch in self.monitor.watches())
            or not self.reached()
            or (style is not None and style.begins)
        ):
            self.run(messages)

    def reached(self) -> bool:
        """Return whether the style, if it is on, has had enough records for a reference."""
        found = self.monitor.of(Source.STYLE).records.total()
        return found > STYLE_REFERENCE or (not self.style and self.monitor.log.records.total() > 0)


def main() -> None:
    """Measure and print the result."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--make-records", type=Path, default=records.TOOL)
    parser.add_argument("--records", type=int, default=50_000)
    parser.add_argument("--rounds", type=int, default=9)
    arguments = parser.parse_args()
    logging.configure(LogConfig(level="error"))
    with tempfile.TemporaryDirectory() as name:
        path = Path(name) / "records.jsonl"
        source = records.write(path, arguments.records, arguments.make_records)
        payloads = list(records.read(path, arguments.records))
    messages = [cast(Message, Stored(payload)) for payload in payloads]
    tune_interpreter()
    daemons = [Daemon(style=style) for style in (False, True)]
    for daemon in daemons:
        daemon.warm_up(messages)
        daemon.run(messages)  # from now on the sample is that of a backlog
    rounds = [[daemon.run(messages) for daemon in daemons] for _ in range(arguments.rounds)]
    whole = json.loads(THROUGHPUT.read_text())["daemon_cpu_us"]
    print(f"{len(messages)} records of {source}, {arguments.rounds} rounds")
    total = 0.0
    for index, role in enumerate(("ingest", "detect")):
        added = statistics.median(on[index] - off[index] for off, on in rounds)
        without = statistics.median(off[index] for off, _ in rounds)
        total += added
        print(f"{role}: {without:.2f} us a record without style, {added:+.3f} us with it")
    print(f"share of daemon: {total / whole:.1%}")


if __name__ == "__main__":
    main()
