"""Chaos: whatever happens to processes and broker, nothing is lost and nothing counted twice."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec
import pytest
from confluent_kafka import Producer, TopicPartition

from monitor import state
from monitor.kafka import read_compacted
from tests.integration.broker import KafkaBroker
from tests.integration.chaos import (
    LOG_PARTITIONS,
    STEPS,
    Truth,
    World,
    continue_process,
    killed_at_random,
    truth,
    wait_stopped,
)
from tests.integration.harness import TIMEOUT_S, until

LONG = os.environ.get("PLUMBLINE_CHAOS", "") == "long"
"""`make chaos`; otherwise the short form, which is part of `make test`."""
KILLS = 50 if LONG else 4
QUICK_STEPS = ("part", "offsets", "committed")

long_only = pytest.mark.skipif(not LONG, reason="only in `make chaos`")
pytestmark = [pytest.mark.usefixtures("real_broker"), pytest.mark.timeout(900)]


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Truth:
    """Traffic of four models."""
    return truth(20_000, copies=2, directory=tmp_path_factory.mktemp("truth"))


@pytest.fixture(scope="module")
def kill_traffic(small: Truth, tmp_path_factory: pytest.TempPathFactory) -> Truth:
    """Traffic that lasts for all the kills; of eight models in the long form."""
    if not LONG:
        return small
    return truth(150_000, copies=4, directory=tmp_path_factory.mktemp("truth"))


def test_kill_9_under_load(broker: KafkaBroker, kill_traffic: Truth, tmp_path: Path) -> None:
    """Killed at random moments and started again at once, the daemon loses and repeats nothing."""
    with World(broker, tmp_path, kill_traffic) as world:
        load = world.load(rate=len(kill_traffic.lines) / (KILLS * 2.2))
        with killed_at_random(world, KILLS, 0.5, 4.0) as daemon:
            daemon.wait(lambda: load.done, "the end of the log", 300)
            world.wait_drained(daemon)
            assert daemon.stop() == 0
        world.verify()


@pytest.mark.parametrize("role", ["detect", pytest.param("ingest", marks=long_only)])
def test_killed_at_every_step(role: str, broker: KafkaBroker, small: Truth, tmp_path: Path) -> None:
    """Killed once between any two steps of a transaction, under load, each time a little later."""
    every = STEPS if role == "ingest" else ("flushed", *STEPS)
    steps = every if LONG else QUICK_STEPS
    with World(broker, tmp_path, small) as world:
        load = world.load(rate=500)
        for nth, step in enumerate(steps, 1):
            daemon = world.start(instance="one", plan=f"{role} {step} kill", nth=1 + nth % 2)
            assert daemon.process.wait(TIMEOUT_S) == -9, step
        assert not load.done
        load.rate = 10_000
        last = world.start(instance="one")
        last.wait(lambda: load.done, "the end of the log")
        world.wait_drained(last)
        assert last.stop() == 0
        world.verify()


@pytest.mark.parametrize("name", ["two", pytest.param(None, marks=long_only)])
def test_members_come_and_go(
    name: str | None, broker: KafkaBroker, small: Truth, tmp_path: Path
) -> None:
    """Three processes, one of which is told to leave and one of which is killed, amid poison; the
    killed one comes back under its name, or another takes its place when the group misses it.
    """
    with World(broker, tmp_path, small) as world:
        load = world.load(rate=2_500)
        one = world.start()
        one.wait_metric("records_watched_total", 1)
        two = world.start(instance=name)
        for partition in range(world.feature_partitions):
            world.poison(partition)
        two.wait_ready()
        three = world.start()
        three.wait_ready()
        assert one.stop() == 0
        two.kill()
        four = world.start(instance=name)
        four.wait_ready()
        three.wait(lambda: load.done, "the end of the log")
        world.wait_drained(three, four)
        assert three.stop() == 0
        assert four.stop() == 0
        world.verify()


@long_only
@pytest.mark.parametrize("protocol", ["classic", "consumer"])
def test_three_of_each_role(
    protocol: str, broker: KafkaBroker, small: Truth, tmp_path: Path
) -> None:
    """Three processes of each role find together what one does, under either group protocol."""
    client: dict[str, Any] = {} if protocol == "consumer" else {"session.timeout.ms": 6000}
    kafka = {"group_protocol": protocol, "client": client}
    with World(broker, tmp_path, small, kafka) as world:
        load = world.load(rate=3_000)
        daemons = [world.start(role) for role in ("ingest", "detect") for _ in range(3)]
        for daemon in daemons:
            daemon.wait_ready()
        daemons[-1].wait(lambda: load.done, "the end of the log")
        world.wait_drained(*daemons)
        assert [daemon.stop() for daemon in daemons] == [0] * 6
        world.verify()


@long_only
def test_the_consumer_protocol(broker: KafkaBroker, small: Truth, tmp_path: Path) -> None:
    """Under KIP-848 members that join, leave and are killed do no harm either."""
    kafka = {"group_protocol": "consumer", "client": {}}
    with World(broker, tmp_path, small, kafka) as world:
        load = world.load(rate=3_000)
        one, two = world.start(), world.start()
        two.wait_ready()
        one.wait_metric("records_consumed_total", 1)
        one.kill()
        three = world.start()
        three.wait_ready()
        assert two.stop() == 0
        three.wait(lambda: load.done, "the end of the log")
        world.wait_drained(three)
        assert three.stop() == 0
        world.verify()


@pytest.mark.parametrize(
    ("plan", "kafka"),
    [
        ("detect flushed freeze", {"group_protocol": "classic"}),
        pytest.param("ingest part freeze", {"group_protocol": "classic"}, marks=long_only),
        pytest.param("detect offsets freeze", {"group_protocol": "classic"}, marks=long_only),
        pytest.param("ingest offsets freeze", {"group_protocol": "classic"}, marks=long_only),
        pytest.param(
            "detect written freeze", {"group_protocol": "consumer", "client": {}}, marks=long_only
        ),
        pytest.param(
            "ingest written freeze", {"group_protocol": "consumer", "client": {}}, marks=long_only
        ),
    ],
)
def test_a_zombie_is_fenced(
    plan: str, kafka: dict[str, Any], broker: KafkaBroker, small: Truth, tmp_path: Path
) -> None:
    """A process that stood still past its session, and was replaced, goes on in the middle of a
    transaction that nobody may see: the group has thrown it out, and it joins again or ends.
    """
    with World(broker, tmp_path, small, kafka) as world:
        role = plan.split(maxsplit=1)[0]
        if role == "detect":
            world.fill_features()
        else:
            world.fill()
        zombie = world.start(role, plan=plan)
        wait_stopped(zombie)
        successor = world.start("detect" if role == "detect" else "ingest,detect")
        successor.wait_ready()
        if "offsets" not in plan:  # otherwise its transaction must end first, by the broker
            world.wait_drained(successor)
        continue_process(zombie)
        zombie.wait_for("awake")
        noticed = ("partitions lost", "partitions revoked", "role failed")
        until(lambda: any(map(zombie.said, noticed)), "the zombie to notice")
        world.wait_drained(successor)
        # a role of it that cannot go on takes it down, to be started again; none goes on as it was
        assert (zombie.process.poll() or zombie.stop()) in {0, 1}
        assert successor.stop() == 0
        world.verify(features=role == "ingest")


def test_rebalances_during_restore(broker: KafkaBroker, small: Truth, tmp_path: Path) -> None:
    """A second and a third process that join while the first restores, and one that is killed
    while it does, change nothing.
    """
    with World(broker, tmp_path, small) as world:
        world.fill()
        first = world.start(instance="one")
        world.wait_drained(first)
        first.kill()
        with open_transaction(world):  # restores wait for its end
            one = world.start(instance="one")
            one.wait_for("waiting for an open transaction")
            assert one.get("/healthz") == (200, "ok\n")
            assert one.get("/readyz")[0] == 503
            two, three = world.start(instance="two"), world.start(instance="three")
            two.wait(lambda: two.get("/healthz")[0] == 200, "life")
            one.kill()
            one = world.start(instance="one")
            three.wait(lambda: three.get("/healthz")[0] == 200, "life")
            one.wait_for("waiting for an open transaction")
        for daemon in (one, two, three):
            daemon.wait_ready()
        for daemon in (one, two, three):
            assert daemon.stop() == 0
        world.verify()


@contextmanager
def open_transaction(world: World) -> Iterator[None]:
    """Somebody's messages in the state topic that are never committed."""
    settings = {"bootstrap.servers": world.broker.bootstrap, "transactional.id": world.prefix}
    producer = Producer(settings)
    producer.init_transactions(TIMEOUT_S)
    producer.begin_transaction()
    for partition in range(world.feature_partitions):
        producer.produce(world.topics.state, b"x", state.MANIFEST, partition)
    assert producer.flush(TIMEOUT_S) == 0
    yield
    producer.abort_transaction(TIMEOUT_S)


