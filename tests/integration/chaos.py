"""Tools of the chaos tests: traffic with its expected result, and daemons that work on it.

`Truth` has the result of `backtest`, and of one monitor in this process, for the traffic in order.
`World` has topics of its own, a producer that fills them and daemons as processes. `World.verify`
compares everything that is left in Kafka with the truth.
"""

from __future__ import annotations

import os
import random
import signal
import sys
import threading
import time
import uuid
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

import msgspec
import numpy as np
from confluent_kafka import Consumer, Producer, TopicPartition

from monitor.cli.backtest import backtest
from monitor.cli.demo.traffic import MODELS, traffic
from monitor.config.schema import Config
from monitor.detect.checkpoint import partition_state
from monitor.detect.checkpoint.partition_state import Partition
from monitor.detect.checkpoint.state_topic import read_manifest
from monitor.detect.monitor import DriftMonitor
from monitor.detect.watch import Watch
from monitor.events.types import DriftEvent
from monitor.ingest import files
from monitor.ingest.chunks.chunk import ChunkError, decode_chunk, encode_chunk
from monitor.ingest.chunks.columns import Columns
from monitor.kafka import transactions
from monitor.kafka.readers.compacted import read_compacted
from monitor.kafka.topics import Topics
from monitor.records import Source
from monitor.roles import detect, ingest
from tests.integration.broker import KafkaBroker
from tests.integration.harness import (
    HIDE,
    QUICK,
    TIMEOUT_S,
    Daemon,
    header,
    produce,
    read_all,
    until,
)
from tests.integration.raw_producer import RawProducer
from tests.monitor.detect.checkpoint.heads import differences

LOG_PARTITIONS = 4
POISON_EVERY = 97
"""Each line of the log with this interval is not a record."""
HEADER_NAMES = (b"tr\xe4ce", b"\xff\xfe\x00\x01", b"\xed\xa0\x80", b"plumbline.offset")
"""Names that are not UTF-8, and one that Plumbline uses."""
SETTINGS: Mapping[str, Any] = {
    **QUICK,
    "state": {"checkpoint_seconds": 0.5},
    "segments": ["metadata.route"],
}
CLIENT = {"session.timeout.ms": 6000}
CONSUMER_PROTOCOL = {"group_protocol": "consumer", "client": {}}
RUN = (
    HIDE + "; from tests.integration import chaos; chaos.prepare({plan!r}, {nth!r});"
    " from monitor.cli.main import main; sys.exit(main())"
)


@dataclass(frozen=True)
class Truth:
    """The lines of a log, and the result of an undisturbed run over them."""

    lines: list[bytes]
    keys: list[bytes]
    times: dict[str, list[float]]
    events: dict[str, dict[str, Any]]
    monitor: DriftMonitor

    @property
    def records(self) -> int:
        """The number of good records."""
        return sum(self.monitor.log.records.values())


def truth(records: int, *, copies: int, directory: Path, seed: int = 5) -> Truth:
    """Return traffic of `copies` times two models, with bad lines, which drifts and recovers."""
    quiet, loud = (
        list(traffic(records, change_at=change, seed=seed, rate=50.0, start=1_760_000_000.0))
        for change in (records, 0)
    )
    # a copy of a model has its reference after two or three fifths of the stream
    start, end = int(records * 0.7), int(records * 0.85)
    lines = quiet[:start] + loud[start:end] + quiet[end:]
    keys = [b""] * records
    for i, line in enumerate(lines):
        name = next(m.name for m in MODELS if b'"%s"' % m.name.encode() in line)
        copy = f"{name}-{i % copies}"
        lines[i] = line.replace(f'"{name}"'.encode(), f'"{copy}"'.encode(), 1)
        keys[i] = copy.encode()
        if i % POISON_EVERY == 0:
            lines[i] = lines[i][:-1]
    file = directory / f"truth-{records}-{copies}-{seed}.jsonl"
    file.write_bytes(b"".join(line + b"\n" for line in lines))
    config = Config.model_validate(SETTINGS)
    report = backtest([file], config)
    monitor = DriftMonitor(config, {})
    times: dict[str, list[float]] = {}
    for batch in files.reader(config).batches([file], lambda _: None):
        for part in batch.by_model():
            monitor.process(part)
            times.setdefault(part.model, []).extend(part.times.tolist())
    events = {
        event.id: plain(event) for event in (*report.events, *report.updated, *report.resolved)
    }
    assert {"opened", "resolved"} <= {event["change"] for event in events.values()}
    assert {n: m["records"] for n, m in report.models.items()} == monitor.log.records
    return Truth(lines, keys, times, events, monitor)


