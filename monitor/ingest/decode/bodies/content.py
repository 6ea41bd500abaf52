"""Texts of chat messages: OpenAI, Anthropic, Bedrock, Gemini, and OpenTelemetry's conventions."""

from __future__ import annotations

from typing import Final

from monitor.ingest.decode.bodies.values import member, text
from monitor.records import ChatMessage

MAX_MESSAGES: Final = 10_000
MAX_ROLE_CHARS: Final = 32
_MAX_DEPTH: Final = 4
"""Depth of parts within parts, such as the texts of a tool's result."""
TOOL_CALLS: Final = frozenset({"tool_call", "tool-call", "tool_use", "function_call"})
NOT_TEXT: Final = TOOL_CALLS | {"reasoning", "thinking", "redacted_thinking", "blob"}
"""Types of parts that are not part of an answer's text. The content of a blob is Base64."""


def text_of(content: object, depth: int = 0) -> str:
    """Return the text of a message's content, its parts on lines of their own; "" without text.

    content: a text, a list of parts, or a part: an object with its text in `text`, `content`,
    `parts`, or, for results of tools, `response`, `output` or `value`.
    """
    if isinstance(content, str):
        return content
    if depth > _MAX_DEPTH:
        return ""
    if isinstance(content, list):
        return "\n".join(filter(None, (text_of(part, depth + 1) for part in content)))
    if not isinstance(content, dict) or text(content.get("type")) in NOT_TEXT:
        return ""
    for key in ("text", "content", "parts", "response", "output", "value"):
        if found := text_of(content.get(key), depth + 1):
            return found
    return ""


def calls_tools(message: object) -> bool:
    """Return whether a message of the model calls tools."""
    if not isinstance(message, dict):
        return False
    if message.get("tool_calls") or message.get("function_call"):
        return True
    parts = message.get("parts") or message.get("content")
    if not isinstance(parts, list):
        return False
    return any(
        text(member(part, "type")) in TOOL_CALLS
        or (isinstance(part, dict) and bool(part.keys() & {"toolUse", "functionCall"}))
        for part in parts
    )


def answer_of(message: object) -> str | None:
    """Return the text of a message of the model.

    Returns None if the message calls tools and has no text, or if it was not logged.
    """
    if not isinstance(message, dict):
        return text(message)
    answer = text_of(message.get("content") or message.get("parts")) or text(message.get("refusal"))
    if answer:
        return answer
    return None if calls_tools(message) else ""


def chat(messages: object, system: object = None) -> str | list[ChatMessage] | None:
    """Return a prompt: chat messages, or a text if it is one.

    system: instructions that are logged apart from the messages.
    """
    found = [ChatMessage("system", each)] if (each := text_of(system)) else []
    if isinstance(messages, str):
        if not found:
            return messages
        return [*found, ChatMessage("user", messages)]
    if not isinstance(messages, list):
        return found or None
    for message in messages[:MAX_MESSAGES]:
        role = text(member(message, "role")) or "user"
        found.append(ChatMessage(role[:MAX_ROLE_CHARS], text_of(_content(message))))
    return found or None


def _content(message: object) -> object:
    """Return the content of a message; an item that is a text is a message of the user."""
    if not isinstance(message, dict):
        return message
    for key in ("content", "parts", "output"):
        if message.get(key) is not None:
            return message[key]
    return None
