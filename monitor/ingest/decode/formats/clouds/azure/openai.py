"""The categories of Azure OpenAI: RequestResponse and AzureOpenAIRequestUsage.

RequestResponse has neither texts nor a finish reason. Its times are ticks of 100 ns. Newer records
have numbers of tokens; for others they follow in AzureOpenAIRequestUsage. Cached tokens are a part
of the prompt's.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import msgspec

from monitor.ingest.decode.bodies.times import milliseconds_of_ticks, ticks
from monitor.ingest.decode.bodies.values import parsed_number, total
from monitor.ingest.decode.formats.clouds.azure.entry import FIRST_FAILURE, Entry
from monitor.ingest.decode.inference import Inference
from monitor.ingest.decode.json_decoding import json_decoder
from monitor.ingest.decode.message import CallPart, Found, Skipped

_CALL: Final = "request_response"
_USAGE: Final = "request_usage"
_ROLES: Final = (_CALL, _USAGE)
_OTHER: Final = {
    "embedding": "embedding",
    "image": "image",
    "audio": "audio",
    "speech": "audio",
    "transcription": "audio",
    "translation": "audio",
}
"""Part of the name of an operation -> kind of what is skipped."""
_INFERENCES: Final = ("completion", "response", "message")


class _Call(msgspec.Struct):
    """Properties of RequestResponse."""

    requestTime: int | float | None = None
    responseTime: int | float | None = None
    modelDeploymentName: str | None = None
    modelName: str | None = None
    promptTokens: float | None = None
    completionTokens: float | None = None
    callerObjectId: str | None = None


class _Usage(msgspec.Struct):
    """Properties of AzureOpenAIRequestUsage, with one number for each part of a request."""

    promptTokens: list[float] | float | None = None
    generatedTokens: list[float] | float | None = None


_call = json_decoder(_Call, strict=False)
_usage = json_decoder(_Usage, strict=False)


def call_part(entry: Entry) -> Found:
    """Read a record of RequestResponse. Raises RejectedRecord if it is invalid."""
    kind = _kind(entry.operationName or "")
    if kind is not None:
        return Skipped(kind)
    call = _call(entry.details)
    if not (call.modelDeploymentName or call.modelName):
        return Skipped("empty_entry")
    started = entry.start if call.requestTime is None else ticks(call.requestTime)
    fields: dict[str, object] = {
        "request_id": entry.correlation,
        "timestamp": started,
        "model": call.modelDeploymentName or call.modelName,
        "responded_model": call.modelName or None,
        "latency_ms": _latency(entry, call),
        "input_tokens": call.promptTokens,
        "output_tokens": call.completionTokens,
        "user_id": call.callerObjectId or None,
        "error": _failure(entry),
    }
    return _part(_CALL, entry, fields, alone=True)


def usage_part(entry: Entry) -> Found:
    """Read a record of AzureOpenAIRequestUsage. Raises RejectedRecord if it is invalid."""
    usage = _usage(entry.details)
    fields: dict[str, object] = {
        "input_tokens": _sum(usage.promptTokens),
        "output_tokens": _sum(usage.generatedTokens),
    }
    return _part(_USAGE, entry, fields, alone=False)


def _part(role: str, entry: Entry, fields: dict[str, object], *, alone: bool) -> CallPart:
    return CallPart(
        call=f"azure_openai {entry.correlation}",
        role=role,
        roles=_ROLES,
        fields=fields,
        alone=alone,
        time=entry.start,
        finish=_joined,
    )


def _joined(parts: Sequence[CallPart], final: bool) -> Inference | Skipped | None:
    """Return the inference of a call, once its numbers of tokens are there."""
    calls = [part for part in parts if part.role == _CALL]
    if not calls:
        return None
    fields = dict(calls[0].fields)
    for part in parts:
        if part.role == _USAGE:
            fields |= {name: each for name, each in part.fields.items() if fields[name] is None}
    if fields["input_tokens"] is None and fields["error"] is None and not final:
        return None
    return Inference(**fields)  # type: ignore[arg-type]  # the fields that `call_part` makes


def _kind(operation: str) -> str | None:
    """Return the kind of an operation that is no inference."""
    name = operation.lower()
    for part, kind in _OTHER.items():
        if part in name:
            return kind
    if name.startswith(("get", "list", "delete", "cancel")):
        return "other_operation"
    return None if any(part in name for part in _INFERENCES) else "other_operation"


def _latency(entry: Entry, call: _Call) -> float | None:
    logged = parsed_number(entry.durationMs)
    if logged is not None and logged >= 0:
        return logged
    return milliseconds_of_ticks(call.requestTime, call.responseTime)


def _failure(entry: Entry) -> str | None:
    status = parsed_number(entry.resultSignature)
    if status is None or not FIRST_FAILURE <= status < 1000:
        return None
    return str(int(status))


def _sum(tokens: list[float] | float | None) -> float | None:
    return total(*tokens) if isinstance(tokens, list) else tokens
