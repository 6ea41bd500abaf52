"""Native records as confluent-kafka's serializers write them."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any, Final

from confluent_kafka.schema_registry import (
    SchemaRegistryClient,
    header_schema_id_serializer,
    topic_subject_name_strategy,
)
from confluent_kafka.schema_registry.avro import AvroSerializer
from confluent_kafka.schema_registry.json_schema import JSONSerializer
from confluent_kafka.schema_registry.protobuf import ProtobufSerializer
from confluent_kafka.serialization import MessageField, SerializationContext
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory, timestamp_pb2

AVRO: Final = json.dumps(
    {
        "type": "record",
        "name": "Inference",
        "fields": [
            {"name": "request_id", "type": "string"},
            {"name": "timestamp", "type": {"type": "long", "logicalType": "timestamp-millis"}},
            {"name": "model", "type": "string"},
            {"name": "response", "type": ["null", "string"], "default": None},
            {"name": "input_tokens", "type": ["null", "long"], "default": None},
            {
                "name": "cost_usd",
                "type": {"type": "bytes", "logicalType": "decimal", "precision": 9, "scale": 6},
            },
            {"name": "finish_reason", "type": {"type": "enum", "name": "R", "symbols": ["stop"]}},
        ],
    }
)
JSON_SCHEMA: Final = json.dumps(
    {
        "$schema": "http://json-schema.org/draft-07/schema#",
        "title": "Inference",
        "type": "object",
        "properties": {"request_id": {"type": "string"}, "input_tokens": {"type": "integer"}},
        "required": ["request_id"],
    }
)


def record(number: int) -> dict[str, Any]:
    """A record as JSON has it."""
    return {
        "request_id": f"r{number}",
        "timestamp": number,
        "model": "m",
        "response": "Grüße",
        "input_tokens": 2**40 + number,
        "cost_usd": 0.25,
        "finish_reason": "stop",
    }


def _message_class() -> Any:
    """The class of a nested message, with an enumeration and a common type of Google."""
    file = descriptor_pb2.FileDescriptorProto(name="inference.proto", package="p", syntax="proto3")
    file.dependency.append("google/protobuf/timestamp.proto")
    outer = file.message_type.add(name="Outer")
    inner = outer.nested_type.add(name="Inference")
    kind = descriptor_pb2.FieldDescriptorProto
    for number, (name, of) in enumerate(
        {
            "request_id": kind.TYPE_STRING,
            "model": kind.TYPE_STRING,
            "response": kind.TYPE_STRING,
            "input_tokens": kind.TYPE_INT64,
            "cost_usd": kind.TYPE_DOUBLE,
        }.items(),
        1,
    ):
        inner.field.add(name=name, number=number, type=of, label=kind.LABEL_OPTIONAL)
    time, reason = ".google.protobuf.Timestamp", ".p.Outer.Reason"
    single = kind.LABEL_OPTIONAL
    inner.field.add(
        name="timestamp", number=8, type=kind.TYPE_MESSAGE, type_name=time, label=single
    )
    inner.field.add(
        name="finish_reason", number=9, type=kind.TYPE_ENUM, type_name=reason, label=single
    )
    inner.field.add(name="contexts", number=10, type=kind.TYPE_STRING, label=kind.LABEL_REPEATED)
    symbols = outer.enum_type.add(name="Reason")
    symbols.value.add(name="none", number=0)
    symbols.value.add(name="stop", number=1)
    pool = descriptor_pool.DescriptorPool()
    known = descriptor_pb2.FileDescriptorProto()
    known.ParseFromString(timestamp_pb2.DESCRIPTOR.serialized_pb)
    pool.Add(known)
    pool.Add(file)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName("p.Outer.Inference"))


INFERENCE: Final = _message_class()


class Serializers:
    """Serializers for one registry. headers: whether the schema is named in a header."""

    def __init__(self, url: str, *, headers: bool = False, user: str | None = None) -> None:
        settings = {"url": url} | ({} if user is None else {"basic.auth.user.info": user})
        client = SchemaRegistryClient(settings)
        conf: dict[str, Any] = {"subject.name.strategy": topic_subject_name_strategy}
        if headers:
            conf["schema.id.serializer"] = header_schema_id_serializer
        self._avro = AvroSerializer(client, AVRO, conf=dict(conf))
        self._json = JSONSerializer(JSON_SCHEMA, client, conf=dict(conf))
        self._protobuf = ProtobufSerializer(INFERENCE, client, dict(conf))

    def avro(self, topic: str, number: int) -> tuple[bytes, dict[str, bytes]]:
        """A record in Avro, with its headers."""
        fields = record(number)
        fields["timestamp"] = datetime.fromtimestamp(number, UTC)
        from decimal import Decimal

        fields["cost_usd"] = Decimal("0.250000")
        return _written(self._avro, topic, fields)

    def json(self, topic: str, number: int) -> tuple[bytes, dict[str, bytes]]:
        """A record in JSON with a schema, with its headers."""
        return _written(self._json, topic, record(number))

    def protobuf(self, topic: str, number: int) -> tuple[bytes, dict[str, bytes]]:
        """A record in Protobuf, with its headers."""
        fields = record(number) | {"finish_reason": 1, "contexts": ["a", "b"]}
        message = INFERENCE(**{k: v for k, v in fields.items() if k != "timestamp"})
        message.timestamp.FromSeconds(number)
        return _written(self._protobuf, topic, message)


def _written(serializer: Any, topic: str, value: Any) -> tuple[bytes, dict[str, bytes]]:
    headers: list[Any] = []
    context = SerializationContext(topic, MessageField.VALUE, headers)
    return serializer(value, context), dict(headers)
