"""Pages of annotators: my queues, a task, its answer, skip and undo.

Forms are plain: a POST changes something and redirects to a page. A page of a task has nothing of
other annotators or of the judge.
"""

from __future__ import annotations

from typing import Any, Final

from fastapi import APIRouter, Request
from sqlalchemy import Connection
from starlette.responses import HTMLResponse, RedirectResponse, Response

from monitor.web.api.routing import Annotator, Context, Identifier
from monitor.web.context import WebContext
from monitor.web.pages.forms import Fields, Form, first
from monitor.web.pages.rendering import render
from monitor.web.pages.review.answers import QUOTES, active_ms, shown_answer
from monitor.web.review import queues
from monitor.web.review.answers import InvalidAnswer
from monitor.web.review.model import ReviewError
from monitor.web.review.tasks import assigning, submitting
from monitor.web.sign_in.identity import Identity
from monitor.web.views import tasks
from monitor.web.views.queues import queue_views
from monitor.web.views.tasks import TaskView

router = APIRouter(include_in_schema=False, default_response_class=HTMLResponse)
REASONS: Final = {
    "unclear": "the task or the guideline is unclear",
    "language": "I do not know the language",
    "expertise": "it needs an expert",
    "private": "it shows private data",
    "broken": "the text is broken or incomplete",
    "other": "another reason",
}
NOTES: Final = {"": "", "none": "There is no task for you in this queue now."}


@router.get("/review")
def home(
    request: Request, context: Context, identity: Annotator, note: str = "", queue: str = ""
) -> Response:
    """Show the queues and the tasks that you hold."""
    with context.store.read() as connection:
        known = queue_views(connection)
        held = tasks.my_tasks(connection, identity.person, context.clock())
    return render(
        request,
        "review.html",
        queues=known,
        held={each.queue: each for each in held},
        note=NOTES.get(note, ""),
        last=next((each for each in known if each.name == queue), None),
    )


@router.post("/review/next")
def start(context: Context, identity: Annotator, form: Form) -> Response:
    """Receive the next task of a queue, and show it."""
    with context.store.write() as connection:
        return _next(connection, context, identity, first(form, "queue"))


def _next(connection: Connection, context: WebContext, identity: Identity, name: str) -> Response:
    queue = queues.find(connection, name)
    task = assigning.claim(connection, queue, identity.person, context.clock())
    if task is None:
        return RedirectResponse(f"/review?note=none&queue={queue.name}", 303)
    return RedirectResponse(f"/review/task/{task.id}", 303)


@router.get("/review/task/{task}")
def show(request: Request, context: Context, identity: Annotator, task: Identifier) -> Response:
    """Show one of your tasks."""
    with context.store.read() as connection:
        return _page(request, connection, tasks.find_task(connection, task, identity.person))


def _page(request: Request, connection: Connection, task: TaskView, **values: Any) -> Response:
    """Return the page of a task. values: `answer` and `error` of a form that is not valid."""
    guideline = queues.guideline(connection, task.queue, task.guideline_version or None)
    status = 422 if values.get("error") else 200
    known = {"answer": task.answer, "error": "", "comment": None} | values
    return render(
        request,
        "task.html",
        status,
        task=task,
        guideline=guideline,
        reasons=REASONS,
        quotes=range(QUOTES),
        **known,
    )


@router.post("/review/task/{task}")
def submit(
    request: Request, context: Context, identity: Annotator, task: Identifier, form: Form
) -> Response:
    """Submit the answer to a task, and show the next one."""
    try:
        return _submit(context, identity, task, form)
    except InvalidAnswer as error:
        with context.store.read() as connection:
            view = tasks.find_task(connection, task, identity.person)
            answer = _kept(view, form)
            return _page(request, connection, view, answer=answer, error=str(error))


def _submit(context: WebContext, identity: Identity, task: str, form: Fields) -> Response:
    with context.store.write() as connection:
        asked = tasks.find_asked(connection, task, identity.person)
        answer = tasks.stored(shown_answer(asked, form), asked.order)
        done = submitting.submit(
            connection, task, identity.person, answer, active_ms(form), context.clock()
        )
    context.metrics.count_rating(done.queue, "submitted")
    with context.store.write() as connection:
        return _next(connection, context, identity, done.queue)


def _kept(view: TaskView, form: Fields) -> Any:
    """Return what a form has, as far as it can be shown again."""
    try:
        return shown_answer(view, form)
    except InvalidAnswer:
        return view.answer


@router.post("/review/task/{task}/skip")
def skip(context: Context, identity: Annotator, task: Identifier, form: Form) -> Response:
    """Leave a task to others, with the reason, and show the next one."""
    reason = first(form, "reason")
    if reason not in REASONS:
        raise ReviewError("choose the reason of the skip")
    with context.store.write() as connection:
        held = assigning.find(connection, task, identity.person)
        submitting.skip(connection, task, identity.person, reason, active_ms(form), context.clock())
    context.metrics.count_rating(held.queue, "skipped")
    with context.store.write() as connection:
        return _next(connection, context, identity, held.queue)


@router.post("/review/undo")
def undo(context: Context, identity: Annotator, form: Form) -> Response:
    """Take back your last answer or skip in a queue, and show its task again."""
    with context.store.write() as connection:
        queue = queues.find(connection, first(form, "queue"))
        task = submitting.undo(connection, queue, identity.person, context.clock())
    context.metrics.count_rating(queue.name, "undone")
    return RedirectResponse(f"/review/task/{task.id}", 303)
