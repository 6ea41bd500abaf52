"""The record of one inference, and the reasons for rejecting a message."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any, Final

import msgspec

MAX_MODEL_CHARS: Final = 200
MAX_TIMESTAMP: Final = datetime(2200, 1, 1, tzinfo=UTC).timestamp()
"""Larger values are milliseconds or nanoseconds, not seconds."""


def is_valid_model(name: str) -> bool:
    """Return whether a name can be that of a model."""
    return 0 < len(name) <= MAX_MODEL_CHARS and name.isprintable()


class RejectReason(StrEnum):
    """Why a message is rejected: `reason` in dead letters and in records_rejected_total."""

    EMPTY = "empty"
    TOO_LARGE = "too_large"
    NOT_JSON = "not_json"
    NOT_UTF8 = "not_utf8"
    MISSING_FIELD = "missing_field"
    WRONG_TYPE = "wrong_type"
    BAD_MODEL = "bad_model"
    BAD_TIMESTAMP = "bad_timestamp"
    NOT_PROTOBUF = "not_protobuf"
    NOT_DECOMPRESSIBLE = "not_decompressible"
    UNKNOWN_SCHEMA = "unknown_schema"


class RejectedRecord(Exception):
    """A message is not a valid record.

    detail: where the problem is. It never repeats content, which may be private.
    """

    def __init__(self, reason: RejectReason, detail: str) -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason = reason
        self.detail = detail


class Part(msgspec.Struct, gc=False):
    """An object in the content of a chat message. Only its text is counted."""

    text: str | None = None


class Message(msgspec.Struct, gc=False):
    """A chat message of a prompt."""

    content: str | list[Part | str] | None = None

    @property
    def chars(self) -> int:
        """Number of characters of text; the texts of parts are on lines of their own."""
        if isinstance(self.content, list):
            sizes = [len(p if isinstance(p, str) else p.text or "") for p in self.content]
            return sum(sizes) + max(sum(map(bool, sizes)) - 1, 0)
        return len(self.content or "")


def prompt_chars(prompt: str | Sequence[Message | ChatMessage] | None) -> int | None:
    """Return the number of characters of a prompt's text; None without a prompt."""
    if prompt is None or isinstance(prompt, str):
        return None if prompt is None else len(prompt)
    return sum(message.chars for message in prompt)


class Record(msgspec.Struct, gc=False):
    """The fields of one inference that the features need. Other fields of a log are ignored.

    timestamp: epoch seconds, after decoding.
    A field that is absent from the log is None, not zero.
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
        """Number of characters of the prompt's text; None without a prompt."""
        return prompt_chars(self.prompt)


class RecordWithMetadata(Record, gc=False):
    """A record with metadata. Decoding metadata is slow, so it happens only if configured.

    metadata: values of any type, because a log may contain keys that are not watched.
    """

    metadata: dict[str, Any] | None = None


_NULL = msgspec.Raw(b"null")


class ExperimentRecord(Record, gc=False):
    """A record with the fields that experiments and joins need, as JSON that is not decoded yet.

    They may be of any type: a wrong one must not reject the record.
    """

    experiments: msgspec.Raw = _NULL
    user_id: msgspec.Raw = _NULL
    session_id: msgspec.Raw = _NULL
    feedback: msgspec.Raw = _NULL
    trace_id: msgspec.Raw = _NULL
    span_id: msgspec.Raw = _NULL
    metadata: msgspec.Raw = _NULL


class ExperimentRecordWithMetadata(RecordWithMetadata, gc=False):
    """The same for records with metadata."""

    experiments: msgspec.Raw = _NULL
    user_id: msgspec.Raw = _NULL
    session_id: msgspec.Raw = _NULL
    feedback: msgspec.Raw = _NULL
    trace_id: msgspec.Raw = _NULL
    span_id: msgspec.Raw = _NULL


class ChatMessage(msgspec.Struct, gc=False):
    """A chat message of a sampled prompt, with the text of all its parts."""

    role: str
    content: str

    @property
    def chars(self) -> int:
        """Number of characters of text."""
        return len(self.content)


class WholeRecord(msgspec.Struct, gc=False):
    """All fields of one inference, with their texts. A field of a wrong type is missing.

    timestamp: epoch seconds.
    """

    request_id: str
    timestamp: float
    model: str
    prompt: str | list[ChatMessage] | None = None
    response: str | None = None
    contexts: list[str] | None = None
    reference: str | None = None
    experiments: dict[str, str] | None = None
    user_id: str | None = None
    session_id: str | None = None
    trace_id: str | None = None
    span_id: str | None = None
    latency_ms: float | None = None
    time_to_first_token_ms: float | None = None
    input_tokens: float | None = None
    output_tokens: float | None = None
    cost_usd: float | None = None
    finish_reason: str | None = None
    error: str | None = None
    scores: dict[str, float] | None = None
    feedback: float | None = None
    metadata: dict[str, str | float] | None = None


class Texts(msgspec.Struct, gc=False):
    """The texts of one inference."""

    prompt: str | list[ChatMessage] | None = None
    response: str | None = None


class Source(StrEnum):
    """Where the values of a feature come from. Each source has its own windows and reference."""

    LOG = "log"
    JUDGE = "judge"
    FEEDBACK = "feedback"
    STYLE = "style"


class Inclusion(msgspec.Struct, gc=False, omit_defaults=True):
    """How a sample was drawn.

    uniform: drawn by the hash of its request id, at `probability`. Only such samples enter windows,
    means and experiments.
    probability: inclusion probability of the uniform draw, 0 to 1, also if it was not drawn.
    boosted: why the record was chosen in addition, such as "error" or "refusal".
    """

    uniform: bool
    probability: float
    boosted: tuple[str, ...] = ()


class UnitExposure(msgspec.Struct, gc=False, array_like=True, frozen=True):
    """A sample's part in an experiment, as in exposures.

    phase: of the experiment's design. unit: hash of the unit. variant: None if the design does not
    name it.
    """

    phase: str
    unit: int
    variant: str | None


class Sample(msgspec.Struct, gc=False, omit_defaults=True):
    """A whole record that was drawn for judging, replay or review, after redaction.

    timestamp: epoch seconds. user: hash of the user id.
    exposures: by experiment, of those that are configured.
    redacted: number of redacted places by kind. cut: fields whose text was cut.
    """

    request_id: str
    timestamp: float
    model: str
    inclusion: Inclusion
    prompt: str | list[ChatMessage] | None = None
    response: str | None = None
    contexts: list[str] | None = None
    reference: str | None = None
    experiments: dict[str, str] | None = None
    user: str | None = None
    session_id: str | None = None
    latency_ms: float | None = None
    time_to_first_token_ms: float | None = None
    input_tokens: float | None = None
    output_tokens: float | None = None
    cost_usd: float | None = None
    finish_reason: str | None = None
    error: str | None = None
    scores: dict[str, float] | None = None
    feedback: float | None = None
    metadata: dict[str, str | float] | None = None
    exposures: dict[str, UnitExposure] = {}
    redacted: dict[str, int] = {}
    cut: tuple[str, ...] = ()
