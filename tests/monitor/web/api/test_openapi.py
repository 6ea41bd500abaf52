"""Requests that follow from the OpenAPI document, valid and not, cause no server error."""

from __future__ import annotations

import json
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from monitor.database.store import Store
from monitor.web.sign_in.roles import PersonRole
from tests.long_form import LONG
from tests.monitor.web.clients import Site, routes
from tests.monitor.web.reviews import (
    Clock,
    add_items,
    add_queue,
    new_item,
)

DOCUMENT: dict[str, Any] = routes().openapi()
SCHEMA = schemathesis.openapi.from_dict(DOCUMENT)
OPERATIONS = sorted(
    (path, method) for path, methods in DOCUMENT["paths"].items() for method in methods
)
EXAMPLES = 200 if LONG else 5


@pytest.fixture
def site(sqlite_store: Store, clock: Clock) -> Site:
    """Return an application with a queue and two items."""
    site = Site(sqlite_store, clock)
    queue = add_queue(sqlite_store)
    add_items(sqlite_store, queue, [new_item(1), new_item(2)])
    return site


@pytest.mark.parametrize(("path", "method"), OPERATIONS, ids=lambda value: value)
def test_no_request_causes_a_server_error(site: Site, path: str, method: str) -> None:
    """Each operation answers data of its schema, and data that violates it, below 500."""
    if path.endswith("/stream"):
        return
    client = site.as_role(PersonRole.ADMIN)
    cases = SCHEMA[path][method.upper()].as_strategy()

    @settings(
        max_examples=EXAMPLES,
        deadline=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(case=cases, known=st.booleans(), damage=st.sampled_from(("", "type", "null", "deep")))
    def check(case: Any, known: bool, damage: str) -> None:
        site.monotonic += 60.0
        parameters = dict(case.path_parameters or {})
        if known and "name" in parameters:
            parameters["name"] = "answers"
        body = case.body if isinstance(case.body, dict | list) else None
        content = damaged(body, damage)
        response = client.request(
            method,
            path.format(**{name: quoted(value) for name, value in parameters.items()}),
            params={k: v for k, v in (case.query or {}).items() if v is not None},
            content=content,
            headers={"content-type": "application/json"} if content else {},
        )
        assert response.status_code < 500, response.text
        if response.status_code >= 400:
            assert "error" in response.json()

    check()


def quoted(value: object) -> str:
    """Return a parameter as a part of a path."""
    from urllib.parse import quote

    return quote(str(value), safe="") or "none"


def damaged(body: Any, damage: str) -> bytes:
    """Return a body as JSON, with a part replaced by something of another type."""
    if body is None:
        return b""
    if damage == "deep":
        return b"[" * 2_000
    if isinstance(body, dict) and body and damage:
        name = sorted(body)[0]
        body = body | {name: None if damage == "null" else [{"x": 1}]}
    return json.dumps(body).encode()


def test_the_document_names_every_route_of_the_api() -> None:
    """The document has all routes, each with a text, and no page."""
    from fastapi.routing import APIRoute

    found = {
        (route.path, method.lower())
        for route in routes().routes
        if isinstance(route, APIRoute) and route.path.startswith("/api/v1/")
        for method in route.methods or ()
    }
    assert found == set(OPERATIONS)
    for path, method in OPERATIONS:
        assert DOCUMENT["paths"][path][method]["description"].endswith(".")


def test_an_invalid_request_is_not_repeated(site: Site) -> None:
    """The error says where a request is wrong, without its content."""
    client = site.as_role(PersonRole.ADMIN)
    secret = "my private text"
    body = {"name": "x", "task": secret, "rubric": secret}
    response = client.post("/api/v1/queues", json=body)
    assert response.status_code == 422
    assert secret not in response.text
    assert response.json()["problems"][0]["where"] == "body.task"
