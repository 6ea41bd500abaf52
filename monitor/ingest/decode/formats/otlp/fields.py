"""From the attributes of a call to the fields of an inference that are no texts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from monitor.ingest.decode.bodies import values
from monitor.ingest.decode.bodies.times import epoch_seconds
from monitor.ingest.decode.bodies.usage import usage_of
from monitor.ingest.decode.formats.otlp import wanted
from monitor.ingest.decode.formats.otlp.reading.entries import Attributes
from monitor.ingest.decode.json_decoding import lenient_decoder
from monitor.records import RejectedRecord, RejectReason

MILLISECONDS: Final = 1e3
NANOSECONDS_PER_SECOND: Final = 1_000_000_000
NANOSECONDS_PER_MS: Final = 1_000_000
"""Whole numbers: the quotient of two is the nearest float, as in the decimal number of a log."""
_decode: Final = lenient_decoder(Any)
_REQUESTS: Final = ("mlflow.spanInputs", "langfuse.observation.input", "input.value")
_IDENTITY_KEYS: Final = frozenset({"user_id", "userId", "session_id", "sessionId"})


def json_of(value: Any) -> Any:
    """Return the JSON in a text; other values, and texts that are no JSON, as they are."""
    if isinstance(value, str) and value[:1] in _JSON_STARTS:
        decoded = _decode(value.encode())
        return value if decoded is None else decoded
    return value


_JSON_STARTS: Final = frozenset('{["')


def first_text(attributes: Attributes, names: Sequence[str]) -> str | None:
    """Return the first of some attributes that is a text and not empty; numbers as text."""
    for name in names:
        value = attributes.get(name)
        if value is not None and (found := values.identifier(value)) is not None:
            return found
    return None


def first_number(attributes: Attributes, names: Sequence[str]) -> float | None:
    """Return the first of some attributes that is there. Raises RejectedRecord if it is no number.

    Numbers may be texts, as in exports of gateways.
    """
    for name in names:
        value = attributes.get(name)
        if value is not None:
            number = values.parsed_number(value)
            if number is None:
                raise RejectedRecord(RejectReason.WRONG_TYPE, f"attribute {name} is no number")
            return number
    return None


def model_of(attributes: Attributes) -> str | None:
    """Return the requested model, which some libraries log in the request only."""
    name = first_text(attributes, wanted.MODELS)
    if name is None:
        return _model_in_request(attributes)
    return name.strip('"') if name.startswith('"') else name  # MLflow


def _model_in_request(attributes: Attributes) -> str | None:
    for key in _REQUESTS:
        body = json_of(attributes.get(key))
        for path in (("model",), ("kwargs", "model")):
            if (found := values.text(values.member(body, *path))) is not None:
                return found
    return None


def tokens_of(attributes: Attributes) -> tuple[float | None, float | None]:
    """Return the tokens of the prompt, cached ones included, and of the answer."""
    prompt = first_number(attributes, wanted.INPUT_TOKENS)
    answer = first_number(attributes, wanted.OUTPUT_TOKENS)
    if prompt is not None:
        cached = values.total(
            first_number(attributes, wanted.CACHE_READ),
            first_number(attributes, wanted.CACHE_WRITE),
        )
        # A part cannot be larger than the whole: the exporter counts cached tokens beside.
        if cached is not None and cached > prompt:
            prompt += cached
    if prompt is None and answer is None:
        return _other_usage(attributes)
    return prompt, answer


def _other_usage(attributes: Attributes) -> tuple[float | None, float | None]:
    usage = json_of(attributes.get("langfuse.observation.usage_details"))
    if isinstance(usage, dict):
        if "prompt_tokens" in usage:
            return usage_of(usage)
        # Langfuse adds up all kinds of usage with these words in their names.
        return _sum_of(usage, "input"), _sum_of(usage, "output")
    usage = json_of(attributes.get("mlflow.chat.tokenUsage"))
    return (
        values.number(values.member(usage, "input_tokens")),
        values.number(values.member(usage, "output_tokens")),
    )


def _sum_of(usage: Mapping[str, Any], word: str) -> float | None:
    return values.total(*(values.number(each) for key, each in usage.items() if word in key))


def cost_of(attributes: Attributes) -> float | None:
    """Return the cost in US dollars."""
    cost = first_number(attributes, wanted.COSTS)
    if cost is not None:
        return cost
    details = json_of(attributes.get("mlflow.llm.cost"))
    if isinstance(details, dict):
        return values.number(details.get("total_cost"))
    details = json_of(attributes.get("langfuse.observation.cost_details"))
    if not isinstance(details, dict):
        return None
    if (total := values.number(details.get("total"))) is not None:
        return total
    return values.total(*(values.number(each) for each in details.values()))


def latency_of(attributes: Attributes, start: int, end: int) -> float | None:
    """Return the duration of the call in ms. start, end: of the span, in nanoseconds."""
    seconds = first_number(attributes, wanted.LATENCY_SECONDS)
    if seconds is not None:
        return seconds * MILLISECONDS
    return (end - start) / NANOSECONDS_PER_MS if 0 < start <= end else None


def first_token_of(attributes: Attributes, start: int) -> float | None:
    """Return the time to the first token in ms; None if the call is known not to be streamed.

    start: of the span, in nanoseconds.
    """
    for name in wanted.STREAMED:
        if attributes.get(name) in (False, "false"):
            return None
    seconds = first_number(attributes, wanted.FIRST_TOKEN_SECONDS)
    if seconds is not None:
        return seconds * MILLISECONDS
    ms = first_number(attributes, wanted.FIRST_TOKEN_MS)
    if ms is not None:
        return ms
    at = attributes.get("langfuse.observation.completion_start_time")
    if at is None or not start:
        return None
    time = epoch_seconds(json_of(at))
    return None if time is None else max(time * MILLISECONDS - start / NANOSECONDS_PER_MS, 0.0)


def finish_reason_of(attributes: Attributes) -> str | None:
    """Return the finish reason of the first choice."""
    for name in wanted.FINISH_REASONS:
        value = json_of(attributes.get(name))
        if isinstance(value, list):
            value = value[0] if value else None
        if (found := values.text(value)) is not None:
            return found
    return None


def metadata_of(attributes: Attributes) -> dict[str, str | float] | None:
    """Return what the application added to a call, without the prefixes of its library."""
    found: dict[str, Any] = {}
    extra = json_of(attributes.get("metadata"))  # OpenInference
    if isinstance(extra, dict):
        found |= extra
    for name, value in attributes.items():
        if name.startswith(wanted.METADATA_PREFIXES):
            for prefix in wanted.METADATA_PREFIXES:
                if name.startswith(prefix):
                    key = name[len(prefix) :]
                    if key not in _IDENTITY_KEYS:
                        found[key] = json_of(value) if prefix.startswith("langfuse") else value
    return values.metadata(found)
