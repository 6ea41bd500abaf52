"""Routes of annotators: receive a task, answer, skip, undo."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from fastapi import APIRouter, Query, Response

from monitor.web.api.models import AnswerBody, SkipBody
from monitor.web.api.routing import PREFIX, Annotator, Context, Identifier, Viewer
from monitor.web.review import queues
from monitor.web.review.model import Assignment
from monitor.web.review.queues import Guideline
from monitor.web.review.tasks import assigning, submitting
from monitor.web.views import tasks
from monitor.web.views.queues import guideline_view
from monitor.web.views.tasks import TaskView

router = APIRouter(prefix=PREFIX, tags=["tasks"])


@dataclass(frozen=True, slots=True)
class Me:
    """Who makes a request. role: of the person, limited by the scope of a token."""

    person: str
    name: str
    role: str
    kind: str


@router.get("/me")
def me(identity: Viewer) -> Me:
    """Return who makes the request."""
    return Me(identity.person, identity.name, identity.role.label, identity.kind)


@router.get("/tasks")
def my_tasks(context: Context, identity: Annotator) -> list[Assignment]:
    """Return the tasks that you hold now, in all queues."""
    with context.store.read() as connection:
        return tasks.my_tasks(connection, identity.person, context.clock())


@router.post("/queues/{name}/tasks", responses={204: {"description": "none is free now"}})
def claim(context: Context, identity: Annotator, name: Identifier) -> TaskView | None:
    """Receive the next task of a queue, or the one that you hold. Status 204: none is free now."""
    with context.store.write() as connection:
        queue = queues.find(connection, name)
        task = assigning.claim(connection, queue, identity.person, context.clock())
        if task is None:
            return Response(status_code=204)  # type: ignore[return-value] # FastAPI passes it on
        return tasks.task_view(connection, task)


@router.get("/tasks/{task}")
def task(context: Context, identity: Annotator, task: Identifier) -> TaskView:
    """Return one of your tasks."""
    with context.store.read() as connection:
        return tasks.find_task(connection, task, identity.person)


@router.post("/tasks/{task}/answer")
def answer(context: Context, identity: Annotator, task: Identifier, body: AnswerBody) -> Assignment:
    """Submit the answer to a task. Submitting the same answer again changes nothing."""
    with context.store.write() as connection:
        held = assigning.find(connection, task, identity.person)
        done = submitting.submit(
            connection,
            task,
            identity.person,
            tasks.stored(body.shown(), held.order),
            body.active_ms,
            context.clock(),
        )
    context.metrics.count_rating(done.queue, "submitted")
    return done


@router.post("/tasks/{task}/skip", status_code=204)
def skip(context: Context, identity: Annotator, task: Identifier, body: SkipBody) -> None:
    """Leave a task to others, with the reason."""
    with context.store.write() as connection:
        held = assigning.find(connection, task, identity.person)
        submitting.skip(
            connection, task, identity.person, body.reason, body.active_ms, context.clock()
        )
    context.metrics.count_rating(held.queue, "skipped")


@router.post("/queues/{name}/undo")
def undo(context: Context, identity: Annotator, name: Identifier) -> TaskView:
    """Take back your last answer or skip in a queue, and receive its task again."""
    with context.store.write() as connection:
        queue = queues.find(connection, name)
        task = submitting.undo(connection, queue, identity.person, context.clock())
        view = tasks.task_view(connection, task)
    context.metrics.count_rating(name, "undone")
    return view


@router.get("/queues/{name}/guideline")
def guideline(
    context: Context,
    identity: Viewer,
    name: Identifier,
    version: Annotated[int | None, Query(ge=1, le=1_000_000)] = None,
) -> Guideline:
    """Return the instructions of a queue, by default the newest."""
    with context.store.read() as connection:
        return guideline_view(connection, name, version)
