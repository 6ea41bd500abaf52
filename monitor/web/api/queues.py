"""Routes of queues and items: lists for everyone, changes and contents for admins."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Annotated, Any

from fastapi import APIRouter, Query

from monitor.web.api.models import (
    GuidelineBody,
    ItemsBody,
    QueueBody,
    QueueChange,
    SetBody,
    VerdictBody,
)
from monitor.web.api.routing import PREFIX, Admin, Context, Identifier, Limit, Viewer
from monitor.web.context import WebContext
from monitor.web.review import items, queues, ratings
from monitor.web.review.model import (
    Conflict,
    Item,
    ItemState,
    QueueSettings,
    ReviewError,
    Rubric,
)
from monitor.web.review.queues import API, Guideline, NewQueue
from monitor.web.review.ratings import Activity
from monitor.web.review.tasks import submitting
from monitor.web.sign_in.identity import Identity
from monitor.web.views import queues as views
from monitor.web.views import tasks
from monitor.web.views.agreement.build import build
from monitor.web.views.agreement.reading import read
from monitor.web.views.agreement.report import to_json as report_json
from monitor.web.views.queues import ItemView, QueueView
from monitor.web.views.reviewed import Editor
from monitor.web.views.sources import SavedSet

router = APIRouter(prefix=PREFIX, tags=["queues"])


@dataclass(frozen=True, slots=True)
class Added:
    """Result of adding items. ids: of the new ones; known: number of those that were there."""

    ids: list[str]
    known: int


@router.get("/rubrics")
def rubrics(context: Context, identity: Viewer) -> list[Rubric]:
    """Return all versions of rubrics, the newest of a name first."""
    with context.store.read() as connection:
        return queues.rubrics(connection)


@router.get("/queues")
def listed(context: Context, identity: Viewer) -> list[QueueView]:
    """Return all queues with their numbers."""
    with context.store.read() as connection:
        return views.queue_views(connection)


@router.get("/queues/{name}")
def queue(context: Context, identity: Viewer, name: Identifier) -> QueueView:
    """Return a queue with its numbers."""
    with context.store.read() as connection:
        return views.queue_view(connection, name)


@router.post("/queues", status_code=201)
def create(context: Context, identity: Admin, body: QueueBody) -> QueueView:
    """Create a queue, which items enter by the API only."""
    at = context.clock()
    with context.store.write() as connection:
        rubric = queues.find_rubric(connection, body.rubric)
        settings = body.settings.applied(QueueSettings())
        new = NewQueue(body.name, body.task, rubric, settings, API)
        queues.create(connection, new, at, person=identity.person)
        if body.guideline:
            queues.set_guideline(connection, body.name, body.guideline, at, person=identity.person)
        return views.queue_view(connection, body.name)


@router.patch("/queues/{name}")
def change(context: Context, identity: Admin, name: Identifier, body: QueueChange) -> QueueView:
    """Change the state of a queue. Settings of a queue in the configuration are changed there."""
    with context.store.write() as connection:
        known = queues.find(connection, name)
        if known.source != API and (body.settings or body.rubric):
            raise Conflict(f"queue {name!r} is in the configuration; change web.queues there")
        rubric = queues.find_rubric(connection, known.rubric.name) if body.rubric else None
        settings = body.settings.applied(known.settings) if body.settings else None
        queues.change(
            connection,
            name,
            context.clock(),
            person=identity.person,
            state=body.state,
            settings=settings,
            rubric=rubric,
        )
        return views.queue_view(connection, name)


@router.put("/queues/{name}/guideline")
def set_guideline(
    context: Context, identity: Admin, name: Identifier, body: GuidelineBody
) -> Guideline:
    """Store a new version of the instructions."""
    with context.store.write() as connection:
        return queues.set_guideline(
            connection, name, body.text, context.clock(), person=identity.person
        )


@router.post("/queues/{name}/items", status_code=201)
def add_items(context: Context, identity: Admin, name: Identifier, body: ItemsBody) -> Added:
    """Add items by hand. Those that are there already stay as they are."""
    at, hashed = context.clock(), _hash_of(context.user_hash)
    with context.store.write() as connection:
        found = queues.find(connection, name)
        new = [
            each.new_item(found, at, [hashed(response.user_id) for response in each.responses])
            for each in body.items
        ]
        ids = items.add(connection, found, new, at)
    return Added(ids, len(new) - len(ids))


def _hash_of(user_hash: Callable[[str], str] | None) -> Callable[[str], str]:
    def hashed(user_id: str) -> str:
        if not user_id:
            return ""
        if user_hash is None:
            raise ReviewError("user ids cannot be stored here")
        return user_hash(user_id)

    return hashed


@router.get("/queues/{name}/items")
def queue_items(
    context: Context,
    identity: Admin,
    name: Identifier,
    state: Annotated[list[ItemState] | None, Query(max_length=10)] = None,
    limit: Limit = 50,
    before: Annotated[float | None, Query(ge=0, allow_inf_nan=False)] = None,
) -> list[Item]:
    """Return items of a queue, newest first. before: created earlier than this time."""
    with context.store.read() as connection:
        queues.find(connection, name)
        return items.page(connection, name, states=state or (), limit=limit, after=before)


@router.get("/queues/{name}/activity")
def activity(context: Context, identity: Admin, name: Identifier) -> list[Activity]:
    """Return what each annotator did in a queue."""
    with context.store.read() as connection:
        return views.activity_view(connection, name)


@router.get("/queues/{name}/agreement")
def agreement(context: Context, identity: Admin, name: Identifier) -> dict[str, Any]:
    """Return the report of a queue: agreement, annotators, models, estimated quality.

    An undefined number is {"undefined": reason}. It takes seconds for a queue of 100,000 ratings.
    """
    with context.store.read() as connection:
        reviewed = read(connection, name)
    found: dict[str, Any] = report_json(build(reviewed))
    return found


@router.get("/queues/{name}/ratings")
def queue_ratings(
    context: Context,
    identity: Admin,
    name: Identifier,
    gold: bool = False,
    limit: Annotated[int, Query(ge=1, le=100_000)] = 1_000,
) -> list[dict[str, Any]]:
    """Return the newest valid answers of a queue, for statistics elsewhere."""
    with context.store.read() as connection:
        queues.find(connection, name)
        found = ratings.ratings(connection, name, gold=gold, limit=limit)
        return [asdict(rating) for rating in found]


@router.get("/items/{item}")
def item(context: Context, identity: Admin, item: Identifier) -> ItemView:
    """Return an item with its texts, answers and verdicts."""
    with context.store.read() as connection:
        return views.item_view(connection, item)


@router.post("/items/{item}/verdict")
def verdict(context: Context, identity: Admin, item: Identifier, body: VerdictBody) -> Item:
    """Decide about an item. The answer becomes its label."""
    with context.store.write() as connection:
        order = range(len(items.candidates(connection, item)))
        answer = tasks.stored(body.answer.shown(), order)
        decided = submitting.adjudicate(
            connection, item, identity.person, answer, body.reason, context.clock()
        )
    context.metrics.count_rating(decided.queue, "adjudicated")
    return decided


@router.post("/items/{item}/known-failure", status_code=201)
def known_failure(
    context: Context, identity: Admin, item: Identifier, body: SetBody
) -> dict[str, bool]:
    """Add a response that people found wrong to the known failures of an evaluation set."""
    return {"new": _editor(context, identity).add_failure(item, body.name)}


@router.post("/queues/{name}/evaluation-sets", status_code=201)
def evaluation_set(context: Context, identity: Admin, name: Identifier, body: SetBody) -> SavedSet:
    """Freeze a version of an evaluation set with the labelled responses of a queue."""
    return _editor(context, identity).make_set(name, body.name)


def _editor(context: WebContext, identity: Identity) -> Editor:
    person = identity.person, identity.name
    return Editor(context.store, context.sources.sets, *person, context.clock())