def plain(event: DriftEvent) -> dict[str, Any]:
    """Return an event as values, without its position, which depends on the log's partitions."""
    values: dict[str, Any] = msgspec.json.decode(msgspec.json.encode(event))
    del values["position"]
    return values


def prepare(plan: str, nth: int) -> None:
    """Inject a fault into this process, which then runs a daemon.

    plan: "ROLE STEP FAULT". The fault occurs at this step of the role's nth transaction.
    STEP: see `STEPS`, or "flushed": the events before a checkpoint are delivered.
    FAULT: "kill"; "freeze": the process stops until SIGCONT, then waits until the group has removed
    it; "hang": the call returns only after the role has a new producer, as a stuck client may.
    """
    role, step, fault = plan.split()
    module = detect if role == "detect" else ingest
    members: list[Consumer] = []

    class Remembered(Consumer):
        def __init__(self, settings: dict[str, Any]) -> None:
            super().__init__(settings)
            members.append(self)

    def occur() -> None:
        if fault == "kill":
            os.kill(os.getpid(), signal.SIGKILL)
        if fault == "hang":
            os.write(1, b'{"event": "hanging"}\n')
            _FaultyProducer.replaced.wait()
            return
        os.kill(os.getpid(), signal.SIGSTOP)
        deadline = time.monotonic() + 15
        while members[-1].memberid() and time.monotonic() < deadline:
            time.sleep(0.01)
        os.write(1, b'{"event": "awake"}\n')  # one call: other threads write lines as well

    _FaultyProducer.step, _FaultyProducer.left = step, nth
    _FaultyProducer.occur = staticmethod(occur)
    if fault == "hang":  # the call counts as stuck after 3 seconds, not after 12 or 17
        setattr(transactions, "GRACE_SECONDS", 1.0)  # noqa: B010  # mypy rejects a plain assignment
        setattr(detect, "COMMIT_SECONDS", 2.0)  # noqa: B010  # as above
        setattr(ingest, "OPERATION_SECONDS", 2.0)  # noqa: B010  # as above
    setattr(module, "Producer", _FaultyProducer)  # noqa: B010  # mypy rejects another type
    setattr(module, "Consumer", Remembered)  # noqa: B010  # as above
    if step == "flushed":
        flush = detect.Detect._flush

        def flushed(self: detect.Detect) -> bool:
            done = flush(self)
            _FaultyProducer.at("flushed")
            return done

        setattr(detect.Detect, "_flush", flushed)  # noqa: B010  # as above


STEPS = ("begun", "part", "written", "offsets", "committed")
"""Of a transaction: it has no message, one, all of them, the offsets as well; it is committed."""


class _FaultyProducer(Producer):
    """A producer with a fault at a step of its nth transaction."""

    step = ""
    left = 1
    occur: Callable[[], None]
    replaced = threading.Event()
    """A producer was initialised after the fault."""
    fresh = False

    @classmethod
    def at(cls, step: str) -> None:
        if step == cls.step:
            cls.left -= 1
            if cls.left == 0:
                cls.occur()

    def init_transactions(self, *args: Any) -> None:
        super().init_transactions(*args)
        if self.left <= 0:
            self.replaced.set()

    def begin_transaction(self) -> None:
        super().begin_transaction()
        self.fresh = True
        self.at("begun")

    def produce(self, *args: Any, **kwargs: Any) -> None:
        super().produce(*args, **kwargs)
        if self.fresh and self.step == "part":
            self.flush(10)  # on the broker, in an open transaction
            self.at("part")
        self.fresh = False

    def send_offsets_to_transaction(self, *args: Any) -> None:
        if self.step == "written":
            self.flush(10)
        self.at("written")
        super().send_offsets_to_transaction(*args)
        self.at("offsets")

    def commit_transaction(self, *args: Any) -> None:
        super().commit_transaction(*args)
        self.at("committed")


SLOWING_SECONDS = 30.0
"""An endless load sends at most the lines that are left, divided by this, in a second."""


