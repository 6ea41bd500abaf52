"""Prompts, responses and documents in the attributes of the conventions."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, NamedTuple

from monitor.ingest.decode.bodies.calls import body_of
from monitor.ingest.decode.bodies.content import MAX_MESSAGES, answer_of, chat, text_of
from monitor.ingest.decode.bodies.requests import prompt_of
from monitor.ingest.decode.bodies.responses import response_of
from monitor.ingest.decode.bodies.values import member, text
from monitor.ingest.decode.formats.otlp.fields import json_of
from monitor.ingest.decode.formats.otlp.reading.entries import Attributes
from monitor.records import ChatMessage

MAX_DOCUMENTS: Final = 1_000
_MAX_INDEX_DIGITS: Final = 4
_VERCEL_TEXTS: Final = (
    "ai.response.text",
    "ai.response.object",
    "ai.result.text",
    "ai.result.object",
)
_VERCEL_TOOLS: Final = ("ai.response.toolCalls", "ai.result.toolCalls")
_INPUTS: Final = (
    "langfuse.observation.input",
    "mlflow.spanInputs",
    "input.value",
    "traceloop.entity.input",
    "ai.prompt",
)
_OUTPUTS: Final = (
    "langfuse.observation.output",
    "mlflow.spanOutputs",
    "output.value",
    "traceloop.entity.output",
)

Prompt = str | list[ChatMessage] | None


class Answer(NamedTuple):
    """A response of the model.

    text: None if it was not logged, or if the model only calls tools. finish_reason: as in the
    message itself, if it is there.
    """

    text: str | None = None
    finish_reason: str | None = None


def prompt_in(attributes: Attributes) -> Prompt:
    """Return the prompt of a call."""
    messages = attributes.get("gen_ai.input.messages")
    system = json_of(attributes.get("gen_ai.system_instructions"))
    if messages is not None or system is not None:
        return chat(_messages(messages), system)
    if (messages := attributes.get("ai.prompt.messages")) is not None:
        return chat(_messages(messages))
    for prefix, read in (
        ("gen_ai.prompt.", _indexed_message),
        ("llm.input_messages.", _openinference_message),
        ("llm.prompts.", _openinference_prompt),
    ):
        if numbered := _numbered(attributes, prefix):
            return chat([read(each) for each in numbered])
    for name in ("gen_ai.prompt", "llm.prompts"):
        if (value := attributes.get(name)) is not None:
            return chat(_messages(value))
    return next((_input(attributes[name]) for name in _INPUTS if name in attributes), None)


def answer_in(attributes: Attributes) -> Answer:
    """Return the response of a call: the first choice."""
    messages = attributes.get("gen_ai.output.messages")
    if messages is not None:
        return _first_message(_messages(messages))
    for name in _VERCEL_TEXTS:
        if (found := attributes.get(name)) is not None and (found or not _has_tools(attributes)):
            return Answer(found if isinstance(found, str) else None)
    if _has_tools(attributes):
        return Answer()
    for prefix, read in (
        ("gen_ai.completion.", _indexed_message),
        ("llm.output_messages.", _openinference_message),
        ("llm.choices.", _openinference_choice),
    ):
        if numbered := _numbered(attributes, prefix):
            return _first_message([read(numbered[0])])
    if (value := attributes.get("gen_ai.completion")) is not None:
        return _first_message(_messages(value))
    return next((_output(attributes[name]) for name in _OUTPUTS if name in attributes), Answer())


def documents_in(attributes: Attributes) -> list[str]:
    """Return the texts of the documents that a span retrieved."""
    documents = json_of(attributes.get("gen_ai.retrieval.documents"))
    if documents is None:
        documents = _numbered(attributes, "retrieval.documents.")
    if not documents:  # MLflow and Langfuse have them in the output of the span
        outputs = (attributes.get(name) for name in _OUTPUTS[:2])
        documents = json_of(next((each for each in outputs if each is not None), None))
    if not isinstance(documents, list):
        return []
    return [found for each in documents[:MAX_DOCUMENTS] if (found := _document(each))]


def _document(document: Any) -> str:
    if isinstance(document, dict):
        for key in ("content", "document.content", "page_content", "text"):
            if found := text_of(document.get(key)):
                return found
        return ""
    return document if isinstance(document, str) else ""


def _has_tools(attributes: Attributes) -> bool:
    return any(json_of(attributes.get(name)) for name in _VERCEL_TOOLS)


def _messages(value: Any) -> Any:
    """Return messages, which may be JSON in a text. A text that is cut JSON is not logged."""
    found = json_of(value)
    if isinstance(found, dict):  # {"messages": [...]}
        return found.get("messages", [found])
    if isinstance(found, str) and found.startswith(("[{", "{")):
        return None
    return found


def _first_message(messages: Any) -> Answer:
    if isinstance(messages, str):
        return Answer(messages)
    message = member(messages, 0)
    if message is None:
        return Answer()
    return Answer(answer_of(message), text(member(message, "finish_reason")))


def _input(value: Any) -> Prompt:
    """Return the prompt in what an application passed to a call: a text, messages, or a request."""
    found = json_of(value)
    if isinstance(found, dict):
        if isinstance(found.get("inputs"), dict):  # Traceloop
            found = found["inputs"]
        prompt = prompt_of(found)
        if prompt is None and isinstance(found.get("kwargs"), dict):
            prompt = prompt_of(found["kwargs"])
        return prompt if prompt is not None else chat([found]) if "role" in found else None
    return chat(_messages(found))


def _output(value: Any) -> Answer:
    """Return the response in what a call returned: a text, a message, or the body of an API."""
    found = json_of(value)
    if isinstance(member(found, "outputs"), str | dict):  # Traceloop
        found = found["outputs"]
    if isinstance(found, str):
        return Answer(found)
    if member(member(found, 0), "role") is not None:  # messages, not the events of a stream
        return _first_message(found)
    body = body_of(found)
    if isinstance(body, dict) and "role" in body and "choices" not in body:
        return _first_message([body])
    response = response_of(body)
    return Answer(response.text, response.finish_reason)


# --- messages whose parts are attributes with numbers in their names --------------------------


def _numbered(attributes: Attributes, prefix: str) -> list[dict[str, Any]]:
    """Return the objects of attributes such as `PREFIX0.role`, `PREFIX1.content`, in order.

    Keys are what follows the number.
    """
    found: dict[int, dict[str, Any]] = {}
    for name, value in attributes.items():
        if name.startswith(prefix):
            index, _, key = name[len(prefix) :].partition(".")
            if index.isdecimal() and len(index) <= _MAX_INDEX_DIGITS:
                found.setdefault(int(index), {})[key] = value
    return [found[index] for index in sorted(found)[:MAX_MESSAGES]]


def _indexed_message(fields: Mapping[str, Any]) -> dict[str, Any]:
    """Return a message of OpenLLMetry: `role`, `content`, `finish_reason`, `tool_calls.0.name`."""
    content = fields.get("content")
    if isinstance(content, str) and content.startswith('[{"'):  # parts, as JSON
        content = json_of(content)
    return {
        "role": fields.get("role"),
        "content": content,
        "finish_reason": fields.get("finish_reason"),
        "tool_calls": any(key.startswith(("tool_calls.", "function_call")) for key in fields),
    }


def _openinference_message(fields: Mapping[str, Any]) -> dict[str, Any]:
    """Return a message of OpenInference: `message.role`, `message.content`, or its parts."""
    content = fields.get("message.content")
    if content is None:
        parts = _numbered(fields, "message.contents.")
        content = [{"text": each.get("message_content.text")} for each in parts]
    return {
        "role": fields.get("message.role"),
        "content": content,
        "tool_calls": any(
            key.startswith(("message.tool_calls.", "message.function_call_name")) for key in fields
        ),
    }


def _openinference_prompt(fields: Mapping[str, Any]) -> dict[str, Any]:
    return {"content": fields.get("prompt.text")}


def _openinference_choice(fields: Mapping[str, Any]) -> dict[str, Any]:
    return {"content": fields.get("completion.text")}
