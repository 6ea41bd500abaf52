"""Chaos: whatever happens to processes and broker, no record is lost or counted twice."""

from __future__ import annotations

import json
import math
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec
import pytest
from confluent_kafka import Producer, TopicPartition

from monitor.detect.checkpoint import state_topic
from monitor.detect.watch import Watch
from monitor.kafka.readers.compacted import read_compacted
from tests.integration.broker import KafkaBroker
from tests.integration.chaos import (
    CLIENT,
    LOG_PARTITIONS,
    POISON_EVERY,
    STEPS,
    Truth,
    World,
    continue_process,
    killed_at_random,
    truth,
    wait_stopped,
)
from tests.integration.harness import TIMEOUT_S, Daemon, until
from tests.long_form import LONG, long_only

KILLS = 50 if LONG else 4
QUICK_STEPS = ("part", "offsets", "committed")

pytestmark = [pytest.mark.usefixtures("real_broker"), pytest.mark.timeout(900)]


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Truth:
    """Traffic of four models."""
    return truth(20_000, copies=2, directory=tmp_path_factory.mktemp("truth"))


@pytest.fixture(scope="module")
def kill_traffic(small: Truth, tmp_path_factory: pytest.TempPathFactory) -> Truth:
    """Traffic that lasts for all kills; of eight models in the long form."""
    if not LONG:
        return small
    return truth(150_000, copies=4, directory=tmp_path_factory.mktemp("truth"))


def test_kill_9_under_load(broker: KafkaBroker, kill_traffic: Truth, tmp_path: Path) -> None:
    """A daemon that is killed at random times and restarted at once loses and repeats nothing."""
    with World(broker, tmp_path, kill_traffic) as world:
        load = world.load(rate=len(kill_traffic.lines) / (KILLS * 2.2))
        with killed_at_random(world, load, KILLS, 0.0, 3.0) as daemon:
            daemon.wait(lambda: load.done, "the end of the log", 300)
            world.wait_drained(daemon)
            assert daemon.stop() == 0
        world.verify()


@pytest.mark.parametrize("role", ["detect", pytest.param("ingest", marks=long_only)])
@long_only
def test_killed_at_every_step(role: str, broker: KafkaBroker, small: Truth, tmp_path: Path) -> None:
    """A daemon that is killed under load at each step of a transaction loses nothing."""
    every = STEPS if role == "ingest" else ("flushed", *STEPS)
    steps = every if LONG else QUICK_STEPS
    with World(broker, tmp_path, small) as world:
        load = world.load(rate=500, endless=True)
        for nth, step in enumerate(steps, 1):
            daemon = world.start(instance="one", plan=f"{role} {step} kill", nth=1 + nth % 2)
            assert daemon.process.wait(TIMEOUT_S) == -9, step
        load.rate, load.endless = 10_000, False
        last = world.start(instance="one")
        last.wait(lambda: load.done, "the end of the log")
        world.wait_drained(last)
        assert last.stop() == 0
        world.verify()


@pytest.mark.parametrize("name", ["two", pytest.param(None, marks=long_only)])
@long_only
def test_members_come_and_go(
    name: str | None, broker: KafkaBroker, small: Truth, tmp_path: Path
) -> None:
    """Of three processes one is stopped and one is killed, with bad messages among the features.
    The killed one restarts under its name; without a name, the group replaces it.
    """
    with World(broker, tmp_path, small) as world:
        load = world.load(rate=2_500, endless=True)
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
        load.rate, load.endless = 10_000, False
        three.wait(lambda: load.done, "the end of the log")
        world.wait_drained(three, four)
        assert three.stop() == 0
        assert four.stop() == 0
        world.verify()


