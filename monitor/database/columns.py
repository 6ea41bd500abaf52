"""Types of columns: texts and JSON that every database accepts, whatever a stranger wrote."""

from __future__ import annotations

from typing import Any, Final

import msgspec
from sqlalchemy import Column, Dialect, Text
from sqlalchemy.types import TypeDecorator

NAMING: Final = {
    "pk": "pk_%(table_name)s",
    "fk": "fk_%(table_name)s_%(column_0_name)s",
    "uq": "uq_%(table_name)s_%(column_0_name)s",
    "ix": "ix_%(table_name)s_%(column_0_name)s",
}
"""Names of keys and indexes, which migrations refer to."""


def clean(text: str) -> str:
    """Return the text with NUL and lone surrogates as U+FFFD: PostgreSQL stores neither."""
    if "\0" not in text and text.isascii():
        return text
    return "".join("\ufffd" if c == "\0" or "\ud800" <= c <= "\udfff" else c for c in text)


def encode(value: object) -> str:
    """Return a value as JSON with sorted keys and without spaces: equal values, equal texts."""
    try:
        return msgspec.json.encode(value, order="sorted").decode()
    except UnicodeEncodeError:
        cleaned = _cleaned(msgspec.to_builtins(value, str_keys=True))
        return msgspec.json.encode(cleaned, order="sorted").decode()


def _cleaned(value: object) -> object:
    match value:
        case str():
            return clean(value)
        case list() | tuple():
            return [_cleaned(part) for part in value]
        case dict():
            return {_cleaned(name): _cleaned(part) for name, part in value.items()}
        case _:
            return value


class CleanText(TypeDecorator[str]):
    """A text, cleaned when it is written."""

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: str | None, dialect: Dialect) -> str | None:
        """Clean the text."""
        return None if value is None else clean(value)


class Json(TypeDecorator[Any]):
    """A value as JSON text. PostgreSQL's own type would reorder it and refuse NUL."""

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: Any, dialect: Dialect) -> str | None:
        """Encode the value."""
        return None if value is None else encode(value)

    def process_result_value(self, value: str | None, dialect: Dialect) -> Any:
        """Decode the value."""
        return None if value is None else msgspec.json.decode(value)


def text_column(name: str) -> Column[str]:
    """Return a column of texts that are never NULL."""
    return Column(name, CleanText, nullable=False)
