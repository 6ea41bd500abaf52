"""The daemon: create the roles, run them in threads, and stop them."""

from __future__ import annotations

import errno
import gc
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterable, Sequence
from types import FrameType

import structlog

from monitor import __version__
from monitor.config.schema import Config
from monitor.detect.monitor import DriftMonitor, References
from monitor.detect.reference import loader
from monitor.errors import UserError, os_error_reason
from monitor.experiments.assignment.lookup import Assignments
from monitor.ingest.decode.shorten import SCANNER_BUILT
from monitor.kafka.clients import check_client_settings
from monitor.roles import judge_setup, replay_setup
from monitor.roles.broker_probe import BrokerProbe
from monitor.roles.detect import Detect
from monitor.roles.event_log import event_log
from monitor.roles.experiment import Experiment
from monitor.roles.experiment_log import ExperimentLog
from monitor.roles.ingest import Ingest
from monitor.roles.judge import Judge
from monitor.roles.names import DETECT, EXPERIMENT, INGEST, JUDGE, NOTIFY, REPLAY
from monitor.roles.notify import Notify
from monitor.roles.quality_log import QualityLog
from monitor.roles.replay_log import ReplayLog
from monitor.roles.role import Role
from monitor.telemetry import exporter
from monitor.telemetry.counters.metrics import Metrics
from monitor.telemetry.health import Health
from monitor.telemetry.http.api import Api
from monitor.telemetry.http.server import WebServer

log = structlog.get_logger(__name__)

DRAIN_SECONDS = 45.0
"""Maximum time for each role to commit and leave its group."""
_NO_TARGET = "role notify has no target: add one to notifications.targets"
_NO_EXPERIMENT = "role experiment has no experiment: add one to experiments"
_NO_RUBRIC = (
    "role judge has nothing to judge by: name a rubric in judges.rubrics, or a check in"
    " judges.checks"
)
_NO_REPLAYED_MODEL = "role replay has no model: describe in replay.model how the models are reached"
SIGNAL_SECONDS = 0.2
"""Maximum delay until a signal is handled."""


class App:
    """Runs roles until it is stopped or one of them fails.

    Raises UserError if none of the roles has work.
    """

    def __init__(self, config: Config, roles: Sequence[str]) -> None:
        self.config = config
        self.roles = active_roles(config, roles)
        self.health = Health()
        alarms = config.alarms
        thresholds = {"warning": alarms.min_psi, "critical": alarms.critical_psi}
        self.metrics = Metrics(thresholds, health=self.health)
        self.stopping = threading.Event()
        self.signal_received: int | None = None
        self.failed: list[str] = []
        self.detect: Detect | None = None
        self.quality = QualityLog(config.kafka, self.metrics, self.stopping.wait)
        self.started = False

    def run(self) -> int:
        """Run until stopped; return the exit status, which is 1 if a role has failed.

        Raises UserError before a role starts if the address of the HTTP server is not available,
        a reference cannot be used, or judges or replays lack a key, a rubric or a package.
        """
        references = loader.load(self.config) if DETECT in self.roles else {}
        if JUDGE in self.roles:
            judge_setup.check(self.config)
        if REPLAY in self.roles:
            replay_setup.check(self.config)
        for role in self.roles:  # before the server can report that all roles are ready
            self.health.register(role)
        with self._server() as web, BrokerProbe(self.config.kafka, self.roles, self.health):
            self.started = True
            log.info(
                "started",
                version=__version__,
                roles=list(self.roles),
                port=web.port,
                compiled=SCANNER_BUILT,
            )
            threads = [self._start(role, references) for role in self.roles]
            self._join(threads)
        log.info("stopped", failed=self.failed)
        return 1 if self.failed or any(thread.is_alive() for thread in threads) else 0

    def _server(self) -> WebServer:
        """Return the HTTP server. Raises UserError if its address is not available."""
        http, registry = self.config.http, exporter.registry(self.metrics)
        events = event_log(self.config.kafka, self.stopping.wait)
        assign = Assignments(self.config.experiments)
        results = ExperimentLog(self.config.kafka, self.stopping.wait).results
        replays = ReplayLog(self.config.kafka, self.stopping.wait).replays
        api = Api(
            events.content,
            self.metrics,
            quality=self.quality.report,
            assign=assign,
            experiments=results if self.config.experiments else None,
            replays=replays if self.config.replay.enabled else None,
        )
        try:
            return WebServer(http.host, http.port, registry, self.health, api)
        except OSError as error:
            raise UserError(
                f"http.host {http.host!r}, http.port {http.port}: cannot listen: "
                f"{os_error_reason(error)}; {_advice(error)}"
            ) from None

    def monitors(self) -> list[DriftMonitor]:
        """Return the drift monitors, one for each assigned feature partition."""
        return [p.monitor for p in self.detect.partitions.values()] if self.detect else []

    def stop(self) -> None:
        """Stop the roles; they commit and leave their groups."""
        self.stopping.set()

    def _start(self, name: str, references: References) -> threading.Thread:
        shared = self.metrics, self.health, self.stopping.wait
        role: Role
        if name == INGEST:
            role = Ingest(self.config, *shared)
        elif name == NOTIFY:
            role = Notify(self.config, *shared)
        elif name == EXPERIMENT:
            role = Experiment(self.config, *shared)
        elif name == JUDGE:
            role = Judge(self.config, *shared)
            self.quality.start()
        elif name == REPLAY:
            role = _replay(self.config, *shared)
        else:
            role = self.detect = Detect(self.config, references, *shared)
        thread = threading.Thread(target=self._run_role, args=(role,), name=name, daemon=True)
        thread.start()
        return thread

    def _run_role(self, role: Role) -> None:
        """Run a role. If it fails, stop the others: the daemon must not run without one of them."""
        succeeded = False
        try:
            role.run()
            succeeded = True
        except Exception:
            log.exception("role failed", role=role.name)
        finally:
            # An exception of a callback may leave the Kafka client as a KafkaError object, which is
            # not an Exception.
            if not succeeded:
                self.failed.append(role.name)
            self.stopping.set()

    def _join(self, threads: Iterable[threading.Thread]) -> None:
        while not self.stopping.wait(SIGNAL_SECONDS):
            if self.signal_received is not None:
                log.info("stopping", signal=signal.Signals(self.signal_received).name)
                self.stop()
        for thread in threads:
            thread.join(DRAIN_SECONDS)
            if thread.is_alive():
                log.error("role did not stop in time", role=thread.name)


