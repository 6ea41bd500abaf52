"""The daemon as a process of its own, the feed that loads it, and its topics read to the end."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import msgspec
import yaml
from confluent_kafka import Consumer, KafkaError, Message, Producer, TopicPartition
from prometheus_client.parser import text_string_to_metric_families

from monitor import columns
from monitor.columns import Columns
from monitor.kafka import Topics
from tests.integration.broker import lifeline

ROOT = Path(__file__).parents[2]
TIMEOUT_S = 60.0
RUN = "import sys; from monitor.cli import main; sys.exit(main())"

QUICK = {"windows": {"records": 200, "stride": 20}, "reference": {"records": 2000}}
"""Windows short enough for a few thousand records to show a drift."""
SHORT_SESSION = {"session.timeout.ms": 6000}
"""The group notices within seconds that a member was killed."""


def until(condition: Callable[[], bool], what: str, timeout: float = TIMEOUT_S) -> None:
    """Poll a condition until it holds; fail when the time is up."""
    deadline = time.monotonic() + timeout
    while not condition():
        assert time.monotonic() < deadline, f"waited {timeout:g} s for {what}"
        time.sleep(0.05)


class Daemon:
    """`plumbline run` in a process; as a context manager it is killed at the end at the latest."""

    def __init__(
        self,
        directory: Path,
        bootstrap: str,
        *,
        prefix: str,
        logs: Sequence[str],
        roles: str = "ingest,detect",
        kafka: Mapping[str, Any] | None = None,
        **sections: Any,
    ) -> None:
        """Describe a daemon; `kafka` and `sections` are parts of its configuration file."""
        section = {"bootstrap_servers": bootstrap, "prefix": prefix, "logs": list(logs)}
        config = {
            "kafka": section | {"partitions": 2} | dict(kafka or {}),
            "http": {"port": 0},
            "log": {"format": "json"},
            **QUICK,
            **sections,
        }
        number = len(list(directory.glob("daemon-*.yaml")))
        self.config_file = directory / f"daemon-{number}.yaml"
        self.config_file.write_text(yaml.safe_dump(config))
        self.log_file = directory / f"daemon-{number}.log"
        self.command = [sys.executable, "-c", RUN, "run", "-c", str(self.config_file)]
        self.command += ["--roles", roles]

    def __enter__(self) -> Self:
        """Start the process, tied to this one."""
        environment = {k: v for k, v in os.environ.items() if not k.startswith("PLUMBLINE__")}
        with self.log_file.open("wb") as stream:
            self.process = subprocess.Popen(
                self.command,
                cwd=ROOT,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=stream,
                stderr=stream,
                start_new_session=True,
            )
        self._guard = lifeline(self.process.pid)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Leave no process behind; show the log of a test that failed."""
        if self.process.poll() is None:
            self.kill()
        self._guard.kill()
        self._guard.communicate()
        if error is not None:
            print(f"{self.log_file}:\n{self.log_text()[-8000:]}")

    def log_text(self) -> str:
        """All that the process has written."""
        return self.log_file.read_text(errors="replace")

    def said(self, event: str) -> list[dict[str, Any]]:
        """The log lines of an event."""
        lines = [json.loads(line) for line in self.log_text().splitlines() if line[:1] == "{"]
        return [line for line in lines if line["event"] == event]

    def wait_for(self, event: str, count: int = 1) -> dict[str, Any]:
        """Wait until the log has an event so many times; its last line."""
        self.wait(lambda: len(self.said(event)) >= count, f"{event!r} in the log")
        return self.said(event)[-1]

    def wait(self, condition: Callable[[], bool], what: str, timeout: float = TIMEOUT_S) -> None:
        """Wait for a condition while the process lives."""

        def holds() -> bool:
            done = condition()
            assert done or self.process.poll() is None, f"the daemon ended while: {what}"
            return done

        until(holds, what, timeout)

    def get(self, path: str) -> tuple[int, str]:
        """Status and body of a page."""
        port = self.wait_for("started")["port"]
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=10) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as refused:
            with refused:
                return refused.code, refused.read().decode()

    def metric(self, name: str, **labels: str) -> float:
        """The sum of the samples of a metric that have these labels."""
        return sum(
            sample.value
            for family in text_string_to_metric_families(self.get("/metrics")[1])
            for sample in family.samples
            if sample.name == f"plumbline_{name}" and labels.items() <= sample.labels.items()
        )

    def wait_ready(self) -> None:
        """Wait until every role has joined."""
        self.wait(lambda: self.get("/readyz")[0] == 200, "readiness")

    def wait_metric(self, name: str, least: float, timeout: float = TIMEOUT_S) -> None:
        """Wait until a metric's sum has reached a value."""
        self.wait(lambda: self.metric(name) >= least, f"{name} >= {least:g}", timeout)

    def stop(self, timeout: float = 40.0) -> int:
        """SIGTERM; the exit status, within a bounded time."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(timeout)

    def kill(self) -> None:
        """SIGKILL: no chance to commit anything."""
        os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait(TIMEOUT_S)


class Feed:
    """A thread that produces numbered records at a bounded rate, until told to finish.

    Record i has the timestamp i, so the feature topic tells which records are in it. bad: every
    so manieth is no record.
    """

    def __init__(
        self, bootstrap: str, topic: str, *, rate: float, most: int, bad: int = 0, models: int = 3
    ) -> None:
        self._producer = Producer(
            {
                "bootstrap.servers": bootstrap,
                "enable.idempotence": True,
                "linger.ms": 5,
                "log_level": 2,
            }
        )
        self.topic, self.rate, self.most, self.bad, self.models = topic, rate, most, bad, models
        self.sent = 0
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> Self:
        """Start to produce."""
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Stop producing."""
        self._end.set()
        self._thread.join(TIMEOUT_S)

    def finish(self) -> int:
        """Stop, wait until all is acknowledged; how many were sent."""
        self._end.set()
        self._thread.join(TIMEOUT_S)
        assert self._producer.flush(TIMEOUT_S) == 0
        return self.sent

    def good(self) -> list[int]:
        """The numbers of the good records."""
        return [i for i in range(self.sent) if not self._is_bad(i)]

    def _is_bad(self, i: int) -> bool:
        return self.bad > 0 and i % self.bad == self.bad - 1

    def _run(self) -> None:
        started = time.monotonic()
        while self.sent < self.most and not self._end.wait(0.01):
            upto = min(self.most, int((time.monotonic() - started) * self.rate))
            while self.sent < upto and self._send(self.sent):
                self.sent += 1
            self._producer.poll(0)

    def _send(self, i: int) -> bool:
        value = numbered(i, f"m{i % self.models}")
        try:
            self._producer.produce(self.topic, b"bad %d" % i if self._is_bad(i) else value)
        except BufferError:  # the broker is away
            return False
        return True


