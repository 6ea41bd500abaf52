"""Calls as pairs of CloudEvents of KServe's logger."""

from __future__ import annotations

import base64
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


def _events(call: Call) -> list[tuple[dict[str, str], bytes]]:
    """The attributes and the data of both events. A failed call is an error with status 200."""
    response = bodies.chat_stream(call) if call.stream else json.dumps(bodies.chat_response(call))
    halves = [
        ("request", call.start, json.dumps(bodies.chat_request(call))),
        ("response", call.end, response),
    ]
    return [
        (
            {
                "specversion": "1.0",
                "id": call.request_id,
                "source": "http://localhost:9081/",
                "type": f"org.kubeflow.serving.inference.{kind}",
                "time": rfc3339(time),
                "inferenceservicename": "llm",
                "namespace": "models",
                "component": "predictor",
                "endpoint": "",
                "metadata": "{}",
            },
            data.encode(),
        )
        for kind, time, data in halves
    ]


def encode(call: Call) -> list[LogMessage]:
    """Binary mode, as Knative's broker writes it."""
    return [
        LogMessage(
            data,
            {f"ce_{name}": value.encode() for name, value in attributes.items()}
            | {"content-type": b"application/json"},
        )
        for attributes, data in _events(call)
    ]


def _structured(call: Call) -> list[LogMessage]:
    """Structured mode, as Knative's KafkaSink writes it; a stream in base64. Response first."""
    messages = []
    for attributes, data in reversed(_events(call)):
        event: dict[str, Any] = attributes | {"datacontenttype": "application/json"}
        if data.startswith(b"{"):
            event["data"] = json.loads(data)
        else:
            event["data_base64"] = base64.b64encode(data).decode()
        headers = {"content-type": b"application/cloudevents+json; charset=UTF-8"}
        messages.append(LogMessage(json.dumps(event).encode(), headers))
    return messages


VARIANTS = {"structured": Variant(_structured, FIELDS)}
