"""Kong AI Gateway: entries of the plugins Kafka Log, HTTP Log and File Log with the key `ai`.

Source: Kong's "AI Gateway audit log reference", for 3.6 to 3.14, and the log serializer of its PDK.
An entry describes one HTTP request. Since 3.8 the call of a language model is in `ai.proxy`;
before that, and for plugins that call a model by themselves, it is in an object with the plugin's
name.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

import msgspec

from monitor.ingest.decode.bodies.calls import body_of, inference_of
from monitor.ingest.decode.bodies.requests import request_of
from monitor.ingest.decode.bodies.responses import Response, response_of
from monitor.ingest.decode.bodies.times import MILLISECONDS
from monitor.ingest.decode.bodies.values import identifier, member, metadata, number, text
from monitor.ingest.decode.formats.gateways.http import error_of_status
from monitor.ingest.decode.framing.documents import Documents, first_document, opened
from monitor.ingest.decode.inference import UNNAMED_ERROR, Inference
from monitor.ingest.decode.message import Found, LogMessage, Skipped
from monitor.records import RejectedRecord, RejectReason

_NULL: Final = msgspec.Raw(b"null")
_KEY: Final = b"started_at"
MAX_TRIES: Final = 100

PROXY: Final = "proxy"
"""The object of the call that the client made; that of the plugins AI Proxy before 3.8."""
_PROXIES: Final = (PROXY, "ai-proxy", "ai-proxy-advanced")
_NO_CALLS: Final = frozenset({"payload", "mcp", "a2a", "compressor", "sanitizer", "audit"})
"""Other objects in `ai`."""
_NO_MODEL: Final = frozenset({"UNSPECIFIED", "NOT_SPECIFIED"})
OPERATIONS: Final = {
    "embeddings": "embedding",
    "embedding": "embedding",
    "images": "image",
    "image_generation": "image",
    "audio": "audio",
    "speech": "audio",
    "transcription": "audio",
    "video": "video",
    "files": "batch",
    "batches": "batch",
    "assistants": "other_call",
    "realtime": "realtime",
    "rerank": "rerank",
}
"""Words in the operation or the type of route that is no call of a language model -> kind."""


class _Entry(msgspec.Struct, gc=False):
    """The fields of an entry that a record has."""

    ai: Any = None
    started_at: float | None = None
    latencies: Any = None
    request: Any = None
    response: Any = None
    upstream_status: Any = None
    tries: Any = None
    consumer: Any = None
    authenticated_entity: Any = None
    trace_id: Any = None


class _Keys(msgspec.Struct, gc=False):
    """Top-level keys by which an entry differs from records of other formats."""

    ai: msgspec.Raw = _NULL
    started_at: msgspec.Raw = _NULL
    latencies: msgspec.Raw = _NULL
    request: msgspec.Raw = _NULL


_documents: Final = Documents(_Entry)
_first_keys: Final = first_document(_Keys)


def recognizes(message: LogMessage) -> bool:
    """Return whether a message holds entries of Kong's log plugins."""
    value = opened(message.value, _KEY)
    keys = None if value is None else _first_keys(value)
    if keys is None or keys.started_at is _NULL:
        return False
    return keys.request is not _NULL and not (keys.ai is _NULL and keys.latencies is _NULL)


def decode(message: LogMessage) -> Iterator[Found]:
    """Yield the calls of a message."""
    for entry in _documents(opened(message.value, _KEY) or message.value):
        if isinstance(entry, RejectedRecord):
            yield entry
        else:
            yield from _calls(entry)


def _calls(entry: _Entry) -> Iterator[Found]:
    """Yield the calls of models of an HTTP request, in the order in which they began."""
    ai = entry.ai if isinstance(entry.ai, dict) else {}
    made = [name for name in ai if name not in _NO_CALLS and _is_call(ai[name])]
    kind = _kind(ai, made)
    if kind is not None:
        yield Skipped(kind)
        return
    proxied = next((name for name in _PROXIES if name in made), made[-1])
    for name in made[:MAX_TRIES]:
        main = name == proxied
        if main:
            yield from _failed_tries(entry, ai[name])
        try:
            yield _inference(entry, ai, name, main=main)
        except RejectedRecord as error:
            yield error.with_traceback(None)


def _is_call(found: object) -> bool:
    """Return whether an object in `ai` describes the call of a model."""
    meta = member(found, "meta")
    return isinstance(meta, dict) and bool(meta.keys() & {"request_model", "response_model"})


def _kind(ai: dict[str, Any], made: list[str]) -> str | None:
    """Return the kind of an entry without calls of language models; None of others."""
    if made:
        for name in made:
            meta = ai[name]["meta"]
            targets = member(ai[name], "tried_targets")
            route = (
                member(targets[-1], "route_type") if isinstance(targets, list) and targets else None
            )
            for value in (meta.get("operation_name"), meta.get("request_mode"), route):
                for word in (text(value) or "").split("/"):
                    if word in OPERATIONS:
                        return OPERATIONS[word]
        return None
    if "mcp" in ai:
        return "mcp"
    if "a2a" in ai:
        return "agent"
    return "blocked" if ai else "http_request"


