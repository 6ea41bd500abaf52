"""Routes for admins: people, tokens, erasures, the audit trail."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from fastapi import APIRouter, Query

from monitor.database.chain import Entry
from monitor.web.api.models import ErasureBody, PersonBody, PersonChange, TokenBody
from monitor.web.api.routing import PREFIX, Admin, Context, Identifier, Limit
from monitor.web.review import erasure
from monitor.web.review.model import NotFound, ReviewError
from monitor.web.sign_in import people, tokens
from monitor.web.sign_in.people import Person
from monitor.web.sign_in.roles import role_of
from monitor.web.sign_in.tokens import Token
from monitor.web.views import decisions

router = APIRouter(prefix=PREFIX, tags=["administration"])


@dataclass(frozen=True, slots=True)
class NewToken:
    """A token and its secret, which is shown this once."""

    token: Token
    secret: str


@dataclass(frozen=True, slots=True)
class Erased:
    """Number of items whose texts were erased."""

    items: int


@dataclass(frozen=True, slots=True)
class AuditStatus:
    """Result of a verification. broken: the first row that differs, or None."""

    entries: int
    head: str
    broken: str | None


@dataclass(frozen=True, slots=True)
class AuditEntry:
    """A row of the audit trail. content: JSON, as it was hashed."""

    seq: int
    kind: str
    subject: str
    at: float
    content: str
    hash: str


@router.get("/people")
def listed(context: Context, identity: Admin) -> list[Person]:
    """Return all people."""
    with context.store.read() as connection:
        return people.listed(connection)


@router.post("/people", status_code=201)
def add(context: Context, identity: Admin, body: PersonBody) -> Person:
    """Add a person for tokens. People of the proxy are added when they sign in."""
    with context.store.write() as connection:
        role = role_of(body.role)
        return people.add(connection, people.TOKEN, body.name, body.name, role, context.clock())


@router.patch("/people/{person}")
def change(context: Context, identity: Admin, person: Identifier, body: PersonChange) -> Person:
    """Change the role of a person, or disable the person. Your own rights stay."""
    role = None if body.role is None else role_of(body.role)
    with context.store.write() as connection:
        return people.change(
            connection,
            person,
            context.clock(),
            by=identity.person,
            role=role,
            disabled=body.disabled,
        )


@router.get("/tokens")
def token_list(context: Context, identity: Admin) -> list[Token]:
    """Return all tokens without their secrets."""
    with context.store.read() as connection:
        return tokens.listed(connection)


@router.post("/tokens", status_code=201)
def create_token(context: Context, identity: Admin, body: TokenBody) -> NewToken:
    """Create a token of a person. The secret is in this response and nowhere else."""
    with context.store.write() as connection:
        person = people.find(connection, body.person)
        if person is None:
            raise NotFound("there is no such person")
        new = tokens.NewToken(person, body.name, role_of(body.scope), body.days)
        return NewToken(*tokens.create(connection, new, context.clock(), by=identity.person))


@router.delete("/tokens/{token}")
def revoke(context: Context, identity: Admin, token: Identifier) -> Token:
    """Revoke a token: it is refused from now on."""
    with context.store.write() as connection:
        return tokens.revoke(connection, token, context.clock(), by=identity.person)


@router.post("/erasures")
def erase(context: Context, identity: Admin, body: ErasureBody) -> Erased:
    """Erase the texts of a request or of a user, and the comments of annotators about them."""
    at = context.clock()
    if (body.request_id is None) == (body.user_id is None):
        raise ReviewError("give a request_id or a user_id, and not both")
    with context.store.write() as connection:
        if body.request_id is not None:
            number = erasure.erase_request(connection, body.request_id, at, person=identity.person)
        else:
            if context.user_hash is None:
                raise ReviewError("user ids are not known here")
            hashed = context.user_hash(body.user_id or "")
            number = erasure.erase_user(connection, hashed, at, person=identity.person)
    context.metrics.count_erased("request" if body.request_id is not None else "user", number)
    return Erased(number)


@router.get("/audit")
def audit(
    context: Context,
    identity: Admin,
    before: Annotated[int | None, Query(ge=0, le=2**31 - 1)] = None,
    limit: Limit = 100,
) -> list[AuditEntry]:
    """Return rows of the audit trail, newest first. before: smaller numbers only."""
    with context.store.read() as connection:
        return [_entry(each) for each in decisions.audit_entries(connection, before, limit)]


def _entry(entry: Entry) -> AuditEntry:
    return AuditEntry(entry.seq, entry.kind, entry.subject, entry.at, entry.content, entry.hash)


@router.get("/audit/status")
def audit_status(
    context: Context, identity: Admin, head: Annotated[str, Query(max_length=64)] = ""
) -> AuditStatus:
    """Verify the audit trail. head: a hash noted earlier, which must still be in it."""
    with context.store.read() as connection:
        status = decisions.verify(connection, head)
    broken = None if status.broken is None else str(status.broken)
    return AuditStatus(status.entries, status.head, broken)
