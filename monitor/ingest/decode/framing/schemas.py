"""Messages that refer to a schema in a registry: Avro, JSON Schema and Protobuf.

The reference is in front of the value (a zero byte, and the identifier of the schema in four bytes)
or in a header. The client of the registry decodes the content. It is provided by `monitor.kafka`,
which this package must not depend on.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from monitor.ingest.decode.message import LogMessage
from monitor.records import RejectedRecord, RejectReason

HEADER: Final = "__value_schema_id"
"""Header with the identifier, as clients write it that do not put it in front of the value."""
_FRAME_BYTES: Final = 5

OpenSchema = Callable[[LogMessage], bytes]
"""Returns the content of a message as JSON.

Raises RejectedRecord if the schema is unknown or the value does not match it, and
RegistryUnavailable if the registry does not answer.
"""


class RegistryUnavailable(Exception):
    """The registry does not answer, so its messages can be decoded later, and must not be lost."""


def is_framed(message: LogMessage) -> bool:
    """Return whether a message refers to a schema. No format begins with a zero byte."""
    value = message.value
    return (len(value) > _FRAME_BYTES and value[0] == 0) or HEADER in message.headers


def no_registry(message: LogMessage) -> bytes:
    """Reject a message that needs a registry, as none is configured."""
    raise RejectedRecord(
        RejectReason.UNKNOWN_SCHEMA,
        "the message refers to a schema, and kafka.schema_registry is not configured",
    )
