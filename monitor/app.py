"""The daemon: create the roles, run them in threads, and stop them."""

from __future__ import annotations

import errno
import os
import signal
import threading
from collections.abc import Callable, Iterable, Sequence
from types import FrameType
from typing import TYPE_CHECKING

import structlog

from monitor import __version__
from monitor.config.schema import Config
from monitor.detect.monitor import DriftMonitor, References
from monitor.detect.reference import loader
from monitor.errors import UserError, os_error_reason
from monitor.experiments.assignment.lookup import Assignments
from monitor.ingest.decode.native.usual import READER_BUILT
from monitor.kafka.clients import check_client_settings
from monitor.kafka.readers.registry import check_files
from monitor.roles import judge_setup, replay_setup, web_setup
from monitor.roles.broker_probe import BrokerProbe
from monitor.roles.detect import Detect
from monitor.roles.event_log import event_log
from monitor.roles.experiment import Experiment
from monitor.roles.experiment_log import ExperimentLog
from monitor.roles.ingest import Ingest
from monitor.roles.ingest_process import IngestProcess
from monitor.roles.interpreter import tune_interpreter
from monitor.roles.join import Join
from monitor.roles.judge import Judge
from monitor.roles.names import DETECT, EXPERIMENT, INGEST, JOIN, JUDGE, NOTIFY, REPLAY, WEB
from monitor.roles.notify import Notify
from monitor.roles.quality_log import QualityLog
from monitor.roles.replay_log import ReplayLog
from monitor.roles.role import Role
from monitor.telemetry import exporter
from monitor.telemetry.counters.metrics import Metrics
from monitor.telemetry.health import Health
from monitor.telemetry.http.api import Api
from monitor.telemetry.http.server import WebServer
from monitor.web.views.sources import Published

if TYPE_CHECKING:
    from monitor.roles.web import Web

log = structlog.get_logger(__name__)

DRAIN_SECONDS = 45.0
"""Maximum time for each role to commit and leave its group."""
_NO_TARGET = "role notify has no target: add one to notifications.targets"
_NO_EXPERIMENT = "role experiment has no experiment: add one to experiments"
_NO_FEEDBACK = "role join has no feedback: add the section feedback"
_NO_RUBRIC = (
    "role judge has nothing to judge by: name a rubric in judges.rubrics, or a check in"
    " judges.checks"
)
_NO_PAGES = "role web is not enabled: set web.enabled to true"
_NO_REPLAYED_MODEL = "role replay has no model: describe in replay.model how the models are reached"
SIGNAL_SECONDS = 0.2
"""Maximum delay until a signal is handled."""


