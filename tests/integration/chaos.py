"""What chaos is measured by: the truth about some traffic, and a world of daemons that meets it.

The truth is what `backtest` and one monitor in this process make of the traffic in its order. A
world has topics of its own, a feed that loads them, daemons as real processes, and `verify`, which
holds all that is left in Kafka against the truth.
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

from monitor import checkpoint, columns, logfiles, watch_state
from monitor.backtest import backtest
from monitor.checkpoint import Partition
from monitor.columns import ChunkError, Columns
from monitor.config import Config
from monitor.demo.traffic import PROFILES, traffic
from monitor.drift import DriftMonitor
from monitor.events import DriftEvent
from monitor.kafka import Topics, read_compacted
from monitor.roles import detect, ingest
from monitor.state import read_manifest
from monitor.watch import Watch
from tests.integration.broker import KafkaBroker
from tests.integration.harness import QUICK, TIMEOUT_S, Daemon, produce, read_all, until

LOG_PARTITIONS = 4
POISON_EVERY = 97
"""Every so manieth line of the log is no record."""
SETTINGS: Mapping[str, Any] = {
    **QUICK,
    "state": {"checkpoint_seconds": 0.5},
    "segments": ["metadata.route"],
}
CLIENT = {"session.timeout.ms": 6000}
CONSUMER_PROTOCOL = {"group_protocol": "consumer", "client": {}}
RUN = (
    "import sys; from tests.integration import chaos; chaos.prepare({plan!r}, {nth!r});"
    " from monitor.cli import main; sys.exit(main())"
)


@dataclass(frozen=True)
class Truth:
    """Lines of a log, and what an undisturbed run makes of them."""

    lines: list[bytes]
    keys: list[bytes]
    times: dict[str, list[float]]
    events: dict[str, dict[str, Any]]
    monitor: DriftMonitor

    @property
    def records(self) -> int:
        """Good ones."""
        return sum(self.monitor.records.values())


def truth(records: int, *, copies: int, directory: Path, seed: int = 5) -> Truth:
    """Traffic of `copies` times two models that drifts in its middle and recovers, with poison."""
    quiet, loud = (
        list(traffic(records, change_at=change, seed=seed, rate=50.0, start=1_760_000_000.0))
        for change in (records, 0)
    )
    # a copy of a model becomes ready to be watched after two or three fifths of the stream
    start, end = int(records * 0.7), int(records * 0.85)
    lines = quiet[:start] + loud[start:end] + quiet[end:]
    keys = [b""] * records
    for i, line in enumerate(lines):
        name = next(p.model for p in PROFILES if b'"%s"' % p.model.encode() in line)
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
    for batch in logfiles.reader(config).batches([file], lambda _: None):
        for part in batch.by_model():
            monitor.process(part)
            times.setdefault(part.model, []).extend(part.times.tolist())
    events = {event.id: plain(event) for event in (*report.events, *report.resolved)}
    assert {"opened", "resolved"} <= {event["change"] for event in events.values()}
    assert {n: m["records"] for n, m in report.models.items()} == monitor.records
    return Truth(lines, keys, times, events, monitor)


def plain(event: DriftEvent) -> dict[str, Any]:
    """An event as values, without its place in the log, which hangs on the log's partitions."""
    values: dict[str, Any] = msgspec.json.decode(msgspec.json.encode(event))
    del values["position"]
    return values


def prepare(plan: str, nth: int) -> None:
    """In a daemon's own process, before it starts: let it end, or stand still, at a step.

    plan: "ROLE STEP HOW": of the role's transactions the nth one meets its fate at that step (see
    `_Fated`); HOW is kill, or freeze (stopped until somebody continues it, and then it waits until
    the group has told it that it is no member any more).
    """
    role, step, how = plan.split()
    module = detect if role == "detect" else ingest
    members: list[Consumer] = []

    class Remembered(Consumer):
        def __init__(self, settings: dict[str, Any]) -> None:
            super().__init__(settings)
            members.append(self)

    def fate() -> None:
        if how == "kill":
            os.kill(os.getpid(), signal.SIGKILL)
        os.kill(os.getpid(), signal.SIGSTOP)
        deadline = time.monotonic() + 15
        while members[-1].memberid() and time.monotonic() < deadline:
            time.sleep(0.01)
        os.write(1, b'{"event": "awake"}\n')  # one call: other threads write lines as well

    _Fated.step, _Fated.left, _Fated.fate = step, nth, staticmethod(fate)
    setattr(module, "Producer", _Fated)  # noqa: B010  # mypy would have it of one type
    setattr(module, "Consumer", Remembered)  # noqa: B010  # as above
    if step == "flushed":
        flush = detect.Detect._flush

        def flushed(self: detect.Detect) -> bool:
            done = flush(self)
            _Fated.at("flushed")
            return done

        setattr(detect.Detect, "_flush", flushed)  # noqa: B010  # as above


