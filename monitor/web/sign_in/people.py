"""People and their roles. A person is an issuer and the stable id that it gives, never a name."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import Connection, Row, func, select, update

from monitor.database.inserting import insert_new
from monitor.web.review.model import Conflict, NotFound, ReviewError
from monitor.web.sign_in.roles import PersonRole, role_of
from monitor.web.store.tables import AUDIT, PEOPLE

LOCAL: Final = "local"
PROXY: Final = "proxy"
TOKEN: Final = "token"
"""Issuers. People of issuer TOKEN are those that the command or an admin made for tokens."""
MAX_PEOPLE: Final = 10_000
MAX_NAME_CHARS: Final = 200


@dataclass(frozen=True, slots=True)
class Person:
    """Somebody who may sign in. disabled: whether every request of the person is refused."""

    id: str
    issuer: str
    subject: str
    name: str
    role: str
    created_at: float
    disabled: bool

    @property
    def rank(self) -> PersonRole:
        """The role, to compare."""
        return role_of(self.role)


def person_id(issuer: str, subject: str) -> str:
    """Return the id of a person: a hash, which does not change with the name."""
    content = f"{issuer}\n{subject}".encode("utf-8", "surrogatepass")
    return hashlib.sha256(content).hexdigest()[:24]


def find(connection: Connection, identity: str) -> Person | None:
    """Return a person by id."""
    row = connection.execute(select(PEOPLE).where(PEOPLE.c.id == identity)).first()
    return None if row is None else _person(row)


def by_subject(connection: Connection, issuer: str, subject: str) -> Person | None:
    """Return a person by issuer and subject."""
    return find(connection, person_id(issuer, subject))


def listed(connection: Connection) -> list[Person]:
    """Return all people by name."""
    query = select(PEOPLE).order_by(PEOPLE.c.name, PEOPLE.c.id).limit(MAX_PEOPLE)
    return [_person(row) for row in connection.execute(query)]


def _person(row: Row[Any]) -> Person:
    return Person(
        id=row.id,
        issuer=row.issuer,
        subject=row.subject,
        name=row.name,
        role=row.role,
        created_at=row.created_at,
        disabled=row.disabled_at is not None,
    )


def add(
    connection: Connection, issuer: str, subject: str, name: str, role: PersonRole, at: float
) -> Person:
    """Add a person, or return the one that exists, unchanged. Raises ReviewError if too many."""
    known = by_subject(connection, issuer, subject)
    if known is not None:
        return known
    if connection.execute(select(func.count()).select_from(PEOPLE)).scalar_one() >= MAX_PEOPLE:
        raise ReviewError(f"there are {MAX_PEOPLE:,} people; no more can be added")
    identity = person_id(issuer, subject)
    row = {
        "id": identity,
        "issuer": issuer,
        "subject": subject,
        "name": (name or subject)[:MAX_NAME_CHARS],
        "role": role.label,
        "created_at": at,
    }
    if insert_new(connection, PEOPLE, [row]):
        AUDIT.append(
            connection, "person added", identity, {"issuer": issuer, "role": role.label}, at
        )
    found = find(connection, identity)
    assert found is not None
    return found


def change(
    connection: Connection,
    identity: str,
    at: float,
    *,
    by: str,
    role: PersonRole | None = None,
    disabled: bool | None = None,
) -> Person:
    """Change the role of a person, or disable the person. Raises NotFound and Conflict.

    An admin cannot take the own rights: somebody has to be left who can give them back.
    """
    known = find(connection, identity)
    if known is None:
        raise NotFound("there is no such person")
    if identity == by:
        raise Conflict("you cannot change your own rights; another admin can")
    values: dict[str, Any] = {}
    if role is not None and role.label != known.role:
        values["role"] = role.label
    if disabled is not None and disabled != known.disabled:
        values["disabled_at"] = at if disabled else None
    if values:
        connection.execute(update(PEOPLE).where(PEOPLE.c.id == identity).values(values))
        AUDIT.append(connection, "person changed", identity, {"person": by, **values}, at)
    found = find(connection, identity)
    assert found is not None
    return found


def rename(connection: Connection, identity: str, name: str) -> None:
    """Store the name that a proxy shows for a person."""
    statement = update(PEOPLE).where(PEOPLE.c.id == identity, PEOPLE.c.name != name)
    connection.execute(statement.values(name=name[:MAX_NAME_CHARS]))
