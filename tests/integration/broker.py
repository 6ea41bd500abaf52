"""A one-node Apache Kafka broker (KRaft) that tests and benchmarks can start, kill and restart.

It is the published broker, run from its jars (see ``kafka_jars``): only a real broker can show how
durability, transactions and rebalances behave. On a machine that cannot run it, ``MockBroker`` has
the same small interface for the broker that is built into the client library.
"""

import base64
import errno
import os
import random
import re
import signal
import socket
import subprocess
import time
import uuid
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

from confluent_kafka import KafkaError, KafkaException, Producer
from confluent_kafka.admin import (  # type: ignore[attr-defined]  # NewTopic: public, unlisted
    AdminClient,
    NewTopic,
)

from tests.integration.kafka_jars import kafka_classpath

TIMEOUT_S = 180.0  # with several busy processes on two cores, a start takes minutes
REQUEST_S = 20.0
PORT_ATTEMPTS = 5
STARTED = "Kafka Server started"
UNANSWERED = (KafkaError._TIMED_OUT, KafkaError._TRANSPORT, KafkaError._WAIT_COORD)
ERROR_LINE = re.compile(r" (ERROR|FATAL) |Exception: |^Error")

# Clock times, to compare the broker's log with those of clients and tests.
DATED_LOG = (
    "-Dorg.slf4j.simpleLogger.showDateTime=true",
    "-Dorg.slf4j.simpleLogger.dateTimeFormat=HH:mm:ss.SSS",
)
# Tests start many short-lived brokers: only the fast first compiler, no concurrent collector.
QUICK_START_JVM = ("-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC", "-Xshare:auto")
# Benchmarks measure a broker as it runs in production: the optimising compiler and G1.
THROUGHPUT_JVM = ("-XX:+UseG1GC", "-Xshare:auto")


# Settings of a small broker for quick tests; all others are those of production.
SMALL_BROKER = {
    # One node holds one replica; few internal partitions are created and read quickly.
    "offsets.topic.replication.factor": "1",
    "offsets.topic.num.partitions": "4",
    "transaction.state.log.replication.factor": "1",
    "transaction.state.log.min.isr": "1",
    "transaction.state.log.num.partitions": "4",
    "share.coordinator.state.topic.replication.factor": "1",
    "share.coordinator.state.topic.min.isr": "1",
    "share.coordinator.state.topic.num.partitions": "1",
    # Immediate rebalances; dead members are removed after 6 seconds, not after 45.
    "group.initial.rebalance.delay.ms": "0",
    "group.consumer.min.heartbeat.interval.ms": "500",
    "group.consumer.heartbeat.interval.ms": "500",
    "group.consumer.min.session.timeout.ms": "6000",
    "group.consumer.session.timeout.ms": "6000",
    # Retention by time would delete the test records, which have old timestamps.
    "log.retention.ms": "-1",
    # After a crash the controller, which is the same process, accepts the broker again only when
    # its former session has expired: most of the time of a restart after ``kill``.
    "broker.session.timeout.ms": "3000",
    "broker.heartbeat.interval.ms": "500",
    # The cleaner stays on (offsets are compacted), with less than its default of 128 MB.
    "log.cleaner.dedupe.buffer.size": str(8 << 20),
    "num.network.threads": "2",
    "num.io.threads": "4",
}


class BrokerError(RuntimeError):
    """The broker ended or did not answer in time; the message ends with the tail of its log."""


class PortTaken(BrokerError):
    """Another process took the port before the broker did."""