STEPS = ("begun", "part", "written", "offsets", "committed")
"""Of a transaction: nothing written; something; all; the offsets have joined; it is committed."""


class _Fated(Producer):
    """A producer that meets its fate at a step of its nth transaction."""

    step = ""
    left = 1
    fate: Callable[[], None]
    fresh = False

    @classmethod
    def at(cls, step: str) -> None:
        if step == cls.step:
            cls.left -= 1
            if cls.left == 0:
                cls.fate()

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


class Load(threading.Thread):
    """Produces the lines, keyed by model, at a bounded rate."""

    def __init__(self, bootstrap: str, topic: str, what: Truth, rate: float) -> None:
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
        self.topic, self.what, self.rate = topic, what, rate
        self.sent = 0
        self.pause = threading.Event()

    def run(self) -> None:
        """Send all."""
        lines, keys = self.what.lines, self.what.keys
        credit, last = 0.0, time.monotonic()
        while self.sent < len(lines):
            self.pause.wait(0.02)
            now = time.monotonic()
            credit, last = min(self.rate, credit + (now - last) * self.rate), now
            while credit >= 1 and self.sent < len(lines):
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
        """Whether everything is in the log."""
        return not self.is_alive()


@dataclass
class World:
    """Topics of its own on a broker, daemons that work on them, and the truth about their log."""

    broker: KafkaBroker
    directory: Path
    what: Truth
    kafka: Mapping[str, Any] = field(default_factory=dict)
    sections: Mapping[str, Any] = field(default_factory=dict)
    feature_partitions: int = 3
    prefix: str = field(default_factory=lambda: f"chaos-{uuid.uuid4().hex[:10]}")
    random: random.Random = field(default_factory=lambda: random.Random(11))
    stack: ExitStack = field(default_factory=ExitStack)

    def __enter__(self) -> Self:
        """Make the topics."""
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
        """Leave no process behind."""
        self.stack.__exit__(*how)

    def daemon(
        self, roles: str = "ingest,detect", *, plan: str = "", nth: int = 1, **kafka: Any
    ) -> Daemon:
        """A process to be started; `plan` and `nth` as of `prepare`, kafka: more settings."""
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
        """A running process, ended with the world."""
        return self.stack.enter_context(self.daemon(roles, **options))

    def load(self, rate: float) -> Load:
        """Begin to fill the log."""
        load = Load(self.broker.bootstrap, self.logs, self.what, rate)
        load.start()
        return load

    def fill(self) -> None:
        """Fill the log at once."""
        keys = dict(zip(self.what.lines, self.what.keys, strict=True))
        produce(self.broker.bootstrap, self.logs, self.what.lines, lambda line: keys[line or b""])

    def fill_features(self, batch: int = 50) -> None:
        """Fill the feature topic as ingest would, without it, in many chunks."""
        config = self.config
        decode, extractor = logfiles.decode_of(config), logfiles.extractor_of(config)
        made: list[tuple[bytes, bytes]] = []
        lines = [line for line in enumerate(self.what.lines) if line[0] % POISON_EVERY]
        for first in range(0, len(lines), batch):
            part = lines[first : first + batch]
            rows = extractor.batch([decode(line) for _, line in part], [i + 1 for i, _ in part])
            made += [(columns.encode(c), c.model.encode()) for c in rows.by_model()]
        keys = dict(made)
        self.broker.create_topic(self.topics.features, self.feature_partitions)
        produce(
            self.broker.bootstrap,
            self.topics.features,
            [chunk for chunk, _ in made],
            lambda chunk: keys[chunk or b""],
        )

    def saved(self, partition: int) -> dict[bytes, bytes]:
        """The newest messages of a feature partition's checkpoint."""
        deadline = time.monotonic() + TIMEOUT_S

        def beat() -> None:
            assert time.monotonic() < deadline, "a transaction stays open"

        return read_compacted(self.config.kafka, self.topics.state, partition, beat)

    def counts(self) -> Counter[str]:
        """Records by model, as the newest checkpoints have them."""
        counts: Counter[str] = Counter()
        for partition in range(self.feature_partitions):
            manifest = read_manifest(self.saved(partition))
            if manifest is not None:
                counts.update(manifest.records)
        return counts

    def behind(self) -> int:
        """Good records that no checkpoint has yet; negative for ones that were counted twice."""
        return self.what.records - self.counts().total()

    def wait_drained(self, *alive: Daemon, timeout: float = 2 * TIMEOUT_S) -> None:
        """Wait until the checkpoints have every record, while these daemons live."""

        for daemon in alive:  # before that it would not even take a signal
            daemon.wait_for("started")

        def drained() -> bool:
            for daemon in alive:
                assert daemon.process.poll() is None, f"{daemon.log_file} ended"
            return self.topics.state in self.existing() and self.behind() <= 0

        until(drained, "all records to be checkpointed", timeout)

    def existing(self) -> set[str]:
        """The topics that there are."""
        return set(self.broker._admin().list_topics(timeout=TIMEOUT_S).topics)

    def restored(self) -> list[Partition]:
        """What a new process would restore."""
        found = (
            checkpoint.restore(self.saved(partition), self.config, {})
            for partition in range(self.feature_partitions)
        )
        return [partition for partition in found if partition is not None]

    def verify(self, *, features: bool = True) -> None:
        """All that is in Kafka is what an undisturbed run leaves.

        features: whether ingest is held to it as well.
        """
        if features:
            self.verify_features()
        self.verify_events()
        assert self.counts() == self.what.monitor.records
        watches: dict[tuple[str, str], Watch] = {}
        for partition in self.restored():
            watches |= partition.monitor.watches
        assert watches.keys() == self.what.monitor.watches.keys()
        for key, watch in watches.items():
            same(watch, self.what.monitor.watches[key])

    def verify_events(self) -> None:
        """Every event of the undisturbed run is there, and no other; repeated ones are the same."""
        decode = msgspec.json.Decoder(DriftEvent).decode
        messages = read_all(self.broker.bootstrap, self.topics.events)
        found: dict[str, dict[str, Any]] = {}
        for message in messages:
            event = plain(decode(message.value() or b""))
            assert found.setdefault(event["id"], event) == event
        assert found.keys() == self.what.events.keys()
        assert found == self.what.events

    def verify_features(self) -> None:
        """Every good record is in the feature topic once, in the order of its model."""
        times: dict[str, list[float]] = {}
        positions: dict[str, list[int]] = {}
        for message in read_all(self.broker.bootstrap, self.topics.features):
            try:
                chunk = columns.decode(message.value() or b"")
            except ChunkError:
                continue
            times.setdefault(chunk.model, []).extend(chunk.times.tolist())
            positions.setdefault(chunk.model, []).extend(chunk.positions.tolist())
        assert times == self.what.times
        for places in positions.values():
            assert (np.diff(places) > 0).all()
        bad = sum(i % POISON_EVERY == 0 for i in range(len(self.what.lines)))
        assert len(read_all(self.broker.bootstrap, self.topics.dead_letters)) == bad

    def poison(self, partition: int) -> None:
        """Write what is no chunk into the feature topic."""
        producer = Producer({"bootstrap.servers": self.broker.bootstrap})
        for value in (b"", b"\x00\xff", None, b"\x93\x01\xa1m"):
            producer.produce(self.topics.features, value, b"x", partition)
        assert producer.flush(TIMEOUT_S) == 0

    def commit(self, role: str, offsets: Mapping[tuple[str, int], int]) -> None:
        """Overwrite the offsets of a group that has no members."""
        member = Consumer(
            {"bootstrap.servers": self.broker.bootstrap, "group.id": f"{self.prefix}-{role}"}
        )
        places = [TopicPartition(t, p, offset) for (t, p), offset in offsets.items()]
        member.commit(offsets=places, asynchronous=False)
        member.close()


