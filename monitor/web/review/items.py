"""Items: added once, found, with their texts, and the frontier of a queue."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any, Final

import msgspec
from sqlalchemy import ColumnElement, Connection, Row, func, insert, select, update

from monitor.database.columns import encode
from monitor.database.inserting import insert_new
from monitor.statistics.review.queue import priority
from monitor.web.review.model import (
    Candidate,
    Item,
    NewItem,
    NotFound,
    Queue,
    ReviewError,
    Texts,
)
from monitor.web.store.tables import ASSIGNMENTS, CANDIDATES, ITEMS, TEXTS

DAY_SECONDS: Final = 86_400.0
CANDIDATES_OF: Final = {"single": (1, 1), "spans": (1, 1), "pairwise": (2, 2), "ranking": (2, 10)}
"""Least and most responses of an item by type of task."""
MAX_TEXT_CHARS: Final = 2_000_000
"""Characters of the texts of an item."""
MOST_IDS: Final = 500
"""Ids in one query."""
SLOTS_OF_GOLD: Final = 0
"""Gold items are given to everyone, beside the order of the queue."""


def item_id(queue: str, candidates: Sequence[Candidate]) -> str:
    """Return the id of an item: a hash of its queue and requests, 32 hexadecimal digits."""
    key = encode([queue, [[each.request_id, each.model, each.variant] for each in candidates]])
    return hashlib.sha256(key.encode()).hexdigest()[:32]


def add(connection: Connection, queue: Queue, items: Sequence[NewItem], at: float) -> list[str]:
    """Add items and return the ids of those that are new; the others stay as they are.

    An item whose texts were erased does not get them back. Raises ReviewError if an item does not
    fit the type of the task.
    """
    new: list[str] = []
    candidates: list[dict[str, Any]] = []
    contents: list[dict[str, Any]] = []
    erase_after = at + DAY_SECONDS * queue.settings.retention_days
    for item in items:
        _check(queue, item)
        identity = item_id(queue.name, item.candidates)
        if not insert_new(connection, ITEMS, [_row(queue, item, identity, at)]):
            continue
        new.append(identity)
        candidates += [
            {"item": identity, "position": position, **asdict(candidate)}
            for position, candidate in enumerate(item.candidates)
        ]
        content = {"item": identity, "content": asdict(item.texts), "erase_after": erase_after}
        contents.append(content)
    if new:
        connection.execute(insert(CANDIDATES), candidates)
        connection.execute(insert(TEXTS), contents)
    return new


def _check(queue: Queue, item: NewItem) -> None:
    least, most = CANDIDATES_OF[queue.task]
    if not least <= len(item.candidates) <= most:
        number = str(least) if least == most else f"{least} to {most}"
        raise ReviewError(f"an item of a {queue.task} queue has {number} responses")
    if len(item.texts.responses) != len(item.candidates):
        raise ReviewError("an item has one response for each candidate")
    texts = (*item.texts.responses, *item.texts.contexts, item.texts.reference)
    if sum(map(len, texts)) + sum(len(m.content) for m in item.texts.prompt) > MAX_TEXT_CHARS:
        raise ReviewError(f"the texts of an item have at most {MAX_TEXT_CHARS:,} characters")


def _row(queue: Queue, item: NewItem, identity: str, at: float) -> dict[str, Any]:
    first, settings = item.candidates[0], queue.settings
    keys = "\n".join(each.request_id for each in item.candidates)
    place = priority(queue.salt, keys, settings.base, settings.boost, item.difficulty)
    return {
        "id": identity,
        "queue": queue.name,
        "state": "open",
        "reason": item.reason,
        "request_id": first.request_id,
        "model": first.model,
        "time": item.time,
        "difficulty": item.difficulty,
        "pi": place.pi if item.estimated and item.gold is None else None,
        "u": place.u,
        "xi": place.xi,
        "uniform": item.uniform,
        "probability": item.probability,
        "slots": settings.overlap if item.gold is None else SLOTS_OF_GOLD,
        "skips": 0,
        "judge": item.judge,
        "gold": item.gold,
        "ready_at": at + settings.inflow.settle_seconds if item.estimated else at,
        "created_at": at,
    }


def judged(
    connection: Connection,
    queue: Queue,
    request_id: str,
    judge: dict[str, Any],
    difficulty: tuple[float, str],
    at: float,
) -> bool:
    """Store what the judge said about an item; return whether there is one.

    difficulty: 0 to 1, with its reason. It changes the priority only until the item is ready: later
    the item may have been served because of its priority, and a change would bias estimates.
    """
    same = (ITEMS.c.queue == queue.name, ITEMS.c.request_id == request_id)
    row = connection.execute(select(ITEMS).where(*same).with_for_update()).first()
    if row is None:
        return False
    values: dict[str, Any] = {"judge": judge}
    if row.pi is not None and at < row.ready_at and difficulty[0] > row.difficulty:
        settings = queue.settings
        place = priority(queue.salt, request_id, settings.base, settings.boost, difficulty[0])
        values |= {"difficulty": difficulty[0], "reason": difficulty[1]}
        values |= {"pi": place.pi, "xi": place.xi}
    connection.execute(update(ITEMS).where(ITEMS.c.id == row.id).values(values))
    return True


def find(connection: Connection, identity: str) -> Item:
    """Return an item. Raises NotFound."""
    row = connection.execute(select(ITEMS).where(ITEMS.c.id == identity)).first()
    if row is None:
        raise NotFound("there is no such item")
    return item_of(row)


def locked(connection: Connection, identity: str) -> Item:
    """Return an item, locked until the commit. Raises NotFound."""
    query = select(ITEMS).where(ITEMS.c.id == identity).with_for_update()
    row = connection.execute(query).first()
    if row is None:
        raise NotFound("there is no such item")
    return item_of(row)


def item_of(row: Row[Any]) -> Item:
    """Return the item of a row."""
    return Item(**row._mapping)


def candidates(connection: Connection, identity: str) -> tuple[Candidate, ...]:
    """Return the candidates of an item by position."""
    query = select(CANDIDATES).where(CANDIDATES.c.item == identity)
    rows = connection.execute(query.order_by(CANDIDATES.c.position))
    return tuple(Candidate(row.request_id, row.model, row.variant, row.user_hash) for row in rows)


def texts(connection: Connection, identity: str) -> Texts | None:
    """Return the texts of an item; None if they were erased."""
    query = select(TEXTS.c.content).where(TEXTS.c.item == identity)
    content = connection.execute(query).scalar()
    return None if content is None else msgspec.convert(content, Texts)


def page(
    connection: Connection,
    queue: str,
    *,
    states: Sequence[str] = (),
    limit: int = 50,
    after: float | None = None,
) -> list[Item]:
    """Return items of a queue by creation, newest first. after: created earlier than this."""
    conditions: list[ColumnElement[bool]] = [ITEMS.c.queue == queue]
    if states:
        conditions.append(ITEMS.c.state.in_(states))
    if after is not None:
        conditions.append(ITEMS.c.created_at < after)
    query = select(ITEMS).where(*conditions)
    query = query.order_by(ITEMS.c.created_at.desc(), ITEMS.c.id).limit(limit)
    return [item_of(row) for row in connection.execute(query)]


def waiting(connection: Connection, queue: str) -> int:
    """Return the number of items that are open."""
    query = select(func.count()).where(ITEMS.c.queue == queue, ITEMS.c.state == "open")
    return connection.execute(query).scalar_one()


def frontier(
    connection: Connection, queue: str, since: float = 0.0, until: float = float("inf")
) -> float:
    """Return c: xi of the first item that is not done, infinity if all are.

    since, until: times of arrival. Items that arrive later have a frontier of their own, so use an
    interval for which the annotators have worked. Items without pi do not count. An item that is
    open can be given out, or somebody rates it.
    """
    conditions = [ITEMS.c.queue == queue, ITEMS.c.pi.is_not(None)]
    if since > 0.0:
        conditions.append(ITEMS.c.created_at >= since)
    if until < float("inf"):
        conditions.append(ITEMS.c.created_at <= until)
    # each has an index; one query for all would read all open items
    free = (ITEMS.c.state == "open") & (ITEMS.c.slots > 0)
    query = select(ITEMS.c.xi).where(*conditions).order_by(ITEMS.c.xi).limit(1)
    found = [
        *connection.execute(query.where(free)).scalars(),
        *connection.execute(query.where(ITEMS.c.state == "contested")).scalars(),
    ]
    leased = (ASSIGNMENTS.c.queue == queue, ASSIGNMENTS.c.state == "leased")
    held = list(connection.execute(select(ASSIGNMENTS.c.item).where(*leased)).scalars())
    for first in range(0, len(held), MOST_IDS):
        ids = ITEMS.c.id.in_(held[first : first + MOST_IDS])
        mine = select(ITEMS.c.xi, ITEMS.c.state).where(*conditions, ids)
        found += [row.xi for row in connection.execute(mine) if row.state == "open"]
    return min(found, default=float("inf"))
