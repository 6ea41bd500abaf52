"""The daemon: which roles run, in which threads, and how they end. The only wiring."""

from __future__ import annotations

import gc
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterable, Sequence
from types import FrameType

import structlog

from monitor import __version__, kafka, metrics, references
from monitor.config import Config
from monitor.decode.shorten import BUILT
from monitor.drift import DriftMonitor, References
from monitor.errors import UserError
from monitor.health import Health
from monitor.metrics import Metrics
from monitor.roles import detect, ingest, notify
from monitor.web.server import WebServer

log = structlog.get_logger(__name__)

ROLES = ("ingest", "detect", "notify")
DRAIN_SECONDS = 45.0
"""How long the roles may take to commit and leave once told to."""
SIGNAL_SECONDS = 0.2
"""How soon a signal is acted upon."""


class App:
    """Runs roles until told to stop, or until one of them fails.

    Raises UserError where none of the roles has anything to do.
    """

    def __init__(self, config: Config, roles: Sequence[str]) -> None:
        self.config = config
        self.roles = active(config, roles)
        self.health = Health()
        alarms = config.alarms
        thresholds = {"warning": alarms.min_psi, "critical": alarms.critical_psi}
        self.metrics = Metrics(thresholds, health=self.health)
        self.stopping = threading.Event()
        self.signalled: int | None = None
        self.failed: list[str] = []
        self.detect: detect.Detect | None = None

    def run(self) -> int:
        """Serve until stopped; the exit status: 0 after a stop, 1 when a role has failed.

        Raises UnusableReferenceError and OSError (the port is taken) before anything starts.
        """
        known = references.load(self.config) if "detect" in self.roles else {}
        http = self.config.http
        for role in self.roles:  # before anyone can ask whether they are ready
            self.health.expect(role)
        with WebServer(http.host, http.port, metrics.registry(self.metrics), self.health) as web:
            log.info(
                "started",
                version=__version__,
                roles=list(self.roles),
                port=web.port,
                compiled=BUILT,
            )
            threads = [self._start(role, known) for role in self.roles]
            self._join(threads)
        log.info("stopped", failed=self.failed)
        return 1 if self.failed or any(thread.is_alive() for thread in threads) else 0

    def monitors(self) -> list[DriftMonitor]:
        """The drift monitors of this process, one for each feature partition that it has."""
        return [p.monitor for p in self.detect.partitions.values()] if self.detect else []

    def stop(self) -> None:
        """Let the roles commit and leave."""
        self.stopping.set()

    def _start(self, role: str, known: References) -> threading.Thread:
        stop = self.stopping.wait
        worker: ingest.Ingest | detect.Detect | notify.Notify
        if role == "ingest":
            worker = ingest.Ingest(self.config, self.metrics, self.health, stop)
        elif role == "notify":
            worker = notify.Notify(self.config, self.metrics, self.health, stop)
        else:
            worker = self.detect = detect.Detect(
                self.config, known, self.metrics, self.health, stop
            )
        thread = threading.Thread(
            target=self._guard, args=(role, worker.run), name=role, daemon=True
        )
        thread.start()
        return thread

    def _guard(self, role: str, run: Callable[[], None]) -> None:
        """A role that fails takes the daemon down: half a daemon looks alive and is not."""
        ended = False
        try:
            run()
            ended = True
        except Exception:
            log.exception("role failed", role=role)
        finally:
            # not only after an Exception: what a callback of the Kafka client raises may come out
            # of it as a KafkaError, which no `except` knows
            if not ended:
                self.failed.append(role)
            self.stopping.set()

    def _join(self, threads: Iterable[threading.Thread]) -> None:
        while not self.stopping.wait(SIGNAL_SECONDS):
            if self.signalled is not None:
                log.info("stopping", signal=signal.Signals(self.signalled).name)
                self.stop()
        for thread in threads:
            thread.join(DRAIN_SECONDS)
            if thread.is_alive():
                log.error("role did not end in time", role=thread.name)


def active(config: Config, roles: Sequence[str]) -> list[str]:
    """The roles that have something to do: notify has where somebody is to be told.

    Raises UserError where none has.
    """
    having = [role for role in roles if role != "notify" or config.notifications.targets]
    if not having:
        raise UserError("role notify has nobody to tell: configure notifications.targets")
    return having


def tune_the_interpreter() -> None:
    """Suit Python to batches of thousands of objects, and to two roles that share it.

    The garbage collector runs every 700 new objects at its defaults, and a batch brings thousands
    that all go again; what has been imported stays. A role that waits for the other's turn to end
    waits half a millisecond, not five.
    """
    sys.setswitchinterval(0.0005)
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 20)


def run(config: Config, roles: Sequence[str]) -> int:
    """Run the daemon until SIGTERM or SIGINT; a second one ends it at once.

    Raises UserError where a setting of the Kafka client is unusable, or no role has work.
    """
    app = App(config, roles)
    kafka.check(config.kafka)
    tune_the_interpreter()

    def on_signal(number: int, frame: FrameType | None) -> None:
        # no lock is taken here: the interrupted thread may hold it, and could never let go
        if app.signalled is not None:
            os._exit(128 + number)
        app.signalled = number

    for each in (signal.SIGTERM, signal.SIGINT):
        signal.signal(each, on_signal)
    return app.run()
