"""Calls as envelopes with bodies of Anthropic's API."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any, Final

from monitor.ingest.decode.message import LogMessage
from tests.monitor.ingest.decode.encoders import bodies
from tests.monitor.ingest.decode.encoders.call import Call
from tests.monitor.ingest.decode.encoders.openai import envelope

FIELDS: Final = bodies.ALL_FIELDS


def failure(call: Call) -> dict[str, Any]:
    """Return the body of an error."""
    return {"type": "error", "error": {"type": call.error, "message": "a text of a user"}}


def encode(call: Call) -> list[LogMessage]:
    """Return an envelope with a time in RFC 3339."""
    response = failure(call) if call.error else bodies.anthropic_message(call)
    found = envelope(call, bodies.anthropic_request(call), response)
    found["timestamp"] = datetime.fromtimestamp(call.start, UTC).isoformat()
    found["error_type"] = None
    return [LogMessage(json.dumps(found).encode())]
