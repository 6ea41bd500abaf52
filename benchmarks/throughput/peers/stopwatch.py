"""The arguments of a peer, and the measurement of its speed."""

from __future__ import annotations

import argparse
import json
import math
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

HEAD = 300
"""Records before the measurement begins: one batch, as for the loops."""

WINDOW = 1000
"""Records of the window."""

DURABLE_SECONDS = 5.0
"""Seconds between two commits of durable state, as in the daemon."""


@dataclass(slots=True)
class Stopwatch:
    """Measures from the end of the first HEAD records to the end of the last one."""

    records: int
    done: int = 0
    counted_from: int = 0
    started: float = field(default_factory=time.perf_counter)
    cpu: float = field(default_factory=time.process_time)
    ended: tuple[float, float] | None = None

    def add(self, count: int = 1) -> bool:
        """Count records that were processed; return whether they are all."""
        self.done += count
        if not self.counted_from and HEAD <= self.done < self.records:
            self.started, self.cpu = time.perf_counter(), time.process_time()
            self.counted_from = self.done
        if self.ended is None and self.done >= self.records:
            self.ended = time.perf_counter(), time.process_time()
        return self.ended is not None

    def us_per_record(self) -> tuple[float, float]:
        """Return wall and CPU time of all threads in microseconds per record.

        Raises RuntimeError if not all records were processed.
        """
        if self.ended is None:
            raise RuntimeError(f"{self.done} of {self.records} records were processed")
        wall, cpu = self.ended
        scale = 1e6 / (self.records - self.counted_from)
        return (wall - self.started) * scale, (cpu - self.cpu) * scale


@dataclass(slots=True)
class MeanOfWindow:
    """Mean of a tumbling window of WINDOW values, without durable state."""

    count: int = 0
    total: float = 0.0

    def add(self, value: float) -> float:
        """Add a value; return the mean at the end of a window, else NaN."""
        self.count += 1
        self.total += value
        if self.count < WINDOW:
            return math.nan
        mean = self.total / self.count
        self.count, self.total = 0, 0.0
        return mean


@dataclass(frozen=True, slots=True)
class Arguments:
    """bootstrap, topic, records: the log. client: settings of the consumer. state: a folder.

    durable: keep the window in the durable state of the peer.
    """

    bootstrap: str
    topic: str
    records: int
    client: dict[str, Any]
    state: Path
    durable: bool


def arguments(description: str | None) -> Arguments:
    """Parse the command line of a peer."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("bootstrap")
    parser.add_argument("topic")
    parser.add_argument("records", type=int)
    parser.add_argument("client", type=json.loads, help="settings of the consumer, JSON")
    parser.add_argument("state", type=Path, help="folder for durable state")
    parser.add_argument("--durable", action="store_true", help="with durable state")
    return Arguments(**vars(parser.parse_args()))
