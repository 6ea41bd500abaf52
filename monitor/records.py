"""A record, one inference as logged, and the reasons for which a message is none."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Any

import msgspec


class Refusal(StrEnum):
    """Why a message is refused: the `reason` of dead letters and of records_rejected_total."""

    EMPTY = "empty"
    TOO_LARGE = "too_large"
    NOT_JSON = "not_json"
    NOT_UTF8 = "not_utf8"
    MISSING_FIELD = "missing_field"
    WRONG_TYPE = "wrong_type"
    BAD_MODEL = "bad_model"
    BAD_TIMESTAMP = "bad_timestamp"


class RefusedError(Exception):
    """A message that is no record. `detail` says where, never what: it may be anybody's text."""

    def __init__(self, reason: Refusal, detail: str) -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason = reason
        self.detail = detail


class Part(msgspec.Struct, gc=False):
    """A part of a chat message's content that is an object; only its text counts."""

    text: str | None = None


class Message(msgspec.Struct, gc=False):
    """A chat message of a prompt."""

    content: str | list[Part | str] | None = None

    @property
    def chars(self) -> int:
        """Characters of text."""
        if isinstance(self.content, list):
            return sum(len(p if isinstance(p, str) else p.text or "") for p in self.content)
        return len(self.content or "")


class Record(msgspec.Struct, gc=False):
    """What the features need of one inference; anything else in a log is passed over.

    timestamp: epoch seconds, once a decoder has returned it. None where the log says nothing:
    missing is not zero.
    """

    request_id: str
    timestamp: float | datetime
    model: str
    prompt: str | list[Message] | None = None
    response: str | None = None
    latency_ms: float | None = None
    time_to_first_token_ms: float | None = None
    input_tokens: float | None = None
    output_tokens: float | None = None
    cost_usd: float | None = None
    finish_reason: str | None = None
    error: str | None = None
    scores: dict[str, float | None] | None = None

    @property
    def prompt_chars(self) -> int | None:
        """Characters of the prompt's text."""
        if isinstance(self.prompt, list):
            return sum(message.chars for message in self.prompt)
        return None if self.prompt is None else len(self.prompt)


class RecordWithMetadata(Record, gc=False):
    """A record whose metadata the configuration asks for; decoding it costs, so only then.

    metadata: of any kind of value, since a log may keep more there than what is watched.
    """

    metadata: dict[str, Any] | None = None
