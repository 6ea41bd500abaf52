"""The daemon has the events of backtest, reports its health and applies its settings."""

from __future__ import annotations

import subprocess
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest
from confluent_kafka.admin import (  # type: ignore[attr-defined]  # public, unlisted
    AdminClient,
    ConfigResource,
    ResourceType,
)

from monitor.cli.backtest import backtest
from monitor.cli.demo.traffic import INJECTED, traffic
from monitor.config.schema import Config
from monitor.config.sections.kafka.section import KafkaConfig
from monitor.errors import UserError
from monitor.events.types import DriftEvent
from monitor.kafka.clients import check_client_settings
from monitor.kafka.topics import Topics
from tests.integration.broker import KafkaBroker, MockBroker
from tests.integration.harness import (
    QUICK,
    ROOT,
    TIMEOUT_S,
    Daemon,
    numbered,
    produce,
    read_all,
)
from tests.long_form import long_only

MakeTopic = Callable[..., str]
RECORDS = 12_000

pytestmark = pytest.mark.usefixtures("real_broker")


@pytest.fixture(scope="module")
def lines() -> list[bytes]:
    """Traffic of two models, one of which becomes slower half-way."""
    return list(traffic(RECORDS, change_at=RECORDS // 2, seed=7, rate=50.0, start=1_760_000_000.0))


@pytest.fixture(scope="module")
def expected(lines: list[bytes], tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Any]]:
    """The events of backtest for the traffic."""
    file = tmp_path_factory.mktemp("backtest") / "logs.jsonl"
    file.write_bytes(b"".join(line + b"\n" for line in lines))
    report = backtest([file], Config.model_validate(QUICK))
    assert any(INJECTED.explains(event.model, event.feature) for event in report.events)
    return by_id([*report.events, *report.updated, *report.resolved])


def by_id(events: list[DriftEvent]) -> list[dict[str, Any]]:
    """Return the events as plain values, in an order that does not depend on partitions."""
    plain = [msgspec.json.decode(msgspec.json.encode(event)) for event in events]
    return sorted(plain, key=lambda event: (event["id"], event["change"]))


def model_of(line: bytes | None) -> bytes:
    """Return the model of a record, the key of its message."""
    model: str = msgspec.json.decode(line or b"")["model"]
    return model.encode()


@pytest.mark.parametrize("partitions", [pytest.param(1, marks=long_only), 4])
def test_daemon_and_backtest_agree(
    partitions: int,
    lines: list[bytes],
    expected: list[dict[str, Any]],
    broker: KafkaBroker,
    topic: MakeTopic,
    tmp_path: Path,
) -> None:
    """The daemon's events equal those of backtest in every field, except the position if the log
    has several partitions, and its metrics count every record.
    """
    logs, prefix = topic(partitions), uuid.uuid4().hex
    produce(broker.bootstrap, logs, lines, key=model_of)
    with Daemon(tmp_path, broker.bootstrap, prefix=prefix, logs=[logs]) as daemon:
        daemon.wait_metric("records_watched_total", RECORDS)
        assert daemon.get("/healthz") == (200, "ok\n")
        assert daemon.get("/readyz") == (200, "ok\n")
        assert daemon.metric("records_consumed_total", topic=logs) == RECORDS
        assert daemon.metric("records_rejected_total") == 0
        assert daemon.metric("inference_requests_total") == RECORDS
        # counted with the next checkpoint
        daemon.wait(
            lambda: daemon.metric("drift_events_total", model=INJECTED.model) > 0, "its events"
        )
        assert daemon.metric("consumer_lag_records", topic=logs) == 0
        assert daemon.stop() == 0
    messages = read_all(broker.bootstrap, Topics(prefix).events)
    decode = msgspec.json.Decoder(DriftEvent).decode
    found = by_id([decode(message.value() or b"") for message in messages])
    if partitions > 1:
        for event in [*found, *expected]:
            event["position"] = None
    assert found == expected
    assert {m.key() for m in messages} == {event["model"].encode() for event in expected}


def test_settings_reach_the_broker(broker: KafkaBroker, topic: MakeTopic, tmp_path: Path) -> None:
    """Topics are created with the documented partitions, retention, cleanup policy and message
    size, and settings in kafka.client reach librdkafka: the broker sees the client.id.
    """
    prefix, day = uuid.uuid4().hex, 86_400_000
    wanted: dict[str, dict[str, object]] = {
        "features": {"retention.ms": 14 * day, "cleanup.policy": "delete"},
        "dlq": {"retention.ms": 14 * day, "cleanup.policy": "delete"},
        "events": {"retention.ms": 90 * day, "cleanup.policy": "delete"},
        "state": {"cleanup.policy": "compact"},
    }
    for name in ("features", "dlq"):
        wanted[name]["max.message.bytes"] = 8 << 20
    admin = AdminClient({"bootstrap.servers": broker.bootstrap})
    kafka: dict[str, Any] = {
        "partitions": 3,
        "client": {"client.id": "ours", "socket.timeout.ms": 20_000},
    }
    logs = [topic()]
    with Daemon(tmp_path, broker.bootstrap, prefix=prefix, logs=logs, kafka=kafka) as daemon:
        daemon.wait_ready()
        groups = [f"{prefix}-ingest", f"{prefix}-detect"]
        for group in admin.describe_consumer_groups(groups).values():
            assert [member.client_id for member in group.result(30).members] == ["ours"]
    resources = [ConfigResource(ResourceType.TOPIC, f"{prefix}.{name}") for name in wanted]
    for resource, future in admin.describe_configs(resources).items():
        expected = wanted[resource.name.rsplit(".", 1)[1]]
        settings = future.result(30)
        assert {key: settings[key].value for key in expected} == {
            key: str(value) for key, value in expected.items()
        }
    described = admin.list_topics(timeout=30).topics
    assert {len(described[f"{prefix}.{name}"].partitions) for name in wanted} == {3}


def test_an_unusable_setting_is_one_line(tmp_path: Path) -> None:
    """A setting that librdkafka rejects ends the daemon before it starts: one line, status 2."""
    kafka = {"client": {"socket.timeout.msx": 1}}
    daemon = Daemon(tmp_path, "localhost:1", prefix="p", logs=["l"], kafka=kafka)
    done = subprocess.run(
        daemon.command, check=False, cwd=ROOT, capture_output=True, timeout=TIMEOUT_S
    )
    (line,) = done.stderr.decode().splitlines()
    assert line == 'kafka.client: No such configuration property: "socket.timeout.msx"'
    assert done.returncode == 2


@pytest.mark.parametrize(
    ("client", "complaint"),
    [
        ({"security.protocol": "nonsense"}, "nonsense"),
        ({"socket.timeout.ms": "soon"}, "socket.timeout.ms"),
        ({"security.protocol": "sasl_plaintext", "sasl.mechanism": "PLAIN"}, "sasl.username and"),
        ({"security.protocol": "ssl", "ssl.ca.location": "/nowhere"}, "ssl.ca.location"),
        ({"acks": 1}, "acks"),
    ],
)
def test_unusable_settings_are_found_up_front(client: dict[str, Any], complaint: str) -> None:
    """Settings that the clients of a role would reject are rejected before the daemon starts."""
    config = KafkaConfig.model_validate({"client": client})
    with pytest.raises(UserError, match=complaint):
        check_client_settings(config)


def test_a_failed_handshake_is_logged(broker: KafkaBroker, tmp_path: Path) -> None:
    """TLS or SASL settings that do not fit the broker are logged, without the secret, and the
    daemon still stops with status 0.
    """
    (tmp_path / "password").write_text("hunter2")
    sasl = {
        "security.protocol": "sasl_plaintext",
        "sasl.mechanism": "PLAIN",
        "sasl.username": "somebody",
        "sasl.password": {"file": str(tmp_path / "password")},
    }

    def daemon(client: dict[str, Any]) -> Daemon:
        return Daemon(tmp_path, broker.bootstrap, prefix="p", logs=["l"], kafka={"client": client})

    with daemon({"security.protocol": "ssl"}) as tls, daemon(sasl) as password:
        for each, reason in ((tls, "SSL"), (password, "SASL")):
            line = each.wait_for("waiting for the broker", count=2)
            assert reason in line["error"]
            assert each.get("/healthz")[0] == 200
            assert each.get("/readyz") == (503, "not ready: detect, ingest\n")
        for each in (tls, password):
            assert each.stop() == 0
        assert "hunter2" not in password.log_text()


def test_two_idle_members_are_both_ready(
    broker: KafkaBroker | MockBroker, topic: MakeTopic, tmp_path: Path
) -> None:
    """A member that gets no partition is ready."""
    prefix, logs = uuid.uuid4().hex, topic()
    produce(broker.bootstrap, logs, [numbered(1)])
    one = Daemon(tmp_path, broker.bootstrap, prefix=prefix, logs=[logs], roles="ingest")
    with one:
        one.wait_ready()
        two = Daemon(tmp_path, broker.bootstrap, prefix=prefix, logs=[logs], roles="ingest")
        with two:
            two.wait_ready()
