"""Every page in every role: its structure, headings, links, forms, and what it must not contain."""

from __future__ import annotations

import re
from urllib.parse import urlsplit

import pytest
from fastapi.routing import APIRoute

from monitor.web.api.routing import required_role
from monitor.web.sign_in.roles import PersonRole
from tests.monitor.web.clients import Site, routes
from tests.monitor.web.pages.markup import Page
from tests.monitor.web.pages.published import MODEL, Roles, Runs
from tests.monitor.web.pages.scenes import Scene

PAGES = {
    route.path: required_role(route) or PersonRole.NONE
    for route in routes().routes
    if isinstance(route, APIRoute)
    and "GET" in (route.methods or ())
    and not route.path.startswith("/api/")
}
HTML = {"accept": "text/html"}


def addresses(path: str, scene: Scene) -> list[str]:
    """Return addresses of a route that exist."""
    first, second = (run.id for run in Runs().runs[:2])
    known = {
        "/models": [f"/models?name={MODEL}"],
        "/models/{name:path}": [f"/models/{MODEL.replace('/', '%2F')}", "/models/unknown"],
        "/experiments/{name:path}": ["/experiments/prompt"],
        "/queues/{name}": [f"/queues/{each.name}" for each in scene.queues.values()],
        "/queues/{name}/agreement": [
            f"/queues/{each.name}/agreement" for each in scene.queues.values()
        ],
        "/review/task/{task}": [f"/review/task/{each}" for each in scene.tasks.values()],
        "/adjudicate/{item}": [f"/adjudicate/{scene.contested}"],
        "/compare": ["/compare", f"/compare?first={first}&second={second}"],
        "/decisions/new": ["/decisions/new", "/decisions/new?subject=experiment%2Fprompt"],
        "/annotators": [f"/annotators?queue={each.name}" for each in scene.queues.values()],
    }
    return known.get(path, [path])


def test_pages_are_known() -> None:
    """There are pages for each role, and routes with parameters have addresses in this test."""
    assert set(PAGES.values()) == {PersonRole.VIEWER, PersonRole.ANNOTATOR, PersonRole.ADMIN}
    assert not any("{" in path for path in PAGES if addresses(path, Scene()) == [path])


@pytest.mark.parametrize("path", sorted(PAGES))
def test_a_page_is_well_formed_in_every_role(site: Site, scene: Scene, path: str) -> None:
    """One h1, levels without gaps, unique ids, labelled fields, no inline script or style."""
    names = {PersonRole.ANNOTATOR: "ann", PersonRole.ADMIN: "root", PersonRole.VIEWER: "eve"}
    for role, name in names.items():
        client = site.as_role(role, name)
        for address in addresses(path, scene):
            answer = client.get(address, headers=HTML)
            if role < PAGES[path]:
                assert answer.status_code == 403
                assert "Your role does not allow this" in answer.text
                continue
            if path.startswith("/review/task/") and role is PersonRole.ADMIN:
                assert answer.status_code == 404  # the task of another person
                continue
            assert answer.status_code == 200, answer.text[:2_000]
            assert answer.headers["content-type"] == "text/html; charset=utf-8"
            check(Page(answer.text), address)


def check(page: Page, address: str) -> None:
    """Check the structure of a page."""
    assert page.headings.count(1) == 1, address
    levels = list(zip([0, *page.headings], page.headings, strict=False))
    assert all(level <= before + 1 for before, level in levels), f"{address}: {page.headings}"
    assert len(page.ids) == len(set(page.ids)), address
    assert page.unlabelled == [], address
    names = {name for name, _ in page.attributes}
    assert not {name for name in names if name.startswith("on")} | (names & {"style", "srcdoc"})
    assert [shape for shape in page.shape if shape[0] == "script"] == [("script", ("src", "defer"))]
    assert not any(tag in {"style", "iframe", "object", "base", "img"} for tag, _ in page.shape)
    for form in page.forms:
        assert form["method"] in {"get", "post"}
        assert form["action"].startswith("/")


def test_links_and_forms_lead_to_routes(site: Site, scene: Scene) -> None:
    """Each link on each page answers with a page; each form is sent to a route of its method."""
    client = site.as_role(PersonRole.ADMIN, "root")
    posts = [
        re.compile(re.sub(r"\\{\w+\\}", "[^/]+", re.escape(route.path)) + "$")
        for route in routes().routes
        if isinstance(route, APIRoute) and "POST" in (route.methods or ())
    ]
    seen: dict[str, Page] = {}
    wanted = ["/"]
    while wanted:
        address = wanted.pop()
        if address in seen:
            continue
        answer = client.get(address, headers=HTML)
        allowed = {200, 404} if address.startswith("/review/task/") else {200}
        assert answer.status_code in allowed, f"{address}: {answer.text[:500]}"
        page = seen[address] = Page(answer.text)
        for link in page.links:
            parts = urlsplit(link)
            assert not parts.netloc, f"{address} links to another site: {link}"
            if parts.path:
                wanted.append(link.partition("#")[0])
            if parts.fragment and not parts.path:
                assert parts.fragment in page.ids, f"{address}: {link}"
        for form in page.forms:
            if form["method"] == "post":
                assert any(each.match(form["action"]) for each in posts), form
    assert len(seen) > 25


def test_the_task_of_an_annotator_is_blind(site: Site, scene: Scene) -> None:
    """A task has nothing of the judge, the model, the request or of other annotators."""
    client = site.as_role(PersonRole.ANNOTATOR, "ann")
    for task in scene.tasks.values():
        page = client.get(f"/review/task/{task}").text
        for secret in ("verdict of the judge", "llama", "single-", "bob", "disagree"):
            assert secret not in page.replace("single-queue", ""), secret


def test_a_pass_rate_is_an_interval_or_a_reason(site: Site, roles: Roles) -> None:
    """The page of a model has no number where labels do not determine one."""
    address = f"/models/{MODEL.replace('/', '%2F')}"
    client = site.as_role(PersonRole.VIEWER, "eve")
    assert "<b>0.81</b>" in client.get(address, headers=HTML).text
    nothing = {"value": None, "lower": None, "upper": None}
    undefined = nothing | {"state": "undefined", "reason": "the judge is no better than chance"}
    roles.quality["quality"][0]["pass_rate"] |= undefined
    text = client.get(address, headers=HTML).text
    assert "undefined: the judge is no better than chance" in text
    assert "<b>0.81</b>" not in text


def test_what_cannot_be_read_is_named(site: Site, scene: Scene, roles: Roles) -> None:
    """Pages say what is missing, and do not show an empty list as if all was well."""
    roles.problem = "the topic was not read to its end"
    client = site.as_role(PersonRole.VIEWER)
    page = client.get("/").text
    assert "Alarms are not available: the topic was not read to its end" in page
    assert "No alarm is open" not in page
    assert client.get("/experiments/prompt", headers=HTML).status_code == 503


def test_without_other_roles_there_are_pages(sqlite_store, clock) -> None:  # type: ignore[no-untyped-def] # fixtures
    """An application that reads nothing else shows empty pages."""
    site = Site(sqlite_store, clock)
    for path in ("/", "/experiments", "/results", "/compare", "/models/x", "/decisions", "/review"):
        answer = site.client().get(path, headers=HTML)
        assert answer.status_code == 200, path
        check(Page(answer.text), path)
    assert site.client().get("/experiments/x", headers=HTML).status_code == 404
