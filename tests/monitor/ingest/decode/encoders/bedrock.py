"""Calls in the log of model invocations of AWS Bedrock."""

from __future__ import annotations

import json
from typing import Any

from monitor.ingest.decode.message import LogMessage
from tests.monitor.ingest.decode.encoders import cloud_bodies as bodies
from tests.monitor.ingest.decode.encoders.call import Call, Variant
from tests.monitor.ingest.decode.encoders.times import rfc3339

_INVOKE = frozenset(
    {
        "request_id",
        "timestamp",
        "model",
        "prompt",
        "response",
        "input_tokens",
        "output_tokens",
        "finish_reason",
        "error",
    }
)


def entry(call: Call, operation: str, given: Any, answered: Any) -> dict[str, Any]:
    """An entry of the log. Cached tokens are beside the others."""
    logged: dict[str, Any] = {
        "schemaType": "ModelInvocationLog",
        "schemaVersion": "1.0",
        "timestamp": rfc3339(int(call.start))[:-5] + "Z",
        "accountId": "123456789012",
        "identity": {"arn": "arn:aws:sts::123456789012:assumed-role/app/session"},
        "region": "eu-west-1",
        "requestId": call.request_id,
        "operation": operation,
        "modelId": f"arn:aws:bedrock:eu-west-1:123456789012:inference-profile/{call.model}",
        "input": {
            "inputContentType": "application/json",
            "inputBodyJson": given,
            "inputTokenCount": call.input_tokens - call.cached_tokens,
            "cacheReadInputTokenCount": call.cached_tokens,
            "cacheWriteInputTokenCount": 0,
        },
    }
    if call.error is not None:
        logged["input"]["inputTokenCount"] = logged["input"]["cacheReadInputTokenCount"] = 0
        logged |= {"errorCode": call.error}
        return logged | ({} if answered is None else {"output": {"outputBodyJson": answered}})
    output = {"outputContentType": "application/json", "outputBodyJson": answered}
    return logged | {"output": output | {"outputTokenCount": call.output_tokens}}


def encode(call: Call) -> list[LogMessage]:
    """InvokeModel with a model of Anthropic, as a line in S3."""
    answered = None if call.error else bodies.anthropic_response(call)
    logged = entry(call, "InvokeModel", bodies.anthropic_request(call), answered)
    return [LogMessage(json.dumps(logged).encode())]


def _converse(call: Call) -> list[LogMessage]:
    """Converse."""
    given = {
        "messages": [
            {"role": each["role"], "content": [{"text": each["content"]}]}
            for each in call.messages
            if each["role"] != "system"
        ],
        "system": [{"text": each["content"]} for each in call.messages if each["role"] == "system"],
    }
    content: list[dict[str, Any]] = [{"text": call.response}] if call.response else []
    content += [{"toolUse": {"toolUseId": "t", "name": "f", "input": {}}}] * call.tool_calls
    answered: dict[str, Any] = {"metrics": {"latencyMs": call.latency_ms}}
    if call.error is None:
        answered |= {
            "output": {"message": {"role": "assistant", "content": content}},
            "stopReason": bodies.ANTHROPIC_REASONS[call.finish_reason or "stop"],
            "usage": {"inputTokens": 1, "outputTokens": 1},
        }
    logged = entry(call, "Converse", given, answered)
    return [LogMessage(json.dumps(logged).encode())]


def _stream(call: Call) -> list[LogMessage]:
    """InvokeModelWithResponseStream, in a batch of a CloudWatch subscription, decompressed."""
    whole = bodies.anthropic_response(call)
    start = {"id": "msg_1", "type": "message", "model": whole["model"], "usage": whole["usage"]}
    events: list[dict[str, Any]] = [{"type": "message_start", "message": start}]
    for index, part in enumerate(whole["content"]):
        empty = part | ({"text": ""} if part["type"] == "text" else {})
        events.append({"type": "content_block_start", "index": index, "content_block": empty})
        events += [
            {
                "type": "content_block_delta",
                "index": index,
                "delta": {"type": "text_delta", "text": character},
            }
            for character in part.get("text", "")
        ]
        events.append({"type": "content_block_stop", "index": index})
    delta = {"stop_reason": whole["stop_reason"], "stop_sequence": None}
    usage = {"output_tokens": call.output_tokens}
    metrics = {
        "inputTokenCount": call.input_tokens,
        "outputTokenCount": call.output_tokens,
        "invocationLatency": call.latency_ms,
    }
    if call.time_to_first_token_ms is not None:
        metrics["firstByteLatency"] = call.time_to_first_token_ms
    if call.error is not None:  # it failed before the first event
        events = []
    else:
        events.append({"type": "message_delta", "delta": delta, "usage": usage})
    events.append({"type": "message_stop", "amazon-bedrock-invocationMetrics": metrics})
    given = bodies.anthropic_request(call)
    logged = entry(call, "InvokeModelWithResponseStream", given, events)
    batch = {
        "messageType": "DATA_MESSAGE",
        "owner": "123456789012",
        "logGroup": "bedrock",
        "logStream": "aws/bedrock/modelinvocations",
        "subscriptionFilters": ["all"],
        "logEvents": [{"id": "1", "timestamp": 1, "message": json.dumps(logged)}],
    }
    return [LogMessage(json.dumps(batch).encode())]


FIELDS = _INVOKE
TIME_RESOLUTION = 1.0
VARIANTS = {
    "converse": Variant(_converse, _INVOKE | {"latency_ms"}, 1.0),
    "stream": Variant(_stream, _INVOKE | {"latency_ms", "time_to_first_token_ms"}, 1.0),
}
