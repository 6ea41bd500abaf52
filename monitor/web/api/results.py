"""Routes of results and decisions: what other roles publish, and what people decide."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any

import msgspec
from fastapi import APIRouter, Query, Request
from starlette.responses import Response, StreamingResponse

from monitor.web.api.models import DecisionBody
from monitor.web.api.routing import PREFIX, Admin, Context, Identifier, Limit, Viewer
from monitor.web.api.stream import open_stream
from monitor.web.review.model import NotFound
from monitor.web.views import decisions, results
from monitor.web.views.decisions import Decision
from monitor.web.views.sources import RunSummary

router = APIRouter(prefix=PREFIX, tags=["results"])
Model = Annotated[str | None, Query(max_length=500)]


@router.get("/alarms")
def alarms(context: Context, identity: Viewer) -> list[dict[str, Any]]:
    """Return the open alarms of all models."""
    found: list[dict[str, Any]] = results.alarms(context.sources.published)
    return found


@router.get("/events")
def events(
    context: Context, identity: Viewer, model: Model = None, limit: Limit = 100
) -> list[dict[str, Any]]:
    """Return the newest drift events, oldest first."""
    return results.events(context.sources.published, model, limit)


@router.get("/experiments")
def experiments(context: Context, identity: Viewer) -> Response:
    """Return the last result of each experiment, by name."""
    return _json(results.experiments(context.sources.published))


@router.get("/experiments/{name}")
def experiment(context: Context, identity: Viewer, name: str) -> Response:
    """Return the last result of an experiment."""
    return _json(results.experiment(context.sources.published, name))


def _json(value: object) -> Response:
    """Encode as the other API does: numbers that cannot be computed are null."""
    return Response(msgspec.json.encode(value), media_type="application/json")


@router.get("/replays")
def replays(
    context: Context, identity: Viewer, model: Model = None, limit: Limit = 100
) -> list[dict[str, Any]]:
    """Return the newest replays, oldest first."""
    return results.replays(context.sources.published, model, limit)


@router.get("/quality")
def quality(context: Context, identity: Viewer) -> dict[str, Any]:
    """Return the judged quality of the models."""
    return results.quality(context.sources.published)


@router.get("/runs")
def runs(
    context: Context, identity: Viewer, model: Model = None, limit: Limit = 50
) -> Sequence[RunSummary]:
    """Return the newest runs of the result store, newest first."""
    source = context.sources.runs
    return () if source is None else source.newest(model, limit)


@router.get("/runs/{run}")
def run(context: Context, identity: Viewer, run: Identifier) -> RunSummary:
    """Return a run with its scores."""
    found = None if context.sources.runs is None else context.sources.runs.run(run)
    if found is None:
        raise NotFound("there is no such run")
    return found


@router.get("/decisions")
def decision_list(
    context: Context,
    identity: Viewer,
    subject: Annotated[str | None, Query(max_length=200)] = None,
    limit: Limit = 100,
) -> list[Decision]:
    """Return the newest decisions, newest first."""
    with context.store.read() as connection:
        return decisions.listed(connection, subject, limit)


@router.get("/decisions/{decision}")
def decision(context: Context, identity: Viewer, decision: Identifier) -> Decision:
    """Return a decision."""
    with context.store.read() as connection:
        return decisions.find(connection, decision)


@router.post("/decisions", status_code=201)
def decide(context: Context, identity: Admin, body: DecisionBody) -> Decision:
    """Record a decision, which cannot be changed."""
    with context.store.write() as connection:
        return decisions.decide(connection, body.new(), identity.person, context.clock())


@router.get("/stream")
async def stream(context: Context, identity: Viewer, request: Request) -> StreamingResponse:
    """Receive changes of experiments as server-sent events, until the connection is closed."""
    return StreamingResponse(open_stream(context, request), media_type="text/event-stream")