class KafkaBroker:
    """A real broker on loopback, with one directory, which ends with this process."""

    real = True

    def __init__(
        self,
        directory: Path,
        *,
        auto_create_topics: bool = False,
        properties: Mapping[str, str] | None = None,
        heap: str = "512m",
        jvm: Sequence[str] = QUICK_START_JVM,
    ) -> None:
        """Configure a broker; ``properties`` override ``SMALL_BROKER``."""
        self.directory = directory
        self._auto_create_topics = auto_create_topics
        self._overrides = dict(properties or {})
        self._heap = heap
        self._jvm = tuple(jvm)
        self._ports = self._pick_ports()
        self._process: subprocess.Popen[bytes] | None = None
        self._lifeline: subprocess.Popen[bytes] | None = None
        self._boots = 0

    def __enter__(self) -> Self:
        """Start on entry."""
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Stop on exit, however the block ended."""
        self.stop()

    @property
    def bootstrap(self) -> str:
        """The address for ``bootstrap.servers`` of a client; final when ``start`` has returned."""
        return f"127.0.0.1:{self._ports[0]}"

    @property
    def log(self) -> Path:
        """The log of the latest boot."""
        return self.directory / f"broker-{self._boots}.log"

    def start(self) -> None:
        """Boot the broker and wait until it answers; use other ports if one is taken."""
        for _ in range(PORT_ATTEMPTS - 1):
            try:
                return self._boot()
            except PortTaken:
                self._ports = self._pick_ports()
        return self._boot()

    def stop(self) -> None:
        """Stop the broker with SIGTERM, or with SIGKILL if that takes too long."""
        self._end(signal.SIGTERM)

    def kill(self) -> None:
        """Stop the broker with SIGKILL."""
        self._end(signal.SIGKILL)

    def restart(self) -> None:
        """Stop and boot again with the same ports and data; connected clients reconnect."""
        self.stop()
        self._boot()

    def create_topic(
        self, name: str, partitions: int = 1, config: Mapping[str, str] | None = None
    ) -> None:
        """Create a topic and wait until clients see a leader for every partition."""
        admin = self._admin()
        topic = NewTopic(name, partitions, replication_factor=1, config=dict(config or {}))
        admin.create_topics([topic], request_timeout=TIMEOUT_S)[name].result(2 * TIMEOUT_S)
        self._await(lambda: _leaders(admin, name) == partitions, f"topic {name} to have leaders")

    def delete_topic(self, name: str) -> None:
        """Delete a topic and wait until clients no longer see it."""
        admin = self._admin()
        admin.delete_topics([name], request_timeout=TIMEOUT_S)[name].result(2 * TIMEOUT_S)
        # List all topics: a request for one by name could create it again.
        self._await(lambda: _leaders(admin, name) == 0, f"topic {name} to be gone")

    def _pick_ports(self) -> tuple[int, int]:
        """Pick the ports of the client and the controller listener."""
        return free_ports()

    def _boot(self) -> None:
        """Start the broker process and wait until it answers; end it if it does not."""
        if self._process is not None:
            raise BrokerError("The broker is already running.")
        self._boots += 1
        self._write_settings()
        self._format()
        try:
            self._spawn()
            self._await(lambda: STARTED in self._log_text(), "the broker's log")
            admin = self._admin()
            self._await(lambda: _answers(admin), "an answer to a metadata request")
            self._await(lambda: _group_coordinator_answers(admin), "the group coordinator")
        except BaseException:
            self.kill()
            raise

    def _settings(self) -> dict[str, str]:
        """Return the configuration: the broker's identity, the small settings, the overrides."""
        client, controller = self._ports
        return {
            "process.roles": "broker,controller",
            "node.id": "1",
            "listeners": f"PLAINTEXT://127.0.0.1:{client},CONTROLLER://127.0.0.1:{controller}",
            "advertised.listeners": f"PLAINTEXT://127.0.0.1:{client}",
            "listener.security.protocol.map": "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT",
            "inter.broker.listener.name": "PLAINTEXT",
            "controller.listener.names": "CONTROLLER",
            # Static voters: a standalone quorum would write the port into the data.
            "controller.quorum.voters": f"1@127.0.0.1:{controller}",
            "log.dirs": str(self._data),
            "auto.create.topics.enable": str(self._auto_create_topics).lower(),
            **SMALL_BROKER,
            **self._overrides,
        }

    @property
    def _data(self) -> Path:
        return self.directory / "data"

    @property
    def _settings_file(self) -> Path:
        return self.directory / "server.properties"

    def _write_settings(self) -> None:
        self.directory.mkdir(parents=True, exist_ok=True)
        lines = [f"{key}={value}\n" for key, value in self._settings().items()]
        self._settings_file.write_text("".join(lines))

    def _java(self, *arguments: str) -> list[str]:
        return ["java", f"-Xmx{self._heap}", *self._jvm, "-cp", kafka_classpath(), *arguments]

    def _format(self) -> None:
        """Format the data directory, unless an earlier boot did."""
        if (self._data / "meta.properties").exists():
            return
        cluster = base64.urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=")
        # "--cluster-id=X" as one argument: a random id may begin with a dash.
        tool = ["kafka.tools.StorageTool", "format", f"--cluster-id={cluster}"]
        command = self._java(*tool, "-c", str(self._settings_file))
        with self.log.open("wb") as log:
            done = subprocess.run(command, check=False, stdout=log, stderr=log, timeout=TIMEOUT_S)
        if done.returncode != 0:
            raise BrokerError(f"Cannot format the data directory.\n{self._log_tail()}")

    def _spawn(self) -> None:
        """Start the JVM in a session of its own, with a lifeline to this process."""
        command = self._java(*DATED_LOG, "kafka.Kafka", str(self._settings_file))
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        self._lifeline = lifeline(self._process.pid)

    def _end(self, how: signal.Signals) -> None:
        """Signal the process group, if one runs, and reap it in bounded time."""
        process, guard = self._process, self._lifeline
        self._process = self._lifeline = None
        if process is not None:
            _signal_and_reap(process, how)
        # The lifeline ends last: until then it must end the broker if this process ends.
        if guard is not None:
            guard.kill()
            guard.communicate()

    def _admin(self) -> AdminClient:
        return AdminClient({"bootstrap.servers": self.bootstrap, "log_level": 2})

    def _await(self, condition: Callable[[], bool], what: str) -> None:
        """Poll a condition until it holds; raise BrokerError if the broker ends or on timeout."""
        deadline = time.monotonic() + TIMEOUT_S
        while not condition():
            self._check_alive()
            if time.monotonic() > deadline:
                raise BrokerError(f"Waited {TIMEOUT_S} s for {what}.\n{self._log_tail()}")
            time.sleep(0.05)

    def _check_alive(self) -> None:
        if self._process is not None and self._process.poll() is None:
            return
        kind = PortTaken if "Address already in use" in self._log_text() else BrokerError
        raise kind(f"The broker is not running.\n{self._log_tail()}")

    def _log_text(self) -> str:
        return self.log.read_text(errors="replace") if self.log.exists() else ""

    def _log_tail(self) -> str:
        """Return the first errors and the last lines: after errors, a shutdown logs many lines."""
        lines = self._log_text().splitlines()
        errors = [line for line in lines if ERROR_LINE.search(line)]
        return "\n".join([f"{self.log}:", *errors[:10], "[...]", *lines[-20:]])


