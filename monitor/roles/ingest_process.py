"""Ingest in a process of its own: `plumbline run --processes`.

Ingest and the other roles otherwise share one interpreter, and so one core. The parent asks the
child once a second for its state, so that /metrics, /healthz and /readyz of the parent are those of
both. They are connected by a pair of sockets. The child stops when the parent closes its end, or
was killed.
"""

from __future__ import annotations

import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable
from contextlib import suppress
from multiprocessing.connection import Connection
from types import FrameType

import structlog

from monitor.config.schema import Config
from monitor.roles.ingest import OPERATION_SECONDS, Ingest
from monitor.roles.interpreter import tune_interpreter
from monitor.roles.names import INGEST
from monitor.telemetry import logging
from monitor.telemetry.counters.ingest_state import IngestState, apply_state, read_state
from monitor.telemetry.counters.metrics import Metrics
from monitor.telemetry.health import Health

log = structlog.get_logger(__name__)

POLL_SECONDS = 1.0
"""Time between two queries of the child's state."""
END_SECONDS = 4 * OPERATION_SECONDS
"""Time in which the child may commit and leave its group."""


class ProcessEndedError(Exception):
    """The child ended although the daemon does not stop."""


class IngestProcess:
    """The parent's side: starts the child, shows its state, and stops it. App runs it like a role.

    stop: waits the given number of seconds and returns whether the daemon stops.
    """

    name = INGEST

    def __init__(self, config: Config, metrics: Metrics, stop: Callable[[float], bool]) -> None:
        self.config = config
        self.metrics = metrics
        self.stop = stop

    def run(self) -> None:
        """Run the child until the daemon stops. Raises ProcessEndedError if it ends before."""
        ours, theirs = socket.socketpair()
        with theirs:
            # a session of its own: signals of a terminal are for the parent
            process = subprocess.Popen(
                [sys.executable, "-P", "-m", __name__, str(theirs.fileno())],
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
                # a stream that was closed may have become a file of the parent
                stderr=None if sys.stderr else subprocess.DEVNULL,
                start_new_session=True,
            )
        self.metrics.children.add(process.pid)
        try:
            with Connection(ours.detach()) as connection:
                self._follow(connection)
        except (EOFError, OSError):
            if not self.stop(0):
                status = process.wait(END_SECONDS)
                raise ProcessEndedError(f"ingest ended with status {status}") from None
        finally:
            self._end(process)

    def _follow(self, connection: Connection) -> None:
        """Show the state of the child until the daemon stops."""
        connection.send(self.config)
        last: IngestState | None = None
        while not self.stop(POLL_SECONDS):
            connection.send(None)
            while not connection.poll(POLL_SECONDS):
                if self.stop(0):
                    return
            state: IngestState = connection.recv()
            apply_state(self.metrics, self.name, state, last)
            last = state

    def _end(self, process: subprocess.Popen[bytes]) -> None:
        try:
            process.wait(END_SECONDS)
        except subprocess.TimeoutExpired:
            log.error("process did not stop in time, killed", role=self.name)
            process.kill()
            process.wait()
        self.metrics.children.discard(process.pid)


def main(descriptor: int) -> int:
    """Run ingest in the child; return the exit status."""
    connection = Connection(descriptor)
    config: Config = connection.recv()
    logging.configure(config.log)
    stopping = threading.Event()

    def on_signal(number: int, frame: FrameType | None) -> None:
        stopping.set()

    signal.signal(signal.SIGTERM, on_signal)  # of a supervisor that signals all processes
    for each in (signal.SIGINT, signal.SIGHUP):
        signal.signal(each, signal.SIG_IGN)
    health = Health()
    health.register(INGEST)
    metrics = Metrics(health=health)
    threading.Thread(target=_answer, args=(connection, metrics, stopping), daemon=True).start()
    tune_interpreter()
    try:
        Ingest(config, metrics, health, stopping.wait).run()
    except Exception:
        log.exception("role failed", role=INGEST)
        return 1
    return 0


def _answer(connection: Connection, metrics: Metrics, stopping: threading.Event) -> None:
    """Send the state whenever the parent asks; stop when the parent closes the connection."""
    with suppress(EOFError, OSError):
        while True:
            connection.recv()
            connection.send(read_state(metrics, INGEST))
    stopping.set()


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1])))
