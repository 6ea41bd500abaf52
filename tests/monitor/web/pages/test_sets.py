"""Reviewed responses become known failures and evaluation sets, at a click and by the API."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient

from monitor.config.schema import Config
from monitor.database.store import Store
from monitor.ingest.files.samples import redactor
from monitor.roles.web_sets import SetFolder
from monitor.web.review import erasure, items
from monitor.web.review.model import Candidate, Message, NewItem, Texts
from monitor.web.sign_in.roles import PersonRole
from monitor.web.store.tables import AUDIT
from monitor.web.views.sources import Sources
from replay.sets import versions
from replay.sets.measures.backlog import backlog_path, read_backlog
from tests.monitor.web.clients import Site
from tests.monitor.web.pages.test_forms import send
from tests.monitor.web.reviews import START, Clock, add_items, add_person, add_queue, rate, scores

GOOD, BAD = 2, 3
"""Responses that people accept, and that they do not."""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return the folder of evaluation sets, which does not exist yet."""
    return tmp_path / "evalsets"


@pytest.fixture
def rated(sqlite_store: Store) -> list[str]:
    """Return the ids of labelled items: first those that people accept, then the others."""
    queue = add_queue(sqlite_store, "single", overlap=1)
    person = add_person(sqlite_store)
    found: list[str] = []
    for number in range(GOOD + BAD):
        found += add_items(sqlite_store, queue, [item(number)])
        value = 5 if number < GOOD else 1
        rate(sqlite_store, queue, person, scores(value, value))
    add_items(sqlite_store, queue, [item(99)])  # not rated
    return found


def item(number: int) -> NewItem:
    """Return an item; the prompt of the first bad response has an address."""
    prompt = f"Which river is number {number}?"
    if number == GOOD:
        prompt += " Answer to jane.doe@example.com"
    return NewItem(
        candidates=(Candidate(f"r-{number}", "llama"),),
        texts=Texts((Message("user", prompt),), (f"It is the river {number}.",)),
        time=START,
    )


@pytest.fixture
def root(sqlite_store: Store, folder: Path) -> TestClient:
    """Return a client of an admin of a site with evaluation sets."""
    target = SetFolder(folder, redactor(Config()))
    site = Site(sqlite_store, Clock(), sources=Sources(sets=target))
    return site.as_role(PersonRole.ADMIN, "root")


def audited(store: Store, kind: str) -> list[Any]:
    """Return the content of rows of the audit trail."""
    with store.read() as connection:
        return [entry.value for entry in AUDIT.entries(connection, kind)]


def test_a_failure_enters_the_backlog_at_a_click(
    sqlite_store: Store, root: TestClient, folder: Path, rated: list[str]
) -> None:
    """The item has the redacted prompt and its origin; a second click changes nothing."""
    page = f"/adjudicate/{rated[GOOD]}"
    assert "Add to the known failures" in root.get(page).text
    done = send(root, f"{page}/known-failure", ("set", "known"))
    assert (done.status_code, done.headers["location"]) == (303, f"{page}?failure=new#sets")
    assert "is a known failure now" in root.get(done.headers["location"]).text
    [found] = versions.read_candidates(folder, "known")
    assert "example.com" not in str(found.prompt)
    assert str(found.prompt).startswith("Which river is number 2?")
    origin = found.provenance
    assert (origin.origin, origin.request_id, origin.model) == ("failure", f"r-{GOOD}", "llama")
    assert (found.scoring, found.target, found.approved) == ("judge", None, "root")
    [failure] = read_backlog(backlog_path(folder, "known"))
    assert (failure.item, failure.cause, failure.state) == (found.id, "disliked by human", "open")
    again = send(root, f"{page}/known-failure", ("set", "known"))
    assert again.headers["location"] == f"{page}?failure=known#sets"
    assert len(versions.read_candidates(folder, "known")) == 1
    assert [each["set"] for each in audited(sqlite_store, "known failure")] == ["known", "known"]


