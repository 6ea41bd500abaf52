"""Calls as resource logs of API Management and of Azure OpenAI, through Event Hubs."""

from __future__ import annotations

import json
from typing import Any

from monitor.ingest.decode.message import LogMessage
from tests.monitor.ingest.decode.encoders.call import Call, Variant
from tests.monitor.ingest.decode.encoders.times import rfc3339, ticks

_PIECE = 20
"""Characters in one record; 32 KB in reality."""
_RESOURCE = "/SUBSCRIPTIONS/S/RESOURCEGROUPS/G/PROVIDERS/MICROSOFT.{}/N"


def record(call: Call, category: str, properties: Any, **more: Any) -> dict[str, Any]:
    """A record of a resource log."""
    return {
        "time": rfc3339(call.start),
        "category": category,
        "correlationId": call.request_id,
        "resourceId": _RESOURCE.format("APIMANAGEMENT/SERVICE"),
        "properties": properties,
        **more,
    }


def llm_records(call: Call) -> list[dict[str, Any]]:
    """The records of GatewayLlmLogs: tokens, pieces of the request, pieces of the response."""
    failed = call.error is not None
    rows: list[dict[str, Any]] = [
        {
            "requestId": "" if failed else call.request_id,
            "modelName": call.responded_model,
            "deploymentName": call.model,
            "promptTokens": 0 if failed else call.input_tokens,
            "promptCachedTokens": 0 if failed else call.cached_tokens,
            "completionTokens": 0 if failed else call.output_tokens,
            "isStreamCompletion": call.stream,
        }
    ]
    if "claude" in call.model and not failed:  # cached tokens are beside the others
        rows[0]["promptTokens"] -= call.cached_tokens
    rows += [{"requestMessages": piece} for piece in _pieces(json.dumps(call.messages))]
    if not failed:
        answer: dict[str, Any] = {"role": "assistant", "content": call.response}
        answer |= {"tool_calls": [{"id": "t"}]} if call.tool_calls else {}
        rows += [{"responseMessages": piece} for piece in _pieces(json.dumps(answer))]
    return [
        record(call, "GatewayLlmLogs", {"sequenceNumber": number, **row})
        for number, row in enumerate(rows)
    ]


def gateway_record(call: Call) -> dict[str, Any]:
    """The record of GatewayLogs, without bodies."""
    properties: dict[str, Any] = {"method": "POST", "url": "https://n/", "responseCode": 200}
    if call.error is not None:
        properties |= {"responseCode": call.status, "lastError": {"reason": call.error}}
    failed = call.error is not None
    return record(
        call,
        "GatewayLogs",
        properties,
        durationMs=call.latency_ms,
        isRequestSuccess=not failed,
    )


def message(records: list[dict[str, Any]]) -> LogMessage:
    """A message of Event Hubs."""
    return LogMessage(json.dumps({"records": records}).encode())


def _pieces(text: str) -> list[str]:
    return [text[start : start + _PIECE] for start in range(0, len(text), _PIECE)]


def encode(call: Call) -> list[LogMessage]:
    """API Management: GatewayLogs first, then the records of the call in two messages."""
    rows = llm_records(call)
    return [message([gateway_record(call), *rows[:2]]), message(rows[:1:-1])]


def _openai(call: Call) -> list[LogMessage]:
    """Azure OpenAI: a call twice in RequestResponse, and its tokens in a category of their own."""
    properties = {
        "apiName": "Azure OpenAI API version 2026-03-01",
        "requestTime": ticks(call.start),
        "responseTime": ticks(call.end),
        "streamType": "Streaming" if call.stream else "Non-Streaming",
    }
    names = {"modelDeploymentName": call.model, "modelName": call.responded_model}
    caller = {"callerObjectId": call.user_id or ""}
    usage = {
        "promptTokens": [call.input_tokens],
        "cachedTokens": [call.cached_tokens],
        "generatedTokens": [call.output_tokens],
    }

    def entry(category: str, fields: dict[str, Any]) -> dict[str, Any]:
        return record(
            call,
            category,
            json.dumps(fields),
            resourceId=_RESOURCE.format("COGNITIVESERVICES/ACCOUNTS"),
            operationName="ChatCompletions_Create",
            durationMs=call.latency_ms,
            resultSignature=str(call.status),
        )

    empty = entry("RequestResponse", properties | {"callerObjectId": ""})
    full = entry("RequestResponse", properties | names | caller)
    messages = [message([empty, full])]
    if call.error is None:
        messages.append(message([entry("AzureOpenAIRequestUsage", usage)]))
    return messages


_MEASURED = frozenset(
    {"request_id", "timestamp", "model", "latency_ms", "input_tokens", "output_tokens", "error"}
)
FIELDS = _MEASURED | {"prompt", "response"}
VARIANTS = {"openai": Variant(_openai, _MEASURED | {"user_id"})}
