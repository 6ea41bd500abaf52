"""From the bodies of a request and a response to an inference."""

from __future__ import annotations

from typing import Any

from monitor.ingest.decode.bodies.requests import Request
from monitor.ingest.decode.bodies.responses import Response
from monitor.ingest.decode.bodies.streams import is_events, is_sse, joined, sse_events
from monitor.ingest.decode.inference import Inference
from monitor.ingest.decode.json_decoding import lenient_decoder

_decode = lenient_decoder(Any)


def body_of(value: object) -> Any:
    """Return a body as decoded JSON, whether it is logged as JSON, as text, or as a stream.

    Returns None for a text that is neither JSON nor a stream of server-sent events.
    """
    if isinstance(value, bytes):
        value = value.decode("utf-8", "replace")
    if isinstance(value, str):
        if is_sse(value):
            return joined(sse_events(value))
        found = _decode(value.encode("utf-8", "replace"))
        return joined(found) if is_events(found) else found
    if isinstance(value, list) and any(isinstance(each, dict) for each in value):
        return joined(value)  # the events of a stream
    return value


def inference_of(request: Request, response: Response, /, **logged: Any) -> Inference:
    """Return the inference of a call. What the log states itself replaces what the bodies state.

    logged: fields of `Inference`; None if the log does not have one.
    """
    fields: dict[str, Any] = {
        "request_id": response.request_id,
        "timestamp": response.created,
        "model": request.model,
        "responded_model": response.model,
        "prompt": request.prompt,
        "response": response.text,
        "user_id": request.user_id,
        "latency_ms": response.latency_ms,
        "input_tokens": response.input_tokens,
        "output_tokens": response.output_tokens,
        "finish_reason": response.finish_reason,
        "error": response.error,
    }
    return Inference(**fields | {key: each for key, each in logged.items() if each is not None})
