"""Bodies of a model server: OpenAI's APIs, Open Inference Protocol V2, and streams of both.

A text in V2 is an input or output with the type BYTES.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Final

from monitor.ingest.decode.bodies.calls import body_of
from monitor.ingest.decode.bodies.requests import Request, request_of
from monitor.ingest.decode.bodies.responses import Response, response_of
from monitor.ingest.decode.bodies.values import member, text
from monitor.ingest.decode.formats.clouds.models import TENSOR, kind_without_text

_TEXT_TYPE: Final = "BYTES"


def body(data: bytes) -> Any:
    """Return a body as decoded JSON; the events of a stream joined. None if it is neither."""
    return body_of(data)


def content(role: str, body: Any) -> Request | Response | str:
    """Return what a body contains, or the kind of what is skipped, such as a tensor."""
    if not isinstance(body, dict):
        return TENSOR
    if role == "request":
        return kind_without_text(body, None) or _request(body) or TENSOR
    return kind_without_text(None, body) or _response(body) or TENSOR


def _request(body: dict[str, Any]) -> Request | None:
    if _is_v2(body, "inputs"):
        texts = _texts(body["inputs"])
        return Request(prompt="\n".join(texts)) if texts else None
    return request_of(body)


def _response(body: dict[str, Any]) -> Response | None:
    model = text(body.get("model_name"))
    if _is_v2(body, "outputs"):
        texts = _texts(body["outputs"])
        return Response(model=model, text="\n".join(texts)) if texts else None
    if "text_output" in body:  # the generate extension of Triton
        return Response(model=model, text=text(body["text_output"]) or "")
    found = response_of(body)
    return replace(found, model=found.model or model)


def _is_v2(body: dict[str, Any], key: str) -> bool:
    """Return whether a body has a list of tensors."""
    return isinstance(member(body, key, 0, "datatype"), str)


def _texts(tensors: list[Any]) -> list[str]:
    """Return the texts in tensors of V2."""
    found: list[str] = []
    for tensor in tensors:
        if member(tensor, "datatype") != _TEXT_TYPE:
            continue
        data = member(tensor, "data")
        found += [each for each in data if isinstance(each, str)] if isinstance(data, list) else []
    return found