@long_only
def test_sigterm_under_load(broker: KafkaBroker, small: Truth, tmp_path: Path) -> None:
    """Told to stop again and again, at whatever moment, it ends in order each time."""
    with World(broker, tmp_path, small) as world:
        load = world.load(rate=6_000)
        never = threading.Event()
        while not load.done:
            daemon = world.start()
            daemon.wait_for("started")
            never.wait(world.random.uniform(0, 2))
            assert daemon.stop() == 0
        last = world.start()
        last.wait_for("started")
        world.wait_drained(last)
        assert last.stop() == 0
        world.verify()


@long_only
def test_the_broker_goes_and_comes(small: Truth, tmp_path: Path) -> None:
    """The broker is stopped, then killed, under load, once while a process restores."""
    with KafkaBroker(tmp_path / "kafka") as broker, World(broker, tmp_path, small) as world:
        load = world.load(rate=800)
        daemon = world.start(instance="one")
        daemon.wait_metric("records_watched_total", 1_000)
        broker.restart()
        daemon.wait_metric("records_watched_total", 6_000)
        broker.kill()
        broker.start()
        daemon.wait_metric("records_watched_total", 9_000)
        daemon.kill()
        daemon = world.start(instance="one")
        daemon.wait_for("state restored")
        broker.kill()
        broker.start()
        daemon.wait(lambda: load.done, "the end of the log")
        world.wait_drained(daemon)
        assert daemon.stop() == 0
        world.verify()