def numbered(i: int, model: str = "m", **more: Any) -> bytes:
    """A small good record with the timestamp i."""
    return msgspec.json.encode(
        {"request_id": str(i), "timestamp": i, "model": model, "latency_ms": 100 + i % 7} | more
    )


def produce(
    bootstrap: str,
    topic: str,
    values: Iterable[bytes | None],
    key: Callable[[bytes | None], bytes | None] = lambda _: None,
    headers: Sequence[tuple[str, bytes]] = (),
) -> None:
    """Write values in order and wait until the broker has acknowledged all of them."""
    producer = Producer(
        {
            "bootstrap.servers": bootstrap,
            "log_level": 2,
            "enable.idempotence": True,
            "partitioner": "murmur2",
            "message.max.bytes": 16 << 20,
        }
    )
    for value in values:
        while True:
            try:
                producer.produce(topic, value, key(value), headers=list(headers))
                break
            except BufferError:
                producer.poll(0.1)
    assert producer.flush(TIMEOUT_S) == 0


def read_all(bootstrap: str, topic: str) -> list[Message]:
    """All committed messages of a topic, partition by partition."""
    consumer = Consumer(
        {
            "bootstrap.servers": bootstrap,
            "log_level": 2,
            "group.id": "harness-reader",
            "enable.auto.commit": False,
            "isolation.level": "read_committed",
            "enable.partition.eof": True,
        }
    )
    try:
        partitions = consumer.list_topics(topic, timeout=30).topics[topic].partitions
        consumer.assign([TopicPartition(topic, number, 0) for number in partitions])
        messages: list[Message] = []
        ended: set[int | None] = set()
        deadline = time.monotonic() + TIMEOUT_S
        while len(ended) < len(partitions):
            assert time.monotonic() < deadline, f"{topic} has no end"
            for message in consumer.consume(1000, 0.2):
                error = message.error()
                if error is None:
                    messages.append(message)
                else:
                    assert error.code() == KafkaError._PARTITION_EOF, error
                    ended.add(message.partition())
    finally:
        consumer.close()
    return sorted(messages, key=lambda message: message.partition() or 0)


def chunks(bootstrap: str, prefix: str) -> list[Columns]:
    """All feature chunks."""
    messages = read_all(bootstrap, Topics(prefix).features)
    return [columns.decode(message.value() or b"") for message in messages]


def times(bootstrap: str, prefix: str) -> list[float]:
    """The event times of all records in the feature topic, sorted."""
    return sorted(time for chunk in chunks(bootstrap, prefix) for time in chunk.times.tolist())


def letters(bootstrap: str, prefix: str) -> Counter[bytes | None]:
    """The dead letters by their bytes."""
    return Counter(m.value() for m in read_all(bootstrap, Topics(prefix).dead_letters))


def header(message: Message, name: str) -> str:
    """The value of a header that is there once."""
    (value,) = [value for key, value in headers(message) if key == name]
    return value.decode()


def headers(message: Message) -> list[tuple[str, bytes]]:
    """The headers of a message, of which none is null."""
    pairs: Any = message.headers()
    return pairs or []
