"""Read messages with their keys and headers from lines of JSON, as topics have them.

A line is {"key": ..., "headers": {NAME: ...}, "value": ...}. Keys, headers and values are text, or
{"base64": ...} for bytes that are not UTF-8, or null. Only the value is required.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterable, Iterator
from dataclasses import replace

import msgspec

from monitor.ingest.decode.json_decoding import json_decoder
from monitor.ingest.files.splitting.framing import Pieces
from monitor.records import RejectedRecord, RejectReason


class _Base64(msgspec.Struct):
    base64: str


class _Envelope(msgspec.Struct):
    value: str | _Base64 | None
    key: str | _Base64 | None = None
    headers: dict[str, str | _Base64 | None] | None = None


_decode = json_decoder(_Envelope)


def opened(batches: Iterable[Pieces]) -> Iterator[Pieces]:
    """Yield batches of lines as batches of the messages in them.

    A line that is no envelope has an empty payload, and its rejection in `invalid`.
    """
    for pieces in batches:
        payloads, keys, headers = [], [], []
        invalid: dict[int, RejectedRecord] = {}
        for index, line in enumerate(pieces.payloads):
            try:
                key, names, value = _open(line) if line.strip() else (None, {}, b"")
            except RejectedRecord as error:
                key, names, value = None, {}, b""
                invalid[index] = error.with_traceback(None)
            payloads.append(value)
            keys.append(key)
            headers.append(names)
        yield replace(
            pieces,
            payloads=payloads,
            lines_of_text=pieces.payloads,
            keys=keys,
            headers=headers,
            invalid=invalid,
        )


def _open(line: bytes) -> tuple[bytes | None, dict[str, bytes], bytes]:
    envelope = _decode(line)
    headers = {
        name: content
        for name, value in (envelope.headers or {}).items()
        if (content := _bytes(value)) is not None
    }
    return _bytes(envelope.key), headers, _bytes(envelope.value) or b""


def _bytes(value: str | _Base64 | None) -> bytes | None:
    if value is None or isinstance(value, str):
        return None if value is None else value.encode()
    try:
        return base64.b64decode(value.base64, validate=True)
    except (binascii.Error, ValueError):
        raise RejectedRecord(RejectReason.WRONG_TYPE, "`base64` is not base64") from None
