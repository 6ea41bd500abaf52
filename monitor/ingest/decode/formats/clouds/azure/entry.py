"""One record of Azure Monitor's resource logs."""

from __future__ import annotations

from typing import Any, Final

import msgspec

from monitor.ingest.decode.bodies.times import rfc3339
from monitor.ingest.decode.inference import MAX_ID_CHARS
from monitor.ingest.decode.json_decoding import lenient_decoder
from monitor.records import RejectedRecord, RejectReason

_NULL: Final = msgspec.Raw(b"null")
_text = lenient_decoder(str)
FIRST_FAILURE: Final = 400
"""Least HTTP status of a failure."""


class Entry(msgspec.Struct):
    """The fields that all categories have. properties: an object, or a text that holds one.

    time: when the processing of the request began. durationMs: of the whole request.
    """

    time: str | None = None
    category: str | None = None
    correlationId: str | None = None
    operationName: str | None = None
    durationMs: float | str | None = None
    resultSignature: str | int | None = None
    isRequestSuccess: bool | None = None
    properties: msgspec.Raw = _NULL

    @property
    def details(self) -> bytes:
        """The properties as JSON."""
        if self.properties is _NULL:
            return b"{}"
        raw = bytes(self.properties)
        if not raw.startswith(b'"'):
            return raw
        logged = _text(raw)
        return logged.encode() if logged else b"{}"

    @property
    def correlation(self) -> str | None:
        """What the records of one call share. Raises RejectedRecord if it is too long."""
        found = self.correlationId or _properties(self.details).correlationId
        if found is not None and len(found) > MAX_ID_CHARS:
            raise RejectedRecord(
                RejectReason.WRONG_TYPE, f"correlationId is longer than {MAX_ID_CHARS}"
            )
        return found

    @property
    def start(self) -> float | None:
        """Epoch seconds. Raises RejectedRecord if the time cannot be read."""
        if self.time is None:
            return None
        found = rfc3339(self.time)
        if found is None:
            raise RejectedRecord(RejectReason.BAD_TIMESTAMP, "time is not RFC 3339")
        return found


class _Properties(msgspec.Struct):
    correlationId: str | None = None


def _properties(details: bytes) -> _Properties:
    found: Any = _lenient(details)
    return found if isinstance(found, _Properties) else _Properties()


_lenient = lenient_decoder(_Properties)
