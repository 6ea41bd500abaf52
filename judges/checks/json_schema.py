"""Whether a response is JSON that matches a schema."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from typing import Any

from monitor.records import Sample

MAX_RESPONSE_CHARS = 1_000_000
"""A longer response does not match: its check would take too long."""
_fenced = re.compile(r"\s*```(?:json|JSON)?[ \t]*\n(.*)\n\s*```\s*", re.DOTALL).fullmatch


def matches_schema(schema: Mapping[str, Any]) -> Callable[[Sample], float | None]:
    """Return the check of a JSON schema. Raises ValueError if the schema is not valid."""
    import jsonschema
    import referencing

    kind = jsonschema.validators.validator_for(schema, default=jsonschema.Draft202012Validator)
    try:
        kind.check_schema(schema)
    except jsonschema.SchemaError as error:
        raise ValueError(f"not a JSON schema: {error.message[:200]}") from None
    registry: referencing.Registry[Any] = referencing.Registry()  # loads nothing
    validator = kind(schema, registry=registry)

    def check(sample: Sample) -> float | None:
        if sample.response is None:
            return None
        try:
            value = _parsed(sample.response)
        except (ValueError, RecursionError):
            return 0.0
        try:
            return float(validator.is_valid(value))
        except RecursionError:
            return 0.0

    try:
        validator.is_valid(None)
    except referencing.exceptions.Unresolvable as error:
        raise ValueError(f"the schema refers to what is not in it: {error.ref}") from None
    return check


def _parsed(response: str) -> Any:
    """Return the JSON value of a response. Raises ValueError, for NaN and infinities as well."""
    if len(response) > MAX_RESPONSE_CHARS:
        raise ValueError("too long")
    block = _fenced(response)
    return json.loads(block[1] if block else response, parse_constant=_refuse)


def _refuse(name: str) -> Any:
    raise ValueError(f"{name} is not JSON")
