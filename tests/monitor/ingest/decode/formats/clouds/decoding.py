"""Decode messages of a format as the daemon does."""

from __future__ import annotations

import json
from typing import Any

from monitor.ingest.decode.formats import FORMATS
from monitor.ingest.decode.inference import ModelNaming
from monitor.ingest.decode.log_decoder import AUTO, LogDecoder
from monitor.ingest.decode.message import LogMessage, Skipped
from monitor.ingest.decode.native.decoder import NativeDecoder
from monitor.records import RejectedRecord, WholeRecord

Found = WholeRecord | str
"""A record, or the kind of what is skipped, or the reason of a rejection."""


def found(*messages: LogMessage) -> list[Found]:
    """Everything in messages, in the order in which it is found."""
    decoder = LogDecoder(AUTO, NativeDecoder(), FORMATS, ModelNaming())
    return [_shown(each) for message in messages for each in decoder.found(message)]


def at_the_end(*messages: LogMessage) -> tuple[list[WholeRecord], dict[str, int]]:
    """The records in messages that are a whole file, and the number of what is skipped by kind."""
    decoder = LogDecoder(AUTO, NativeDecoder(), FORMATS, ModelNaming())
    payloads = [message.value for message in messages]
    decoded = decoder.many(payloads, lambda index: messages[index])
    rest = decoder.rest()
    assert decoded.rejected + rest.rejected == []
    found = [*decoded.wholes.values(), *rest.wholes.values()]
    records = [each for each in found if isinstance(each, WholeRecord)]
    assert len(records) == len(found)
    return records, dict(decoded.skipped + rest.skipped)


def message(value: Any, **headers: str) -> LogMessage:
    """A message with a value in JSON; `_` in a header's name is `-`."""
    names = {name.replace("_", "-"): text.encode() for name, text in headers.items()}
    return LogMessage(json.dumps(value).encode(), names)


def record(*messages: LogMessage) -> WholeRecord:
    """The only thing in messages."""
    (each,) = found(*messages)
    assert isinstance(each, WholeRecord), each
    return each


def _shown(each: WholeRecord | Skipped | RejectedRecord) -> Found:
    if isinstance(each, WholeRecord):
        return each
    return each.kind if isinstance(each, Skipped) else str(each.reason)
