"""Run the daemon as a process, feed it records, and read its topics to the end."""

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
from confluent_kafka import (
    Consumer,
    ConsumerGroupTopicPartitions,
    KafkaError,
    Message,
    Producer,
    TopicPartition,
)
from confluent_kafka.admin import AdminClient
from prometheus_client.parser import text_string_to_metric_families

from monitor.ingest.chunks.chunk import decode_chunk
from monitor.ingest.chunks.columns import Columns
from monitor.kafka.topics import Topics
from monitor.records import Source
from tests.forked import HIDDEN, Forked
from tests.integration.broker import lifeline

ROOT = Path(__file__).parents[2]
TIMEOUT_S = 240.0
"""Seconds to wait for anything: a loaded machine is many times slower than an idle one."""
HIDE = f"import sys; sys.modules.update(dict.fromkeys({HIDDEN}))"
MAIN = "from monitor.cli.main import main; sys.exit(main())"
RUN = f"{HIDE}; {MAIN}"

QUICK = {"windows": {"records": 200, "stride": 20}, "reference": {"records": 2000}}
"""Windows so short that a few thousand records are enough for a drift."""
JUDGES = {
    "rubrics": ["answer_quality"],
    "model": "judge",
    "prices": {"judge": {"input": 1, "output": 1}},
    "client": {"provider": "compatible", "base_url": "http://127.0.0.1:9/v1"},
}
"""Judges that are configured, so that samples are written, and never called."""
SHORT_SESSION = {"session.timeout.ms": 6000}
"""The group removes a killed member within seconds."""


def until(condition: Callable[[], bool], what: str, timeout: float = TIMEOUT_S) -> None:
    """Poll a condition until it holds. Raises AssertionError after the timeout."""
    deadline = time.monotonic() + timeout
    while not condition():
        assert time.monotonic() < deadline, f"waited {timeout:g} s for {what}"
        time.sleep(0.05)


class Daemon:
    """`plumbline run` in a process. As a context manager, it is killed at the end of the block.

    command: of a new interpreter. In tests that do not change it, the process is a fork instead.
    """

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
        """Write the configuration; `kafka` and `sections` are parts of it."""
        self.prefix = prefix
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
        self.process: Forked | subprocess.Popen[bytes]
        self.words = ["run", "-c", str(self.config_file), "--roles", roles]
        stored = {"replay", "web"} & set(roles.split(","))  # these roles need what is hidden
        run = f"import sys; {MAIN}" if stored else RUN
        self._usual = [sys.executable, "-c", run, *self.words]
        self.command = list(self._usual)

    def __enter__(self) -> Self:
        """Start the process, tied to this one."""
        # multiprocessing would run the main module of a script again
        if self.command == self._usual and "PYTEST_CURRENT_TEST" in os.environ:
            self.process = Forked(self.words, ROOT, self.log_file)
        else:
            self.process = self._new_interpreter()
        self._guard = lifeline(self.process.pid)
        return self

    def _new_interpreter(self) -> subprocess.Popen[bytes]:
        environment = {k: v for k, v in os.environ.items() if not k.startswith("PLUMBLINE__")}
        with self.log_file.open("wb") as stream:
            return subprocess.Popen(
                self.command,
                cwd=ROOT,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=stream,
                stderr=stream,
                start_new_session=True,
            )

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Kill the process if it still runs; print the log if the test failed."""
        if self.process.poll() is None:
            self.kill()
        self._guard.kill()
        self._guard.communicate()
        if error is not None:
            print(f"{self.log_file}:\n{self.log_text()[-8000:]}")

    def log_text(self) -> str:
        """Return the output of the process so far."""
        return self.log_file.read_text(errors="replace")

    def said(self, event: str) -> list[dict[str, Any]]:
        """Return the log lines of an event."""
        lines = [json.loads(line) for line in self.log_text().splitlines() if line[:1] == "{"]
        return [line for line in lines if line["event"] == event]

    def wait_for(self, event: str, count: int = 1) -> dict[str, Any]:
        """Wait until the log has an event `count` times; return its last line."""
        self.wait(lambda: len(self.said(event)) >= count, f"{event!r} in the log")
        return self.said(event)[-1]

    def wait(self, condition: Callable[[], bool], what: str, timeout: float = TIMEOUT_S) -> None:
        """Wait for a condition; fail if the process ends before it holds."""

        def holds() -> bool:
            done = condition()
            assert done or self.process.poll() is None, f"the daemon ended while: {what}"
            return done

        until(holds, what, timeout)

    def get(self, path: str) -> tuple[int, str]:
        """Return the status and the body of a page."""
        url = f"http://127.0.0.1:{self.wait_for('started')['port']}{path}"
        try:
            with urllib.request.urlopen(url, timeout=TIMEOUT_S) as response:
                return response.status, response.read().decode()
        except urllib.error.HTTPError as error:
            with error:
                return error.code, error.read().decode()

    def metric(self, name: str, **labels: str) -> float:
        """Return the sum of the samples of a metric that have these labels."""
        return sum(
            sample.value
            for family in text_string_to_metric_families(self.get("/metrics")[1])
            for sample in family.samples
            if sample.name == f"plumbline_{name}" and labels.items() <= sample.labels.items()
        )

    def wait_ready(self) -> None:
        """Wait until every role is ready."""
        self.wait(lambda: self.get("/readyz")[0] == 200, "readiness")

    def wait_metric(self, name: str, least: float, timeout: float = TIMEOUT_S) -> None:
        """Wait until the sum of a metric has reached a value."""
        self.wait(lambda: self.metric(name) >= least, f"{name} >= {least:g}", timeout)

    def stop(self, timeout: float = TIMEOUT_S) -> int:
        """Send SIGTERM and return the exit status."""
        self.wait_for("started")  # it does not handle signals before
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(timeout)

    def kill(self) -> None:
        """Send SIGKILL: the process cannot commit anything."""
        os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait(TIMEOUT_S)


class Feed:
    """A thread that produces numbered records at a bounded rate, from entry until `finish`.

    Record i has the timestamp i, so the feature topic shows which records are in it.
    bad: each message with this interval is not a record; 0 for none.
    """

    def __init__(
        self, bootstrap: str, topic: str, *, rate: float, bad: int = 0, models: int = 3
    ) -> None:
        self._producer = Producer(
            {
                "bootstrap.servers": bootstrap,
                "enable.idempotence": True,
                "linger.ms": 5,
                "log_level": 2,
            }
        )
        self.topic, self.rate, self.bad, self.models = topic, rate, bad, models
        self.sent = 0
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> Self:
        """Start producing."""
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Stop producing."""
        self._end.set()
        self._thread.join(TIMEOUT_S)

    def finish(self) -> int:
        """Stop producing, wait for all acknowledgements and return the number of messages."""
        self._end.set()
        self._thread.join(TIMEOUT_S)
        assert self._producer.flush(TIMEOUT_S) == 0
        return self.sent

    def good(self) -> list[int]:
        """Return the numbers of the good records."""
        return [i for i in range(self.sent) if not self._is_bad(i)]

    def _is_bad(self, i: int) -> bool:
        return self.bad > 0 and i % self.bad == self.bad - 1

    def _run(self) -> None:
        started = time.monotonic()
        while not self._end.wait(0.01):
            upto = int((time.monotonic() - started) * self.rate)
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
    """Return a small good record with the timestamp i."""
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
    """Return the committed messages of a topic up to its present end, partition by partition.

    A topic that still grows may yield a few more. Waits for the end of open transactions, as of a
    process that was killed: they hide all messages after their first one, also those of later
    transactions that are committed.
    """
    settings = {
        "bootstrap.servers": bootstrap,
        "log_level": 2,
        "group.id": "harness-reader",
        "enable.auto.commit": False,
        "enable.partition.eof": True,
    }
    ends = _ends(settings, topic)
    consumer = Consumer(settings | {"isolation.level": "read_committed"})
    try:
        consumer.assign([TopicPartition(topic, number, 0) for number in ends])
        messages: list[Message] = []
        deadline = time.monotonic() + TIMEOUT_S
        while ends:
            assert time.monotonic() < deadline, f"the end of {topic} was not reached"
            for message in consumer.consume(1000, 0.2):
                error, number = message.error(), message.partition() or 0
                offset = message.offset() or 0
                if error is None:
                    messages.append(message)
                    offset += 1  # while messages arrive, no end is reported
                else:
                    assert error.code() == KafkaError._PARTITION_EOF, error
                if offset >= ends.get(number, 0):
                    ends.pop(number, None)
    finally:
        consumer.close()
    return sorted(messages, key=lambda message: message.partition() or 0)