@long_only
def test_slow_warm_ups(broker: KafkaBroker, small: Truth, tmp_path: Path) -> None:
    """With a checkpoint after each few records, and kills between them, checkpoints stay small and
    have every record of warm-ups that do not end.
    """
    sections = {"reference": {"records": 50_000}, "state": {"checkpoint_seconds": 0.1}}
    with World(broker, tmp_path, small, sections=sections) as world:
        load = world.load(rate=len(small.lines) / 60)
        with killed_at_random(world, load, 6, 2.0, 7.0) as daemon:
            daemon.wait(lambda: load.done, "the end of the log", 300)
            world.wait_drained(daemon)
            assert daemon.stop() == 0
        watches: dict[tuple[str, str], Watch] = {}
        for number, partition in enumerate(world.restored()):
            watches |= partition.monitor.log.watches
            saved, records = world.saved(number), partition.monitor.log.records.total()
            assert len(saved[state_topic.MANIFEST]) < 1_000
            assert (
                len(saved) <= len(partition.monitor.log.watches) * (math.log2(records + 1) + 4) + 1
            )
            assert max(map(len, saved.values())) <= state_topic.PART_BYTES
        for model, times in small.times.items():
            pieces = watches[model, ""].warmup.pieces
            assert [time for piece in pieces for time in piece.times.tolist()] == times


@pytest.mark.parametrize(
    "limit",
    [pytest.param(8 << 20, marks=long_only), pytest.param(70_000, marks=long_only), 5_000],
)
@long_only
def test_bad_headers_among_the_traffic(
    limit: int, broker: KafkaBroker, small: Truth, tmp_path: Path
) -> None:
    """Each message that is no record is one dead letter, and no record is lost, with kills and a
    dead-letter topic of any limit.
    """
    kills = 5 if LONG else 1
    with World(broker, tmp_path, small) as world:
        broker.create_topic(world.topics.dead_letters, 1, {"max.message.bytes": str(limit)})
        load = world.load(rate=1_000, endless=True)
        for _ in range(kills):
            with world.daemon(instance="one") as daemon:
                daemon.wait_for("partitions assigned", 2)
                world.produce_hostile()
                threading.Event().wait(world.random.uniform(0.5, 3.0))
                assert daemon.process.poll() is None, daemon.log_text()[-3000:]
                daemon.kill()
        last = world.start(instance="one")
        world.produce_hostile()
        load.rate, load.endless = 10_000, False
        last.wait(lambda: load.done, "the end of the log")
        world.wait_drained(last)
        assert last.stop() == 0
        world.verify()


@pytest.mark.parametrize("kill", [False, pytest.param(True, marks=long_only)])
@long_only
def test_the_state_topic_is_made_again_under_load(
    kill: bool, broker: KafkaBroker, small: Truth, tmp_path: Path
) -> None:
    """A running process writes everything to the new topic, and its successor restores it."""
    with World(broker, tmp_path, small) as world:
        load = world.load(rate=1_500, endless=True)
        daemon = world.start(instance="one")
        for times in range(1, 3 if LONG else 2):
            daemon.wait_metric("records_watched_total", 4_000 * times)
            world.make_again(world.topics.state, {"cleanup.policy": "compact"})
            daemon.wait_for("the state topic was made again, writing all state", times)
        if kill:
            written = daemon.metric("last_checkpoint_timestamp_seconds") + 1
            daemon.wait_metric("last_checkpoint_timestamp_seconds", written)
            daemon.kill()
            daemon = world.start(instance="one")
        load.rate, load.endless = 10_000, False
        daemon.wait(lambda: load.done, "the end of the log")
        world.wait_drained(daemon)
        assert daemon.stop() == 0
        world.verify()


@pytest.mark.parametrize(
    "running", [True, pytest.param(False, marks=long_only)], ids=["running", "stopped"]
)
def test_the_feature_topic_is_made_again(
    running: bool, broker: KafkaBroker, small: Truth, tmp_path: Path
) -> None:
    """References, windows and alarms are kept, and the new topic is read from its start."""
    client = CLIENT | {"topic.metadata.refresh.interval.ms": 2_000}
    with World(broker, tmp_path, small, kafka={"client": client}) as world:
        lines, half = small.lines, int(len(small.lines) * 0.8)  # while alarms are open
        world.fill(lines[:half])
        daemon = world.start(instance="one")
        good = half - len(range(0, half, POISON_EVERY))
        daemon.wait(lambda: world.counted() == good, "the checkpoints of the first half")
        if not running:
            assert daemon.stop() == 0
        world.make_again(world.topics.features)
        if not running:
            daemon = world.start(instance="one")
        world.fill(lines[half:])
        world.wait_drained(daemon)
        assert daemon.metric("checkpoints_unusable_total") == 0
        assert daemon.stop() == 0
        world.verify(features=False)


