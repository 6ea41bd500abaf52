"""Bearer tokens: 32 random bytes, of which only the SHA-256 is stored.

A hash without salt is enough, because nobody can try 2^256 values. The database compares hashes, so
the time of a comparison says nothing about a token.
"""

from __future__ import annotations

import hashlib
import secrets
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import Connection, Row, insert, select, update

from monitor.web.review.model import NotFound, ReviewError
from monitor.web.sign_in.people import Person
from monitor.web.sign_in.roles import PersonRole
from monitor.web.store.tables import AUDIT, TOKENS

PREFIX: Final = "plb_"
"""So that scanners for secrets, and people, recognize a token."""
_BYTES: Final = 32
MAX_TOKEN_CHARS: Final = 200
MAX_DAYS: Final = 366.0
MAX_TOKENS_OF_A_PERSON: Final = 100
_DAY: Final = 86_400.0


@dataclass(frozen=True, slots=True)
class Token:
    """A token without its secret. scope: the highest role that it gives."""

    id: str
    person: str
    name: str
    scope: str
    created_at: float
    expires_at: float
    revoked_at: float | None


@dataclass(frozen=True, slots=True)
class NewToken:
    """A token to be created."""

    person: Person
    name: str
    scope: PersonRole
    days: float


def token_hash(secret: str) -> str:
    """Return what is stored of a token."""
    return hashlib.sha256(secret.encode("utf-8", "surrogatepass")).hexdigest()


def create(connection: Connection, new: NewToken, at: float, *, by: str) -> tuple[Token, str]:
    """Create a token and return it with its secret, which is shown once.

    Raises ReviewError if its time or scope is not possible.
    """
    if not 0 < new.days <= MAX_DAYS:
        raise ReviewError(f"a token lasts above 0 and at most {MAX_DAYS:g} days")
    if new.scope > new.person.rank or new.scope is PersonRole.NONE:
        raise ReviewError(f"a token of this person has at most the scope {new.person.role}")
    if len(of_person(connection, new.person.id)) >= MAX_TOKENS_OF_A_PERSON:
        raise ReviewError(f"a person has at most {MAX_TOKENS_OF_A_PERSON} tokens")
    secret, identity = PREFIX + secrets.token_urlsafe(_BYTES), secrets.token_hex(8)
    row = {
        "id": identity,
        "person": new.person.id,
        "name": new.name[:200],
        "hash": token_hash(secret),
        "scope": new.scope.label,
        "created_at": at,
        "expires_at": at + new.days * _DAY,
    }
    connection.execute(insert(TOKENS).values(row))
    content = {"of": new.person.id, "scope": new.scope.label, "expires_at": row["expires_at"]}
    AUDIT.append(connection, "token created", identity, {"person": by, **content}, at)
    return _find(connection, identity), secret


def valid(connection: Connection, secret: str, at: float) -> Token | None:
    """Return the token of a secret; None if there is none, or it has expired or was revoked."""
    if not secret or len(secret) > MAX_TOKEN_CHARS:
        return None
    row = connection.execute(select(TOKENS).where(TOKENS.c.hash == token_hash(secret))).first()
    if row is None or row.revoked_at is not None or row.expires_at <= at:
        return None
    return _token(row)


def revoke(connection: Connection, token: str, at: float, *, by: str) -> Token:
    """Revoke a token. Raises NotFound."""
    known = _find(connection, token)
    if known.revoked_at is None:
        statement = update(TOKENS).where(TOKENS.c.id == token)
        connection.execute(statement.values(revoked_at=at))
        AUDIT.append(connection, "token revoked", token, {"person": by}, at)
    return _find(connection, token)


def of_person(connection: Connection, person: str) -> list[Token]:
    """Return the tokens of a person that were not revoked, newest first."""
    query = select(TOKENS).where(TOKENS.c.person == person, TOKENS.c.revoked_at.is_(None))
    rows = connection.execute(query.order_by(TOKENS.c.created_at.desc(), TOKENS.c.id))
    return [_token(row) for row in rows]


def listed(connection: Connection) -> list[Token]:
    """Return all tokens, newest first."""
    query = select(TOKENS).order_by(TOKENS.c.created_at.desc(), TOKENS.c.id).limit(10_000)
    return [_token(row) for row in connection.execute(query)]


def _find(connection: Connection, token: str) -> Token:
    row = connection.execute(select(TOKENS).where(TOKENS.c.id == token)).first()
    if row is None:
        raise NotFound("there is no such token")
    return _token(row)


def _token(row: Row[Any]) -> Token:
    return Token(
        id=row.id,
        person=row.person,
        name=row.name,
        scope=row.scope,
        created_at=row.created_at,
        expires_at=row.expires_at,
        revoked_at=row.revoked_at,
    )
