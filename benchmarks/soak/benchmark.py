"""Run one daemon and one producer, and sample the daemon's memory until all records are done."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from benchmarks.harness.daemon import ROOT, START_SECONDS, Daemon, DaemonError, running
from benchmarks.soak import report
from benchmarks.soak.log import malformed_count
from benchmarks.soak.report import CONSUMED, REJECTED, WARM_UP, WATCHED, Sample
from tests.integration.broker import KafkaBroker

TOPIC = "logs"
PARTITIONS = 4
AHEAD = 100_000
"""Records that the producer may be ahead of detect.

With so few, the daemon catches up repeatedly, like one that keeps pace with its log. With many
more, fetched records would wait in memory whenever detect is the slower role (up to a limit, see
`monitor.kafka.clients.consumer_settings`), and the samples would show this queue instead of a leak.
"""
SAMPLE_SECONDS = 5.0
POLL_SECONDS = 0.5
STALLED_SECONDS = 120.0


def soak(broker: KafkaBroker, records: int, ahead: int, directory: Path) -> dict[str, Any]:
    """Run the soak and return the result for the JSON file."""
    broker.create_topic(TOPIC, PARTITIONS)
    settings = {
        "kafka": {"bootstrap_servers": broker.bootstrap, "prefix": "soak", "logs": [TOPIC]},
        "features": {"metadata": {"tenant": "categorical"}},
        "reference": {"source": "warmup", "records": WARM_UP},
        "http": {"port": 0},
        "log": {"format": "json"},
    }
    with running(settings, directory) as daemon:
        daemon.wait("ready", daemon.ready, START_SECONDS)
        producer = _start_producer(broker.bootstrap, records)
        try:
            run = Soak(daemon, producer, records, ahead, broker.directory)
            seconds = run.follow()
            producer.wait(60)
        finally:
            producer.kill()
            producer.wait()
        return report.result(records, run.samples, seconds, daemon.totals()) | {
            "ahead": ahead,
            "peak_disk_mb": round(run.peak_disk_mb),
            "peak_rss_mb": round(daemon.peak_rss_mb(), 1),
        }


def _start_producer(bootstrap: str, records: int) -> subprocess.Popen[str]:
    arguments = [bootstrap, TOPIC, str(PARTITIONS), str(records)]
    return subprocess.Popen(
        [sys.executable, "-m", "benchmarks.soak.producer", *arguments],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        text=True,
    )


class Soak:
    """One run: samples of the daemon's memory, and the pace of the producer."""

    def __init__(
        self,
        daemon: Daemon,
        producer: subprocess.Popen[str],
        records: int,
        ahead: int,
        broker_directory: Path,
    ) -> None:
        self.daemon = daemon
        self.producer = producer
        self.records = records
        self.ahead = ahead
        self.broker_directory = broker_directory
        self.samples: list[Sample] = []
        self.peak_disk_mb = 0.0

    def follow(self) -> float:
        """Sample until detect has processed the last record; return the seconds it took.

        Raises DaemonError when the counts do not grow for STALLED_SECONDS.
        """
        goal = self.records - malformed_count(self.records)
        started = changed = time.monotonic()
        last = -1
        while True:
            self.daemon.check()
            totals, now = self.daemon.totals(), time.monotonic()
            consumed, watched = int(totals[CONSUMED]), int(totals[WATCHED])
            done = watched >= goal
            if done or self._sample_due(now - started):
                self._sample(now - started, totals)
            if done:
                return now - started
            if consumed + watched > last:
                last, changed = consumed + watched, now
            elif now - changed > STALLED_SECONDS:
                raise DaemonError(f"stalled: {consumed} consumed, {watched} of {goal} watched")
            self._allow(watched + int(totals[REJECTED]) + self.ahead)
            time.sleep(POLL_SECONDS)

    def _sample_due(self, seconds: float) -> bool:
        return not self.samples or seconds - self.samples[-1].seconds >= SAMPLE_SECONDS

    def _sample(self, seconds: float, totals: Mapping[str, float]) -> None:
        consumed = int(totals[CONSUMED])
        waiting = int(consumed - totals[REJECTED] - totals[WATCHED])
        rss_mb = round(self.daemon.rss_mb(), 1)
        self.samples.append(Sample(round(seconds, 1), consumed, rss_mb, waiting))
        self.peak_disk_mb = max(self.peak_disk_mb, _disk_mb(self.broker_directory))
        print(
            f"[{seconds:4.0f} s] {consumed:>12,} of {self.records:,}: {rss_mb:.1f} MB,"
            f" {waiting:,} waiting",
            file=sys.stderr,
            flush=True,
        )

    def _allow(self, records: int) -> None:
        """Send the producer the number of records that it may have produced."""
        assert self.producer.stdin is not None
        if self.producer.poll() is None:
            print(records, file=self.producer.stdin, flush=True)
        elif self.producer.returncode:
            raise DaemonError(f"the producer exited with code {self.producer.returncode}")


def _disk_mb(directory: Path) -> float:
    size = 0
    for path in directory.rglob("*"):
        try:
            size += path.stat().st_blocks * 512
        except FileNotFoundError:  # deleted by the broker after it was listed
            continue
    return size / 1e6