@long_only
@pytest.mark.parametrize("protocol", ["classic", "consumer"])
def test_three_of_each_role(
    protocol: str, broker: KafkaBroker, small: Truth, tmp_path: Path
) -> None:
    """Three processes of each role have the result of one, under both group protocols."""
    client: dict[str, Any] = {} if protocol == "consumer" else {"session.timeout.ms": 6000}
    kafka = {"group_protocol": protocol, "client": client}
    with World(broker, tmp_path, small, kafka) as world:
        load = world.load(rate=3_000, endless=True)
        daemons = [world.start(role) for role in ("ingest", "detect") for _ in range(3)]
        for daemon in daemons:
            daemon.wait_ready()
        load.rate, load.endless = 10_000, False
        daemons[-1].wait(lambda: load.done, "the end of the log")
        world.wait_drained(*daemons)
        assert [daemon.stop() for daemon in daemons] == [0] * 6
        world.verify()


@long_only
def test_the_consumer_protocol(broker: KafkaBroker, small: Truth, tmp_path: Path) -> None:
    """Under KIP-848, members may join, leave and be killed as well."""
    kafka = {"group_protocol": "consumer", "client": {}}
    with World(broker, tmp_path, small, kafka) as world:
        load = world.load(rate=3_000, endless=True)
        one, two = world.start(), world.start()
        for daemon in (one, two):  # the group may give partitions to the second one much later
            daemon.wait_metric("records_consumed_total", 1)
        one.kill()
        three = world.start()
        three.wait_ready()
        assert two.stop() == 0
        load.rate, load.endless = 10_000, False
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
    """A process that stops in a transaction for longer than its session, and continues after it was
    replaced, cannot commit that transaction: it joins the group again or ends.
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
        # a role that cannot continue ends its process
        assert (zombie.process.poll() or zombie.stop()) in {0, 1}
        assert successor.stop() == 0
        world.verify(features=role == "ingest")


@long_only
def test_rebalances_during_restore(broker: KafkaBroker, small: Truth, tmp_path: Path) -> None:
    """While the first process restores its state, two others may join and it may be killed."""
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
            # any of them: the others have its partitions if the group has removed it meanwhile
            waiting = "waiting for an open transaction"
            until(lambda: any(d.said(waiting) for d in (one, two, three)), "another restore")
        for daemon in (one, two, three):
            daemon.wait_ready()
        for daemon in (one, two, three):
            assert daemon.stop() == 0
        world.verify()


@contextmanager
def open_transaction(world: World) -> Iterator[None]:
    """Keep a transaction of another producer open in the state topic; abort it at the end."""
    producer = Producer(
        {
            "bootstrap.servers": world.broker.bootstrap,
            "transactional.id": world.prefix,
            "transaction.timeout.ms": 600_000,
        }
    )
    producer.init_transactions(TIMEOUT_S)
    producer.begin_transaction()
    for partition in range(world.feature_partitions):
        producer.produce(world.topics.state, b"x", state_topic.MANIFEST, partition)
    assert producer.flush(TIMEOUT_S) == 0
    yield
    producer.abort_transaction(TIMEOUT_S)


@pytest.mark.parametrize("step", [pytest.param("written", marks=long_only), "offsets"])
@pytest.mark.parametrize("role", ["ingest", pytest.param("detect", marks=long_only)])
def test_a_stuck_client_is_replaced(
    role: str, step: str, broker: KafkaBroker, small: Truth, tmp_path: Path
) -> None:
    """If the call that adds the offsets to a transaction hangs, before or after the broker has
    them, the role continues with new clients, and no record is lost or counted twice, although the
    call returns later.
    """
    with World(broker, tmp_path, small) as world:
        load = world.load(rate=2_000, endless=True)
        daemon = world.start(plan=f"{role} {step} hang", nth=2)
        daemon.wait_for("hanging")
        daemon.wait(lambda: stuck(daemon) == {role}, "new clients")
        load.rate, load.endless = 10_000, False
        daemon.wait(lambda: load.done, "the end of the log")
        world.wait_drained(daemon)
        assert daemon.stop() == 0
        world.verify()


def stuck(daemon: Daemon) -> set[str]:
    """Return the roles of the log lines about a stuck client."""
    lines = [json.loads(line) for line in daemon.log_text().splitlines() if line[:1] == "{"]
    return {line["role"] for line in lines if "did not respond, replacing it" in line["event"]}


@long_only
def test_sigterm_under_load(broker: KafkaBroker, small: Truth, tmp_path: Path) -> None:
    """A daemon that gets SIGTERM at random times exits with 0 each time."""
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
def test_the_broker_is_restarted(small: Truth, tmp_path: Path) -> None:
    """The broker is stopped and killed under load, once while a process restores its state."""
    with KafkaBroker(tmp_path / "kafka") as broker, World(broker, tmp_path, small) as world:
        load = world.load(rate=800, endless=True)
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
        load.rate, load.endless = 10_000, False
        daemon.wait(lambda: load.done, "the end of the log")
        world.wait_drained(daemon)
        assert daemon.stop() == 0
        world.verify()


@pytest.mark.parametrize("how", [pytest.param("emptied", marks=long_only), "deleted"])
@long_only
def test_the_state_topic_is_lost(
    how: str, broker: KafkaBroker, small: Truth, tmp_path: Path
) -> None:
    """Without any state, detect starts with the first chunk and has the same result."""
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
        two.wait_for("no checkpoint found", world.feature_partitions)
        assert two.metric("checkpoints_unusable_total") == 0
        world.wait_drained(two)
        assert two.stop() == 0
        world.verify(features=False)


@long_only
def test_the_groups_offsets_do_not_matter_to_detect(
    broker: KafkaBroker, small: Truth, tmp_path: Path
) -> None:
    """A detect group whose offsets were reset continues from the offsets of its checkpoints."""
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
    """After a reset of the ingest group to the start of the log, all records are counted again."""
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
    """Write the result of `change`, applied to the newest messages, into the state topic."""
    producer = Producer({"bootstrap.servers": world.broker.bootstrap})
    for key, value in change(world.saved(partition)).items():
        producer.produce(world.topics.state, value, key, partition)
    assert producer.flush(TIMEOUT_S) == 0


def _another_version(saved: dict[bytes, bytes]) -> dict[bytes, bytes | None]:
    manifest = msgspec.msgpack.decode(saved[state_topic.MANIFEST])
    return {state_topic.MANIFEST: msgspec.msgpack.encode(manifest | {"version": 99})}


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


QUICK_CASES = {("digest", "earliest")}


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
    """An unusable checkpoint is counted and logged with what is lost, and the policy is applied."""
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
        started = two.wait_for("partition started without state")["offset"]
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
        # the new checkpoint is usable, and nothing is left of the old one
        saved = world.saved(0)
        manifest = state_topic.read_manifest(saved)
        assert manifest is not None
        assert saved.keys() == state_topic.keys(manifest)
        assert len(world.restored()) == 1


def _delete_records(world: World) -> int:
    """Delete the chunks that the checkpoint needs next; return the new start of the topic."""
    admin = world.broker._admin()
    manifest = state_topic.read_manifest(world.saved(0))
    assert manifest is not None
    for _ in range(5):
        world.poison(0)
    place = TopicPartition(world.topics.features, 0, manifest.offset + 10)
    deleted = admin.delete_records([place])[place].result(TIMEOUT_S)
    return int(deleted.low_watermark)


def test_a_restore_waits_for_open_transactions(
    broker: KafkaBroker, small: Truth, tmp_path: Path
) -> None:
    """A restore waits for a checkpoint that is being committed: one that starts from the state
    before it would leave a mixture of both.
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
            for _ in range(3):  # it stays at the end of the committed messages
                beats.clear()
                assert beats.wait(TIMEOUT_S)
            assert thread.is_alive()
            (producer.commit_transaction if value == b"one" else producer.abort_transaction)(30)
            thread.join(TIMEOUT_S)
        assert read == [{b"key": b"one"}] * 2