def test_reviewed_responses_become_a_set_at_a_click(
    sqlite_store: Store, root: TestClient, folder: Path, rated: list[str]
) -> None:
    """Accepted responses are expected answers, others are judged; unrated ones stay out."""
    assert "Freeze the reviewed responses" in root.get("/queues/answers").text
    done = send(root, "/queues/answers/evaluation-set", ("set", "rivers"))
    assert done.status_code == 303
    made = versions.read_version(folder, "rivers")
    text = root.get(done.headers["location"]).text
    assert "Last frozen: <bdi>rivers</bdi>, version 1," in text
    assert made.digest in text
    spoofed = root.get("/queues/answers?made=call+0123+456").text
    assert "call 0123" not in spoofed
    assert sorted(each.provenance.request_id for each in made.items) == [
        f"r-{number}" for number in range(GOOD + BAD)
    ]
    accepted = [each for each in made.items if each.target is not None]
    assert sorted(each.target or "" for each in accepted) == [
        f"It is the river {number}." for number in range(GOOD)
    ]
    assert {each.provenance.accepted_by for each in accepted} == {"human"}
    assert {each.approved for each in made.items} == {"root"}
    assert audited(sqlite_store, "evaluation set")[0]["digest"] == made.digest
    same = send(root, "/queues/answers/evaluation-set", ("set", "rivers"))
    assert same.status_code == 400
    assert "has the same 5 items" in same.text


def test_a_set_by_the_api(root: TestClient, folder: Path, rated: list[str]) -> None:
    """The API does the same, and returns the version and its digest."""
    made = root.post("/api/v1/queues/answers/evaluation-sets", json={"name": "rivers"})
    assert made.status_code == 201
    digest = versions.read_version(folder, "rivers").digest
    expected = {"name": "rivers", "version": 1, "digest": digest, "items": 5, "new": 5}
    assert made.json() == expected
    failure = root.post(f"/api/v1/items/{rated[GOOD]}/known-failure", json={"name": "known"})
    assert (failure.status_code, failure.json()) == (201, {"new": True})


@pytest.mark.parametrize("name", ["", "../up", "a/b", ".hidden", "x" * 101, "a b"])
def test_names_cannot_leave_the_folder(
    root: TestClient, folder: Path, rated: list[str], name: str
) -> None:
    """A name that could be a path is refused, and nothing is written."""
    for path in (f"/adjudicate/{rated[GOOD]}/known-failure", "/queues/answers/evaluation-set"):
        assert send(root, path, ("set", name)).status_code == 400
    body = {"name": name}
    assert root.post("/api/v1/queues/answers/evaluation-sets", json=body).status_code == 422
    assert not folder.exists()


def test_what_is_no_failure_is_refused(
    sqlite_store: Store, root: TestClient, folder: Path, rated: list[str]
) -> None:
    """An accepted response, an unrated one, and one whose texts were erased stay out."""
    with sqlite_store.write() as connection:
        [open_item] = items.page(connection, "answers", states=("open",))
        erasure.erase_request(connection, f"r-{GOOD}", START, person="test")
    for identity, reason in (
        (rated[0], "reaches the pass mark"),
        (open_item.id, "only a response with a label"),
        (rated[GOOD], "only a response with a label"),
    ):
        refused = send(root, f"/adjudicate/{identity}/known-failure", ("set", "known"))
        assert (refused.status_code, reason in refused.text) == (409, True)
        assert "Add to the known failures" not in root.get(f"/adjudicate/{identity}").text
    assert not folder.exists()
    assert not audited(sqlite_store, "known failure")


def test_a_set_that_is_being_changed_is_refused(
    root: TestClient, folder: Path, rated: list[str]
) -> None:
    """While a command holds the set, the page says so and changes nothing."""
    with versions.editing(folder, "known"):
        refused = send(root, f"/adjudicate/{rated[GOOD]}/known-failure", ("set", "known"))
    assert (refused.status_code, "another command changes" in refused.text) == (400, True)
    assert versions.read_candidates(folder, "known") == ()


def test_without_a_folder_there_are_no_buttons(sqlite_store: Store, rated: list[str]) -> None:
    """The pages have no buttons, and a request names the setting."""
    client = Site(sqlite_store, Clock()).as_role(PersonRole.ADMIN, "root")
    assert "known failures" not in client.get(f"/adjudicate/{rated[GOOD]}").text
    assert "Freeze" not in client.get("/queues/answers").text
    refused = client.post("/api/v1/queues/answers/evaluation-sets", json={"name": "x"})
    assert refused.status_code == 400
    assert "web.evaluation_sets" in json.dumps(refused.json())
