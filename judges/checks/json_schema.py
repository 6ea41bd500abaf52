"""Whether a response is JSON that matches a schema.

Responses are texts of strangers: the library checks unique items and patterns in linear time, and
a number, a depth or a pattern that it cannot handle is no match.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any, Never

import msgspec

from monitor.records import Sample

MAX_RESPONSE_CHARS = 1_000_000
"""A longer response does not match: its check would take too long."""
_fenced = re.compile(r"\s*```(?:json|JSON)?[ \t]*\n(.*)\n\s*```\s*", re.DOTALL).fullmatch


def matches_schema(schema: Mapping[str, Any]) -> Callable[[Sample], float | None]:
    """Return the check of a JSON schema. Raises ValueError if the schema is not valid.

    Patterns are in the syntax of RE2, without look-around and back-references.
    """
    import jsonschema_rs

    try:
        validator = jsonschema_rs.validator_for(
            dict(schema), pattern_options=jsonschema_rs.RegexOptions(), retriever=_refuse
        )
    except (jsonschema_rs.ValidationError, jsonschema_rs.ReferencingError) as error:
        raise ValueError(f"not a JSON schema: {str(error).splitlines()[0][:200]}") from None

    def check(sample: Sample) -> float | None:
        if sample.response is None:
            return None
        try:
            return float(validator.is_valid(_parsed(sample.response)))
        except (ValueError, RecursionError):
            return 0.0

    return check


def _parsed(response: str) -> Any:
    """Return the JSON value of a response. Raises ValueError, for numbers beyond a double too."""
    if len(response) > MAX_RESPONSE_CHARS:
        raise ValueError("too long")
    block = _fenced(response)
    try:
        return msgspec.json.decode(block[1] if block else response)
    except UnicodeEncodeError:  # half of a surrogate pair
        raise ValueError("no Unicode") from None


def _refuse(uri: str) -> Never:
    """Load nothing: a schema is complete."""
    raise ValueError(f"{uri} is not loaded")