class Load(threading.Thread):
    """Produces the lines, keyed by model, at a bounded rate.

    endless: the rate falls with the number of lines that are left, so that there is traffic until
    `endless` is set to False. limit: lines to send for the time being.
    """

    def __init__(
        self, bootstrap: str, topic: str, what: Truth, rate: float, *, endless: bool = False
    ) -> None:
        super().__init__(daemon=True)
        self.producer = Producer(
            {
                "bootstrap.servers": bootstrap,
                "enable.idempotence": True,
                "partitioner": "murmur2",
                "linger.ms": 5,
                "log_level": 2,
            }
        )
        self.topic, self.what, self.rate, self.endless = topic, what, rate, endless
        self.sent, self.limit = 0, len(what.lines)
        self.pause = threading.Event()

    def run(self) -> None:
        """Send all lines."""
        lines, keys = self.what.lines, self.what.keys
        credit, last = 0.0, time.monotonic()
        while self.sent < len(lines):
            self.pause.wait(0.02)
            now = time.monotonic()
            left = len(lines) - self.sent
            rate = min(self.rate, left / SLOWING_SECONDS) if self.endless else self.rate
            credit, last = min(self.rate, credit + (now - last) * rate), now
            while credit >= 1 and self.sent < self.limit:
                try:
                    self.producer.produce(self.topic, lines[self.sent], keys[self.sent])
                except BufferError:  # the broker is away
                    break
                credit -= 1
                self.sent += 1
            self.producer.poll(0)
        until(lambda: self.producer.flush(1) == 0, "the log to be written", 2 * TIMEOUT_S)

    @property
    def done(self) -> bool:
        """Whether all lines are in the log."""
        return not self.is_alive()


