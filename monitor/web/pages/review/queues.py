"""Pages of queues: progress, guideline, agreement; and the changes that admins make."""

from __future__ import annotations

from typing import Final

from fastapi import APIRouter, Request
from starlette.responses import HTMLResponse, RedirectResponse, Response

from monitor.web.api.routing import Admin, Context, Identifier, Viewer
from monitor.web.context import WebContext
from monitor.web.pages.forms import Form, first
from monitor.web.pages.rendering import render
from monitor.web.pages.review.reports import Kept, Reports, rows
from monitor.web.review import items, queues
from monitor.web.review.model import QueueSettings, QueueState, ReviewError
from monitor.web.review.queues import API, NewQueue
from monitor.web.views import decisions
from monitor.web.views import queues as views
from monitor.web.views.reviewed import Editor, last_set

router = APIRouter(include_in_schema=False, default_response_class=HTMLResponse)
STATES: Final[dict[str, QueueState]] = {"open": "open", "paused": "paused", "closed": "closed"}
TASKS: Final = {
    "single": "rate one response by the dimensions of the rubric",
    "pairwise": "prefer one of two responses",
    "ranking": "rank several responses",
    "spans": "mark errors in a response",
}
MAX_AUDIT: Final = 5
RELOAD_SECONDS: Final = 2


@router.get("/queues")
def listed(request: Request, context: Context, identity: Viewer) -> Response:
    """Show all queues."""
    with context.store.read() as connection:
        found = views.queue_views(connection)
        rubrics = sorted({rubric.name for rubric in queues.rubrics(connection)})
    return render(request, "queues.html", queues=found, rubrics=rubrics, tasks=TASKS)


@router.get("/queues/{name}")
def queue(request: Request, context: Context, identity: Viewer, name: Identifier) -> Response:
    """Show a queue: progress, settings, rubric and guideline, and the last set made of it."""
    with context.store.read() as connection:
        found = views.queue_view(connection, name)
        frontier = views.frontier_view(connection, name)
        guideline = views.guideline_view(connection, name)
        made = last_set(connection, name)
    return render(
        request,
        "queue.html",
        queue=found,
        frontier=frontier,
        guideline=guideline,
        explanation=TASKS.get(found.task, found.task),
        sets=found.task in {"single", "spans"} and context.sources.sets is not None,
        made=made,
    )


@router.get("/queues/{name}/agreement")
def agreement_of(
    request: Request, context: Context, identity: Viewer, name: Identifier
) -> Response:
    """Show how far the annotators of a queue agree, and what follows from it."""
    with context.store.read() as connection:
        found = views.queue_view(connection, name)
    kept = _report(request, context, name)
    if kept is None:
        return _building(request, name)
    return render(request, "agreement.html", queue=found, kept=kept, rows=rows(kept.report))


def _building(request: Request, name: str) -> Response:
    """Return a page that loads itself again: the report of a long queue takes seconds."""
    response = render(request, "building.html", name=name)
    response.headers["refresh"] = str(RELOAD_SECONDS)
    return response


def _report(request: Request, context: WebContext, name: str) -> Kept | None:
    reports: Reports = request.app.state.reports
    return reports.report(context.store, name, context.clock())


@router.post("/queues")
def create(context: Context, identity: Admin, form: Form) -> Response:
    """Create a queue, which items enter by the API only."""
    at, name = context.clock(), first(form, "name").strip()
    overlap = first(form, "overlap", "3")
    if not (overlap.isascii() and overlap.isdigit() and len(overlap) <= 3):
        raise ReviewError("the overlap is a whole number")
    if not name or not all(c.isascii() and (c.isalnum() or c in "_.-") for c in name):
        raise ReviewError("the name of a queue has letters, digits, hyphens, dots, underscores")
    with context.store.write() as connection:
        rubric = queues.find_rubric(connection, first(form, "rubric"))
        settings = QueueSettings(overlap=int(overlap))
        new = NewQueue(name[:249], first(form, "task"), rubric, settings, API)
        queues.create(connection, new, at, person=identity.person)
    return RedirectResponse(f"/queues/{name[:249]}", 303)


@router.post("/queues/{name}/state")
def set_state(context: Context, identity: Admin, name: Identifier, form: Form) -> Response:
    """Open, pause or close a queue."""
    state = STATES.get(first(form, "state"))
    if state is None:
        raise ReviewError("a queue is open, paused or closed")
    with context.store.write() as connection:
        queues.change(connection, name, context.clock(), person=identity.person, state=state)
    return RedirectResponse(f"/queues/{name}", 303)


@router.post("/queues/{name}/guideline")
def set_guideline(context: Context, identity: Admin, name: Identifier, form: Form) -> Response:
    """Store a new version of the guideline."""
    text = first(form, "text").replace("\r\n", "\n").strip()
    with context.store.write() as connection:
        queues.set_guideline(connection, name, text, context.clock(), person=identity.person)
    return RedirectResponse(f"/queues/{name}#guideline", 303)


@router.post("/queues/{name}/evaluation-set")
def make_set(context: Context, identity: Admin, name: Identifier, form: Form) -> Response:
    """Freeze a version of an evaluation set with the labelled responses of a queue."""
    person, at = (identity.person, identity.name), context.clock()
    editor = Editor(context.store, context.sources.sets, *person, at)
    editor.make_set(name, first(form, "set").strip())
    return RedirectResponse(f"/queues/{name}#sets", 303)


@router.get("/annotators")
def annotators(request: Request, context: Context, identity: Admin, queue: str = "") -> Response:
    """Show the statistics of the annotators of a queue, the most active first."""
    with context.store.read() as connection:
        names = [each.name for each in queues.listed(connection)]
    chosen = queue or next(iter(names), "")
    kept = _report(request, context, chosen) if chosen else None
    if chosen and kept is None:
        return _building(request, chosen)
    found = [] if kept is None else sorted(kept.report.annotators, key=lambda each: -each.done)
    return render(
        request,
        "annotators.html",
        names=names,
        chosen=chosen,
        rows=found,
        kept=kept,
        people=[] if kept is None else list(kept.names.values()),
    )


@router.get("/adjudicate")
def contested(request: Request, context: Context, identity: Admin) -> Response:
    """Show the items about which annotators disagree, by queue."""
    with context.store.read() as connection:
        found = [
            (each, items.page(connection, each.name, states=("contested",)))
            for each in views.queue_views(connection)
            if each.counts.get("contested")
        ]
    return render(request, "adjudicate.html", found=found)


@router.get("/admin")
def admin(request: Request, context: Context, identity: Admin) -> Response:
    """Show what admins can do."""
    with context.store.read() as connection:
        entries = decisions.audit_entries(connection, limit=MAX_AUDIT)
    return render(request, "admin.html", entries=entries)
