"""The categories of API Management: GatewayLlmLogs and GatewayLogs.

GatewayLlmLogs has several records of a call: number 0 with the model and the tokens, then those of
the request, then those of the response. A text above 32 KB is cut anywhere, also within an escape,
and its pieces follow each other; how many there are is not logged. GatewayLogs has the duration and
the status, and the bodies if the API is set up to log them.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Final

import msgspec

from monitor.ingest.decode.bodies.calls import body_of, inference_of
from monitor.ingest.decode.bodies.content import answer_of, chat
from monitor.ingest.decode.bodies.requests import Request, request_of
from monitor.ingest.decode.bodies.responses import Response, response_of
from monitor.ingest.decode.bodies.values import parsed_number, text
from monitor.ingest.decode.formats.clouds.azure.entry import FIRST_FAILURE, Entry
from monitor.ingest.decode.formats.clouds.models import kind_without_text
from monitor.ingest.decode.inference import Inference
from monitor.ingest.decode.json_decoding import json_decoder, lenient_decoder
from monitor.ingest.decode.message import CallPart, Found, Skipped

_LLM: Final = "gateway_llm_log"
_GATEWAY: Final = "gateway_log"
_ROLES: Final = (_LLM, _GATEWAY)
_REQUEST: Final = "request"
_RESPONSE: Final = "response"
_NULL: Final = msgspec.Raw(b"null")
_SUCCESS: Final = 200
_any = lenient_decoder(Any)


class _Llm(msgspec.Struct):
    """Properties of GatewayLlmLogs. The messages are JSON, mostly in a text."""

    requestId: str | None = None
    modelName: str | None = None
    deploymentName: str | None = None
    promptTokens: float | None = None
    promptCachedTokens: float | None = None
    completionTokens: float | None = None
    isStreamCompletion: bool | None = None
    sequenceNumber: int | None = None
    requestMessages: msgspec.Raw = _NULL
    responseMessages: msgspec.Raw = _NULL


class _LastError(msgspec.Struct):
    reason: str | None = None


class _Gateway(msgspec.Struct):
    """Properties of GatewayLogs."""

    responseCode: float | None = None
    url: str | None = None
    backendUrl: str | None = None
    requestBody: str | None = None
    backendRequestBody: str | None = None
    responseBody: str | None = None
    backendResponseBody: str | None = None
    lastError: _LastError | None = None


_llm = json_decoder(_Llm, strict=False)
_gateway = json_decoder(_Gateway, strict=False)


def llm_part(entry: Entry) -> Found:
    """Read a record of GatewayLlmLogs. Raises RejectedRecord if it is invalid."""
    details = entry.details
    logged = _llm(details)
    texts = {_REQUEST: _piece(logged.requestMessages), _RESPONSE: _piece(logged.responseMessages)}
    fields = {
        "request_id": logged.requestId or None,
        "timestamp": entry.start,
        "model": logged.deploymentName or None,
        "responded_model": logged.modelName or None,
        "input_tokens": _input_tokens(logged),
        "output_tokens": logged.completionTokens,
    }
    return CallPart(
        call=f"api_management {entry.correlation}",
        role=_LLM,
        roles=_ROLES,
        fields=fields | {"correlation": entry.correlation},
        number=logged.sequenceNumber or 0,
        texts={name: piece for name, piece in texts.items() if piece},
        alone=True,
        time=entry.start,
        size=len(details),
        finish=_joined,
    )


def gateway_part(entry: Entry) -> Found:
    """Read a record of GatewayLogs. Raises RejectedRecord if it is invalid."""
    details = entry.details
    logged = _gateway(details)
    request = request_of(body_of(logged.backendRequestBody or logged.requestBody))
    body = body_of(logged.backendResponseBody or logged.responseBody)
    response = response_of(body)
    fields = {
        "correlation": entry.correlation,
        "timestamp": entry.start,
        "latency_ms": parsed_number(entry.durationMs),
        "error": _failure(entry, logged, response),
        "request": request,
        "response": response,
        "deployment": _deployment(logged.url) or _deployment(logged.backendUrl),
        "skipped": kind_without_text(None, body),
    }
    return CallPart(
        call=f"api_management {entry.correlation}",
        role=_GATEWAY,
        roles=_ROLES,
        fields=fields,
        alone=True,
        time=entry.start,
        size=len(details),
        finish=_joined,
    )


def _joined(parts: Sequence[CallPart], final: bool) -> Inference | Skipped | None:
    """Return the inference of a call; None if further records may follow."""
    rows = [part for part in parts if part.role == _LLM]
    gateway: Any = next((dict(part.fields) for part in parts if part.role == _GATEWAY), {})
    if not final and not (rows and gateway):
        return None
    skipped = gateway.get("skipped")
    if skipped is not None:
        return Skipped(skipped)
    if not rows:
        return _of_gateway(gateway)
    asked, answered = _decoded(rows, _REQUEST), _decoded(rows, _RESPONSE)
    if not final and not _is_complete(rows, gateway, asked, answered):
        return None
    logged = _merged(rows)
    if logged["model"] is None and logged["responded_model"] is None:
        return Skipped("probe")
    return _inference(logged, gateway, asked, answered)


def _inference(
    logged: dict[str, Any], gateway: dict[str, Any], asked: Any, answered: Any
) -> Inference:
    response: Response = gateway.get("response") or Response()
    request: Request = gateway.get("request") or Request()
    correlation = logged.pop("correlation")
    started = gateway.get("timestamp")
    fields = logged | {
        "request_id": logged["request_id"] or response.request_id or correlation,
        "timestamp": logged["timestamp"] if started is None else started,
        "model": logged["model"] or gateway.get("deployment") or request.model,
        "prompt": chat(_messages(asked)),
        "response": _answer(answered),
        "latency_ms": gateway.get("latency_ms"),
        "error": gateway.get("error"),
    }
    return inference_of(request, response, **fields)


def _of_gateway(gateway: dict[str, Any]) -> Inference | Skipped:
    """Return the inference of a call whose bodies are in GatewayLogs; skip any other request."""
    request: Request = gateway["request"]
    response: Response = gateway["response"]
    model = gateway["deployment"] or request.model or response.model
    if model is None or (request.prompt is None and response.text is None):
        return Skipped("gateway_request")
    return inference_of(
        request,
        response,
        request_id=response.request_id or gateway["correlation"],
        timestamp=gateway["timestamp"],
        model=model,
        latency_ms=gateway["latency_ms"],
        error=gateway["error"],
    )


def _is_complete(
    rows: Sequence[CallPart], gateway: dict[str, Any], asked: Any, answered: Any
) -> bool:
    """Return whether all records of a call are there, as far as it can be known."""
    numbers = {part.number for part in rows}
    if numbers != set(range(len(numbers))) or asked is None:
        return False
    return answered is not None or gateway.get("error") is not None


def _merged(rows: Iterable[CallPart]) -> dict[str, Any]:
    """Return the fields of the records of a call. Later ones repeat some, and have 0 tokens."""
    fields: dict[str, Any] = {}
    for part in rows:
        for name, value in part.fields.items():
            if not fields.get(name):
                fields[name] = value
    return fields


def _piece(logged: msgspec.Raw) -> str:
    """Return a text of messages, or a piece of it."""
    raw = bytes(logged)
    if raw.startswith(b'"'):
        return text(_any(raw)) or ""
    return "" if raw == b"null" else raw.decode("utf-8", "replace")


def _decoded(rows: Iterable[CallPart], name: str) -> Any:
    """Return the messages in the pieces of a text; None if they are incomplete.

    Each piece is a part of one text, or complete by itself.
    """
    pieces = [part.texts[name] for part in rows if name in part.texts]
    whole = "".join(pieces)
    found = _any(whole.encode("utf-8", "replace")) if whole.rstrip().endswith(("}", "]")) else None
    if found is not None or len(pieces) < 2:
        return found
    each = [_any(piece.encode("utf-8", "replace")) for piece in pieces]
    if any(part is None for part in each):
        return None
    return [message for part in each for message in (part if isinstance(part, list) else [part])]


def _messages(asked: Any) -> Any:
    """Return the messages of a request, which may be logged as its whole body."""
    if isinstance(asked, dict):
        return asked.get("messages", [asked])
    return asked


def _answer(answered: Any) -> str | None:
    """Return the text of the messages of a response; None if there is none, as of a tool call."""
    messages = answered if isinstance(answered, list) else [answered]
    texts = [answer_of(each) for each in messages if isinstance(each, dict)]
    found = [each for each in texts if each is not None]
    return "".join(found) if found else None


def _input_tokens(logged: _Llm) -> float | None:
    """Return the tokens of the prompt. Those of Claude are without the cached ones."""
    prompt, cached = logged.promptTokens, logged.promptCachedTokens
    if prompt is None or cached is None:
        return prompt
    name = f"{logged.modelName} {logged.deploymentName}".lower()
    return prompt + cached if "claude" in name or cached > prompt else prompt


def _failure(entry: Entry, logged: _Gateway, response: Response) -> str | None:
    """Return the code of an error in the response, or the reason or the status of a failure."""
    if response.error is not None:
        return response.error
    status = logged.responseCode
    failed = status is not None and not _SUCCESS <= status < FIRST_FAILURE
    if entry.isRequestSuccess is not False and not failed:
        return None
    if logged.lastError is not None and logged.lastError.reason:
        return logged.lastError.reason
    return str(int(status)) if status is not None and 0 < status < 1000 else "error"


def _deployment(url: str | None) -> str | None:
    """Return the deployment in the address of a request to Azure OpenAI."""
    _, found, rest = (url or "").partition("/deployments/")
    return rest.partition("/")[0] or None if found else None