def same(watch: Watch, truth: Watch) -> None:
    """A restored watch is, to the bit, the one that was never disturbed."""
    assert watch.seen == truth.seen
    if truth.profile is None:
        assert watch.profile is None
        one, other = gathered(watch.warmup.pieces), gathered(truth.warmup.pieces)
        assert one == other
        return
    assert watch.profile is not None
    assert watch.profile.id == truth.profile.id
    heads = [
        next(item for item in watch_state.items(each) if item.name == watch_state.HEAD).encode()
        for each in (watch, truth)
    ]
    assert heads[0] == heads[1]


def gathered(pieces: Sequence[Columns]) -> dict[str, Any]:
    """A warm-up's records, however they were cut."""
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
def killed_at_random(world: World, times: int, least: float, most: float) -> Iterator[Daemon]:
    """A named daemon that is killed and started again at once, so many times; then the last one."""
    never = threading.Event()
    for _ in range(times):
        with world.daemon(instance="one") as daemon:
            never.wait(world.random.uniform(least, most))
            assert daemon.process.poll() is None, daemon.log_text()[-3000:]
            daemon.kill()
    with world.daemon(instance="one") as daemon:
        yield daemon


def continue_process(daemon: Daemon) -> None:
    """SIGCONT."""
    os.killpg(daemon.process.pid, signal.SIGCONT)


def wait_stopped(daemon: Daemon) -> None:
    """Wait until a process has stopped itself."""
    stat = Path(f"/proc/{daemon.process.pid}/stat")
    daemon.wait(lambda: stat.read_text().rpartition(")")[2].split()[0] == "T", "a standstill")


if __name__ == "__main__":
    sys.exit("a module of the tests")
