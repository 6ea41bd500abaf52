"""Messages of OTLP whose end is missing are rejected as such."""

from __future__ import annotations

import pytest

from monitor.ingest.decode.formats import FORMATS
from monitor.ingest.decode.inference import ModelNaming
from monitor.ingest.decode.log_decoder import AUTO, LogDecoder
from monitor.ingest.decode.message import LogMessage
from monitor.ingest.decode.native.decoder import NativeDecoder
from monitor.records import RejectedRecord
from tests.monitor.ingest.decode.encoders.otlp import in_json, in_protobuf, span
from tests.monitor.ingest.decode.payloads import payload

CHAT = {"gen_ai.operation.name": "chat", "gen_ai.request.model": "gpt-4o"}


def reasons(value: bytes) -> set[str]:
    """The reasons for which `format: auto` rejects a message."""
    decoder = LogDecoder(AUTO, NativeDecoder(), FORMATS, ModelNaming())
    found = list(decoder.found(LogMessage(value)))
    return {str(each.reason) for each in found if isinstance(each, RejectedRecord)}


def test_truncated_protobuf_is_named() -> None:
    """From its first resource on, a message in protobuf is rejected as protobuf."""
    whole = in_protobuf(span(CHAT), span(CHAT)).value
    for size in range(60, len(whole)):
        assert reasons(whole[:size]) == {"not_protobuf"}, size


def test_truncated_json_is_named() -> None:
    """JSON that ends early is rejected as JSON."""
    whole = in_json(span(CHAT)).value
    assert reasons(whole[: len(whole) // 2]) == {"not_json"}


@pytest.mark.parametrize("before", [b"\n", b"\n\n\n\n", b"\n\t\n\n\n\n\n", b"\n \n \n \n"])
def test_json_after_blank_lines_is_no_protobuf(before: bytes) -> None:
    """A newline is the first tag of OTLP, and a blank in JSON."""
    assert reasons(before + payload(response="\\u0012")) == set()