def _inference(entry: _Entry, ai: dict[str, Any], name: str, *, main: bool) -> Inference:
    call = ai[name]
    meta, usage = call["meta"], call.get("usage")
    request = request_of(body_of(_payload(ai, call, "request")))
    response = response_of(body_of(_payload(ai, call, "response")))
    status = member(entry.response, "status")
    error = error_of_status(entry.upstream_status if status is None else status) if main else None
    streamed = meta.get("request_mode") == "stream" or (
        meta.get("request_mode") is None and request.stream
    )
    return inference_of(
        request,
        response,
        request_id=_request_id(entry, response, None if main else name),
        timestamp=_milliseconds(entry.started_at),
        model=_model(meta, "request_model"),
        responded_model=_model(meta, "response_model"),
        user_id=request.user_id or _consumer(entry),
        trace_id=identifier(entry.trace_id),
        latency_ms=_latency(entry, meta, main=main),
        time_to_first_token_ms=_measured(usage, "time_to_first_token")
        if streamed and error is None
        else None,
        input_tokens=_input_tokens(usage),
        output_tokens=_measured(usage, "completion_tokens", "completion_token", "output_tokens"),
        cost_usd=_measured(usage, "cost"),
        error=error,
        metadata=_metadata(call, name),
    )


def _failed_tries(entry: _Entry, call: dict[str, Any]) -> Iterator[Inference]:
    """Yield the targets that the balancer tried before the last one: each is a failed call."""
    targets = call.get("tried_targets")
    tries = entry.tries if isinstance(entry.tries, list) else []
    if not isinstance(targets, list):
        return
    for place, target in enumerate(targets[:-1][:MAX_TRIES]):
        model = text(member(target, "model"))
        if model is None:
            continue
        attempt = tries[place] if len(tries) == len(targets) else None
        begun = number(member(attempt, "balancer_start"))
        yield Inference(
            request_id=_request_id(entry, Response(), f"try-{place + 1}"),
            timestamp=_milliseconds(entry.started_at if begun is None else begun),
            model=model,
            user_id=_consumer(entry),
            error=identifier(member(attempt, "code")) or UNNAMED_ERROR,
            metadata=metadata({"provider": member(target, "provider")}),
        )


def _model(meta: dict[str, Any], name: str) -> str | None:
    """Return the name of a model; None for what Kong logs if it has none."""
    found = text(meta.get(name))
    return None if found in _NO_MODEL else found


def _payload(ai: dict[str, Any], call: dict[str, Any], part: str) -> object:
    """Return a body: of the call itself, or beside it as in 3.6."""
    found = member(call, "payload", part)
    return member(ai, "payload", part) if found is None else found


def _request_id(entry: _Entry, response: Response, suffix: str | None) -> str | None:
    found = identifier(member(entry.request, "id")) or response.request_id
    for headers in (member(entry.response, "headers"), member(entry.request, "headers")):
        for name in ("x-kong-request-id", "x-request-id"):
            found = found or identifier(member(headers, name))
    return found if found is None or suffix is None else f"{found}/{suffix}"


def _consumer(entry: _Entry) -> str | None:
    for name in ("custom_id", "username", "id"):
        if found := identifier(member(entry.consumer, name)):
            return found
    return identifier(member(entry.authenticated_entity, "id"))


def _latency(entry: _Entry, meta: dict[str, Any], *, main: bool) -> float | None:
    """Return the duration of the whole request; of another plugin's call, of that call."""
    paths = [(entry.latencies, "request"), (meta, "llm_latency"), (entry.latencies, "proxy")]
    for values, name in paths if main else [(meta, "llm_latency")]:
        if (found := _measured(values, name)) is not None:
            return found
    return None


def _input_tokens(usage: object) -> float | None:
    """Return the tokens of the prompt. More cached tokens than these are counted beside them."""
    prompt = _measured(usage, "prompt_tokens", "prompt_token", "input_tokens")
    cached = number(member(usage, "prompt_tokens_details", "cached_tokens"))
    if not prompt or cached is None or cached <= prompt:  # 0 is what failures have
        return prompt
    return prompt + cached


def _metadata(call: dict[str, Any], name: str) -> dict[str, str | float] | None:
    meta = call["meta"]
    return metadata(
        {
            "plugin": None if name == PROXY else name,
            "provider": meta.get("provider_name"),
            "request_mode": meta.get("request_mode"),
            "cache_status": member(call, "cache", "cache_status"),
        }
    )


def _milliseconds(value: float | None) -> float | None:
    return None if value is None else value / MILLISECONDS


def _measured(values: object, *names: str) -> float | None:
    """Return the first number. Raises RejectedRecord if one is of another type."""
    for name in names:
        value = member(values, name)
        if value is None:
            continue
        found = number(value)
        if found is None:
            raise RejectedRecord(RejectReason.WRONG_TYPE, f"{name} is not a number")
        return found
    return None
