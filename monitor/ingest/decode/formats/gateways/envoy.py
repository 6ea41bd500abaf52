"""Access logs of Envoy AI Gateway and of Higress.

An access log has the keys that its operator chose. Known are those of the documentation: `gen_ai.*`
and `genai_*` of Envoy AI Gateway, and those of Higress, which are in the JSON text `ai_log`.
Numbers may be texts, and `-` stands for a value that is absent. Sources: accesslogs.md of
envoyproxy/ai-gateway, the README of the plugin ai-statistics of alibaba/higress.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

import msgspec

from monitor.ingest.decode.bodies.times import NANOSECONDS, epoch_seconds
from monitor.ingest.decode.bodies.values import identifier, metadata, parsed_number, text
from monitor.ingest.decode.formats.gateways.http import error_of_status, present
from monitor.ingest.decode.formats.otlp.otlp import read
from monitor.ingest.decode.formats.otlp.reading.entries import LogRecord
from monitor.ingest.decode.formats.otlp.reading.signals import LOGS, is_access_log, signal_of
from monitor.ingest.decode.framing.documents import Documents, first_document, opened
from monitor.ingest.decode.inference import Inference
from monitor.ingest.decode.json_decoding import lenient_decoder
from monitor.ingest.decode.message import Found, LogMessage, Skipped
from monitor.records import RejectedRecord, RejectReason

_NULL: Final = msgspec.Raw(b"null")
_KEY: Final = b"start_time"
Fields = Mapping[str, Any]

MODEL: Final = ("gen_ai.request.model", "genai_model_name", "model")
OVERRIDDEN: Final = ("gen_ai.request.model_override", "genai_model_name_override")
RESPONDED: Final = ("gen_ai.response.model", "genai_response_model", *OVERRIDDEN)
INPUT: Final = ("gen_ai.usage.input_tokens", "genai_tokens_input", "input_token")
OUTPUT: Final = ("gen_ai.usage.output_tokens", "genai_tokens_output", "output_token")
LATENCY: Final = ("duration", "llm_service_duration")
FIRST_TOKEN: Final = ("llm_first_token_duration",)
REQUEST_ID: Final = ("x-request-id", "request_id", "x_request_id", "gen_ai.response.id")
STATUS: Final = ("response_code",)
USER: Final = ("user.id", "consumer")
SESSION: Final = ("session.id", "gen_ai.conversation.id", "session_id")
PATH: Final = ("x-envoy-origin-path", "x-envoy-original-path", ":path", "path")
MCP: Final = ("mcp_method", "mcp.method.name")
PATHS: Final = {
    "/embeddings": "embedding",
    "/rerank": "rerank",
    "/moderations": "moderation",
    "/images/": "image",
    "/audio/": "audio",
    "/batches": "batch",
}
"""What is in the path of a request that is no call of a language model -> kind."""


class _Keys(msgspec.Struct, gc=False):
    """Top-level keys by which a line differs from records of other formats."""

    start_time: msgspec.Raw = _NULL
    gen_ai_model: msgspec.Raw = msgspec.field(default=_NULL, name="gen_ai.request.model")
    gen_ai_input: msgspec.Raw = msgspec.field(default=_NULL, name="gen_ai.usage.input_tokens")
    genai_model_name: msgspec.Raw = _NULL
    genai_tokens_input: msgspec.Raw = _NULL
    ai_log: msgspec.Raw = _NULL
    input_token: msgspec.Raw = _NULL
    mcp_method: msgspec.Raw = _NULL
    mcp_method_name: msgspec.Raw = msgspec.field(default=_NULL, name="mcp.method.name")


_documents: Final = Documents(dict[str, Any])
_first_keys: Final = first_document(_Keys)
_decode_lenient: Final = lenient_decoder(Any)


def recognizes(message: LogMessage) -> bool:
    """Return whether a message holds lines of an access log with the known keys."""
    if _is_otlp(message):
        return True
    value = opened(message.value, _KEY)
    keys = None if value is None else _first_keys(value)
    if keys is None or keys.start_time is _NULL:
        return False
    return any(
        each is not _NULL
        for each in (
            keys.gen_ai_model,
            keys.gen_ai_input,
            keys.genai_model_name,
            keys.genai_tokens_input,
            keys.ai_log,
            keys.input_token,
            keys.mcp_method,
            keys.mcp_method_name,
        )
    )


def decode(message: LogMessage) -> Iterator[Found]:
    """Yield the calls of a message."""
    lines = _otlp_lines(message) if _is_otlp(message) else _lines(message)
    for line, time in lines:
        if isinstance(line, RejectedRecord):
            yield line
            continue
        try:
            yield _call(line, time)
        except RejectedRecord as error:
            yield error.with_traceback(None)


_Lines = Iterator[tuple[Fields | RejectedRecord, float | None]]
"""Lines, each with a time in epoch seconds for those that have none themselves."""


def _lines(message: LogMessage) -> _Lines:
    return ((line, None) for line in _documents(opened(message.value, _KEY) or message.value))


def _is_otlp(message: LogMessage) -> bool:
    """Return whether a message has lines as log records of OTLP, as Envoy's sink sends them."""
    return signal_of(message) == LOGS and is_access_log(message.value)


