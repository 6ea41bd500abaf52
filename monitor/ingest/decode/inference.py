"""One inference as the decoder of a foreign format finds it, and the rules that make it a record.

The rules are the same for all formats, so that the same call gives the same record whichever format
logged it.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import msgspec

from monitor.records import (
    MAX_TIMESTAMP,
    ChatMessage,
    RejectedRecord,
    RejectReason,
    WholeRecord,
    is_valid_model,
)

MAX_ID_CHARS: Final = 500
MAX_MAGNITUDE: Final = 1e15
MAX_REASON_CHARS: Final = 100

FINISH_REASONS: Final = {
    "stop": "stop",
    "end_turn": "stop",
    "stop_sequence": "stop",
    "complete": "stop",
    "completed": "stop",
    "eos": "stop",
    "eos_token": "stop",
    "finish": "stop",
    "length": "length",
    "max_tokens": "length",
    "max_output_tokens": "length",
    "max_length": "length",
    "model_length": "length",
    "model_context_window_exceeded": "length",
    "tool_calls": "tool_calls",
    "tool_call": "tool_calls",
    "tool_use": "tool_calls",
    "function_call": "tool_calls",
    "content_filter": "content_filter",
    "content_filtered": "content_filter",
    "guardrail_intervened": "content_filter",
    "safety": "content_filter",
    "recitation": "content_filter",
    "blocklist": "content_filter",
    "prohibited_content": "content_filter",
    "spii": "content_filter",
    "refusal": "refusal",
}
"""Finish reasons of providers, in lower case with underscores -> the one of the record."""

_PLACEHOLDER: Final = re.compile(r"[\W_]{0,4}redacted(?:[-_ ]by[-_ ][a-z]{1,20})?[\W_]{0,4}", re.I)
"""What some exporters log instead of a text, such as "redacted-by-litellm" or "__REDACTED__"."""
_MAX_PLACEHOLDER_CHARS: Final = 40
_ERROR_CLASS: Final = re.compile(r"[\w.$/-]{1,100}")
UNNAMED_ERROR: Final = "error"


class Inference(msgspec.Struct, kw_only=True, gc=False):
    """The fields of one inference. Everything that a format does not have is None.

    request_id: identifier of the call. timestamp: epoch seconds at its start, or at its end where
    only that is logged.
    model: the requested name, or the deployment. responded_model: the name in the response.
    response: None if there is no text, for example because the model calls a tool.
    latency_ms: of the whole call. time_to_first_token_ms: of streamed calls only.
    input_tokens: including cached ones. finish_reason: as logged. error: class or code of a failed
    call; a text is reduced to its class.
    metadata: values that are neither text nor numbers are left out by the format.
    """

    request_id: str | None = None
    timestamp: float | None = None
    model: str | None = None
    responded_model: str | None = None
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


@dataclass(frozen=True, slots=True)
class ModelNaming:
    """How a record's model follows from its two names.

    responded: take the name in the response, if there is one. fold: what is removed from the name,
    such as the date of a version.
    """

    responded: bool = False
    fold: re.Pattern[str] | None = None

    @property
    def is_default(self) -> bool:
        """Whether the requested name is the model as it is."""
        return not self.responded and self.fold is None

    def of(self, inference: Inference) -> str | None:
        """Return the model of an inference."""
        names = inference.model, inference.responded_model
        name = (names[1] or names[0]) if self.responded else (names[0] or names[1])
        if name is None or self.fold is None:
            return name
        return self.fold.sub("", name) or name


inference_of: Final[Callable[[bytes], Inference]] = msgspec.json.Decoder(Inference).decode
"""Returns the inference in the JSON of a native record that a format wrote."""


def whole_record(inference: Inference, naming: ModelNaming) -> WholeRecord:
    """Return the record of an inference. Raises RejectedRecord if a required field is missing."""
    request_id, time = _required(inference)
    error = error_class(inference.error)
    failed = error is not None
    return WholeRecord(
        request_id=request_id,
        timestamp=time,
        model=_model(naming.of(inference)),
        prompt=_without_placeholders(inference.prompt),
        response=_answered(inference.response, failed=failed),
        contexts=inference.contexts,
        reference=_logged(inference.reference),
        experiments=inference.experiments,
        user_id=inference.user_id or None,
        session_id=inference.session_id or None,
        trace_id=inference.trace_id or None,
        span_id=inference.span_id or None,
        latency_ms=_measured(inference.latency_ms),
        time_to_first_token_ms=_measured(inference.time_to_first_token_ms),
        input_tokens=_used(inference.input_tokens, failed=failed),
        output_tokens=_used(inference.output_tokens, failed=failed),
        cost_usd=_used(inference.cost_usd, failed=failed),
        finish_reason=finish_reason(inference.finish_reason),
        error=error,
        scores=_scores(inference.scores),
        feedback=_finite(inference.feedback),
        metadata=_metadata(inference.metadata),
    )


def finish_reason(reason: str | None) -> str | None:
    """Return a finish reason in the vocabulary of records; another one as logged."""
    if not reason:
        return None
    known = FINISH_REASONS.get(reason)
    if known is None:
        known = FINISH_REASONS.get(reason.lower().replace("-", "_"))
    return known or reason[:MAX_REASON_CHARS]


def error_class(error: str | None) -> str | None:
    """Return the class or code of an error.

    A text is reduced to the class in front of its colon, or to "error": texts contain what users
    wrote, and each would be a category of its own.
    """
    if not error:
        return None
    if _ERROR_CLASS.fullmatch(error):
        return error
    head = error[: MAX_REASON_CHARS + 1].partition(":")[0].strip()
    return head if _ERROR_CLASS.fullmatch(head) and head != error else UNNAMED_ERROR


def _required(inference: Inference) -> tuple[str, float]:
    request_id, time = inference.request_id, inference.timestamp
    if not request_id:
        raise RejectedRecord(RejectReason.MISSING_FIELD, "no identifier of the request")
    if len(request_id) > MAX_ID_CHARS:
        raise RejectedRecord(
            RejectReason.WRONG_TYPE, f"identifier of the request is longer than {MAX_ID_CHARS}"
        )
    if time is None:
        raise RejectedRecord(RejectReason.MISSING_FIELD, "no time of the request")
    if not 0.0 <= time <= MAX_TIMESTAMP:
        raise RejectedRecord(RejectReason.BAD_TIMESTAMP, "time is not between 1970 and 2200")
    return request_id, time


def _model(name: str | None) -> str:
    if not name:
        raise RejectedRecord(RejectReason.MISSING_FIELD, "no name of a model")
    if not is_valid_model(name):
        raise RejectedRecord(RejectReason.BAD_MODEL, "model must be 1 to 200 printable characters")
    return name


def _measured(value: float | None) -> float | None:
    """Return a duration; a negative or absurd one is missing."""
    if value is None or not 0.0 <= value <= MAX_MAGNITUDE or math.isnan(value):
        return None
    return float(value)


def _used(value: float | None, *, failed: bool) -> float | None:
    """Return tokens or cost. Zero is what many exporters log if a failed call has none."""
    value = _measured(value)
    return None if failed and value == 0.0 else value


def _finite(value: float | None) -> float | None:
    """Return a number; NaN, infinity and absurd numbers are missing."""
    return None if value is None or not abs(value) <= MAX_MAGNITUDE else float(value)


def _scores(scores: dict[str, float] | None) -> dict[str, float] | None:
    if scores is None:
        return None
    return {name: size for name, each in scores.items() if (size := _finite(each)) is not None}


def _metadata(values: dict[str, str | float] | None) -> dict[str, str | float] | None:
    if values is None:
        return None
    return {
        key: value
        for key, value in values.items()
        if isinstance(value, str) or abs(value) <= MAX_MAGNITUDE
    }


def _is_placeholder(text: str) -> bool:
    return len(text) <= _MAX_PLACEHOLDER_CHARS and _PLACEHOLDER.fullmatch(text) is not None


def _logged(text: str | None) -> str | None:
    return None if text is None or _is_placeholder(text) else text


def _answered(response: str | None, *, failed: bool) -> str | None:
    """Return a response. An empty one of a failed call is what exporters write if there is none."""
    return None if failed and not response else _logged(response)


def _without_placeholders(
    prompt: str | list[ChatMessage] | None,
) -> str | list[ChatMessage] | None:
    """Return a prompt; None if it was not logged."""
    if not isinstance(prompt, list):
        return _logged(prompt)
    if not prompt or all(_is_placeholder(message.content) for message in prompt):
        return None
    return prompt