@pytest.mark.parametrize("how", [pytest.param("emptied", marks=long_only), "deleted"])
def test_the_state_topic_is_lost(
    how: str, broker: KafkaBroker, small: Truth, tmp_path: Path
) -> None:
    """Without any state detect begins with the first chunk that is there, and finds the same."""
    with World(broker, tmp_path, small) as world:
        world.fill_features()
        one = world.start("detect", instance="one")
        world.wait_drained(one)
        assert one.stop() == 0
        if how == "deleted":
            broker.delete_topic(world.topics.state)
        else:
            for partition in range(world.feature_partitions):
                _overwrite(world, partition, dict.fromkeys)
        two = world.start("detect", instance="one")
        two.wait_for("no checkpoint", world.feature_partitions)
        assert two.metric("checkpoints_unusable_total") == 0
        world.wait_drained(two)
        assert two.stop() == 0
        world.verify(features=False)


@long_only
def test_the_groups_offsets_do_not_matter_to_detect(
    broker: KafkaBroker, small: Truth, tmp_path: Path
) -> None:
    """A detect group whose offsets were reset goes on from the checkpoints' own offsets."""
    with World(broker, tmp_path, small) as world:
        world.fill_features()
        one = world.start("detect")
        one.wait_metric("last_checkpoint_timestamp_seconds", 1)
        assert one.stop() == 0
        features = world.topics.features
        world.commit("detect", {(features, p): 0 for p in range(world.feature_partitions)})
        two = world.start("detect")
        world.wait_drained(two)
        assert two.stop() == 0
        world.verify(features=False)


@long_only
def test_a_reset_of_ingest_reads_the_log_again(
    broker: KafkaBroker, small: Truth, tmp_path: Path
) -> None:
    """Whoever resets the ingest group to the beginning has the log counted once more: the offsets
    of that group are the only memory of what was read.
    """
    with World(broker, tmp_path, small) as world:
        world.fill()
        one = world.start("ingest")
        one.wait_metric("records_consumed_total", len(small.lines))
        assert one.stop() == 0
        world.verify_features()
        world.commit("ingest", {(world.logs, p): 0 for p in range(LOG_PARTITIONS)})
        two = world.start("ingest")
        two.wait_metric("records_consumed_total", len(small.lines))
        assert two.stop() == 0
        with pytest.raises(AssertionError):
            world.verify_features()


def _overwrite(
    world: World,
    partition: int,
    change: Callable[[dict[bytes, bytes]], dict[bytes, bytes | None] | dict[bytes, None]],
) -> None:
    """Write into the state topic what `change` makes of the newest messages."""
    producer = Producer({"bootstrap.servers": world.broker.bootstrap})
    for key, value in change(world.saved(partition)).items():
        producer.produce(world.topics.state, value, key, partition)
    assert producer.flush(TIMEOUT_S) == 0


def _another_version(saved: dict[bytes, bytes]) -> dict[bytes, bytes | None]:
    manifest = msgspec.msgpack.decode(saved[state.MANIFEST])
    return {state.MANIFEST: msgspec.msgpack.encode(manifest | {"version": 99})}


