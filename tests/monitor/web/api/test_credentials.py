"""Every route with every kind of credentials; the routes come from the application itself."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
from fastapi.routing import APIRoute
from starlette.testclient import TestClient

from monitor.config.sections.process.web import WebConfig
from monitor.database.store import Store
from monitor.web.api.routing import check_roles, required_role
from monitor.web.sign_in.roles import PersonRole
from tests.monitor.web.clients import BROWSER, Site, routes
from tests.monitor.web.reviews import Clock

ROUTES = sorted(
    (method, route.path, required_role(route) or PersonRole.NONE)
    for route in routes().routes
    if isinstance(route, APIRoute)
    for method in route.methods or ()
)
IDS = [f"{method} {path}" for method, path, _ in ROUTES]
REQUIRED = WebConfig(host="127.0.0.1", sign_in="required")


@pytest.fixture
def site(sqlite_store: Store, clock: Clock) -> Site:
    """Return an application that requires a sign-in."""
    return Site(sqlite_store, clock, REQUIRED)


def call(client: TestClient, method: str, path: str) -> int:
    """Call a route with a name in its path and an empty body; return the status."""
    address = re.sub(r"\{\w+\}", "none", path)
    if address.endswith("/stream"):
        with client.stream(method, address) as response:
            return response.status_code
    return client.request(method, address, json={} if method != "GET" else None).status_code


def test_there_are_routes_for_each_role() -> None:
    """The list of routes is that of the application, not empty, and needs three roles."""
    assert {role for *_, role in ROUTES} == {
        PersonRole.VIEWER,
        PersonRole.ANNOTATOR,
        PersonRole.ADMIN,
    }
    assert len(ROUTES) > 30


@pytest.mark.parametrize(("method", "path", "role"), ROUTES, ids=IDS)
def test_a_route_needs_credentials(
    site: Site, clock: Clock, method: str, path: str, role: PersonRole
) -> None:
    """Without, with wrong, expired and revoked credentials: 401. With a smaller role: 403."""
    assert call(site.client({}), method, path) in {401, 403}  # 403: of an unknown origin
    assert call(site.client(), method, path) == 401
    for wrong in ("Bearer plb_wrong", "Bearer ", "Basic YTpi", "plb_wrong"):
        assert call(site.client({"authorization": wrong}), method, path) == 401, wrong
    for each in PersonRole:
        if PersonRole.NONE < each < role:
            assert call(site.as_role(each), method, path) == 403
    allowed = site.token(role, days=1.0)
    if not path.endswith("/stream"):  # an open stream: see the tests of streams
        client = site.client({"authorization": f"Bearer {allowed}"})
        assert call(client, method, path) not in {401, 403, 500}
    clock.now += 86_400.0
    assert call(site.client({"authorization": f"Bearer {allowed}"}), method, path) == 401


def test_revoked_and_disabled_are_refused_at_once(site: Site) -> None:
    """A revoked token is unknown, and a disabled person is refused with every token."""
    admin = site.as_role(PersonRole.ADMIN)
    client = site.as_role(PersonRole.VIEWER)
    assert client.get("/api/v1/me").json()["role"] == "viewer"
    (token,) = [each for each in admin.get("/api/v1/tokens").json() if each["scope"] == "viewer"]
    assert admin.delete(f"/api/v1/tokens/{token['id']}").status_code == 200
    assert client.get("/api/v1/me").status_code == 401
    other = site.as_role(PersonRole.VIEWER)
    change = admin.patch(f"/api/v1/people/{token['person']}", json={"disabled": True})
    assert change.json()["disabled"] is True
    assert other.get("/api/v1/me").status_code == 403


def test_a_scope_limits_the_role_and_a_role_the_scope(site: Site) -> None:
    """A token for reading of an admin reads; a token cannot give more than its person has."""
    admin = site.as_role(PersonRole.ADMIN, "root")
    person = admin.get("/api/v1/me").json()["person"]
    body = {"person": person, "name": "reader", "scope": "viewer"}
    made = admin.post("/api/v1/tokens", json=body).json()
    reader = site.client({"authorization": f"Bearer {made['secret']}"})
    assert reader.get("/api/v1/me").json()["role"] == "viewer"
    assert reader.get("/api/v1/people").status_code == 403
    viewer = admin.post("/api/v1/people", json={"name": "v", "role": "viewer"}).json()
    body = {"person": viewer["id"], "name": "more", "scope": "admin"}
    assert admin.post("/api/v1/tokens", json=body).status_code == 400
    assert admin.patch(f"/api/v1/people/{person}", json={"role": "none"}).status_code == 409


def test_secrets_are_not_stored(site: Site) -> None:
    """Neither a token nor a part of it is in the database."""
    secret = site.token(PersonRole.ADMIN)
    with site.store.read() as connection:
        rows = connection.exec_driver_sql("SELECT * FROM web_tokens").all()
    assert secret not in str(rows)
    assert secret[8:20] not in str(rows)


def test_a_route_without_a_role_is_refused() -> None:
    """An application with a route that needs no role cannot be built."""
    app = routes()

    @app.get("/open")
    def open_route() -> str:
        return ""

    with pytest.raises(TypeError, match="/open"):
        check_roles(app.routes)
    nested = routes()
    nested.include_router(app.router)
    with pytest.raises(TypeError):
        check_roles(nested.routes)


def unknown_paths() -> Iterator[str]:
    """Yield addresses that are no route."""
    yield from ("/docs", "/redoc", "/openapi.json", "/api", "/api/v1/", "/static/../application.py")


def test_unknown_addresses_need_credentials_too(site: Site) -> None:
    """A stranger does not learn which addresses exist; the pages of FastAPI are off."""
    viewer = site.as_role(PersonRole.VIEWER)
    for path in unknown_paths():
        assert site.client(BROWSER).get(path).status_code in {401, 404}
        assert viewer.get(path).status_code == 404
    assert site.client(BROWSER).get("/docs").status_code == 401