class MockBroker:
    """The broker of the client library, with the interface of ``KafkaBroker``.

    It keeps about 5 MB of each partition and does not hide aborted transactions: it is enough for
    quick tests, but not for tests of load, durability or exactly-once.
    """

    real = False

    def __init__(self) -> None:
        """Start the broker, which runs as long as its client object exists."""
        self._client = Producer({"test.mock.num.brokers": 1, "bootstrap.servers": "unused"})
        node = next(iter(self._client.list_topics(timeout=TIMEOUT_S).brokers.values()))
        self.bootstrap = f"{node.host}:{node.port}"

    def create_topic(
        self, name: str, partitions: int = 1, config: Mapping[str, str] | None = None
    ) -> None:
        """Do nothing: the mock creates topics on first use, always with four partitions."""

    def delete_topic(self, name: str) -> None:
        """Do nothing: the mock cannot delete topics."""


_NO_COORDINATOR = {
    KafkaError._TIMED_OUT,
    KafkaError._TRANSPORT,
    KafkaError.COORDINATOR_LOAD_IN_PROGRESS,
    KafkaError.COORDINATOR_NOT_AVAILABLE,
    KafkaError.NOT_COORDINATOR,
}


def free_ports() -> tuple[int, int]:
    """Pick two loopback ports that are not in use, outside the ephemeral range.

    A broker needs the same port again after a restart. A port of the ephemeral range may be taken
    meanwhile: a client that keeps reconnecting to it can get it as its own source port, and then
    connects to itself.
    """
    with socket.socket() as one, socket.socket() as other:
        return _bind_somewhere(one), _bind_somewhere(other)


def _bind_somewhere(probe: socket.socket) -> int:
    probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    while True:
        port = random.SystemRandom().randrange(15_000, 32_000)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError as taken:
            if taken.errno != errno.EADDRINUSE:
                raise
        else:
            return port


def lifeline(group: int) -> subprocess.Popen[bytes]:
    """Start a shell that kills a process group when this process ends.

    The shell reads from a pipe that only this process holds, so it notices SIGKILL as well.
    A parent-death signal would be shorter, but is sent when the starting *thread* ends.
    """
    return subprocess.Popen(
        ["sh", "-c", 'read _; kill -9 "-$0"', str(group)],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )


def _signal_and_reap(process: subprocess.Popen[bytes], how: signal.Signals) -> None:
    if process.poll() is not None:
        return
    os.killpg(process.pid, how)
    try:
        process.wait(TIMEOUT_S)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait(TIMEOUT_S)


def _answers(admin: AdminClient) -> bool:
    try:
        return bool(admin.list_topics(timeout=1.0).brokers)
    except KafkaException:
        return False


def _group_coordinator_answers(admin: AdminClient) -> bool:
    """Describe any group, which makes the broker create and load its offsets topic.

    Otherwise the first classic consumer receives "coordinator load in progress", and librdkafka
    waits three seconds before it tries to join again.
    """
    found = admin.describe_consumer_groups(["harness"], request_timeout=REQUEST_S)["harness"]
    error = found.exception(2 * REQUEST_S)
    # Any answer will do, because no such group exists; only a request without one is repeated.
    return not (isinstance(error, KafkaException) and error.args[0].code() in UNANSWERED)


def _leaders(admin: AdminClient, topic: str) -> int:
    """Count the partitions of a topic that have a leader; 0 if the topic does not exist, -1 if the
    broker does not answer in time: librdkafka may wait for an answer that was lost.
    """
    try:
        found = admin.list_topics(timeout=REQUEST_S).topics.get(topic)
    except KafkaException:
        return -1
    return sum(part.leader >= 0 for part in found.partitions.values()) if found else 0
