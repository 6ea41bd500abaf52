"""The routes of the API as a page shows them, from its OpenAPI document."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from fastapi.routing import APIRoute
from starlette.routing import BaseRoute

from monitor.web.api.routing import required_role

_LIMITS: Final = {
    "minimum": "at least {}",
    "exclusiveMinimum": "above {}",
    "maximum": "at most {}",
    "exclusiveMaximum": "below {}",
    "minLength": "at least {} characters",
    "maxLength": "at most {} characters",
    "minItems": "at least {} entries",
    "maxItems": "at most {} entries",
    "pattern": "matches {}",
    "default": "default {}",
}


@dataclass(frozen=True, slots=True)
class Field:
    """A parameter, or a field of a body. place: `path`, `query` or `body`."""

    name: str
    place: str
    type: str
    required: bool
    limits: str


@dataclass(frozen=True, slots=True)
class Operation:
    """A route. role: the least role that it needs. body, result: names of schemas, or ""."""

    id: str
    method: str
    path: str
    role: str
    description: str
    fields: tuple[Field, ...]
    body: str
    result: str


@dataclass(frozen=True, slots=True)
class Schema:
    """An object that requests or responses contain."""

    name: str
    description: str
    fields: tuple[Field, ...]


@dataclass(frozen=True, slots=True)
class Reference:
    """Routes by tag, and the schemas that they name."""

    operations: dict[str, list[Operation]]
    schemas: tuple[Schema, ...]


def reference(document: Mapping[str, Any], routes: Sequence[BaseRoute]) -> Reference:
    """Return the reference of an OpenAPI document. routes: of the application, for their roles."""
    roles = dict(_roles(routes))
    found: dict[str, list[Operation]] = {}
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            made = _operation(path, method.upper(), operation, roles)
            found.setdefault(next(iter(operation.get("tags", ())), "other"), []).append(made)
    schemas = document.get("components", {}).get("schemas", {})
    known = [_schema(name, each) for name, each in sorted(schemas.items()) if "properties" in each]
    return Reference(dict(sorted(found.items())), tuple(known))


def _roles(routes: Sequence[BaseRoute]) -> Iterator[tuple[tuple[str, str], str]]:
    for route in routes:
        role = required_role(route) if isinstance(route, APIRoute) else None
        if isinstance(route, APIRoute) and role is not None:
            for method in route.methods or ():
                yield (route.path, method), role.label


def _operation(
    path: str, method: str, operation: Mapping[str, Any], roles: Mapping[tuple[str, str], str]
) -> Operation:
    fields = [
        _field(each["name"], each["in"], each["schema"], each.get("required", False))
        for each in operation.get("parameters", ())
    ]
    body = _content(operation.get("requestBody", {}))
    responses = operation.get("responses", {})
    result = next((_content(each) for code, each in responses.items() if code[0] == "2"), "")
    return Operation(
        id=f"{method}{path}".replace("/", "-").replace("{", "").replace("}", "").lower(),
        method=method,
        path=path,
        role=roles[path, method],
        description=operation.get("description", ""),
        fields=tuple(fields),
        body=body,
        result=result,
    )


def _content(part: Mapping[str, Any]) -> str:
    """Return the type of a body or of a response, "" without one."""
    content = part.get("content", {}).get("application/json")
    return "" if content is None else _type(content.get("schema", {}))


def _schema(name: str, schema: Mapping[str, Any]) -> Schema:
    required = set(schema.get("required", ()))
    fields = [
        _field(key, "body", each, key in required) for key, each in schema["properties"].items()
    ]
    return Schema(name, schema.get("description", ""), tuple(fields))


def _field(name: str, place: str, schema: Mapping[str, Any], required: bool) -> Field:
    options = [schema, *schema.get("anyOf", ())]
    limits = [
        text.format(each[key])
        for each in options
        for key, text in _LIMITS.items()
        if each.get(key) is not None
    ]
    return Field(name, place, _type(schema), required, "; ".join(limits))


def _type(schema: Mapping[str, Any]) -> str:
    """Return a type in words, such as "list of Item"."""
    if "$ref" in schema:
        return str(schema["$ref"]).rpartition("/")[2]
    if "anyOf" in schema:
        return " or ".join(dict.fromkeys(_type(each) for each in schema["anyOf"]))
    values = schema.get("enum", [schema["const"]] if "const" in schema else [])
    if values:
        return " or ".join(f'"{each}"' for each in values)
    kind = schema.get("type", "any")
    if kind == "array":
        return f"list of {_type(schema.get('items', {}))}"
    if kind == "object" and isinstance(schema.get("additionalProperties"), dict):
        return f"object of {_type(schema['additionalProperties'])}"
    return {"integer": "whole number", "string": "text"}.get(kind, str(kind))
