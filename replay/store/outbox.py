"""The outbox: events that were decided in a transaction and are sent to Kafka after it.

An event is sent at least once; readers recognize a repetition by its id.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
from sqlalchemy import Connection, delete, func, select, update

from monitor.database.inserting import insert_new
from replay.store.database.tables import OUTBOX


class Pending(msgspec.Struct, frozen=True):
    """An event that is not sent yet. key, payload: of the message. created_at: epoch seconds."""

    id: int
    event_id: str
    key: str
    payload: bytes
    created_at: float


def add(connection: Connection, event_id: str, key: str, payload: bytes, at: float) -> bool:
    """Add an event. Returns False if one with this id exists."""
    row = {"event_id": event_id, "key": key, "payload": payload, "created_at": at}
    return bool(insert_new(connection, OUTBOX, [row]))


def pending(connection: Connection, limit: int = 100) -> tuple[Pending, ...]:
    """Return the events that are not sent yet, oldest first."""
    columns = (OUTBOX.c[name] for name in Pending.__struct_fields__)
    query = select(*columns).where(OUTBOX.c.sent_at.is_(None)).order_by(OUTBOX.c.id).limit(limit)
    return tuple(Pending(*row) for row in connection.execute(query))


def mark_sent(connection: Connection, ids: Sequence[int], at: float) -> None:
    """Record that Kafka has acknowledged these events."""
    waiting = OUTBOX.c.id.in_(ids) & OUTBOX.c.sent_at.is_(None)
    connection.execute(update(OUTBOX).where(waiting).values(sent_at=at))


def waiting(connection: Connection) -> tuple[int, float | None]:
    """Return the number of events that are not sent, and the time of the oldest."""
    query = select(func.count(), func.min(OUTBOX.c.created_at)).where(OUTBOX.c.sent_at.is_(None))
    row = connection.execute(query).one()
    return row[0], row[1]


def prune(connection: Connection, before: float) -> int:
    """Delete the events that were sent before a time; return their number."""
    return connection.execute(delete(OUTBOX).where(OUTBOX.c.sent_at < before)).rowcount
