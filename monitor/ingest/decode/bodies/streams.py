"""Join the events of a streamed response to the response that a plain call would have had."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Any, Final

from monitor.ingest.decode.bodies.values import member, text
from monitor.ingest.decode.json_decoding import lenient_decoder

MAX_EVENTS: Final = 200_000
_DATA: Final = "data:"
_BEFORE: Final = "\ufeff \t\n"
_FIRST_LINE: Final = re.compile(r"\ufeff?\s*(?:data|event|id|retry)?:")
_decode = lenient_decoder(Any)


def sse_events(stream: str) -> list[Any]:
    """Return the decoded data of server-sent events; what is not JSON is left out."""
    found = []
    # Not `splitlines`: texts in JSON may contain its other separators, such as U+2028.
    if "\r" in stream:
        stream = stream.replace("\r\n", "\n").replace("\r", "\n")
    for line in stream.lstrip(_BEFORE).split("\n", 3 * MAX_EVENTS):
        if line.startswith(_DATA):
            event = _decode(line[len(_DATA) :].strip().encode("utf-8", "replace"))
            if isinstance(event, dict):
                found.append(event)
    return found


def is_sse(body: str) -> bool:
    """Return whether a body is a stream of server-sent events, which may begin with a comment."""
    return _FIRST_LINE.match(body) is not None


def is_events(body: object) -> bool:
    """Return whether a list has the events of a stream, and not messages or other objects."""
    events = [event for event in body if isinstance(event, dict)] if isinstance(body, list) else []
    return any(not _EVENTS.isdisjoint(each) or _type(each).startswith(_TYPES) for each in events)


def joined(events: Sequence[object]) -> dict[str, Any]:
    """Return the body of a plain response with the content of the events; {} without any.

    Understands chat completions, completions, Anthropic messages (also within Bedrock's events),
    OpenAI's responses, Bedrock's ConverseStream, and the streams of Llama, Titan and Mistral there.
    """
    found = [event for event in events[:MAX_EVENTS] if isinstance(event, dict)]
    for event in reversed(found):
        whole = event.get("response")  # the last event of a response holds all of it
        if isinstance(whole, dict) and _type(event).startswith("response."):
            return whole
    if any("choices" in event for event in found):
        return _chat(found)
    if any(_type(event).startswith(("message_", "content_block")) for event in found):
        return _anthropic(found)
    if any(event.keys() & _CONVERSE for event in found):
        return _converse(found)
    if any(event.keys() & _TEXT_MODELS for event in found):
        return _text_model(found)
    return found[0] if len(found) == 1 else {}


_CONVERSE: Final = {"contentBlockDelta", "messageStop", "messageStart", "metadata"}
_TEXT_MODELS: Final = {"generation", "outputText", "outputs"}
_EVENTS: Final = {"choices", *_CONVERSE, *_TEXT_MODELS} - {"metadata"}
_TYPES: Final = ("message_", "content_block", "response.")


def _type(event: dict[str, Any]) -> str:
    return text(event.get("type")) or ""


def _chat(events: Iterable[dict[str, Any]]) -> dict[str, Any]:
    body: dict[str, Any] = {}
    texts: list[str] = []
    refusals: list[str] = []
    tools = False
    reason = usage = None
    for event in events:
        for key in ("id", "model", "created"):
            if event.get(key) and key not in body:
                body[key] = event[key]
        usage = event.get("usage") or usage
        choice = member(event, "choices", 0)
        if choice is None:
            continue
        delta = member(choice, "delta")
        texts.append(text(member(delta, "content")) or text(member(choice, "text")) or "")
        refusals.append(text(member(delta, "refusal")) or "")
        tools |= bool(member(delta, "tool_calls"))
        reason = text(member(choice, "finish_reason")) or reason
    message: dict[str, Any] = {
        "content": "".join(texts) or None,
        "refusal": "".join(refusals) or None,
        "tool_calls": [{}] if tools else None,
    }
    return body | {"choices": [{"message": message, "finish_reason": reason}], "usage": usage}


def _anthropic(events: Iterable[dict[str, Any]]) -> dict[str, Any]:
    body: dict[str, Any] = {"type": "message"}
    texts: list[str] = []
    parts: list[dict[str, Any]] = []
    usage: dict[str, Any] = {}
    for event in events:
        kind = event.get("type")
        if kind == "message_start":
            start = member(event, "message")
            if isinstance(start, dict):
                body |= {key: start.get(key) for key in ("id", "model")}
                usage |= _counts(start.get("usage"))
        elif kind == "content_block_start" and member(event, "content_block", "type") == "tool_use":
            parts.append({"type": "tool_use"})
        elif kind == "content_block_delta":
            texts.append(text(member(event, "delta", "text")) or "")
        elif kind == "message_delta":
            body["stop_reason"] = member(event, "delta", "stop_reason")
            usage |= _counts(event.get("usage"))
        elif kind == "error":
            body["error"] = event.get("error")
    content = [{"type": "text", "text": "".join(texts)}] if any(texts) else []
    return body | {"content": [*content, *parts], "usage": usage}


def _counts(usage: object) -> dict[str, Any]:
    """Return the counts of an event; a later event does not erase a count by null."""
    if not isinstance(usage, dict):
        return {}
    return {key: value for key, value in usage.items() if value is not None}


def _converse(events: Iterable[dict[str, Any]]) -> dict[str, Any]:
    body: dict[str, Any] = {}
    texts: list[str] = []
    tools = False
    for event in events:
        texts.append(text(member(event, "contentBlockDelta", "delta", "text")) or "")
        tools |= member(event, "contentBlockStart", "start", "toolUse") is not None
        reason = text(member(event, "messageStop", "stopReason"))
        if reason is not None:
            body["stopReason"] = reason
        details = member(event, "metadata")
        if isinstance(details, dict):
            body |= {key: details.get(key) for key in ("usage", "metrics")}
    parts: list[dict[str, Any]] = [{"text": "".join(texts)}] if any(texts) else []
    if tools:
        parts.append({"toolUse": {}})
    return body | {"output": {"message": {"content": parts}}}


def _text_model(events: Iterable[dict[str, Any]]) -> dict[str, Any]:
    """Join the events of Llama, Titan or Mistral. Counts of tokens grow from event to event."""
    body: dict[str, Any] = {}
    texts: list[str] = []
    for event in events:
        output = member(event, "outputs", 0)
        piece = event.get("generation") or event.get("outputText") or member(output, "text")
        texts.append(text(piece) or "")
        reason = event.get("completionReason") or member(output, "stop_reason")
        changed = event | {"stop_reason": event.get("stop_reason") or reason}
        body |= {key: value for key, value in changed.items() if value is not None}
    whole = "".join(texts)
    if "outputText" in body:
        tokens = body.get("totalOutputTextTokenCount")
        result = {"outputText": whole, "completionReason": body.get("stop_reason")}
        return body | {"results": [result | {"tokenCount": tokens}]}
    if "outputs" in body:
        return {"outputs": [{"text": whole, "stop_reason": body.get("stop_reason")}]}
    return body | {"generation": whole}
