"""LiteLLM's StandardLoggingPayload, as its callbacks `generic_api`, `s3_v2` and `sqs` write it.

Source: litellm 1.110.2, `litellm/types/utils.py` and `litellm_core_utils/litellm_logging.py`. A
message is a JSON array of payloads, lines, or one payload (`log_format` of `generic_api`).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from functools import lru_cache
from typing import Any, Final

import msgspec

from monitor.ingest.decode.bodies.content import MAX_MESSAGES, MAX_ROLE_CHARS, chat
from monitor.ingest.decode.bodies.requests import prompt_of
from monitor.ingest.decode.bodies.responses import Response, response_of
from monitor.ingest.decode.bodies.times import milliseconds_between
from monitor.ingest.decode.bodies.values import identifier, member, metadata, text
from monitor.ingest.decode.formats.gateways.litellm_plan import usual_payload
from monitor.ingest.decode.framing.documents import MAX_BYTES, Documents, first_document, opened
from monitor.ingest.decode.inference import UNNAMED_ERROR, Inference
from monitor.ingest.decode.json_decoding import json_decoder, lenient_decoder
from monitor.ingest.decode.message import Found, LogMessage, Skipped
from monitor.records import ChatMessage, RejectedRecord

_NULL: Final = msgspec.Raw(b"null")
_KEY: Final = b"completionStartTime"
"""A key of every payload and of no other format."""
_OTHER_KEY: Final = b"call_type"
_QUOTED_KEY: Final = b'"%b"' % _KEY
_TIMES_BEFORE: Final = re.compile(
    rb'"startTime"\s*:\s*[\d.eE+]{1,30}\s*,\s*"endTime"\s*:\s*[\d.eE+]{1,30}\s*,\s*$'
)
_HEALTH_CHECK: Final = b"litellm-internal-health-check"
"""Tag of the calls by which LiteLLM's proxy checks whether models respond."""

INFERENCES: Final = frozenset(
    {
        "",
        "completion",
        "text_completion",
        "responses",
        "compact_responses",
        "anthropic_messages",
        "generate_content",
        "generate_content_stream",
        "pass_through_endpoint",
        "llm_passthrough_route",
    }
)
"""Values of `call_type` that are calls of a language model, without the `a` of async ones."""
SKIPPED: Final = {
    "embedding": "embedding",
    "rerank": "rerank",
    "moderation": "moderation",
    "image": "image",
    "video": "video",
    "transcription": "audio",
    "speech": "audio",
    "realtime": "realtime",
    "search": "search",
    "ocr": "ocr",
    "call_mcp_tool": "tool",
    "list_mcp_tools": "tool",
}
"""Beginning of another `call_type` -> its kind; the kind of all others is OTHER."""
OTHER: Final = "other_call"


class _Payload(msgspec.Struct, gc=False, rename="camel"):
    """The fields of a payload that a record has. Those that are measured have types."""

    id: Any = None
    litellm_call_id: Any = msgspec.field(default=None, name="litellm_call_id")
    trace_id: Any = msgspec.field(default=None, name="trace_id")
    session_id: Any = msgspec.field(default=None, name="session_id")
    call_type: Any = msgspec.field(default=None, name="call_type")
    status: Any = None
    stream: Any = None
    cache_hit: Any = msgspec.field(default=None, name="cache_hit")
    model: str | None = None
    model_group: str | None = msgspec.field(default=None, name="model_group")
    provider: Any = msgspec.field(default=None, name="custom_llm_provider")
    end_user: Any = msgspec.field(default=None, name="end_user")
    start_time: float | None = None
    end_time: float | None = None
    completion_start_time: float | None = None
    prompt_tokens: float | None = msgspec.field(default=None, name="prompt_tokens")
    completion_tokens: float | None = msgspec.field(default=None, name="completion_tokens")
    response_cost: float | None = msgspec.field(default=None, name="response_cost")
    cost_failure: msgspec.Raw = msgspec.field(
        default=_NULL, name="response_cost_failure_debug_info"
    )
    cost_missing: msgspec.Raw = msgspec.field(default=_NULL, name="zero_cost_diagnostic")
    messages: msgspec.Raw = _NULL
    response: msgspec.Raw = _NULL
    metadata: msgspec.Raw = _NULL
    request_tags: msgspec.Raw = msgspec.field(default=_NULL, name="request_tags")
    error_str: Any = msgspec.field(default=None, name="error_str")
    error: msgspec.Raw = msgspec.field(default=_NULL, name="error_information")


