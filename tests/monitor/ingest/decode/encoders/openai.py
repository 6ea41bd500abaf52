"""Calls as envelopes with bodies of OpenAI's APIs, and as responses alone."""

from __future__ import annotations

import json
from typing import Any, Final

from monitor.ingest.decode.message import LogMessage
from tests.monitor.ingest.decode.encoders import bodies
from tests.monitor.ingest.decode.encoders.call import Call, Variant

FIELDS: Final = bodies.ALL_FIELDS


def envelope(call: Call, request: Any, response: Any) -> dict[str, Any]:
    """Return an envelope with what is beside the bodies."""
    return {
        "id": call.request_id,
        "timestamp": call.start,
        "latency_ms": call.latency_ms,
        "time_to_first_token_ms": call.time_to_first_token_ms,
        "cost_usd": None if call.error else call.cost_usd,
        "session_id": call.session_id,
        "error_type": call.error,
        "request": request,
        "response": response,
    }


def failure(call: Call) -> dict[str, Any]:
    """Return the body of an error."""
    return {"error": {"message": "a text of a user", "type": call.error, "code": None}}


def encode(call: Call) -> list[LogMessage]:
    """Return an envelope with objects."""
    response = failure(call) if call.error else bodies.chat_completion(call)
    found = envelope(call, bodies.chat_request(call), response)
    return [LogMessage(json.dumps(found).encode())]


def _texts(call: Call) -> list[LogMessage]:
    """Return an envelope with JSON in texts, a time in milliseconds and other names."""
    response = failure(call) if call.error else bodies.chat_completion(call)
    found = envelope(call, None, None) | {
        "timestamp": round(1000 * call.start),
        "request_body": json.dumps(bodies.chat_request(call)),
        "response_body": json.dumps(response),
    }
    return [LogMessage(json.dumps(found).encode())]


def _responses(call: Call) -> list[LogMessage]:
    """Return an envelope with bodies of the responses API."""
    request = {"model": call.model, "input": call.messages, "stream": call.stream}
    request |= {} if call.user_id is None else {"user": call.user_id}
    response = failure(call) if call.error else bodies.openai_response(call)
    return [LogMessage(json.dumps(envelope(call, request, response)).encode())]


VARIANTS: Final = {
    "texts": Variant(_texts, FIELDS),
    "responses": Variant(_responses, FIELDS),
}
