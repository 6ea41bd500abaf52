"""The parts of prompts and answers whose style is measured, so that its cost is bounded."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from monitor.records import ChatMessage

MAX_PROMPT_CHARS: Final = 256
"""Characters at the end of a prompt that are read: what is asked for is mostly there."""
HEAD_CHARS: Final = 512
TAIL_CHARS: Final = 128
"""Characters at the beginning and at the end of an answer that are read."""


def answer_text(response: str) -> str:
    """Return the beginning and the end of an answer."""
    if len(response) <= HEAD_CHARS + TAIL_CHARS:
        return response
    return f"{response[:HEAD_CHARS]}\n{response[-TAIL_CHARS:]}"


def prompt_text(prompt: str | Sequence[ChatMessage] | None) -> str:
    """Return the end of a prompt, of chat messages that of the newest one of the user."""
    if prompt is None:
        return ""
    if not isinstance(prompt, str):
        newest = next((each for each in reversed(prompt) if each.role == "user"), None)
        prompt = newest.content if newest else ""
    return prompt[-MAX_PROMPT_CHARS:]
