"""Deserializers of confluent-kafka, one for each schema. Imported late: it needs the extra."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from confluent_kafka.schema_registry import SchemaRegistryClient
from confluent_kafka.schema_registry.avro import AvroDeserializer
from confluent_kafka.schema_registry.json_schema import JSONDeserializer
from confluent_kafka.schema_registry.protobuf import ProtobufDeserializer
from confluent_kafka.serialization import SerializationContext

from monitor.config.sections.kafka.registry import SchemaRegistryConfig
from monitor.kafka.readers.registry.protobuf import MessageTypes, fields_of

Key = int | str
Deserialize = Callable[[bytes, SerializationContext], Any]

_BY_ID: Final = {"subject.name.strategy": lambda context, name: None}
"""Schemas are found by their identifier only."""


def client(config: SchemaRegistryConfig) -> SchemaRegistryClient:
    """Return a client of the registry. It sends nothing before a schema is needed."""
    settings: dict[str, Any] = {
        "url": config.url,
        "timeout": config.timeout_seconds,
        "max.retries": 1,
        "cache.capacity": 1_000,
    }
    if config.user is not None and config.password is not None:
        settings["basic.auth.user.info"] = f"{config.user}:{config.password.get_secret_value()}"
    if config.ca is not None:
        settings["ssl.ca.location"] = config.ca
    return SchemaRegistryClient(settings)


def _avro(registry: SchemaRegistryClient, key: Key) -> Deserialize:
    deserializer: Deserialize = AvroDeserializer(registry, conf=dict(_BY_ID))
    return deserializer


def _json(registry: SchemaRegistryClient, key: Key) -> Deserialize:
    deserializer: Deserialize = JSONDeserializer(
        None, schema_registry_client=registry, conf=dict(_BY_ID)
    )
    return deserializer


def _protobuf(registry: SchemaRegistryClient, key: Key) -> Deserialize:
    types = MessageTypes(registry, key)
    deserializers: dict[Any, ProtobufDeserializer] = {}

    def deserialize(value: bytes, context: SerializationContext) -> Any:
        kind = types.of(value, context)
        if kind not in deserializers:
            deserializers[kind] = ProtobufDeserializer(kind, dict(_BY_ID), registry)
        return fields_of(deserializers[kind](value, context))

    return deserialize


DESERIALIZERS: Final[dict[str, Callable[[SchemaRegistryClient, Key], Deserialize]]] = {
    "AVRO": _avro,
    "JSON": _json,
    "PROTOBUF": _protobuf,
}
"""Type of a schema -> what makes the deserializer of one schema."""