@dataclass
class World:
    """Topics of its own on a broker, daemons that work on them, and the expected result."""

    broker: KafkaBroker
    directory: Path
    what: Truth
    kafka: Mapping[str, Any] = field(default_factory=dict)
    sections: Mapping[str, Any] = field(default_factory=dict)
    feature_partitions: int = 3
    prefix: str = field(default_factory=lambda: f"chaos-{uuid.uuid4().hex[:10]}")
    random: random.Random = field(default_factory=lambda: random.Random(11))
    stack: ExitStack = field(default_factory=ExitStack)
    hostile: int = 0
    """Messages that `produce_hostile` has written to the log; none is a record."""

    def __enter__(self) -> Self:
        """Create the log."""
        self.logs = f"{self.prefix}-logs"
        self.broker.create_topic(self.logs, LOG_PARTITIONS)
        self.config = Config.model_validate(
            {
                "kafka": {"bootstrap_servers": self.broker.bootstrap, "prefix": self.prefix},
                **SETTINGS,
                **self.sections,
            }
        )
        self.topics = Topics(self.prefix)
        return self

    def __exit__(self, *how: Any) -> None:
        """End all processes."""
        self.stack.__exit__(*how)

    def daemon(
        self, roles: str = "ingest,detect", *, plan: str = "", nth: int = 1, **kafka: Any
    ) -> Daemon:
        """Return a daemon that is not started; `plan` and `nth`: see `prepare`."""
        settings = {"partitions": self.feature_partitions, "client": CLIENT} | {
            **self.kafka,
            **kafka,
        }
        sections = {**SETTINGS, **self.sections}
        daemon = Daemon(
            self.directory,
            self.broker.bootstrap,
            prefix=self.prefix,
            logs=[self.logs],
            roles=roles,
            kafka=settings,
            **sections,
        )
        if plan:
            daemon.command[2] = RUN.format(plan=plan, nth=nth)
        return daemon

    def start(self, roles: str = "ingest,detect", **options: Any) -> Daemon:
        """Start a daemon, which ends with the world."""
        return self.stack.enter_context(self.daemon(roles, **options))

    def load(self, rate: float, *, endless: bool = False) -> Load:
        """Start filling the log."""
        load = Load(self.broker.bootstrap, self.logs, self.what, rate, endless=endless)
        load.start()
        return load

    def fill(self, lines: Sequence[bytes] | None = None) -> None:
        """Write the whole log, or some lines of it, at once."""
        keys = dict(zip(self.what.lines, self.what.keys, strict=True))
        lines = self.what.lines if lines is None else lines
        produce(self.broker.bootstrap, self.logs, lines, lambda line: keys[line or b""])

    def fill_features(self, batch: int = 50) -> None:
        """Write the feature topic as ingest does, in many chunks."""
        config = self.config
        decode, extractor = files.native_decoder_for(config), files.extractor_for(config)
        encoded: list[tuple[bytes, bytes]] = []
        lines = [line for line in enumerate(self.what.lines) if line[0] % POISON_EVERY]
        for first in range(0, len(lines), batch):
            part = lines[first : first + batch]
            fields = decode.many([line for _, line in part]).fields
            rows = extractor.batch(fields, [i + 1 for i, _ in part])
            encoded += [(encode_chunk(c), c.model.encode()) for c in rows.by_model()]
        keys = dict(encoded)
        self.broker.create_topic(self.topics.features, self.feature_partitions)
        produce(
            self.broker.bootstrap,
            self.topics.features,
            [chunk for chunk, _ in encoded],
            lambda chunk: keys[chunk or b""],
        )

    def saved(self, partition: int) -> dict[bytes, bytes]:
        """Return the newest messages of a feature partition's checkpoint."""
        deadline = time.monotonic() + TIMEOUT_S

        def beat() -> None:
            assert time.monotonic() < deadline, "a transaction stays open"

        return read_compacted(self.config.kafka, self.topics.state, partition, beat)

    def counts(self) -> Counter[str]:
        """Return the records by model of the newest checkpoints."""
        counts: Counter[str] = Counter()
        for partition in range(self.feature_partitions):
            manifest = read_manifest(self.saved(partition))
            if manifest is not None:
                counts.update(manifest.records)
        return counts

    def counted(self) -> int:
        """Return the number of records in the newest checkpoints."""
        return self.counts().total() if self.topics.state in self.existing() else 0

    def behind(self) -> int:
        """Return the good records that no checkpoint has yet; negative if some count twice."""
        return self.what.records - self.counted()

    def wait_drained(self, *alive: Daemon, timeout: float = 2 * TIMEOUT_S) -> None:
        """Wait until the checkpoints have every record; fail if one of the daemons ends."""

        def drained() -> bool:
            for daemon in alive:
                assert daemon.process.poll() is None, f"{daemon.log_file} ended"
            return self.behind() <= 0

        until(drained, "all records to be checkpointed", timeout)

    def existing(self) -> set[str]:
        """Return the names of the topics of the broker."""
        return set(self.broker._admin().list_topics(timeout=TIMEOUT_S).topics)

    def restored(self) -> list[Partition]:
        """Return the partitions as a new process restores them."""
        found = (
            partition_state.restore(self.saved(partition), self.config, {})
            for partition in range(self.feature_partitions)
        )
        return [partition for partition in found if partition is not None]

    def verify(self, *, features: bool = True) -> None:
        """Compare the events, the state and, with `features`, the output of ingest in Kafka with
        those of an undisturbed run.
        """
        if features:
            self.verify_features()
        self.verify_events()
        assert self.counts() == self.what.monitor.log.records
        watches: dict[tuple[str, str], Watch] = {}
        for partition in self.restored():
            watches |= partition.monitor.log.watches
        assert watches.keys() == self.what.monitor.log.watches.keys()
        for key, watch in watches.items():
            same(watch, self.what.monitor.log.watches[key])

    def verify_events(self) -> None:
        """Check that the events are those of the undisturbed run; repeated ones must be equal."""
        decode = msgspec.json.Decoder(DriftEvent).decode
        messages = read_all(self.broker.bootstrap, self.topics.events)
        found: dict[str, dict[str, Any]] = {}
        for message in messages:
            event = plain(decode(message.value() or b""))
            assert found.setdefault(event["id"], event) == event
        assert found.keys() == self.what.events.keys()
        assert found == self.what.events

    def verify_features(self) -> None:
        """Check that each good record is in the feature topic once, in the order of its model."""
        times: dict[str, list[float]] = {}
        positions: dict[str, list[int]] = {}
        for message in read_all(self.broker.bootstrap, self.topics.features):
            try:
                chunk = decode_chunk(message.value() or b"")
            except ChunkError:
                continue
            if chunk.source is not Source.LOG:
                continue  # samples of the same records
            times.setdefault(chunk.model, []).extend(chunk.times.tolist())
            positions.setdefault(chunk.model, []).extend(chunk.positions.tolist())
        assert times == self.what.times
        for places in positions.values():
            assert (np.diff(places) > 0).all()
        bad = sum(i % POISON_EVERY == 0 for i in range(len(self.what.lines)))
        dead = read_all(self.broker.bootstrap, self.topics.dead_letters)
        sources = {
            (header(each, "plumbline.partition"), header(each, "plumbline.offset")) for each in dead
        }
        assert len(dead) == len(sources) == bad + self.hostile

    def produce_hostile(self) -> None:
        """Write messages to the log that are no records: odd header names, and large parts."""
        noise = self.random.randbytes
        with RawProducer(self.broker.bootstrap) as raw:
            for nth, name in enumerate(HEADER_NAMES):
                raw.produce(self.logs, b"no record", name, nth % LOG_PARTITIONS)
        for size in (3_000, 90_000, 300_000):
            headers = [("baggage", noise(size)), ("plumbline.reason", b"none")]
            key = noise(size)
            produce(self.broker.bootstrap, self.logs, [key], lambda value: value, headers)
        produce(self.broker.bootstrap, self.logs, [None, b""])
        self.hostile += len(HEADER_NAMES) + 5

    def make_again(self, topic: str, config: Mapping[str, str] | None = None) -> None:
        """Delete a topic of feature partitions and create it."""
        self.broker.delete_topic(topic)
        self.broker.create_topic(topic, self.feature_partitions, config)

    def poison(self, partition: int) -> None:
        """Write messages that are no chunks into the feature topic."""
        producer = Producer({"bootstrap.servers": self.broker.bootstrap})
        for value in (b"", b"\x00\xff", None, b"\x93\x01\xa1m"):
            producer.produce(self.topics.features, value, b"x", partition)
        assert producer.flush(TIMEOUT_S) == 0

    def commit(self, role: str, offsets: Mapping[tuple[str, int], int]) -> None:
        """Overwrite the offsets of a group without members."""
        member = Consumer(
            {"bootstrap.servers": self.broker.bootstrap, "group.id": f"{self.prefix}-{role}"}
        )
        places = [TopicPartition(t, p, offset) for (t, p), offset in offsets.items()]
        member.commit(offsets=places, asynchronous=False)
        member.close()


