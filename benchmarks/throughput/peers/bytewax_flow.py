"""Bytewax: parse every record, mean of latency_ms over windows of 1,000 records.

The records are parsed by orjson. With durable state, the window and the offsets are written to
Bytewax's recovery store (SQLite) every five seconds. Without, both are in memory only.
"""

from __future__ import annotations

import json
import sys
from datetime import timedelta
from typing import Any

import orjson
from bytewax import operators as op
from bytewax.connectors.kafka import KafkaSource
from bytewax.dataflow import Dataflow
from bytewax.recovery import RecoveryConfig, init_db_dir
from bytewax.testing import TestingSink, run_main

from benchmarks.throughput.peers.stopwatch import (
    DURABLE_SECONDS,
    WINDOW,
    Arguments,
    Stopwatch,
    arguments,
)

State = tuple[int, float]


def add(state: State | None, value: float) -> tuple[State, float | None]:
    """Add a value to the window (count, sum); return the mean at the end of a window."""
    count, total = state or (0, 0.0)
    count, total = count + 1, total + value
    return ((0, 0.0), total / count) if count == WINDOW else ((count, total), None)


def measure(a: Arguments) -> tuple[float, float]:
    """Process the log once; return wall and CPU time in microseconds per record."""
    watch = Stopwatch(a.records)

    def parse(batch: list[Any]) -> list[tuple[str, float]]:
        records = [orjson.loads(message.value) for message in batch]
        return [(record["model"], record["latency_ms"]) for record in records]

    def count(batch: list[Any]) -> list[Any]:
        watch.add(len(batch))
        return batch

    flow = Dataflow("bench")
    source = KafkaSource([a.bootstrap], [a.topic], tail=False, add_config=a.client)
    values = op.flat_map_batch("parse", op.input("log", flow, source), parse)
    means = op.stateful_map("window", values, add)
    op.output("out", op.flat_map_batch("count", means, count), TestingSink([]))
    recovery = None
    if a.durable:
        init_db_dir(a.state, 1)
        recovery = RecoveryConfig(a.state)
    run_main(flow, epoch_interval=timedelta(seconds=DURABLE_SECONDS), recovery_config=recovery)
    return watch.us_per_record()


if __name__ == "__main__":
    print(json.dumps(measure(arguments(__doc__))))
    sys.exit(0)