class _Answer(msgspec.Struct, gc=False):
    content: str


class _Choice(msgspec.Struct, gc=False):
    message: _Answer
    finish_reason: str | None = None


class _Chat(msgspec.Struct, gc=False):
    """A chat completion whose first choice has a text: nearly all of them."""

    choices: list[_Choice]
    model: str | None = None


class _Metadata(msgspec.Struct, gc=False):
    user_api_key_end_user_id: Any = None
    user_api_key_user_id: Any = None
    user_api_key_alias: Any = None
    user_api_key_team_alias: Any = None
    requester_metadata: msgspec.Raw = _NULL
    spend_logs_metadata: msgspec.Raw = _NULL


class _Keys(msgspec.Struct, gc=False, rename="camel"):
    """Top-level keys by which a payload differs from records of other formats."""

    start_time: msgspec.Raw = _NULL
    end_time: msgspec.Raw = _NULL
    completion_start_time: msgspec.Raw = _NULL
    call_type: msgspec.Raw = msgspec.field(default=_NULL, name="call_type")


_documents: Final = Documents(_Payload)
_first_keys: Final = first_document(_Keys)
_decode_any: Final = json_decoder(Any)
_decode_chat: Final = lenient_decoder(_Chat)
_decode_messages: Final = lenient_decoder(list[ChatMessage])
_decode_metadata: Final = lenient_decoder(_Metadata)
_decode_lenient: Final = lenient_decoder(Any)


def recognizes(message: LogMessage) -> bool:
    """Return whether a message holds payloads of LiteLLM."""
    value = opened(message.value, _KEY)
    if value is not None and _has_usual_times(value):
        return True
    if value is None:
        value = opened(message.value, _OTHER_KEY)
    keys = None if value is None else _first_keys(value)
    if keys is None or keys.start_time is _NULL or keys.end_time is _NULL:
        return False
    return keys.completion_start_time is not _NULL or keys.call_type is not _NULL


def _has_usual_times(value: bytes) -> bool:
    """Return whether three times follow one another, as LiteLLM writes them.

    It saves a pass over most messages. Those with keys of native records are looked at closely.
    """
    place = value.find(_QUOTED_KEY)
    return _TIMES_BEFORE.search(value, max(place - 120, 0), place) is not None and not (
        b'"request_id"' in value and b'"timestamp"' in value
    )


def decode(message: LogMessage) -> Iterator[Found]:
    """Yield the calls of a message."""
    value = opened(message.value, _KEY) or opened(message.value, _OTHER_KEY)
    return _each(_documents(value or message.value))


def _document(value: bytes) -> Iterator[Found]:
    """Yield the call in one document."""
    return _each(_documents.each([value]))


reader: Final = usual_payload(INFERENCES, _HEALTH_CHECK.decode()).reader(_document, MAX_BYTES)
"""Reads the usual payloads of many messages at once."""


def _each(payloads: Iterable[_Payload | RejectedRecord]) -> Iterator[Found]:
    for each in payloads:
        try:
            yield each if isinstance(each, RejectedRecord) else _found(each)
        except RejectedRecord as error:
            yield error.with_traceback(None)


def _found(payload: _Payload) -> Inference | Skipped:
    kind = _kind(payload)
    if kind is not None:
        return Skipped(kind)
    failed = payload.status == "failure"
    response = _response(payload.response)
    start, end = payload.start_time, payload.end_time
    details = _decode_metadata(payload.metadata) or _Metadata()
    request_id = identifier(payload.id)
    if request_id is None or request_id == "None":  # LiteLLM writes str(None)
        request_id = identifier(payload.litellm_call_id)
    return Inference(
        request_id=request_id,
        timestamp=start,
        model=payload.model_group or payload.model,
        responded_model=response.model,
        prompt=_prompt(payload.messages),
        response=response.text,
        user_id=identifier(payload.end_user)
        or identifier(details.user_api_key_end_user_id)
        or identifier(details.user_api_key_user_id),
        session_id=identifier(payload.session_id),
        trace_id=identifier(payload.trace_id),
        latency_ms=milliseconds_between(start, end),
        time_to_first_token_ms=_time_to_first_token(payload, failed=failed),
        input_tokens=_first(payload.prompt_tokens, response.input_tokens),
        output_tokens=_first(payload.completion_tokens, response.output_tokens),
        cost_usd=_cost(payload),
        finish_reason=response.finish_reason,
        error=_error(payload) if failed else None,
        metadata=_metadata(payload, details),
    )


