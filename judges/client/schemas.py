"""JSON schemas as providers accept them.

Providers compile a schema to a grammar, which has no ranges and lengths: such keywords are
rejected. They move into the description, where the judge reads them. The answer is validated
against the whole schema by its reader in any case.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Final

_SUPPORTED: Final = frozenset(
    {
        *("type", "properties", "required", "additionalProperties", "items", "enum", "const"),
        *("anyOf", "allOf", "$ref", "$defs", "description", "title", "format"),
    }
)
_MAX_SCHEMAS: Final = 64


def supported_schema(schema: Mapping[str, Any]) -> dict[str, Any]:
    """Return the schema with all unsupported keywords moved into descriptions."""
    result: dict[str, Any] = {}
    moved: dict[str, Any] = {}
    for key, value in schema.items():
        if key in {"properties", "$defs"}:
            result[key] = {name: supported_schema(each) for name, each in value.items()}
        elif key in {"anyOf", "oneOf", "allOf"}:
            name = "anyOf" if key == "oneOf" else key
            result[name] = [supported_schema(each) for each in value]
        elif key == "items" and isinstance(value, Mapping):
            result[key] = supported_schema(value)
        elif key in _SUPPORTED:
            result[key] = value
        elif key != "default":
            moved[key] = value
    if moved:
        note = ", ".join(f"{key}: {json.dumps(value)}" for key, value in moved.items())
        result["description"] = f"{result.get('description', '')} ({note})".strip()
    if result.get("type") == "object":
        result["additionalProperties"] = False
    return result


class SchemaCache:
    """Supported forms of schemas: a rubric sends the same object with every call."""

    def __init__(self) -> None:
        self._entries: dict[int, tuple[Mapping[str, Any], dict[str, Any]]] = {}

    def supported(self, schema: Mapping[str, Any]) -> dict[str, Any]:
        """Return the supported form of a schema, which must not be changed afterwards."""
        entry = self._entries.get(id(schema))
        # The entry holds the schema, so that its id is not reused.
        if entry is None or entry[0] is not schema:
            if len(self._entries) >= _MAX_SCHEMAS:
                self._entries.clear()
            entry = schema, supported_schema(schema)
            self._entries[id(schema)] = entry
        return entry[1]
