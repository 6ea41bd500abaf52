"""Quix Streams: parse every record, mean of latency_ms over windows of 1,000 records.

With durable state, the window is Quix's own count window. Its state is in RocksDB and in a
changelog topic, committed with the offsets every five seconds (its default). Without, the window is
a variable. Offsets are committed in both cases, at least once.
"""

from __future__ import annotations

import json
import sys
import uuid
from collections import defaultdict
from typing import Any

from quixstreams import Application

from benchmarks.throughput.peers.stopwatch import (
    DURABLE_SECONDS,
    WINDOW,
    Arguments,
    MeanOfWindow,
    Stopwatch,
    arguments,
)


def measure(a: Arguments) -> tuple[float, float]:
    """Process the log once; return wall and CPU time in microseconds per record."""
    app = Application(
        broker_address=a.bootstrap,
        consumer_group=f"quix-{uuid.uuid4().hex[:8]}",
        auto_offset_reset="earliest",
        commit_interval=DURABLE_SECONDS,
        consumer_extra_config=a.client,
        state_dir=a.state,
        loglevel="ERROR",
    )
    watch = Stopwatch(a.records)

    def count(_: Any) -> None:
        if watch.add():
            app.stop()

    latencies = app.dataframe(app.topic(a.topic)).apply(lambda record: record["latency_ms"])
    if a.durable:
        latencies.tumbling_count_window(WINDOW).mean().final()
    else:
        windows: defaultdict[Any, MeanOfWindow] = defaultdict(MeanOfWindow)
        latencies.update(
            lambda value, key, *_: windows[key].add(value),  # a window per key, as Quix's own
            metadata=True,
        )
    latencies.update(count)
    app.run()
    return watch.us_per_record()


if __name__ == "__main__":
    print(json.dumps(measure(arguments(__doc__))))
    sys.exit(0)
