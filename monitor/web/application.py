"""Build the application: routes, errors, and the guard around them."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Final

import structlog
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.types import ASGIApp

from monitor import __version__
from monitor.config.sections.process.web import WebConfig
from monitor.database.errors import StoreError
from monitor.telemetry.http.api import HistoryUnavailableError
from monitor.web.api import people, queues, results, tasks
from monitor.web.api.routing import Forbidden, check_roles
from monitor.web.api.stream import TooManyStreams
from monitor.web.context import WebContext
from monitor.web.pages import routes as pages
from monitor.web.review.answers import InvalidAnswer
from monitor.web.review.model import Conflict, NotFound, ReviewError
from monitor.web.server.guard.checks import allowed_hosts
from monitor.web.server.guard.guard import NO_ROUTE, Guard
from monitor.web.sign_in.identity import SignIn

log = structlog.get_logger(__name__)

_STATUSES: Final[tuple[tuple[type[Exception], int], ...]] = (
    (Forbidden, 403),
    (NotFound, 404),
    (Conflict, 409),
    (InvalidAnswer, 422),
    (TooManyStreams, 503),
    (ReviewError, 400),
    (HistoryUnavailableError, 503),
    (StoreError, 503),
)
"""Errors that a route may raise, the more specific ones first, and their status."""


def make_application(
    context: WebContext, config: WebConfig, clock: Callable[[], float] = time.monotonic
) -> ASGIApp:
    """Return the application with its guard. clock: monotonic seconds, for rate limits."""
    sign_in = SignIn(
        context.store, context.clock, local=config.sign_in == "local", proxy=config.proxy
    )
    sign_in.start()
    proxy = config.proxy
    own = () if proxy is None else (proxy.secret_header, proxy.subject_header, proxy.name_header)
    hosts = allowed_hosts(config.host, config.allowed_hosts)
    routes = make_routes(context)
    paths = (getattr(route, "path", "") for route in routes.routes)
    context.metrics.add_routes({*filter(None, paths), NO_ROUTE})
    return Guard(routes, sign_in, hosts, own, context.metrics, clock)


def make_routes(context: WebContext) -> FastAPI:
    """Return the routes without the guard. Raises TypeError if a route needs no role."""
    app = FastAPI(
        title="Plumbline",
        version=__version__,
        docs_url=None,  # its pages load scripts from a CDN: /reference shows the same
        redoc_url=None,
        openapi_url=None,  # a page of its own, which needs a role
        redirect_slashes=False,
    )
    app.state.context = context
    for router in (tasks.router, queues.router, people.router, results.router):
        app.router.routes.extend(router.routes)
    pages.add_pages(app)
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_exception_handler(HTTPException, _http_error)
    for error, _ in _STATUSES:
        app.add_exception_handler(error, _known_error)
    app.add_exception_handler(Exception, _unexpected)
    check_roles(app.routes)
    return app


def _known_error(request: Request, error: Exception) -> Response:
    status = next(status for kind, status in _STATUSES if isinstance(error, kind))
    if isinstance(error, StoreError):
        request.app.state.context.metrics.count_store_error()
        log.warning("database not available", error=str(error))
        return error_response(request, status, "the database is not available; try again")
    return error_response(request, status, str(error))


def _http_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    return error_response(request, error.status_code, str(error.detail), error.headers)


def _invalid(request: Request, error: Exception) -> Response:
    """Return where a request is wrong, without repeating it."""
    assert isinstance(error, RequestValidationError)
    problems = [
        {"where": ".".join(map(str, each["loc"]))[:200], "problem": str(each["msg"])[:200]}
        for each in error.errors()[:20]
    ]
    if not request.url.path.startswith("/api/"):
        text = "; ".join(f"{each['where']}: {each['problem']}" for each in problems)
        return error_response(request, 422, text)
    return JSONResponse({"error": "the request is not valid", "problems": problems}, 422)


def _unexpected(request: Request, error: Exception) -> Response:
    return error_response(request, 500, "this request failed; the log has the reason")


def error_response(
    request: Request, status: int, message: str, headers: Mapping[str, str] | None = None
) -> Response:
    """Return an error: as JSON from the API, elsewhere as a page to browsers, else as text."""
    if request.url.path.startswith("/api/"):
        return JSONResponse({"error": message}, status, headers)
    if "text/html" in request.headers.get("accept", ""):
        return pages.error_page(request, status, message, headers)
    return PlainTextResponse(f"{message}\n", status, headers)
