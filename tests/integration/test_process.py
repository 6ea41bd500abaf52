"""The process of the daemon: readiness without a broker, a log that cannot be written, SIGHUP."""

from __future__ import annotations

import signal
import time
import uuid
from collections.abc import Callable
from pathlib import Path

import pytest

from monitor.telemetry.health import UNREACHABLE_AFTER
from tests.integration.broker import KafkaBroker
from tests.integration.harness import TIMEOUT_S, Daemon, committed, numbered, produce, until

pytestmark = pytest.mark.usefixtures("real_broker")


def test_readiness_follows_the_broker(tmp_path: Path) -> None:
    """Some seconds without the broker make all roles unready, not unhealthy; then they recover."""
    with KafkaBroker(tmp_path / "kafka") as broker:
        broker.create_topic("logs")
        with Daemon(tmp_path, broker.bootstrap, prefix="p", logs=["logs"]) as daemon:
            daemon.wait_ready()
            broker.stop()
            stopped = time.monotonic()
            daemon.wait(lambda: daemon.get("/readyz")[0] == 503, "the roles to be unready")
            assert time.monotonic() - stopped < 3 * UNREACHABLE_AFTER
            assert daemon.metric("role_ready", role="ingest") == 0
            assert daemon.get("/healthz")[0] == 200
            broker.start()
            daemon.wait_ready()
            assert daemon.metric("role_ready", role="ingest") == 1


@pytest.mark.parametrize("redirection", ["2>/dev/full", "2>&-"])
def test_a_log_that_cannot_be_written_stops_nothing(
    broker: KafkaBroker, topic: Callable[..., str], tmp_path: Path, redirection: str
) -> None:
    """With a full disk or a closed stream the daemon starts, works, and ends in order on SIGHUP."""
    logs, prefix = topic(1), uuid.uuid4().hex
    daemon = Daemon(tmp_path, broker.bootstrap, prefix=prefix, logs=[logs])
    # nohup makes a process and its children ignore SIGHUP; the tests may run under it
    command = f'exec env --default-signal=HUP "$@" {redirection}'
    daemon.command = ["sh", "-c", command, "sh", *daemon.command]
    with daemon:
        produce(broker.bootstrap, logs, map(numbered, range(500)))
        group = f"{prefix}-ingest"
        until(lambda: committed(broker.bootstrap, group, logs) == 500, "the offsets")
        daemon.process.send_signal(signal.SIGHUP)
        assert daemon.process.wait(TIMEOUT_S) == 0
