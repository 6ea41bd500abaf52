"""Decode messages in tests of formats."""

from __future__ import annotations

import json
from typing import Any

from monitor.ingest.decode.formats import FORMATS
from monitor.ingest.decode.inference import ModelNaming
from monitor.ingest.decode.log_decoder import AUTO, LogDecoder, Result
from monitor.ingest.decode.message import LogMessage
from monitor.ingest.decode.native.decoder import NativeDecoder
from monitor.records import WholeRecord

NATIVE = NativeDecoder()


def message(body: Any) -> LogMessage:
    """Return a message whose value is a body as JSON, or bytes as they are."""
    return LogMessage(body if isinstance(body, bytes) else json.dumps(body).encode())


def results(body: Any, chosen: str = AUTO, naming: ModelNaming | None = None) -> list[Result]:
    """Return everything in a message."""
    decoder = LogDecoder(chosen, NATIVE, FORMATS, naming or ModelNaming())
    return list(decoder.found(message(body)))


def only_record(body: Any, chosen: str = AUTO, naming: ModelNaming | None = None) -> WholeRecord:
    """Return the record of a message that holds nothing else."""
    (result,) = results(body, chosen, naming)
    assert isinstance(result, WholeRecord), result
    return result


def recognized(body: Any) -> list[str]:
    """Return the names of the formats that recognize a message."""
    return [name for name, each in FORMATS.items() if each.recognizes(message(body))]
