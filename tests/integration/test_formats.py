"""Messages of other formats, framings and compressions through a real broker, exactly once."""

from __future__ import annotations

import gzip
import json
import sys
import uuid
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from cloudevents.core.bindings.kafka import to_binary_event, to_structured_event
from cloudevents.core.v1.event import CloudEvent
from confluent_kafka import Producer
from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from tests.integration.broker import KafkaBroker
from tests.integration.harness import TIMEOUT_S, Daemon, committed, letters, numbered, times
from tests.monitor.kafka.readers.registry.messages import Serializers
from tests.schema_registry import SchemaRegistry

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

pytestmark = pytest.mark.usefixtures("real_broker")

Written = tuple[bytes, Mapping[str, bytes]]
"""The value and the headers of a message."""


def send(
    broker: KafkaBroker, topic: str, messages: Iterable[Written], compression: str = "none"
) -> None:
    """Produce messages in order, in batches with a compression of the broker."""
    producer = Producer(
        {
            "bootstrap.servers": broker.bootstrap,
            "log_level": 2,
            "enable.idempotence": True,
            "compression.type": compression,
        }
    )
    for value, headers in messages:
        producer.produce(topic, value, headers=dict(headers))
    assert producer.flush(TIMEOUT_S) == 0


def events(number: int, *, binary: bool) -> list[Written]:
    """The request and the response of a call in KServe's log, a second apart, at a time."""
    bodies: list[tuple[str, dict[str, Any]]] = [
        ("request", {"model": "m", "messages": [{"role": "user", "content": "Grüße"}]}),
        ("response", {"model": "m-1", "choices": [{"message": {"content": "4"}}]}),
    ]
    made: list[Written] = []
    for seconds, (role, body) in enumerate(bodies):
        event = CloudEvent(
            {
                "id": f"call-{number}",
                "source": "http://localhost:9081/",
                "type": f"org.kubeflow.serving.inference.{role}",
                "time": datetime.fromtimestamp(number + seconds, UTC),
                "specversion": "1.0",
                "datacontenttype": "application/json",
                "inferenceservicename": "chat",
            },
            body,
        )
        message = to_binary_event(event) if binary else to_structured_event(event)
        made.append((message.value, message.headers))
    return made


def bedrock(number: int) -> Written:
    """A batch of a CloudWatch subscription, as it arrives."""
    entry = {
        "schemaType": "ModelInvocationLog",
        "timestamp": datetime.fromtimestamp(number, UTC).isoformat(),
        "requestId": f"call-{number}",
        "modelId": "amazon.nova-lite-v1:0",
        "input": {"inputTokenCount": 1},
        "output": {"outputTokenCount": 1},
    }
    event = {"id": "1", "timestamp": 1, "message": json.dumps(entry)}
    batch = {"messageType": "DATA_MESSAGE", "logGroup": "g", "logEvents": [event]}
    return gzip.compress(json.dumps(batch).encode()), {}


def spans(numbers: Iterable[int]) -> Written:
    """A batch of spans as the exporter of OpenTelemetry's SDK writes it: a call, and its tool."""
    exporter = InMemorySpanExporter()
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    tracer = provider.get_tracer("test")
    for number in numbers:
        start = number * 1_000_000_000
        chat: dict[str, str | int] = {
            "gen_ai.operation.name": "chat",
            "gen_ai.request.model": "m",
            "gen_ai.response.id": f"call-{number}",
            "gen_ai.usage.input_tokens": 1,
        }
        for name, attributes in (
            ("chat", chat),
            ("tool", {"gen_ai.operation.name": "execute_tool"}),
        ):
            tracer.start_span(name, attributes=attributes, start_time=start).end(start + 1_000_000)
    return encode_spans(exporter.get_finished_spans()).SerializeToString(), {}


def daemon(
    broker: KafkaBroker, folder: Path, prefix: str, topics: list[str], **kafka: Any
) -> Daemon:
    """Ingest of some topics."""
    return Daemon(folder, broker.bootstrap, prefix=prefix, logs=topics, roles="ingest", kafka=kafka)


