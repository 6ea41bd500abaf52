"""Field types that several sections use: names, paths, lists and numbers with their checks."""

from __future__ import annotations

import re
from collections.abc import Callable
from ipaddress import ip_address
from pathlib import Path
from typing import Annotated, Any, Final, TypeVar

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    PlainSerializer,
    SecretStr,
    WithJsonSchema,
)
from pydantic_core import SchemaError, SchemaValidator, core_schema

from monitor.config.sections.base.section import invalid

MASK: Final = "***"
"""Replaces a secret wherever the configuration is shown."""
_NUMERIC_HOST: Final = re.compile(r"[0-9.]+")
_HOST_LABEL: Final = re.compile(r"[A-Za-z0-9_]([A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?")
FILE_SCHEMA: Final[dict[str, Any]] = {
    "type": "object",
    "description": "The value is the content of this file.",
    "properties": {"file": {"type": "string"}},
    "required": ["file"],
    "additionalProperties": False,
}
"""JSON schema of {file: PATH}."""
SECRET_SCHEMA: Final = {"anyOf": [{"type": "string", "writeOnly": True}, FILE_SCHEMA]}
"""JSON schema of a secret."""
MAX_PREFIX_CHARS: Final = 200  # leaves room for the rest of a topic name

MAX_REGEX_CHARS: Final = 1000

_MAX_TOPIC_CHARS = 249
_LEGAL_NAME = r"[A-Za-z0-9._-]+"
_SEGMENT = r"finish_reason|metadata\..+"
_SEGMENT_VALUE = r"finish_reason=.+|metadata\.[^=]+=.+"
_DURATION = r"(\d{1,9}(?:\.\d{1,6})?) ?(ms|s|m|h|d)"
_UNIT_SECONDS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86_400.0}
T = TypeVar("T")


def _check_host(host: str) -> str:
    """Reject what is neither an IP address nor a name of a machine."""
    if ":" in host or _NUMERIC_HOST.fullmatch(host):
        try:
            ip_address(host)
        except ValueError:
            raise invalid(
                "is not an IP address; give one such as 127.0.0.1, 0.0.0.0 or ::, without a port"
            ) from None
    elif len(host) > 253 or not all(map(_HOST_LABEL.fullmatch, host.removesuffix(".").split("."))):
        raise invalid("is neither an IP address nor the name of a machine")
    return host


def _check_name(name: str) -> str:
    if not re.fullmatch(_LEGAL_NAME, name) or name in {".", ".."}:
        raise invalid("must be one or more letters, digits, '.', '_' and '-', but not '.' or '..'")
    if len(name) > _MAX_TOPIC_CHARS:
        raise invalid(f"must be at most {_MAX_TOPIC_CHARS} characters long")
    return name


def _check_text(text: str) -> str:
    if not text.strip():
        raise invalid("must not be empty")
    return text


def _check_path(path: Path) -> Path:
    # An empty value gives Path("."), the working directory, which is never intended.
    if path == Path():
        raise invalid("must name a file or a directory")
    return path


def _check_segment(name: str) -> str:
    if not re.fullmatch(_SEGMENT, name):
        raise invalid("must be 'finish_reason' or 'metadata.KEY'")
    return name


def _check_segment_value(name: str) -> str:
    if not re.fullmatch(_SEGMENT_VALUE, name):
        raise invalid("must be 'finish_reason=VALUE' or 'metadata.KEY=VALUE'")
    return name


def regex_search(pattern: str) -> Callable[[str], bool]:
    """Return a function that searches a regular expression in a text, in any case of letters.

    The syntax is that of Rust's `regex`, which has no back-references and no look-around, so the
    time of a search is linear in the text for every pattern. Raises ValueError if it is invalid.
    """
    try:
        compiled = SchemaValidator(
            core_schema.str_schema(pattern=f"(?i){pattern}", regex_engine="rust-regex")
        )
    except SchemaError as error:
        lines = [line.strip() for line in str(error).splitlines()]
        reason = next((line for line in lines if line.startswith("error: ")), "it is too large")
        raise ValueError(reason.removeprefix("error: ")) from None
    return compiled.isinstance_python


def _check_regex(pattern: str) -> str:
    if len(pattern) > MAX_REGEX_CHARS:
        raise invalid(f"must be at most {MAX_REGEX_CHARS} characters long")
    if not pattern.strip():
        raise invalid("must not be empty")
    try:
        regex_search(pattern)
    except ValueError as error:
        raise invalid(f"is not a regular expression: {error}") from None
    return pattern


def _seconds(value: object) -> object:
    """Return a duration such as 24h in seconds; other values as they are."""
    if not isinstance(value, str):
        return value
    match = re.fullmatch(_DURATION, value.strip())
    if match is None:
        raise invalid("must be a number of seconds, or a duration such as 30s, 15m, 24h or 7d")
    return float(match[1]) * _UNIT_SECONDS[match[2]]


def _check_unique(names: tuple[T, ...]) -> tuple[T, ...]:
    repeated = sorted({str(name) for name in names if names.count(name) > 1})
    if repeated:
        raise invalid(f"{', '.join(map(repr, repeated))} is listed twice")
    return names


def _check_not_empty(names: tuple[T, ...]) -> tuple[T, ...]:
    if not names:
        raise invalid("must list at least one")
    return names


_NAME_SCHEMA = {"type": "string", "pattern": f"^{_LEGAL_NAME}$", "maxLength": _MAX_TOPIC_CHARS}
_SEGMENT_SCHEMA = {"type": "string", "pattern": f"^({_SEGMENT})$"}
_SEGMENT_VALUE_SCHEMA = {"type": "string", "pattern": f"^({_SEGMENT_VALUE})$"}
NonEmpty = Annotated[str, AfterValidator(_check_text)]
ListenHost = Annotated[str, AfterValidator(_check_text), AfterValidator(_check_host)]
"""Address or name of this machine to listen on."""
LegalName = Annotated[str, AfterValidator(_check_name), WithJsonSchema(_NAME_SCHEMA)]
SegmentKey = Annotated[str, AfterValidator(_check_segment), WithJsonSchema(_SEGMENT_SCHEMA)]
SegmentValue = Annotated[
    str, AfterValidator(_check_segment_value), WithJsonSchema(_SEGMENT_VALUE_SCHEMA)
]
Secret = Annotated[
    SecretStr, PlainSerializer(lambda _: MASK, return_type=str), WithJsonSchema(SECRET_SCHEMA)
]
Regex = Annotated[
    str, AfterValidator(_check_regex), WithJsonSchema({"type": "string", "minLength": 1})
]
NonEmptyPath = Annotated[Path, Field(strict=False), AfterValidator(_check_path)]
UniqueTuple = Annotated[  # strict mode would reject the lists that YAML gives
    tuple[T, ...],
    Field(strict=False, json_schema_extra={"uniqueItems": True}),
    AfterValidator(_check_unique),
]
NonEmptyUniqueTuple = Annotated[UniqueTuple[T], AfterValidator(_check_not_empty)]
Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
Duration = Annotated[
    float,
    Field(gt=0, allow_inf_nan=False),
    BeforeValidator(_seconds, json_schema_input_type=float | str),
]
"""Seconds; in the file also a text such as 24h."""
