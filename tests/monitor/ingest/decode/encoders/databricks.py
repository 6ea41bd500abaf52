"""Calls as rows of inference tables of Databricks."""

from __future__ import annotations

import json
from typing import Any

from monitor.ingest.decode.message import LogMessage
from tests.monitor.ingest.decode.encoders import cloud_bodies as bodies
from tests.monitor.ingest.decode.encoders.call import Call, Variant
from tests.monitor.ingest.decode.encoders.times import rfc3339

FIELDS = frozenset(
    {
        "request_id",
        "timestamp",
        "model",
        "prompt",
        "response",
        "latency_ms",
        "input_tokens",
        "output_tokens",
        "finish_reason",
        "error",
        "user_id",
    }
)


def _row(call: Call, **more: Any) -> list[LogMessage]:
    response = bodies.chat_stream(call) if call.stream else json.dumps(bodies.chat_response(call))
    row = {
        "databricks_request_id": call.request_id,
        "client_request_id": None,
        "status_code": call.status,
        "sampling_fraction": 1.0,
        "request": json.dumps({"messages": call.messages}),
        "response": response,
    }
    return [LogMessage(json.dumps(row | more).encode())]


def encode(call: Call) -> list[LogMessage]:
    """The schema of AI Gateway, whose model is in the request."""
    request = bodies.chat_request(call)
    del request["stream"]
    return _row(
        call,
        request=json.dumps({**request, "user": None}),
        request_date="2026-11-30",
        request_time=rfc3339(call.start),
        execution_duration_ms=call.latency_ms,
        served_entity_id="0a1b2c",
        logging_error_codes=[],
        requester=call.user_id,
    )


def _legacy(call: Call) -> list[LogMessage]:
    """The first schema. The endpoint is in a map, and nobody is named."""
    return _row(
        call,
        date="2026-11-30",
        timestamp_ms=round(call.start * 1000),
        execution_time_ms=call.latency_ms,
        request_metadata={"endpoint_name": call.model, "model_name": "m", "model_version": "3"},
    )


VARIANTS = {"legacy": Variant(_legacy, FIELDS - {"user_id"})}
