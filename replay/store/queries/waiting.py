"""Open alarms that started no run because of the cooldown of their model."""

from __future__ import annotations

from typing import Final

from sqlalchemy import Connection, delete, select

from monitor.database.columns import clean
from monitor.database.inserting import insert_new
from replay.store.database.tables import WAITING_ALARMS

MOST: Final = 10_000
"""Alarms that wait; the oldest are forgotten."""


def add(connection: Connection, alarm: str, model: str, event: bytes, at: float) -> None:
    """Let an alarm wait. event: encoded, from which its run can be made later."""
    row = {"alarm": alarm, "model": model, "event": event, "created_at": at}
    if insert_new(connection, WAITING_ALARMS, [row]):
        newest = WAITING_ALARMS.c.created_at.desc(), WAITING_ALARMS.c.alarm
        old = select(WAITING_ALARMS.c.alarm).order_by(*newest).offset(MOST)
        if beyond := list(connection.execute(old).scalars()):
            connection.execute(delete(WAITING_ALARMS).where(WAITING_ALARMS.c.alarm.in_(beyond)))


def remove(connection: Connection, alarm: str) -> None:
    """Forget an alarm: it has resolved, or it has a run."""
    connection.execute(delete(WAITING_ALARMS).where(WAITING_ALARMS.c.alarm == clean(alarm)))


def of_model(connection: Connection, model: str) -> list[bytes]:
    """Return the encoded events of the alarms of a model that wait, oldest first."""
    order = WAITING_ALARMS.c.created_at, WAITING_ALARMS.c.alarm
    query = select(WAITING_ALARMS.c.event).where(WAITING_ALARMS.c.model == clean(model))
    return list(connection.execute(query.order_by(*order)).scalars())