def _ends(settings: Mapping[str, Any], topic: str) -> dict[int, int]:
    """Return the end offset of each partition, open transactions included."""
    consumer = Consumer({**settings, "isolation.level": "read_uncommitted"})
    try:
        partitions = consumer.list_topics(topic, timeout=30).topics[topic].partitions
        return {
            number: consumer.get_watermark_offsets(TopicPartition(topic, number), 30)[1]
            for number in partitions
        }
    finally:
        consumer.close()


def chunks(bootstrap: str, prefix: str) -> list[Columns]:
    """Return all feature chunks."""
    messages = read_all(bootstrap, Topics(prefix).features)
    return [decode_chunk(message.value() or b"") for message in messages]


def times(bootstrap: str, prefix: str) -> list[float]:
    """Return the event times of all records of the log in the feature topic, sorted."""
    found = (each for each in chunks(bootstrap, prefix) if each.source is Source.LOG)
    return sorted(time for chunk in found for time in chunk.times.tolist())


def letters(bootstrap: str, prefix: str) -> Counter[bytes | None]:
    """Count the dead letters by their bytes."""
    return Counter(m.value() for m in read_all(bootstrap, Topics(prefix).dead_letters))


def committed(bootstrap: str, group: str, topic: str) -> int:
    """Return the sum of the offsets that a consumer group has committed for a topic."""
    admin = AdminClient({"bootstrap.servers": bootstrap})
    (future,) = admin.list_consumer_group_offsets([ConsumerGroupTopicPartitions(group)]).values()
    return sum(p.offset for p in future.result(30).topic_partitions or [] if p.topic == topic)


def header(message: Message, name: str) -> str:
    """Return the value of a header that occurs once."""
    (value,) = [value for key, value in headers(message) if key == name]
    return value.decode()


def headers(message: Message) -> list[tuple[str, bytes]]:
    """Return the headers of a message; none of them is null."""
    pairs: Any = message.headers()
    return pairs or []
