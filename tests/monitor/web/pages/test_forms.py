"""Forms: answers, skips, undo, decisions, people, queues; a wrong form changes nothing."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlencode

import pytest
from sqlalchemy import func, select
from starlette.testclient import TestClient

from monitor.web.review import erasure, items, queues, ratings
from monitor.web.review.model import Span
from monitor.web.sign_in import people
from monitor.web.sign_in.roles import PersonRole
from monitor.web.store.tables import ANNOTATIONS, DECISIONS, TOKENS
from monitor.web.views import decisions
from tests.monitor.web.clients import Site
from tests.monitor.web.pages.scenes import Scene

FORM = {"content-type": "application/x-www-form-urlencoded", "accept": "text/html"}


def send(client: TestClient, path: str, *pairs: tuple[str, Any]) -> Any:
    """Send a form and return the response, without following it."""
    return client.post(path, content=urlencode(pairs), headers=FORM, follow_redirects=False)


@pytest.fixture
def ann(site: Site, scene: Scene) -> TestClient:
    """Return a client of an annotator who holds a task of each type."""
    return site.as_role(PersonRole.ANNOTATOR, "ann")


@pytest.fixture
def root(site: Site, scene: Scene) -> TestClient:
    """Return a client of an admin."""
    return site.as_role(PersonRole.ADMIN, "root")


ANSWERS: dict[str, list[tuple[str, Any]]] = {
    "single": [("score.accuracy", 4), ("score.fluency", 2), ("comment", "a\r\nb")],
    "pairwise": [("preference.overall", "first"), ("preference.fluency", "tie")],
    "ranking": [("place.0", 2), ("place.1", 1), ("place.2", 2)],
    "spans": [
        ("span", "0:0:5:minor:accuracy"),
        ("quote.0", "90 degrees"),
        ("quote_kind.0", "fluency"),
    ],
}


@pytest.mark.parametrize("task", ANSWERS)
def test_an_answer_is_stored_and_the_next_task_follows(
    site: Site, scene: Scene, ann: TestClient, task: str
) -> None:
    """A complete form is stored as it was meant, and leads to another task of the queue."""
    found = send(ann, f"/review/task/{scene.tasks[task]}", *ANSWERS[task], ("active_ms", 1_500))
    assert found.status_code == 303
    assert found.headers["location"].startswith("/review/task/")
    assert found.headers["location"] != f"/review/task/{scene.tasks[task]}"
    with site.store.read() as connection:
        stored = next(iter(ratings.ratings(connection, f"{task}-queue")))
    assert stored.active_ms == 1_500
    given, order = stored.answer, stored.order
    if task == "single":
        assert given.scores == {"accuracy": 4, "fluency": 2}
        assert given.comment == "a\nb"
    elif task == "pairwise":
        assert given.preferences == {"overall": order[0], "fluency": -1}
    elif task == "ranking":
        assert given.ranking == ((order[1],), tuple(sorted((order[0], order[2]))))
    else:
        assert given.spans == (Span(0, 0, 5, "accuracy", "minor"), Span(0, 15, 25, "fluency"))


WRONG = [
    ("single", [("score.accuracy", 4)], "A score is missing: fluency"),
    ("single", [("score.accuracy", "x"), ("score.fluency", 1)], "not a number"),
    ("single", [("score.accuracy", 9), ("score.fluency", 1)], "from 0 to 5"),
    ("pairwise", [("preference.fluency", "first")], "Choose the better response"),
    ("pairwise", [("preference.overall", "third")], "first, second or tie"),
    ("ranking", [("place.0", 1)], "Rank each of the 3 responses"),
    ("ranking", [("place.0", 1), ("place.1", 1), ("place.7", 1)], "no response 7"),
    ("spans", [], "Mark an error, or confirm that there is none"),
    ("spans", [("no_errors", 1), ("span", "0:0:5:minor:accuracy")], "do not confirm"),
    ("spans", [("span", "0:0")], "incomplete"),
    ("spans", [("span", "0:0:5:grave:accuracy")], "minor or major"),
    ("spans", [("span", "0:5:900:minor:accuracy")], "outside of the response"),
    ("spans", [("quote.0", "no such words")], "no response contains"),
]


@pytest.mark.parametrize(("task", "pairs", "message"), WRONG, ids=range(len(WRONG)))
def test_a_wrong_answer_is_shown_again_with_the_reason(
    site: Site,
    scene: Scene,
    ann: TestClient,
    task: str,
    pairs: list[tuple[str, Any]],
    message: str,
) -> None:
    """The page says what is wrong, and nothing is stored."""
    with site.store.read() as connection:
        before = connection.execute(select(func.count()).select_from(ANNOTATIONS)).scalar_one()
    found = send(ann, f"/review/task/{scene.tasks[task]}", *pairs)
    assert found.status_code == 422
    assert message.lower() in found.text.lower()
    with site.store.read() as connection:
        after = connection.execute(select(func.count()).select_from(ANNOTATIONS)).scalar_one()
    assert after == before


def test_a_skip_needs_a_reason_and_undo_returns_the_task(
    site: Site, scene: Scene, ann: TestClient
) -> None:
    """A skip without a reason is refused; undo leads back to the task."""
    task = scene.tasks["single"]
    assert send(ann, f"/review/task/{task}/skip").status_code == 400
    found = send(ann, f"/review/task/{task}/skip", ("reason", "language"))
    assert found.headers["location"].startswith("/review")
    back = send(ann, "/review/undo", ("queue", "single-queue"))
    assert back.headers["location"] == f"/review/task/{task}"


def test_a_decision_is_recorded_with_who_and_when(
    site: Site, scene: Scene, root: TestClient
) -> None:
    """Criteria and evidence of an experiment are filled in; the trail stays intact."""
    form = root.get("/decisions/new?subject=experiment%2Fprompt").text
    assert "score.quality: higher is better" in form
    assert "cost_usd.capped" in form
    pairs = [("subject", "experiment/prompt"), ("reason", "harm"), ("evidence", "a\r\n\r\nb")]
    wrong = send(root, "/decisions", *pairs)
    assert wrong.status_code == 422
    assert "harm" in wrong.text
    site.clock.now += 1.0
    made = send(root, "/decisions", *pairs, ("outcome", "roll_back"))
    assert made.status_code == 303
    with site.store.read() as connection:
        newest = decisions.listed(connection, "experiment/prompt", 1)[0]
        assert decisions.verify(connection).broken is None
    assert (newest.outcome, newest.evidence, newest.name) == ("roll_back", ("a", "b"), "root")
    assert newest.at == site.clock()


def test_the_audit_page_shows_a_changed_row(site: Site, scene: Scene, root: TestClient) -> None:
    """A decision that was changed in the database is named on the page."""
    assert "The trail is intact" in root.get("/audit").text
    with site.store.write() as connection:
        triggers = "SELECT name FROM sqlite_master WHERE type = 'trigger'"
        for name in connection.exec_driver_sql(triggers).scalars().all():
            connection.exec_driver_sql(f'DROP TRIGGER "{name}"')
        connection.execute(DECISIONS.update().values(outcome="ship"))
    assert "The trail is not intact" in root.get("/audit").text


def test_admins_change_people_and_tokens(site: Site, scene: Scene, root: TestClient) -> None:
    """A person is added, gets a token whose secret is shown once, and is disabled."""
    assert send(root, "/people", ("name", "carl"), ("role", "viewer")).status_code == 303
    person = people.person_id(people.TOKEN, "carl")
    pairs = [("person", person), ("name", "laptop"), ("scope", "viewer"), ("days", "30")]
    page = send(root, "/tokens", *pairs)
    assert page.status_code == 200
    secret = page.text.partition('<code class="hash">')[2].partition("</code>")[0]
    client = site.client({"authorization": f"Bearer {secret}"})
    assert client.get("/").status_code == 200
    assert secret not in root.get("/people").text
    with site.store.read() as connection:
        query = select(TOKENS.c.id).where(TOKENS.c.person == person)
        token = connection.execute(query).scalar_one()
    assert send(root, f"/people/{person}", ("role", "annotator")).status_code == 303
    assert send(root, f"/tokens/{token}/revoke").status_code == 303
    assert client.get("/").status_code == 401
    assert send(root, f"/people/{person}", ("disabled", "yes")).status_code == 303
    with site.store.read() as connection:
        found = people.find(connection, person)
    assert found is not None
    assert (found.role, found.disabled) == ("annotator", True)
    assert send(root, "/people", ("name", "x"), ("role", "king")).status_code == 400


def test_admins_change_queues(site: Site, scene: Scene, root: TestClient) -> None:
    """A queue is created, paused, and gets a new version of its guideline."""
    pairs = [("name", "new"), ("task", "single"), ("rubric", "helpful"), ("overlap", "2")]
    assert send(root, "/queues", *pairs).headers["location"] == "/queues/new"
    assert send(root, "/queues", *pairs).status_code == 409
    assert send(root, "/queues", ("name", "../x"), *pairs[1:]).status_code == 400
    assert send(root, "/queues/new/state", ("state", "paused")).status_code == 303
    assert send(root, "/queues/new/guideline", ("text", "be strict")).status_code == 303
    with site.store.read() as connection:
        made = queues.find(connection, "new")
        assert (made.state, made.settings.overlap) == ("paused", 2)
        assert queues.guideline(connection, "new").text == "be strict"


def test_an_admin_erases_texts(site: Site, scene: Scene, root: TestClient) -> None:
    """The texts of a request are gone, and the page of the item says so."""
    with site.store.read() as connection:
        before = erasure.texts_stored(connection)
        request = items.find(connection, scene.contested).request_id
    done = send(root, "/erase", ("kind", "request"), ("value", request))
    assert done.headers["location"] == "/erase?erased=1"
    with site.store.read() as connection:
        assert erasure.texts_stored(connection) == before - 1
    page = root.get(f"/adjudicate/{scene.contested}")
    assert page.status_code == 200
    assert "were erased" in page.text
    assert send(root, "/erase", ("kind", "user"), ("value", "")).status_code == 400


def test_a_verdict_becomes_the_label(site: Site, scene: Scene, root: TestClient) -> None:
    """An incomplete verdict is refused with the reason; a complete one settles the item."""
    path = f"/adjudicate/{scene.contested}"
    assert send(root, path, ("score.accuracy", 1)).status_code == 422
    pairs = [("score.accuracy", 1), ("score.fluency", 2), ("reason", "wrong unit")]
    assert send(root, path, *pairs).headers["location"] == "/adjudicate"
    with site.store.read() as connection:
        assert items.find(connection, scene.contested).state == "settled"
