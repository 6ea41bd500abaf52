"""Routes of all pages, and static files."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from fastapi import APIRouter, FastAPI, Request
from starlette.responses import HTMLResponse, JSONResponse, Response
from starlette.staticfiles import StaticFiles

from monitor.web.api.reference import reference
from monitor.web.api.routing import Viewer
from monitor.web.pages.rendering import render
from monitor.web.pages.review import adjudicating, people, queues, tasks
from monitor.web.pages.review.reports import Reports
from monitor.web.pages.teams import decisions, experiments, overview, results

router = APIRouter(include_in_schema=False)
ROUTERS: Final = (
    router,
    *(overview.router, experiments.router, results.router, decisions.router),
    *(tasks.router, queues.router, adjudicating.router, people.router),
)

HEADINGS: Final = {
    403: "Your role does not allow this",
    404: "This page does not exist",
    409: "This is not possible now",
    422: "The request is not valid",
    503: "Not available now",
}


def add_pages(app: FastAPI) -> None:
    """Add all pages and static files to the application."""
    app.state.reports = Reports()
    for each in ROUTERS:
        app.router.routes.extend(each.routes)
    app.mount("/static", StaticFiles(packages=[("monitor.web.pages", "static")]), name="static")


def error_page(
    request: Request, status: int, message: str, headers: Mapping[str, str] | None
) -> Response:
    """Return the page of an error."""
    heading = HEADINGS.get(status, "This request failed")
    response = render(request, "error.html", status, heading=heading, message=message)
    response.headers.update(headers or {})
    return response


@router.get("/api/openapi.json")
def openapi(request: Request, identity: Viewer) -> Response:
    """Return the OpenAPI document of /api/v1."""
    app: FastAPI = request.app
    return JSONResponse(app.openapi())


@router.get("/reference", response_class=HTMLResponse)
def api_reference(request: Request, identity: Viewer) -> Response:
    """Show the routes of the API. The page needs no script and loads nothing from elsewhere."""
    app: FastAPI = request.app
    return render(request, "reference.html", reference=reference(app.openapi(), app.routes))
