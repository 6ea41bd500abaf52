"""Responses of model APIs: OpenAI, Anthropic, Bedrock and Gemini."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Final

from monitor.ingest.decode.bodies.content import answer_of, calls_tools, text_of
from monitor.ingest.decode.bodies.usage import usage_of
from monitor.ingest.decode.bodies.values import identifier, member, number, text

UNNAMED_ERROR: Final = "error"
TOOL_CALLS: Final = "tool_calls"
_CALLS_OF_CLIENT: Final = (
    *("function_call", "custom_tool_call", "computer_call"),
    *("local_shell_call", "shell_call", "apply_patch_call"),
)
"""Items of the responses API that end a response, because the client has to run the tool. Those of
other tools, such as web_search_call, are within it."""


@dataclass(frozen=True, slots=True)
class Response:
    """The fields of a response that a record has.

    created: epoch seconds. text: None if it was not logged, or if the model only calls tools.
    error: class or code. latency_ms: as measured by the service itself.
    """

    request_id: str | None = None
    model: str | None = None
    created: float | None = None
    text: str | None = None
    finish_reason: str | None = None
    input_tokens: float | None = None
    output_tokens: float | None = None
    error: str | None = None
    latency_ms: float | None = None


def response_of(body: object) -> Response:
    """Return the response in a decoded JSON body; fields that it does not have are None."""
    if not isinstance(body, dict):
        return Response()
    read = next((read for key, read in _READERS.items() if key in body), None)
    if body.get("type") == "message":  # Anthropic, whose `content` alone says little
        read = _anthropic
    found = read(body) if read is not None else Response()
    input_tokens, output_tokens = usage_of(body.get("usage") or body.get("usageMetadata"))
    error = body.get("error")
    if error is None and body.get("object") == "error":  # vLLM
        error = {key: body[key] for key in ("code", "type") if key in body} or UNNAMED_ERROR
    return replace(
        found,
        request_id=identifier(body.get("id")) or identifier(body.get("responseId")),
        model=text(body.get("model")) or text(body.get("modelVersion")),
        created=number(body.get("created")) or number(body.get("created_at")),
        input_tokens=found.input_tokens if input_tokens is None else input_tokens,
        output_tokens=found.output_tokens if output_tokens is None else output_tokens,
        error=found.error if error is None else error_of(error),
    )


def error_of(error: object) -> str | None:
    """Return the class or code of an error object or text of an API."""
    if not error:
        return None
    if not isinstance(error, dict):
        return error if isinstance(error, str) else identifier(error) or UNNAMED_ERROR
    for key in ("code", "type", "status", "__type"):
        if name := identifier(error.get(key)):
            return name
    return UNNAMED_ERROR


def _chat(body: dict[str, Any]) -> Response:
    """Read chat completions, and completions with a text."""
    choice = member(body, "choices", 0)
    if choice is None:
        return Response()
    reason = text(member(choice, "finish_reason")) or text(member(choice, "stop_reason"))
    message = member(choice, "message")
    if not isinstance(message, dict):
        return Response(text=_maybe(member(choice, "text")), finish_reason=reason)
    if text(message.get("refusal")) and not message.get("content"):
        reason = "refusal"
    return Response(text=answer_of(message), finish_reason=reason)


def _responses(body: dict[str, Any]) -> Response:
    """Read a response of OpenAI's responses API: a list of items."""
    items = body["output"] if isinstance(body["output"], list) else []
    contents = [member(item, "content") for item in items if member(item, "type") == "message"]
    parts = [part for content in contents if isinstance(content, list) for part in content]
    answer = "\n".join(filter(None, map(text_of, parts)))
    refusals = [each for part in parts if (each := text(member(part, "refusal")))]
    tools = any((text(member(item, "type")) or "").endswith("_call") for item in items)
    status = text(body.get("status"))
    reason = text(member(body, "incomplete_details", "reason"))
    if reason is None and status == "completed":
        reason = "stop"
    if refusals and not answer:
        return Response(text="\n".join(refusals), finish_reason="refusal")
    if any(member(item, "type") in _CALLS_OF_CLIENT for item in items) and reason in (None, "stop"):
        reason = TOOL_CALLS
    if tools and not answer:
        return Response(finish_reason=TOOL_CALLS)
    return Response(text=answer if items else None, finish_reason=reason)


def _anthropic(body: dict[str, Any]) -> Response:
    message = {"content": body.get("content")}
    answer = answer_of(message) if body.get("content") is not None else None
    return Response(text=answer, finish_reason=text(body.get("stop_reason")))


def _converse(body: dict[str, Any]) -> Response:
    """Read a response of Bedrock's Converse, or of the responses API, which also has `output`."""
    if isinstance(body["output"], list):
        return _responses(body)
    message = member(body, "output", "message")
    return Response(
        text=None if message is None else answer_of(message),
        finish_reason=text(body.get("stopReason")),
        latency_ms=number(member(body, "metrics", "latencyMs")),
    )


def _gemini(body: dict[str, Any]) -> Response:
    candidate = member(body, "candidates", 0)
    content = member(candidate, "content")
    answer = None if content is None else answer_of(content)
    reason = text(member(candidate, "finishReason"))
    if reason == "STOP" and calls_tools(content):
        reason = TOOL_CALLS
    return Response(text=answer, finish_reason=reason)


def _generation(body: dict[str, Any]) -> Response:
    """Read Llama on Bedrock."""
    return Response(
        text=_maybe(body.get("generation")),
        finish_reason=text(body.get("stop_reason")),
        input_tokens=number(body.get("prompt_token_count")),
        output_tokens=number(body.get("generation_token_count")),
    )


def _results(body: dict[str, Any]) -> Response:
    """Read Titan on Bedrock."""
    result = member(body, "results", 0)
    return Response(
        text=_maybe(member(result, "outputText")),
        finish_reason=text(member(result, "completionReason")),
        input_tokens=number(body.get("inputTextTokenCount")),
        output_tokens=number(member(result, "tokenCount")),
    )


def _outputs(body: dict[str, Any]) -> Response:
    """Read Mistral on Bedrock."""
    output = member(body, "outputs", 0)
    return Response(
        text=_maybe(member(output, "text")), finish_reason=text(member(output, "stop_reason"))
    )


def _generations(body: dict[str, Any]) -> Response:
    """Read Cohere's older models on Bedrock."""
    return _text(member(body, "generations", 0))


def _text(body: object) -> Response:
    """Read Cohere on Bedrock."""
    return Response(
        text=_maybe(member(body, "text")), finish_reason=text(member(body, "finish_reason"))
    )


def _messages(body: dict[str, Any]) -> Response:
    """Read the response of an agent: a list of messages, the last of which is the answer."""
    messages = body["messages"]
    last = messages[-1] if isinstance(messages, list) and messages else None
    return Response(text=None if last is None else answer_of(last))


def _maybe(value: object) -> str | None:
    return value if isinstance(value, str) else None


_READERS: Final = {
    "choices": _chat,
    "output": _converse,
    "candidates": _gemini,
    "generation": _generation,
    "results": _results,
    "outputs": _outputs,
    "stop_reason": _anthropic,
    "messages": _messages,
    "generations": _generations,
    "text": _text,
}
"""Key of a response -> what reads it."""