def _broken_digest(saved: dict[bytes, bytes]) -> dict[bytes, bytes | None]:
    key = next(key for key in saved if b'"head"' in key)
    return {key: saved[key][:-1] + bytes([saved[key][-1] ^ 1])}


def _nothing(saved: dict[bytes, bytes]) -> dict[bytes, bytes | None]:
    return {}


UNUSABLE = {
    "version": (_another_version, "version 99"),
    "digest": (_broken_digest, "does not match its digest"),
    "retention": (_nothing, "its offset"),
}


QUICK_CASES = {("version", "stop"), ("digest", "earliest"), ("retention", "latest")}


@pytest.mark.parametrize(
    ("cause", "policy"),
    [
        pytest.param(cause, policy, marks=() if (cause, policy) in QUICK_CASES else long_only)
        for cause in UNUSABLE
        for policy in ("earliest", "latest", "stop")
    ],
)
def test_an_unusable_checkpoint(  # fixtures
    cause: str, policy: str, broker: KafkaBroker, small: Truth, tmp_path: Path
) -> None:
    """What cannot be used is counted and named with what is lost, and the policy is followed."""
    spoil, words = UNUSABLE[cause]
    sections = {"state": {"checkpoint_seconds": 0.5, "unusable": policy}}
    with World(broker, tmp_path, small, sections=sections, feature_partitions=1) as world:
        world.fill_features()
        one = world.start("detect", instance="one")
        world.wait_drained(one)
        assert one.stop() == 0
        _overwrite(world, 0, spoil)
        low = 0
        if cause == "retention":
            low = _delete_records(world)
        two = world.start("detect", instance="one")
        line = two.wait_for("checkpoint unusable")
        assert words in line["reason"]
        assert line["lost"]
        assert line["policy"] == policy
        if policy == "stop":
            assert two.process.wait(TIMEOUT_S) == 1
            return
        assert two.metric("checkpoints_unusable_total") == 1
        started = two.wait_for("starting afresh")["offset"]
        if policy == "latest":
            assert started > low
            two.wait_ready()
        elif low:
            assert started == low
            two.wait_metric("last_checkpoint_timestamp_seconds", 1)
        else:
            two.wait_metric("records_watched_total", small.records)
        assert two.stop() == 0
        if policy == "earliest" and not low:
            world.verify(features=False)
        # the next start finds a checkpoint that it can use, and nothing left of the old one
        saved = world.saved(0)
        manifest = state.read_manifest(saved)
        assert manifest is not None
        assert saved.keys() == state.keys(manifest)
        assert len(world.restored()) == 1


def _delete_records(world: World) -> int:
    """Let the feature topic forget what the checkpoint needs next; where it begins now."""
    admin = world.broker._admin()
    manifest = state.read_manifest(world.saved(0))
    assert manifest is not None
    for _ in range(5):
        world.poison(0)
    place = TopicPartition(world.topics.features, 0, manifest.offset + 10)
    deleted = admin.delete_records([place])[place].result(TIMEOUT_S)
    return int(deleted.low_watermark)


def test_a_restore_waits_for_open_transactions(
    broker: KafkaBroker, small: Truth, tmp_path: Path
) -> None:
    """A checkpoint whose commit is under way is waited for: one begun from the state before it
    would leave a mixture of both behind.
    """
    with World(broker, tmp_path, small) as world:
        broker.create_topic(world.topics.state, world.feature_partitions)
        settings = {"bootstrap.servers": broker.bootstrap, "transactional.id": world.prefix}
        producer = Producer(settings)
        producer.init_transactions(TIMEOUT_S)
        beats, read = threading.Event(), list[dict[bytes, bytes]]()

        def reader() -> None:
            read.append(read_compacted(world.config.kafka, world.topics.state, 0, beats.set))

        for value in (b"one", b"two"):
            producer.begin_transaction()
            producer.produce(world.topics.state, value, b"key", 0)
            assert producer.flush(TIMEOUT_S) == 0
            beats.clear()
            thread = threading.Thread(target=reader)
            thread.start()
            for _ in range(3):  # it has come to the end of what is committed, and stays
                beats.clear()
                assert beats.wait(TIMEOUT_S)
            assert thread.is_alive()
            (producer.commit_transaction if value == b"one" else producer.abort_transaction)(30)
            thread.join(TIMEOUT_S)
        assert read == [{b"key": b"one"}] * 2
