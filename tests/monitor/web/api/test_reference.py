"""The reference of the API names all routes, parameters and fields, and nothing else."""

from __future__ import annotations

from fastapi.routing import APIRoute

from monitor.database.store import Store
from monitor.web.api.reference import reference
from monitor.web.api.routing import required_role
from monitor.web.sign_in.roles import PersonRole
from tests.monitor.web.clients import Site, routes
from tests.monitor.web.pages.markup import Page
from tests.monitor.web.reviews import Clock

APP = routes()
FOUND = reference(APP.openapi(), APP.routes)
OPERATIONS = [each for operations in FOUND.operations.values() for each in operations]


def test_all_routes_are_there_with_their_role() -> None:
    """Each route of /api/v1 has one entry, with the role that the route needs."""
    served = {
        (method, route.path): (required_role(route) or PersonRole.NONE).label
        for route in APP.routes
        if isinstance(route, APIRoute) and route.path.startswith("/api/v1")
        for method in route.methods or ()
    }
    assert {(each.method, each.path): each.role for each in OPERATIONS} == served
    assert len({each.id for each in OPERATIONS}) == len(OPERATIONS)
    assert all(each.description for each in OPERATIONS)


def test_parameters_and_fields_are_those_of_the_document() -> None:
    """Names, places and obligations of all parameters and fields are in the reference."""
    document = APP.openapi()
    for each in OPERATIONS:
        given = document["paths"][each.path][each.method.lower()].get("parameters", [])
        expected = [(p["name"], p["in"], p.get("required", False)) for p in given]
        assert [(f.name, f.place, f.required) for f in each.fields] == expected
    schemas = document["components"]["schemas"]
    for schema in FOUND.schemas:
        assert [f.name for f in schema.fields] == list(schemas[schema.name]["properties"])
    named = {schema.name for schema in FOUND.schemas}
    bodies = {each.body for each in OPERATIONS if each.body}
    assert bodies <= named


def test_types_and_limits_are_in_words() -> None:
    """A limit, a default, an optional value and a list of objects are readable."""
    queue = next(each for each in FOUND.schemas if each.name == "QueueBody")
    assert {field.name for field in queue.fields if field.required} >= {"name", "task", "rubric"}
    entries = next(e for e in OPERATIONS if e.method == "GET" and e.path.endswith("/items"))
    limit = next(field for field in entries.fields if field.name == "limit")
    assert (limit.type, limit.required) == ("whole number", False)
    assert limit.limits == "at least 1; at most 1000; default 50"
    assert entries.result == "list of Item"


def test_the_page_needs_nothing_else(sqlite_store: Store) -> None:
    """The page has all routes as text, no script but that of all pages, and no other host."""
    answer = Site(sqlite_store, Clock()).as_role(PersonRole.VIEWER).get("/reference")
    page = Page(answer.text)
    assert answer.status_code == 200
    for each in OPERATIONS:
        assert f"{each.method} {each.path}" in page.text
    assert answer.text.count("<script") == 1
    assert "http://" not in answer.text
    assert "https://" not in answer.text
