"""Requests to model APIs: OpenAI, Anthropic, Bedrock and Gemini."""

from __future__ import annotations

from dataclasses import dataclass

from monitor.ingest.decode.bodies.content import chat
from monitor.ingest.decode.bodies.values import member, text
from monitor.records import ChatMessage


@dataclass(frozen=True, slots=True)
class Request:
    """The fields of a request that a record has."""

    model: str | None = None
    prompt: str | list[ChatMessage] | None = None
    user_id: str | None = None
    stream: bool = False


def request_of(body: object) -> Request:
    """Return the request in a decoded JSON body; fields that it does not have are None."""
    if not isinstance(body, dict):
        return Request()
    user = text(body.get("user")) or text(member(body, "metadata", "user_id"))
    model = text(body.get("model")) or text(body.get("modelId"))
    return Request(model, prompt_of(body), user, body.get("stream") is True)


def prompt_of(body: dict[str, object]) -> str | list[ChatMessage] | None:
    """Return the prompt of a request."""
    system = body.get("system")  # Anthropic, Converse
    if "messages" in body:  # chat completions, Anthropic, Converse
        return chat(body["messages"], system)
    if "contents" in body:  # Gemini
        instruction = body.get("systemInstruction") or body.get("system_instruction")
        return chat(body["contents"], instruction)
    if "input" in body:  # responses
        return chat(body["input"], body.get("instructions"))
    # Completions, text models of Bedrock, Triton, and Cohere
    for key in ("prompt", "inputText", "inputs", "text_input", "message"):
        if key in body:
            return chat(body[key], system)
    return None
