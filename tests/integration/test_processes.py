"""`plumbline run --processes`: ingest in a process of its own, seen as one daemon."""

from __future__ import annotations

import os
import re
import signal
import uuid
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.integration.broker import KafkaBroker
from tests.integration.harness import (
    SHORT_SESSION,
    Daemon,
    Feed,
    letters,
    numbered,
    produce,
    times,
    until,
)
from tests.processes import child_of

MakeTopic = Callable[..., str]
CHILD = "ingest_process"

pytestmark = pytest.mark.usefixtures("real_broker")


def divided(broker: KafkaBroker, folder: Path, prefix: str, logs: str) -> Daemon:
    """Return a daemon whose ingest has a process of its own."""
    kafka = {"client": SHORT_SESSION | {"transaction.timeout.ms": 5_000}}
    daemon = Daemon(folder, broker.bootstrap, prefix=prefix, logs=[logs], kafka=kafka)
    daemon.command.append("--processes")
    return daemon


def running(pid: int) -> bool:
    """Return whether a process runs."""
    stat = Path(f"/proc/{pid}/stat")
    return stat.exists() and stat.read_text().rpartition(") ")[2][0] != "Z"


def test_two_processes_are_one_daemon(
    broker: KafkaBroker, topic: MakeTopic, tmp_path: Path
) -> None:
    """/metrics has the numbers of both, /readyz waits for both, and one signal ends both."""
    logs, prefix = topic(2), uuid.uuid4().hex
    with divided(broker, tmp_path, prefix, logs) as daemon:
        daemon.wait_ready()
        values = [numbered(i) for i in range(3_000)] + [b"bad"] * 5
        produce(broker.bootstrap, logs, values)
        daemon.wait_metric("records_watched_total", 3_000)
        daemon.wait_metric("records_consumed_total", 3_005)
        assert daemon.metric("records_rejected_total") == 5
        assert daemon.metric("inference_requests_total") == 3_000
        daemon.wait_metric("consumer_lag_records", 0)
        assert daemon.metric("role_ready", role="ingest") == 1
        child = child_of(daemon.process.pid, CHILD)
        found = re.search(r"(?m)^process_resident_memory_bytes (\S+)$", daemon.get("/metrics")[1])
        assert found is not None
        rows = [Path(f"/proc/{pid}/statm").read_text() for pid in (child, daemon.process.pid)]
        pages = [int(row.split()[1]) * os.sysconf("SC_PAGE_SIZE") for row in rows]
        assert float(found[1]) == pytest.approx(sum(pages), rel=0.2)
        assert daemon.stop() == 0
        assert not running(child)
        lines = daemon.log_file.read_text().splitlines()
        assert all(line.startswith("{") for line in lines)


def test_the_end_of_either_process_ends_the_daemon(
    broker: KafkaBroker, topic: MakeTopic, tmp_path: Path
) -> None:
    """After kill -9 of ingest the daemon fails, after kill -9 of the daemon ingest ends; the next
    one continues, and every record and dead letter is there once.
    """
    logs, prefix = topic(2), uuid.uuid4().hex
    with Feed(broker.bootstrap, logs, rate=1_000, bad=50) as feed:
        with divided(broker, tmp_path, prefix, logs) as first:
            first.wait_metric("records_consumed_total", 1_000)
            os.kill(child_of(first.process.pid, CHILD), signal.SIGKILL)
            assert first.process.wait(60) == 1
            assert "ingest ended with status -9" in first.log_file.read_text()
        with divided(broker, tmp_path, prefix, logs) as second:
            second.wait_metric("records_consumed_total", 1_000)
            child = child_of(second.process.pid, CHILD)
            second.kill()
            until(lambda: not running(child), "the end of ingest")
        with divided(broker, tmp_path, prefix, logs) as third:
            third.wait_metric("records_consumed_total", 1_000)
            total = feed.finish()
            good = feed.good()
            until(lambda: len(times(broker.bootstrap, prefix)) >= len(good), "all records")
            assert times(broker.bootstrap, prefix) == good
            assert sum(letters(broker.bootstrap, prefix).values()) == total - len(good)
            assert third.stop() == 0
