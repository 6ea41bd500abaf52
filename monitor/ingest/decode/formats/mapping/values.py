"""Read the values at the paths of a mapping as the fields of a record."""

from __future__ import annotations

from datetime import UTC, datetime
from itertools import islice
from typing import Any, Final, NoReturn

from monitor.ingest.decode.bodies.content import answer_of, chat, text_of
from monitor.ingest.decode.bodies.requests import prompt_of
from monitor.ingest.decode.bodies.responses import UNNAMED_ERROR, error_of, response_of
from monitor.ingest.decode.bodies.times import rfc3339, ticks
from monitor.ingest.decode.bodies.values import (
    MAX_METADATA,
    identifier,
    number,
    parsed_number,
    text,
)
from monitor.ingest.decode.json_decoding import lenient_decoder
from monitor.records import ChatMessage, RejectedRecord, RejectReason

PER_SECOND: Final = {"s": 1.0, "ms": 1e3, "us": 1e6, "ns": 1e9, "ticks": 1e7}
"""Units per second. Divided by it, a time in ms is the float nearest to its decimal form."""
ABSENT: Final = frozenset({"", "-"})
"""Texts that stand for a number or a time that is absent, as in access logs."""
SUCCESS: Final = frozenset(
    (
        *("ok", "okay", "success", "successful", "succeeded", "complete", "completed", "done"),
        *("pass", "passed", "none", "null", "no", "false", "0", "unset", "-"),
    )
)
"""Texts of a status, in lower case, that are no error."""
_MAX_TIME_CHARS: Final = 100
_BODY_KEYS: Final = frozenset({"messages", "contents", "input", "prompt", "inputText", "inputs"})
_RESPONSE_KEYS: Final = frozenset({"choices", "candidates", "generation", "results", "outputs"})
_MESSAGE_KEYS: Final = frozenset({"content", "parts", "tool_calls", "function_call", "refusal"})
_NAMES: Final = {str: "text", bool: "true or false", list: "a list"}
_decode_list = lenient_decoder(list[dict[str, Any]])


def wrong_type(value: object, field: str, path: str) -> NoReturn:
    """Raise the rejection of a value of a wrong type."""
    name = _NAMES.get(
        type(value), "an object" if not isinstance(value, int | float) else "a number"
    )
    raise RejectedRecord(RejectReason.WRONG_TYPE, f"{field} at `{path}` is {name}")


def number_at(value: object, field: str, path: str) -> float | None:
    """Return a number, also of text; None if the text says that it is absent."""
    if isinstance(value, str):
        value = value.strip()
        if value in ABSENT:
            return None
    found = parsed_number(value)
    if found is None and (isinstance(value, str | bool) or not isinstance(value, int)):
        wrong_type(value, field, path)
    return found


def rating_at(value: object, field: str, path: str) -> float | None:
    """Return a number, with 1 for true and 0 for false."""
    return float(value) if isinstance(value, bool) else number_at(value, field, path)


def time_at(
    value: object, unit: str, time_format: str | None, field: str, path: str
) -> float | None:
    """Return epoch seconds of a number in a unit, or of a text.

    Raises RejectedRecord if it is no time.
    """
    if isinstance(value, str):
        value = value.strip()
        if value in ABSENT:
            return None
        found = _text_time(value, unit, time_format)
        if found is None:
            raise RejectedRecord(RejectReason.BAD_TIMESTAMP, f"{field} at `{path}` is no time")
        return found
    if number(value) is None:
        wrong_type(value, field, path)
    return _in_unit(value, unit)


def _in_unit(value: object, unit: str) -> float | None:
    if unit == "ticks":
        return ticks(value)
    found = parsed_number(value)
    return None if found is None else found / PER_SECOND[unit]


def _text_time(value: str, unit: str, time_format: str | None) -> float | None:
    if len(value) > _MAX_TIME_CHARS:
        return None
    if time_format is None:
        found = _in_unit(value, unit)
        return rfc3339(value) if found is None else found
    try:
        time = datetime.strptime(value, time_format)
        return (time if time.tzinfo else time.replace(tzinfo=UTC)).timestamp()
    except (ValueError, OverflowError):
        return None


def prompt_at(found: list[Any]) -> str | list[ChatMessage] | None:
    """Return a prompt: a text, chat messages, also as JSON in text, or those of a request.

    Several texts are on lines of their own; several objects are chat messages.
    """
    if len(found) > 1:
        texts = [each for each in found if isinstance(each, str)]
        return "\n".join(texts) if len(texts) == len(found) else chat(found)
    value = found[0]
    if isinstance(value, str):
        messages = _decode_list(value.encode("utf-8", "replace")) if value[:1] == "[" else None
        if not messages or not all("role" in each for each in messages):
            return value
        return chat(messages)
    if isinstance(value, dict):
        return prompt_of(value) if value.keys() & _BODY_KEYS else chat([value])
    return chat(value)


def response_at(found: list[Any]) -> str | None:
    """Return the text of a response: a text, a message, its parts, or that of a body.

    Several are on lines of their own.
    """
    texts = [text for each in found if (text := _response(each)) is not None]
    return "\n".join(texts) if texts else None


def _response(value: object) -> str | None:
    if isinstance(value, str):
        return value
    if isinstance(value, dict):
        if value.keys() & _RESPONSE_KEYS or isinstance(value.get("output"), dict | list):
            return response_of(value).text
        return answer_of(value) if value.keys() & _MESSAGE_KEYS else text_of(value) or None
    return answer_of({"content": value}) if isinstance(value, list) else None


def texts_at(found: list[Any]) -> list[str] | None:
    """Return the texts of passages, which may be objects with texts in them."""
    flat = [part for value in found for part in (value if isinstance(value, list) else [value])]
    return [passage for part in flat if (passage := text_of(part))] or None


def name_at(value: object, field: str, path: str) -> str | None:
    """Return the name of a model. Raises RejectedRecord if it is no text."""
    return value if isinstance(value, str) else wrong_type(value, field, path)


def numbers_at(value: object) -> dict[str, float] | None:
    """Return the numbers of an object by name; with 1 for true and 0 for false."""
    if not isinstance(value, dict):
        return None
    pairs = islice(value.items(), MAX_METADATA)
    return {
        name: size
        for name, each in pairs
        if (size := float(each) if isinstance(each, bool) else parsed_number(each)) is not None
    } or None


def variants_at(value: object) -> dict[str, str] | None:
    """Return the texts of an object by name."""
    if not isinstance(value, dict):
        return None
    pairs = islice(value.items(), MAX_METADATA)
    return {name: found for name, each in pairs if (found := identifier(each))} or None


def reason_at(value: object) -> str | None:
    """Return a finish reason; of a list the first."""
    return text(value[0] if isinstance(value, list) and value else value)


def error_at(value: object) -> str | None:
    """Return the class or code of an error; None for the status of a call that succeeded."""
    if isinstance(value, bool):
        return UNNAMED_ERROR if value else None
    if isinstance(value, dict | list):
        return error_of(value)
    name = identifier(value) if not isinstance(value, float) else f"{value:g}"
    if name is None or name.strip().lower() in SUCCESS:
        return None
    code = parsed_number(name)
    return None if code is not None and 100 <= code < 400 else name.strip()