def test_everything_is_decoded_once(broker: KafkaBroker, tmp_path: Path) -> None:
    """Libraries of the formats, every compression, and schemas give one record for each call."""
    prefix = uuid.uuid4().hex
    topics = [f"{prefix}-{n}" for n in range(2)]
    for topic in topics:
        broker.create_topic(topic)
    expected: list[int] = []

    def numbers(count: int) -> range:
        found = range(len(expected), len(expected) + count)
        expected.extend(found)
        return found

    for compression in ("none", "gzip", "snappy", "lz4", "zstd"):
        send(broker, topics[0], [(numbered(n), {}) for n in numbers(50)], compression)
    send(broker, topics[0], [(gzip.compress(numbered(n)), {}) for n in numbers(20)])
    send(broker, topics[0], [(zstd.compress(numbered(n)), {}) for n in numbers(20)])
    send(broker, topics[0], [bedrock(n) for n in numbers(20)])
    send(broker, topics[0], [spans(numbers(20)) for _ in range(3)], "zstd")
    send(broker, topics[0], [each for n in numbers(20) for each in events(n, binary=True)])
    later = [events(n, binary=False) for n in numbers(20)]
    send(broker, topics[0], [request for request, _ in later])
    with SchemaRegistry() as registry:
        for headers in (False, True):
            serializers = Serializers(registry.url, headers=headers)
            for write in (serializers.avro, serializers.json, serializers.protobuf):
                send(broker, topics[1], [write(topics[1], n) for n in numbers(10)])
        settings = {"schema_registry": {"url": registry.url}}
        with daemon(broker, tmp_path, prefix, topics, **settings) as running:
            running.wait_metric("records_decoded_total", len(expected) - len(later))
            running.wait_metric("calls_waiting", len(later))
            send(broker, topics[0], [response for _, response in later])
            running.wait_metric("records_decoded_total", len(expected))
            assert running.metric("records_decoded_total", format="kserve") == 40
            assert running.metric("records_decoded_total", format="bedrock") == 20
            assert running.metric("records_decoded_total", format="otlp") == 60
            assert running.metric("records_skipped_total", kind="tool") == 60
            assert running.metric("records_rejected_total") == 0
            running.wait(lambda: running.metric("calls_waiting") == 0, "no call that waits")
            assert running.stop() == 0
    assert times(broker.bootstrap, prefix) == [float(n) for n in expected]
    assert not letters(broker.bootstrap, prefix)


def test_a_registry_that_is_away_loses_nothing(broker: KafkaBroker, tmp_path: Path) -> None:
    """Until the registry answers, nothing is committed and ingest is not ready; then all is read.

    The messages of another partition, which need no schema, are not lost either.
    """
    prefix = uuid.uuid4().hex
    topics = [f"{prefix}-{n}" for n in range(2)]
    for topic in topics:
        broker.create_topic(topic)
    with SchemaRegistry() as registry:
        write = Serializers(registry.url).avro
        send(broker, topics[0], [write(topics[0], n) for n in range(100)])
        send(broker, topics[1], [(numbered(n), {}) for n in range(100, 200)])
        registry.available = False
        settings = {"schema_registry": {"url": registry.url, "timeout_seconds": 1}}
        with daemon(broker, tmp_path, prefix, topics, **settings) as running:
            running.wait_metric("schema_registry_failures_total", 2)
            assert committed(broker.bootstrap, f"{prefix}-ingest", topics[0]) <= 0
            assert running.get("/healthz")[0] == 200
            running.wait(lambda: running.get("/readyz")[0] == 503, "no readiness")
            registry.available = True
            running.wait_metric("records_decoded_total", 200)
            running.wait_ready()
            assert running.stop() == 0
    assert times(broker.bootstrap, prefix) == [float(n) for n in range(200)]
    assert not letters(broker.bootstrap, prefix)


@pytest.mark.parametrize("choice", ["count", "drop"])
def test_repeated_records_are_counted(broker: KafkaBroker, tmp_path: Path, choice: str) -> None:
    """Records that are produced twice are counted, and dropped where that is configured."""
    prefix = uuid.uuid4().hex
    topic = f"{prefix}-logs"
    broker.create_topic(topic)
    once: list[Written] = [(numbered(n), {}) for n in range(300)]
    send(broker, topic, once + once[:100])
    process = Daemon(
        tmp_path,
        broker.bootstrap,
        prefix=prefix,
        logs=[topic],
        roles="ingest",
        decoding={"duplicates": choice},
    )
    with process as running:
        running.wait_metric("records_consumed_total", 400)
        assert running.metric("records_duplicate_total") == 100
        assert running.stop() == 0
    found = times(broker.bootstrap, prefix)
    assert len(found) == (300 if choice == "drop" else 400)
    assert sorted(set(found)) == [float(n) for n in range(300)]