def _replay(
    config: Config, metrics: Metrics, health: Health, stop: Callable[[float], bool]
) -> Role:
    """Return the replay role, whose packages are an extra."""
    from monitor.roles.replay import Replay  # noqa: PLC0415 - imports sqlalchemy

    return Replay(config, metrics, health, stop)


def _advice(error: OSError) -> str:
    """Return what to change if the HTTP server cannot listen."""
    if error.errno == errno.EADDRINUSE:
        return "stop the process that uses the port, or set another one (0 selects any free port)"
    if error.errno == errno.EACCES:
        return "set a port above 1023"
    return "set http.host to an address of this machine, or to 0.0.0.0 for all of them"


def active_roles(config: Config, roles: Sequence[str]) -> list[str]:
    """Return the roles that have work: notify with a target, judge with something to judge by,
    experiment with an experiment, replay with a model.

    Raises UserError if there are none.
    """
    idle = {
        NOTIFY: None if config.notifications.targets else _NO_TARGET,
        JUDGE: None if config.judges.enabled else _NO_RUBRIC,
        EXPERIMENT: None if config.experiments else _NO_EXPERIMENT,
        REPLAY: None if config.replay.enabled else _NO_REPLAYED_MODEL,
    }
    active = [role for role in roles if idle.get(role) is None]
    if not active:
        raise UserError("; ".join(idle[role] or "" for role in roles))
    return active


def tune_interpreter() -> None:
    """Adapt Python to batches of thousands of objects and to several roles in one process.

    By default the garbage collector runs after 700 new objects; a batch creates thousands, which
    are freed without it. Imported objects are excluded. A waiting role gets the interpreter after
    0.5 ms instead of 5 ms.
    """
    sys.setswitchinterval(0.0005)
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 20)


def run(config: Config, roles: Sequence[str]) -> int:
    """Run the daemon until SIGTERM, SIGINT or SIGHUP.

    A second signal, or one before the roles start, ends the process at once.
    Raises UserError if librdkafka rejects a setting, or if no role has work.
    """
    app = App(config, roles)

    def on_signal(number: int, frame: FrameType | None) -> None:
        # Take no lock: the interrupted thread may hold it.
        if app.signal_received is not None or not app.started:
            os._exit(128 + number)
        app.signal_received = number

    for each in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        if each != signal.SIGHUP or signal.getsignal(each) != signal.SIG_IGN:  # of nohup
            signal.signal(each, on_signal)
    check_client_settings(config.kafka)
    tune_interpreter()
    return app.run()