class App:
    """Runs roles until it is stopped or one of them fails.

    processes: whether ingest gets a process of its own.
    Raises UserError if none of the roles has work, or if there is nothing to divide.
    """

    def __init__(self, config: Config, roles: Sequence[str], *, processes: bool = False) -> None:
        self.config = config
        self.roles = active_roles(config, roles)
        self.processes = processes
        if processes and (INGEST not in self.roles or len(self.roles) == 1):
            raise UserError("--processes divides ingest from the other roles: run it with both")
        self.health = Health()
        alarms = config.alarms
        thresholds = {"warning": alarms.min_psi, "critical": alarms.critical_psi}
        self.metrics = Metrics(thresholds, health=self.health)
        self.stopping = threading.Event()
        self.signal_received: int | None = None
        self.failed: list[str] = []
        self.detect: Detect | None = None
        self.web: Web | None = None
        self.quality = QualityLog(config.kafka, self.metrics, self.stopping.wait)
        self.published = self._published()
        self.started = False

    def run(self) -> int:
        """Run until stopped; return the exit status, which is 1 if a role has failed.

        Raises UserError before a role starts if the address of the HTTP server is not available,
        a reference cannot be used, or judges, replays or pages lack a key, a rubric or a package.
        """
        references = loader.load(self.config) if DETECT in self.roles else {}
        if JUDGE in self.roles:
            judge_setup.check(self.config)
        if REPLAY in self.roles:
            replay_setup.check(self.config)
        if WEB in self.roles:
            web_setup.check(self.config)
        for role in self.roles:  # before the server can report that all roles are ready
            self.health.register(role)
        with self._server() as web, BrokerProbe(self.config.kafka, self.roles, self.health):
            self.started = True
            log.info(
                "started",
                version=__version__,
                roles=list(self.roles),
                processes=1 + self.processes,
                port=web.port,
                compiled=READER_BUILT,
            )
            threads = [self._start(role, references) for role in self.roles]
            self._join(threads)
        log.info("stopped", failed=self.failed)
        return 1 if self.failed or any(thread.is_alive() for thread in threads) else 0

    def _published(self) -> Published:
        """Return what the roles of all processes publish, read from the first request on."""
        shared = self.config.kafka, self.stopping.wait
        experiments, replays = ExperimentLog(*shared).results, ReplayLog(*shared).replays
        return Published(
            history=event_log(*shared).content,
            quality=self.quality.report,
            experiments=experiments if self.config.experiments else None,
            replays=replays if self.config.replay.enabled else None,
        )

    def _server(self) -> WebServer:
        """Return the HTTP server. Raises UserError if its address is not available."""
        http, registry = self.config.http, exporter.registry(self.metrics)
        published = self.published
        api = Api(
            published.history,
            self.metrics,
            quality=published.quality,
            assign=Assignments(self.config.experiments),
            experiments=published.experiments,
            replays=published.replays,
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
        role: Role | IngestProcess
        if name == INGEST:
            if self.processes:
                role = IngestProcess(self.config, self.metrics, self.stopping.wait)
            else:
                role = Ingest(self.config, *shared)
        elif name == NOTIFY:
            role = Notify(self.config, *shared)
        elif name == EXPERIMENT:
            role = Experiment(self.config, *shared)
        elif name == JOIN:
            role = Join(self.config, *shared)
        elif name == JUDGE:
            role = Judge(self.config, *shared)
            self.quality.start()
        elif name == REPLAY:
            role = _replay(self.config, *shared)
        elif name == WEB:
            role = self.web = _web(self.config, *shared, published=self.published)
        else:
            role = self.detect = Detect(self.config, references, *shared)
        thread = threading.Thread(target=self._run_role, args=(role,), name=name, daemon=True)
        thread.start()
        return thread

    def _run_role(self, role: Role | IngestProcess) -> None:
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


def _web(
    config: Config,
    metrics: Metrics,
    health: Health,
    stop: Callable[[float], bool],
    *,
    published: Published,
) -> Web:
    """Return the web role, whose packages are an extra."""
    from monitor.roles.web import Web  # noqa: PLC0415 - imports sqlalchemy and fastapi

    return Web(config, metrics, health, stop, published)


def _advice(error: OSError) -> str:
    """Return what to change if the HTTP server cannot listen."""
    if error.errno == errno.EADDRINUSE:
        return "stop the process that uses the port, or set another one (0 selects any free port)"
    if error.errno == errno.EACCES:
        return "set a port above 1023"
    return "set http.host to an address of this machine, or to 0.0.0.0 for all of them"


def active_roles(config: Config, roles: Sequence[str]) -> list[str]:
    """Return the roles that have work: notify with a target, judge with something to judge by,
    experiment with an experiment, join with feedback, replay with a model, web if it is enabled.

    Raises UserError if there are none.
    """
    idle = {
        NOTIFY: None if config.notifications.targets else _NO_TARGET,
        JUDGE: None if config.judges.enabled else _NO_RUBRIC,
        EXPERIMENT: None if config.experiments else _NO_EXPERIMENT,
        JOIN: None if config.feedback is not None else _NO_FEEDBACK,
        REPLAY: None if config.replay.enabled else _NO_REPLAYED_MODEL,
        WEB: None if config.web.enabled else _NO_PAGES,
    }
    active = [role for role in roles if idle.get(role) is None]
    if not active:
        raise UserError("; ".join(idle[role] or "" for role in roles))
    return active


def run(config: Config, roles: Sequence[str], *, processes: bool = False) -> int:
    """Run the daemon until SIGTERM, SIGINT or SIGHUP.

    processes: whether ingest gets a process of its own.
    A second signal, or one before the roles start, ends the process at once.
    Raises UserError if librdkafka rejects a setting, or if no role has work.
    """
    app = App(config, roles, processes=processes)

    def on_signal(number: int, frame: FrameType | None) -> None:
        # Take no lock: the interrupted thread may hold it.
        if app.signal_received is not None or not app.started:
            os._exit(128 + number)
        app.signal_received = number

    for each in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        if each != signal.SIGHUP or signal.getsignal(each) != signal.SIG_IGN:  # of nohup
            signal.signal(each, on_signal)
    check_client_settings(config.kafka)
    check_files(config.kafka.schema_registry)
    tune_interpreter()
    return app.run()
