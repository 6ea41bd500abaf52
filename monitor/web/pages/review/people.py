"""Pages of admins about people, tokens and erasures."""

from __future__ import annotations

from typing import Any, Final

from fastapi import APIRouter, Request
from starlette.responses import HTMLResponse, RedirectResponse, Response

from monitor.web.api.routing import Admin, Context, Identifier
from monitor.web.context import WebContext
from monitor.web.pages.forms import Form, first
from monitor.web.pages.rendering import render
from monitor.web.review import erasure
from monitor.web.review.model import NotFound, ReviewError
from monitor.web.sign_in import people, tokens
from monitor.web.sign_in.identity import Identity
from monitor.web.sign_in.roles import ROLE_NAMES, PersonRole, role_of

router = APIRouter(include_in_schema=False, default_response_class=HTMLResponse)
SCOPES: Final = ROLE_NAMES[1:]
MAX_SHOWN: Final = 500
"""People and tokens of a page."""


@router.get("/people")
def listed(request: Request, context: Context, identity: Admin) -> Response:
    """Show the people and their tokens."""
    return _page(request, context)


def _page(request: Request, context: WebContext, **values: Any) -> Response:
    with context.store.read() as connection:
        found = people.listed(connection)
        known = tokens.listed(connection)
    return render(
        request,
        "people.html",
        people=found[:MAX_SHOWN],
        hidden=max(0, len(found) - MAX_SHOWN),
        tokens=known[:MAX_SHOWN],
        names={each.id: each.name for each in found},
        roles=ROLE_NAMES,
        scopes=SCOPES,
        **({"secret": "", "owner": ""} | values),
    )


def _role(name: str) -> PersonRole:
    try:
        return role_of(name)
    except ValueError as error:
        raise ReviewError(str(error)) from None


@router.post("/people")
def add(context: Context, identity: Admin, form: Form) -> Response:
    """Add a person for tokens."""
    name, role = first(form, "name").strip(), _role(first(form, "role"))
    if not 1 <= len(name) <= people.MAX_NAME_CHARS:
        raise ReviewError(f"a name has 1 to {people.MAX_NAME_CHARS} characters")
    with context.store.write() as connection:
        people.add(connection, people.TOKEN, name, name, role, context.clock())
    return RedirectResponse("/people", 303)


@router.post("/people/{person}")
def change(context: Context, identity: Admin, person: Identifier, form: Form) -> Response:
    """Change the role of a person, or disable the person."""
    role = _role(first(form, "role")) if "role" in form else None
    disabled = {"yes": True, "no": False}.get(first(form, "disabled"))
    with context.store.write() as connection:
        people.change(
            connection, person, context.clock(), by=identity.person, role=role, disabled=disabled
        )
    return RedirectResponse("/people", 303)


@router.post("/tokens")
def create_token(request: Request, context: Context, identity: Admin, form: Form) -> Response:
    """Create a token. Its secret is on this page and nowhere else, so there is no redirect."""
    days = first(form, "days", "90")
    if not (days.isascii() and days.isdigit() and len(days) <= 4):
        raise ReviewError("the days are a whole number")
    with context.store.write() as connection:
        person = people.find(connection, first(form, "person"))
        if person is None:
            raise NotFound("there is no such person")
        name = first(form, "name").strip() or "page"
        new = tokens.NewToken(person, name, _role(first(form, "scope")), float(days))
        _, secret = tokens.create(connection, new, context.clock(), by=identity.person)
    return _page(request, context, secret=secret, owner=person.name)


@router.post("/tokens/{token}/revoke")
def revoke(context: Context, identity: Admin, token: Identifier) -> Response:
    """Revoke a token."""
    with context.store.write() as connection:
        tokens.revoke(connection, token, context.clock(), by=identity.person)
    return RedirectResponse("/people#tokens", 303)


@router.get("/erase")
def erase_form(
    request: Request, context: Context, identity: Admin, erased: int | None = None
) -> Response:
    """Show the form of an erasure."""
    with context.store.read() as connection:
        stored = erasure.texts_stored(connection)
    return render(request, "erase.html", erased=erased, stored=stored)


@router.post("/erase")
def erase(context: Context, identity: Admin, form: Form) -> Response:
    """Erase the texts of a request or of a user."""
    kind, value = first(form, "kind"), first(form, "value").strip()
    if kind not in {"request", "user"} or not value or len(value) > 500:
        raise ReviewError("give a request id or a user id of at most 500 characters")
    with context.store.write() as connection:
        number = _erase(connection, context, identity, kind, value)
    context.metrics.count_erased(kind, number)
    return RedirectResponse(f"/erase?erased={number}", 303)


def _erase(connection: Any, context: WebContext, identity: Identity, kind: str, value: str) -> int:
    at = context.clock()
    if kind == "request":
        return erasure.erase_request(connection, value, at, person=identity.person)
    if context.user_hash is None:
        raise ReviewError("user ids are not known here")
    return erasure.erase_user(connection, context.user_hash(value), at, person=identity.person)
