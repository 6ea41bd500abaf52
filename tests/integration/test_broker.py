"""The test broker behaves as the other tests assume."""

import os
import socket
import subprocess
import sys
import time
import uuid
from collections.abc import Callable
from pathlib import Path

import pytest
from confluent_kafka import Consumer, ConsumerGroupType, KafkaException, Producer
from confluent_kafka.admin import AdminClient

from tests.integration import broker as harness
from tests.integration.broker import BrokerError, KafkaBroker, MockBroker
from tests.integration.kafka_jars import KafkaUnavailable, kafka_classpath

MakeTopic = Callable[..., str]


def produce(bootstrap: str, topic: str, *values: bytes) -> None:
    """Write values and wait until the broker has acknowledged all of them."""
    producer = Producer({"bootstrap.servers": bootstrap})
    for value in values:
        producer.produce(topic, value)
    assert producer.flush(30) == 0


def consume(bootstrap: str, topic: str, count: int, **settings: str) -> list[bytes | None]:
    """Read a topic from its start until it has a number of values, for at most 60 s."""
    defaults = {"group.id": uuid.uuid4().hex, "auto.offset.reset": "earliest"}
    named = {key.replace("_", "."): value for key, value in settings.items()}
    consumer = Consumer({"bootstrap.servers": bootstrap, **defaults, **named})
    consumer.subscribe([topic])
    values: list[bytes | None] = []
    deadline = time.monotonic() + 60
    while len(values) < count and time.monotonic() < deadline:
        values += [message.value() for message in consumer.consume(count, 0.2)]
    consumer.close()
    return values


def is_alive(pid: int) -> bool:
    """Return whether a process runs; a zombie does not."""
    status = Path(f"/proc/{pid}/stat")
    return status.exists() and status.read_text().rsplit(")", 1)[1].split()[0] != "Z"


def test_round_trip(broker: KafkaBroker | MockBroker, topic: MakeTopic) -> None:
    """A consumer reads what a producer writes."""
    name = topic()
    produce(broker.bootstrap, name, b"one", b"two")
    assert sorted(filter(None, consume(broker.bootstrap, name, 2))) == [b"one", b"two"]


def test_topics_are_created_with_settings_and_deleted(real_broker: KafkaBroker) -> None:
    """A topic has the partitions and settings that it was created with, until it is deleted."""
    name = uuid.uuid4().hex
    real_broker.create_topic(name, 3, {"max.message.bytes": "1000"})
    client = Producer({"bootstrap.servers": real_broker.bootstrap, "enable.idempotence": False})
    assert len(client.list_topics(timeout=10).topics[name].partitions) == 3
    errors: list[object] = []
    client.produce(name, bytes(2000), on_delivery=lambda error, _: errors.append(error))
    client.flush(10)
    assert "MSG_SIZE_TOO_LARGE" in repr(errors)
    real_broker.delete_topic(name)
    assert name not in client.list_topics(timeout=10).topics


def test_aborted_messages_stay_invisible(real_broker: KafkaBroker, topic: MakeTopic) -> None:
    """A read_committed consumer does not see the messages of an aborted transaction."""
    name = topic()
    producer = Producer(
        {"bootstrap.servers": real_broker.bootstrap, "transactional.id": uuid.uuid4().hex}
    )
    producer.init_transactions(30)
    producer.begin_transaction()
    producer.produce(name, b"aborted")
    producer.flush(30)
    producer.abort_transaction(30)
    producer.begin_transaction()
    producer.produce(name, b"committed")
    producer.commit_transaction(30)
    committed = consume(real_broker.bootstrap, name, 1, isolation_level="read_committed")
    assert committed == [b"committed"]
    everything = consume(real_broker.bootstrap, name, 2, isolation_level="read_uncommitted")
    assert everything == [b"aborted", b"committed"]


def test_next_generation_consumer_joins(real_broker: KafkaBroker, topic: MakeTopic) -> None:
    """A KIP-848 consumer gets an assignment, and the broker describes its group as that type."""
    name, group = topic(), uuid.uuid4().hex
    produce(real_broker.bootstrap, name, b"hello")
    kip848 = {"group_protocol": "consumer", "group_id": group}
    assert consume(real_broker.bootstrap, name, 1, **kip848) == [b"hello"]
    admin = AdminClient({"bootstrap.servers": real_broker.bootstrap})
    described = admin.describe_consumer_groups([group])[group].result(10)
    assert described.type == ConsumerGroupType.CONSUMER


@pytest.mark.usefixtures("real_broker")
def test_crash_keeps_committed_data(tmp_path: Path) -> None:
    """A broker that was killed restarts at the same address with every acknowledged message."""
    with KafkaBroker(tmp_path) as own:
        address = own.bootstrap
        own.create_topic("kept")
        produce(address, "kept", b"before")
        own.kill()
        with pytest.raises(KafkaException):
            AdminClient({"bootstrap.servers": address, "log_level": 2}).list_topics(timeout=1)
        own.restart()
        produce(address, "kept", b"after")
        assert consume(address, "kept", 2) == [b"before", b"after"]


@pytest.mark.usefixtures("real_broker")
def test_lost_port_is_replaced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """If a port is taken before the broker binds it, the broker boots with another one."""
    with socket.create_server(("127.0.0.1", 0)) as squatter:
        taken = squatter.getsockname()[1]
        choices = [harness.free_ports(), (taken, harness.free_ports()[0])]
        monkeypatch.setattr(harness, "free_ports", choices.pop)
        with KafkaBroker(tmp_path) as own:
            assert not own.bootstrap.endswith(f":{taken}")
            assert choices == []


@pytest.mark.usefixtures("real_broker")
def test_death_shows_the_log(tmp_path: Path) -> None:
    """If the broker cannot start, the error has its log, and no process is left."""
    own = KafkaBroker(tmp_path, properties={"num.io.threads": "none"})
    with pytest.raises(BrokerError, match=r"num\.io\.threads"):
        own.start()
    own.stop()


def test_broker_dies_with_its_parent() -> None:
    """The lifeline ends a process group when the process that started it is killed."""
    script = (
        "import os, signal, subprocess\n"
        "from tests.integration.broker import lifeline\n"
        "child = subprocess.Popen(['sleep', '600'], stdout=-3, start_new_session=True)\n"
        "lifeline(child.pid)\n"
        "print(child.pid, flush=True)\n"
        "os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    root = Path(__file__).parents[2]
    done = subprocess.run(
        [sys.executable, "-c", script], check=False, cwd=root, stdout=subprocess.PIPE
    )
    child = int(done.stdout)
    deadline = time.monotonic() + 60
    while is_alive(child) and time.monotonic() < deadline:
        time.sleep(0.02)
    assert not is_alive(child)


def test_interrupted_download_leaves_no_cache(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A failed download is reported, and the next run starts it again."""
    programs = tmp_path / "bin"
    programs.mkdir()
    for name in ("java", "mvn"):
        (programs / name).write_text('#!/bin/sh\ntouch "$PARTIAL/half.jar"; echo broken; exit 1\n')
        (programs / name).chmod(0o755)
    cache = tmp_path / "cache" / "kafka"
    monkeypatch.setenv("PATH", f"{programs}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setenv("PARTIAL", f"{cache}.partial")
    with pytest.raises(KafkaUnavailable, match="broken"):
        kafka_classpath(cache)
    assert not cache.exists()


def test_missing_java_is_explained(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without Java, and without apt-get to install it, the error names the missing package."""
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(KafkaUnavailable, match="openjdk-17-jre-headless"):
        kafka_classpath(tmp_path / "kafka")
