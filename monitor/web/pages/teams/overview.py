"""The fleet, and one model."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query, Request
from starlette.responses import HTMLResponse, Response

from monitor.web.api.routing import Context, Viewer
from monitor.web.pages.plots import distributions
from monitor.web.pages.rendering import render
from monitor.web.sign_in.roles import PersonRole
from monitor.web.views import decisions, fleet, tasks
from monitor.web.views.queues import queue_views

router = APIRouter(include_in_schema=False, default_response_class=HTMLResponse)
MAX_ALARMS = 50
MAX_DECISIONS = 5
Name = Annotated[str, Query(max_length=1_000)]


@router.get("/")
def home(request: Request, context: Context, identity: Viewer) -> Response:
    """Show the models, open alarms, experiments, the queues and the newest decisions."""
    found = fleet.fleet(context.sources.published)
    with context.store.read() as connection:
        queues = queue_views(connection)
        held = (
            tasks.my_tasks(connection, identity.person, context.clock())
            if identity.role >= PersonRole.ANNOTATOR
            else []
        )
        newest = decisions.listed(connection, limit=MAX_DECISIONS)
    return render(
        request,
        "home.html",
        fleet=found,
        alarms=found.alarms[:MAX_ALARMS],
        queues=queues,
        held=held,
        decisions=newest,
    )


@router.get("/models")
def model_by_query(request: Request, context: Context, identity: Viewer, name: Name) -> Response:
    """Show a model whose name cannot be in a path."""
    return model(request, context, identity, name)


@router.get("/models/{name:path}")
def model(request: Request, context: Context, identity: Viewer, name: str) -> Response:
    """Show a model: open alarms with distributions, replays, judged quality, events."""
    found = fleet.model(context.sources.published, name)
    plots = [
        (distributions.ranges(each.event), distributions.shifts(each.event))
        for each in found.alarms[:MAX_ALARMS]
    ]
    with context.store.read() as connection:
        made = decisions.listed(connection, f"model/{name}"[:200], limit=MAX_DECISIONS)
    alarms = list(zip(found.alarms, plots, strict=False))
    return render(request, "model.html", model=found, alarms=alarms, decisions=made)