def same(watch: Watch, truth: Watch) -> None:
    """Check that a restored watch is, to the bit, the undisturbed one."""
    assert watch.seen == truth.seen
    if truth.profile is None:
        assert watch.profile is None
        one, other = gathered(watch.warmup.pieces), gathered(truth.warmup.pieces)
        assert one == other
        return
    assert watch.profile is not None
    assert watch.profile.id == truth.profile.id
    found = differences(watch, truth)
    assert not found, "\n".join(found)


def gathered(pieces: Sequence[Columns]) -> dict[str, Any]:
    """Return the records of a warm-up, however they were cut."""
    rows: dict[str, list[Any]] = {"": [t for piece in pieces for t in piece.times.tolist()]}
    names = {n for p in pieces for n in (*p.numeric, *p.binary)}
    for name in sorted(names):
        found: list[Any] = []
        for piece in pieces:
            known = (*piece.numeric, *piece.binary)
            row = piece.values[known.index(name)] if name in known else np.full(len(piece), np.nan)
            found += [None if np.isnan(v) else v for v in row.tolist()]
        rows[name] = found
    return rows


@contextmanager
def killed_at_random(
    world: World, load: Load, times: int, least: float, most: float
) -> Iterator[Daemon]:
    """Start and kill a named daemon a number of times; yield the one that is started last.

    least, most: seconds that a daemon runs. Each may take as long to start as it needs, and gets
    its part of the load: on a busy machine it would otherwise be killed before it does anything, or
    the first one would process everything.
    """
    never = threading.Event()
    for nth in range(1, times + 1):
        load.limit = len(load.what.lines) * nth // (times + 1)
        with world.daemon(instance="one") as daemon:
            daemon.wait_for("started")
            never.wait(world.random.uniform(least, most))
            assert daemon.process.poll() is None, daemon.log_text()[-3000:]
            daemon.kill()
    load.limit = len(load.what.lines)
    with world.daemon(instance="one") as daemon:
        yield daemon


def continue_process(daemon: Daemon) -> None:
    """Send SIGCONT."""
    os.killpg(daemon.process.pid, signal.SIGCONT)


def wait_stopped(daemon: Daemon) -> None:
    """Wait until a process is stopped by a signal."""
    stat = Path(f"/proc/{daemon.process.pid}/stat")
    daemon.wait(lambda: stat.read_text().rpartition(")")[2].split()[0] == "T", "a standstill")


if __name__ == "__main__":
    sys.exit("a module of the tests")
