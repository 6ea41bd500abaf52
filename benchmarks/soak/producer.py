"""Produce the log of the soak, no further than standard input allows.

    python -m benchmarks.soak.producer BOOTSTRAP TOPIC PARTITIONS RECORDS

Each line on standard input is the number of records that may have been produced so far.
"""

from __future__ import annotations

import argparse
import os
import sys
import threading
from typing import IO

from confluent_kafka import Producer

from benchmarks.harness.messages import send
from benchmarks.soak.log import messages

BLOCK = 1000
"""Records between two checks of the allowance."""
FLUSH_SECONDS = 120.0


class Allowance:
    """The number of records that may have been produced, read from a pipe by a thread."""

    def __init__(self, pipe: IO[str]) -> None:
        self.pipe = pipe
        self.records = 0
        self.changed = threading.Condition()
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self) -> None:
        for line in self.pipe:
            with self.changed:
                self.records = int(line)
                self.changed.notify()
        os._exit(1)  # the benchmark has ended

    def wait(self, records: int) -> None:
        """Wait until `records` records are allowed."""
        with self.changed:
            self.changed.wait_for(lambda: self.records >= records)


def produce(bootstrap: str, topic: str, partitions: int, records: int, allowed: IO[str]) -> None:
    """Produce the log as fast as the allowance permits."""
    producer = Producer(
        {
            "bootstrap.servers": bootstrap,
            "linger.ms": 50,
            "batch.size": 500_000,
            "queue.buffering.max.kbytes": 65_536,
            "queue.buffering.max.messages": 500_000,
        }
    )
    allowance = Allowance(allowed)
    for number, message in enumerate(messages(records)):
        if number % BLOCK == 0:
            allowance.wait(min(records, number + BLOCK))
            producer.poll(0)
        send(producer, topic, message, partition=number // 100 % partitions)
    if producer.flush(FLUSH_SECONDS):
        raise RuntimeError(f"the broker did not accept all records in {FLUSH_SECONDS:g} s")


def main() -> int:
    """Produce the log."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("bootstrap")
    parser.add_argument("topic")
    parser.add_argument("partitions", type=int)
    parser.add_argument("records", type=int)
    a = parser.parse_args()
    produce(a.bootstrap, a.topic, a.partitions, a.records, sys.stdin)
    return 0


if __name__ == "__main__":
    sys.exit(main())
