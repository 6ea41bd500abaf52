"""Erase texts: after their time, or because a person asks for it.

Texts are in `web_texts`; comments of annotators may quote them and are erased as well. Scores,
spans (numbers) and the audit trail stay. An item without texts is no longer given to annotators.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Final

from sqlalchemy import Connection, delete, func, select, update

from monitor.web.review.labels import unsend
from monitor.web.store.tables import ANNOTATIONS, ASSIGNMENTS, AUDIT, CANDIDATES, ITEMS, TEXTS

RETENTION_ITEMS: Final = 1_000
"""Items whose texts one transaction erases."""


def erase_request(connection: Connection, request_id: str, at: float, *, person: str) -> int:
    """Erase the texts of all items with a request; return the number of items.

    The audit trail gets the number and not the id, which may identify somebody.
    """
    query = select(CANDIDATES.c.item).where(CANDIDATES.c.request_id == request_id)
    erased = _erase(connection, set(connection.execute(query).scalars()), at)
    AUDIT.append(connection, "erased", "request", {"person": person, "items": erased}, at)
    return erased


def erase_user(connection: Connection, user_hash: str, at: float, *, person: str) -> int:
    """Erase the texts of all items with a response to a user, and the hash of the user's id."""
    if not user_hash:
        return 0
    query = select(CANDIDATES.c.item).where(CANDIDATES.c.user_hash == user_hash)
    erased = _erase(connection, set(connection.execute(query).scalars()), at)
    same = CANDIDATES.c.user_hash == user_hash
    connection.execute(update(CANDIDATES).where(same).values(user_hash=""))
    AUDIT.append(connection, "erased", "user", {"person": person, "items": erased}, at)
    return erased


def expire_texts(connection: Connection, at: float) -> int:
    """Erase texts whose retention is over; return the number of items. Call it until it is 0."""
    query = select(TEXTS.c.item).where(TEXTS.c.erase_after <= at).limit(RETENTION_ITEMS)
    return _erase(connection, set(connection.execute(query).scalars()), at)


def _erase(connection: Connection, found: Collection[str], at: float) -> int:
    for item in sorted(found):
        connection.execute(select(ITEMS.c.id).where(ITEMS.c.id == item).with_for_update())
        connection.execute(delete(TEXTS).where(TEXTS.c.item == item))
        mine = select(ASSIGNMENTS.c.id).where(ASSIGNMENTS.c.item == item)
        comments = update(ANNOTATIONS).where(ANNOTATIONS.c.assignment.in_(mine))
        connection.execute(comments.values(comment=""))
        held = (ASSIGNMENTS.c.item == item, ASSIGNMENTS.c.state == "leased")
        ended = {"state": "cancelled", "ended_at": at}
        connection.execute(update(ASSIGNMENTS).where(*held).values(ended))
        undone = (ITEMS.c.id == item, ITEMS.c.state.in_(("open", "contested")))
        values = {"state": "erased", "slots": 0, "finished_at": at}
        if connection.execute(update(ITEMS).where(*undone).values(values)).rowcount:
            unsend(connection, item)
    return len(found)


def texts_stored(connection: Connection) -> int:
    """Return the number of items with texts."""
    return connection.execute(select(func.count()).select_from(TEXTS)).scalar_one()