def _kind(payload: _Payload) -> str | None:
    """Return the kind of a payload that is no call of a language model; None of others."""
    if _HEALTH_CHECK in bytes(payload.request_tags):
        return "health_check"
    return _kind_of((text(payload.call_type) or "")[:64])


@lru_cache(256)
def _kind_of(call_type: str) -> str | None:
    for name in (call_type, call_type[1:] if call_type.startswith("a") else call_type):
        if name in INFERENCES:
            return None
    bare = call_type.lstrip("_").removeprefix("a")
    for name in (call_type, bare):
        for begin, kind in SKIPPED.items():
            if name.startswith(begin):
                return kind
    return OTHER


def _prompt(messages: msgspec.Raw) -> str | list[ChatMessage] | None:
    found = _decode_messages(messages)
    if found is None:
        return _other_prompt(_decode_any(bytes(messages)))
    if len(found) > MAX_MESSAGES or any(not 0 < len(each.role) <= MAX_ROLE_CHARS for each in found):
        return chat(_decode_any(bytes(messages)))
    return found or None


def _other_prompt(messages: object) -> str | list[ChatMessage] | None:
    """Return a prompt that is no list of plain messages: a text, a request, or JSON in a text."""
    if isinstance(messages, str) and messages[:1] in ("[", "{"):
        found = _decode_lenient(messages.encode("utf-8", "replace"))
        if member(found, 0, "role") is not None or member(found, "role") is not None:
            messages = found
    if isinstance(messages, dict):
        return chat([messages]) if "role" in messages else prompt_of(messages)
    return chat(messages)


def _response(response: msgspec.Raw) -> Response:
    found = _decode_chat(response)
    if found is not None and found.choices and found.choices[0].message.content:
        choice = found.choices[0]
        return Response(
            model=found.model, text=choice.message.content, finish_reason=choice.finish_reason
        )
    body: object = _decode_any(bytes(response))
    if isinstance(body, dict) and len(body) == 1:
        if isinstance(body.get("text"), str):  # a redacted response
            return Response(text=body["text"])
        if "response" in body:  # a passed-through one
            body = body["response"]
            if isinstance(body, str):
                body = _decode_lenient(body.encode()) or body
    return Response(text=body) if isinstance(body, str) else response_of(body)


def _time_to_first_token(payload: _Payload, *, failed: bool) -> float | None:
    """Of a stream. For other calls, LiteLLM logs the end as the start of the completion."""
    if payload.stream is not True or failed:
        return None
    return milliseconds_between(payload.start_time, payload.completion_start_time)


def _cost(payload: _Payload) -> float | None:
    """Return the cost; None if LiteLLM logs zero because it has no price for the model."""
    unknown = bytes(payload.cost_failure) != b"null" or bytes(payload.cost_missing) != b"null"
    return None if unknown and not payload.response_cost else payload.response_cost


def _error(payload: _Payload) -> str:
    details = _decode_lenient(payload.error)
    for key in ("error_class", "error_code"):
        if name := identifier(member(details, key)):
            return name
    return (text(payload.error_str) or UNNAMED_ERROR).removeprefix("litellm.")


def _metadata(payload: _Payload, details: _Metadata) -> dict[str, str | float] | None:
    """Return what the client gave, and what LiteLLM states about the call."""
    given: dict[str, object] = {}
    for raw in (details.spend_logs_metadata, details.requester_metadata):
        if raw is not _NULL:
            values = _decode_lenient(raw)
            given |= values if isinstance(values, dict) else {}
    kept = (metadata(given) or {}) if given else {}
    if payload.cache_hit is True:
        kept["cache_hit"] = "true"
    for name, value in (
        ("provider", payload.provider),
        ("key_alias", details.user_api_key_alias),
        ("team_alias", details.user_api_key_team_alias),
    ):
        if isinstance(value, str):
            kept.setdefault(name, value)
    return kept or None


def _first(stated: float | None, found: float | None) -> float | None:
    return found if stated is None else stated
