"""Decode messages that refer to a schema, with the deserializers of confluent-kafka.

Schemas are looked up by the identifier in the message, never by subject, so any strategy of naming
subjects works. Deserializers are kept for the most recent schemas. Imported late: it needs the
extra.
"""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable
from typing import Final
from uuid import UUID

import msgspec
from confluent_kafka.schema_registry import Schema, SchemaRegistryClient
from confluent_kafka.schema_registry.error import SchemaRegistryError
from confluent_kafka.serialization import MessageField, SerializationContext
from httpx2 import HTTPError

from monitor.config.sections.kafka.registry import SchemaRegistryConfig
from monitor.ingest.decode.framing.schemas import HEADER, RegistryUnavailable
from monitor.ingest.decode.message import LogMessage
from monitor.kafka.readers.registry.deserializers import (
    DESERIALIZERS,
    Deserialize,
    Key,
    client,
)
from monitor.records import RejectedRecord, RejectReason

MAX_SCHEMAS: Final = 1_000
"""Schemas whose deserializers are kept."""
MAX_UNKNOWN: Final = 10_000
"""Identifiers that are remembered as unknown."""
UNKNOWN_SECONDS: Final = 30.0
"""Time after which an unknown identifier is looked up again."""
_NOT_FOUND: Final = 404
_FRAME: Final = 5
_GUID_FRAME: Final = 17

_encode = msgspec.json.Encoder(
    enc_hook=str, decimal_format="number", uuid_format="canonical"
).encode


class RegistryOpener:
    """Decodes messages with the schemas of a registry.

    clock: seconds.
    """

    def __init__(
        self, config: SchemaRegistryConfig, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._clock = clock
        self._schemas = client(config)
        self._client = client(config)  # caches schemas in another form, with the same keys
        self._deserializers: OrderedDict[Key, Deserialize] = OrderedDict()
        self._unknown: OrderedDict[Key, float] = OrderedDict()

    def __call__(self, message: LogMessage) -> bytes:
        """Return the content of a message as JSON."""
        key = _schema_of(message)
        headers = {HEADER: message.headers[HEADER]} if HEADER in message.headers else {}
        context = SerializationContext(message.topic, MessageField.VALUE, headers)  # type: ignore[arg-type]  # a dict of headers is accepted as well
        deserialize = self._deserializer(key)
        try:
            return _encode(deserialize(message.value, context))
        except Exception as error:
            raise self._problem(error, key) from None

    def _deserializer(self, key: Key) -> Deserialize:
        found = self._deserializers.get(key)
        if found is not None:
            self._deserializers.move_to_end(key)
            return found
        since = self._unknown.get(key)
        if since is not None and self._clock() - since < UNKNOWN_SECONDS:
            raise _unknown(key)
        try:
            schema = _lookup(self._schemas, key)
            make = DESERIALIZERS.get(schema.schema_type or "AVRO")
            if make is None:
                raise RejectedRecord(RejectReason.UNKNOWN_SCHEMA, "schema of an unknown type")
            found = make(self._client, key)
        except RejectedRecord:
            raise
        except Exception as error:
            raise self._problem(error, key) from None
        self._deserializers[key] = found
        if len(self._deserializers) > MAX_SCHEMAS:
            self._deserializers.popitem(last=False)
        return found

    def _problem(self, error: Exception, key: Key) -> Exception:
        """Return what an error of a deserializer means."""
        if isinstance(error, RejectedRecord | RegistryUnavailable):
            return error
        if isinstance(error, SchemaRegistryError):
            if error.http_status_code != _NOT_FOUND:
                return RegistryUnavailable(f"HTTP status {error.http_status_code}")
            self._unknown[key] = self._clock()
            self._unknown.move_to_end(key)
            if len(self._unknown) > MAX_UNKNOWN:
                self._unknown.popitem(last=False)
            return _unknown(key)
        if isinstance(error, HTTPError | OSError):
            return RegistryUnavailable(type(error).__name__)
        return RejectedRecord(RejectReason.WRONG_TYPE, "the value does not match its schema")


def _lookup(client: SchemaRegistryClient, key: Key) -> Schema:
    return client.get_schema(key) if isinstance(key, int) else client.get_schema_by_guid(key)


def _unknown(key: Key) -> RejectedRecord:
    return RejectedRecord(RejectReason.UNKNOWN_SCHEMA, f"the registry has no schema {key}")


def _schema_of(message: LogMessage) -> Key:
    """Return the identifier of a message's schema: a number, or a GUID in newer messages.

    Raises RejectedRecord if it cannot be read.
    """
    frame = message.headers.get(HEADER, message.value)
    if frame[:1] == b"\x00" and len(frame) >= _FRAME:
        return int.from_bytes(frame[1:_FRAME], "big")
    if frame[:1] == b"\x01" and len(frame) >= _GUID_FRAME:
        return str(UUID(bytes=frame[1:_GUID_FRAME]))
    raise RejectedRecord(RejectReason.UNKNOWN_SCHEMA, "the identifier of the schema is damaged")
