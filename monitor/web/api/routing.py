"""What routes depend on: the context, who makes the request, and the role that it needs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Annotated, Final

from fastapi import Depends, Path, Query, Request
from fastapi.dependencies.models import Dependant
from fastapi.routing import APIRoute
from starlette.routing import BaseRoute, Mount
from starlette.staticfiles import StaticFiles

from monitor.web.context import WebContext
from monitor.web.review.model import ReviewError
from monitor.web.server.guard.guard import identity_of
from monitor.web.sign_in.identity import Identity
from monitor.web.sign_in.roles import PersonRole

PREFIX: Final = "/api/v1"
ID_PATTERN: Final = r"^[A-Za-z0-9_.-]{1,249}$"


class Forbidden(ReviewError):
    """The role of the person is too small."""


def context_of(request: Request) -> WebContext:
    """Return the context of the application."""
    context: WebContext = request.app.state.context
    return context


class Requires:
    """A dependency that refuses people with a smaller role. Each route must have one."""

    def __init__(self, role: PersonRole) -> None:
        self.role = role

    def __call__(self, request: Request) -> Identity:
        """Return who makes the request. Raises Forbidden."""
        identity = identity_of(request.scope)
        if identity.role < self.role:
            raise Forbidden(f"this needs the role {self.role.label}; you are {identity.role.label}")
        return identity


Context = Annotated[WebContext, Depends(context_of)]
Viewer = Annotated[Identity, Depends(Requires(PersonRole.VIEWER))]
Annotator = Annotated[Identity, Depends(Requires(PersonRole.ANNOTATOR))]
Admin = Annotated[Identity, Depends(Requires(PersonRole.ADMIN))]
Identifier = Annotated[str, Path(pattern=ID_PATTERN)]
"""An id or the name of a queue, in the path of a route."""
Limit = Annotated[int, Query(ge=1, le=1_000)]


def required_role(route: APIRoute) -> PersonRole | None:
    """Return the role that a route needs; None if it needs none, which is a defect."""
    return next(_roles(route.dependant), None)


def _roles(dependant: Dependant) -> Iterator[PersonRole]:
    if isinstance(dependant.call, Requires):
        yield dependant.call.role
    for each in dependant.dependencies:
        yield from _roles(each)


def check_roles(routes: Sequence[BaseRoute]) -> None:
    """Raise TypeError unless each route names the role that it needs, so that none is forgotten.

    Static files are of the program and need none. Routes of an included router would not be seen,
    so routers are added route by route.
    """
    for route in routes:
        if isinstance(route, Mount) and isinstance(route.app, StaticFiles):
            continue
        if not isinstance(route, APIRoute) or required_role(route) is None:
            raise TypeError(f"route {route} does not say which role it needs")