def _otlp_lines(message: LogMessage) -> _Lines:
    """Yield the attributes of log records, all of which are texts."""
    for entry in read(message) or ():
        if isinstance(entry, RejectedRecord):
            yield entry, None
        elif isinstance(entry, LogRecord):
            context = {"trace_id": entry.trace_id} if entry.trace_id else {}
            time = entry.time / NANOSECONDS if entry.time else None
            yield {**context, **entry.attributes}, time


def _call(line: Fields, time: float | None) -> Inference | Skipped:
    """Return the call in the fields of a line.

    time: epoch seconds, of a line that does not have one. Raises RejectedRecord if a number is of
    another type.
    """
    fields = {**line, **_ai_log(line)}
    model, responded = (text(_first(fields, names)) for names in (MODEL, RESPONDED))
    if model is None and responded is None:
        return Skipped("http_request" if _first(fields, MCP) is None else "mcp")
    path = text(_first(fields, PATH)) or ""
    for part, kind in PATHS.items():
        if part in path:
            return Skipped(kind)
    error = _error(fields)
    started = _first(fields, ("start_time",))
    return Inference(
        request_id=identifier(_first(fields, REQUEST_ID)),
        timestamp=time if started is None else epoch_seconds(started),
        model=model,
        responded_model=responded,
        prompt=text(_first(fields, ("question",))),
        response=None if error else text(_first(fields, ("answer",))),
        user_id=identifier(_first(fields, USER)),
        session_id=identifier(_first(fields, SESSION)),
        trace_id=identifier(_first(fields, ("trace_id",))),
        latency_ms=_number(fields, LATENCY),
        time_to_first_token_ms=None if error else _number(fields, FIRST_TOKEN),
        input_tokens=_number(fields, INPUT),
        output_tokens=_number(fields, OUTPUT),
        error=error,
        metadata=metadata(
            {
                "provider": _first(fields, ("gen_ai.provider.name", "genai_backend_name")),
                "route": _first(fields, ("route_name",)),
            }
        ),
    )


def _ai_log(line: Fields) -> Fields:
    """Return the fields that Higress writes into a text of their own."""
    log = line.get("ai_log")
    found = _decode_lenient(log.encode("utf-8", "replace")) if isinstance(log, str) else log
    return found if isinstance(found, dict) else {}


def _first(fields: Fields, names: Sequence[str]) -> Any:
    """Return the first value that is present."""
    return next((each for name in names if (each := present(fields.get(name))) is not None), None)


def _number(fields: Fields, names: Sequence[str]) -> float | None:
    value = _first(fields, names)
    if value is None:
        return None
    found = parsed_number(value)
    if found is None:
        raise RejectedRecord(RejectReason.WRONG_TYPE, f"{names[0]} is not a number")
    return found


def _error(fields: Fields) -> str | None:
    """Return the status of a failed call, or why Envoy has none."""
    error = error_of_status(_first(fields, STATUS))
    flags = text(_first(fields, ("response_flags",)))
    return flags if error == "0" and flags is not None else error
