"""Give items to annotators: leases, overlap, gold items.

A transaction locks the person first, then assignments, then items in the order of their ids; a
claim skips items that another transaction holds. So no two transactions wait for each other in a
circle, and the answer "none" means that none is free now.
"""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Final

from sqlalchemy import Connection, Row, and_, exists, func, insert, select, update

from monitor.statistics.review.queue import uniform_number
from monitor.web.review import queues
from monitor.web.review.items import item_of
from monitor.web.review.model import Assignment, Item, NotFound, Queue
from monitor.web.store.tables import ASSIGNMENTS, CANDIDATES, ITEMS, PEOPLE

MAX_EXPIRED: Final = 100
"""Leases that one transaction ends."""
_ENDED: Final = ("leased", "submitted", "skipped", "cancelled")
"""States in which a person does not get the item (again)."""


def claim(connection: Connection, queue: Queue, person: str, at: float) -> Assignment | None:
    """Return what a person rates next: the item that the person holds, or a new one.

    Returns None if the queue is not open or has nothing for this person now.
    """
    lock_person(connection, person)
    held = current(connection, queue.name, person, at)
    if held is not None:
        return extend(connection, queue, held, at)
    if queue.state != "open":
        return None
    expire(connection, queue.name, at)
    item = _gold(connection, queue, person) or _next(connection, queue, person, at)
    return None if item is None else _assign(connection, queue, item, person, at)


def lock_person(connection: Connection, person: str) -> None:
    """Let one transaction at a time act for a person."""
    connection.execute(select(PEOPLE.c.id).where(PEOPLE.c.id == person).with_for_update())


def current(connection: Connection, queue: str, person: str, at: float) -> Assignment | None:
    """Return the item that a person holds; None if there is none or its lease has ended."""
    query = select(ASSIGNMENTS).where(
        ASSIGNMENTS.c.person == person,
        ASSIGNMENTS.c.queue == queue,
        ASSIGNMENTS.c.state == "leased",
        ASSIGNMENTS.c.lease_until > at,
    )
    row = connection.execute(query.order_by(ASSIGNMENTS.c.leased_at.desc())).first()
    return None if row is None else assignment_of(row)


def extend(connection: Connection, queue: Queue, held: Assignment, at: float) -> Assignment:
    """Extend a lease."""
    until = at + queue.settings.lease_seconds
    change(connection, held.id, {"lease_until": until})
    return replace(held, lease_until=until)


def find(connection: Connection, assignment: str, person: str) -> Assignment:
    """Return an assignment of a person. Raises NotFound, also if it is another person's."""
    query = select(ASSIGNMENTS).where(
        ASSIGNMENTS.c.id == assignment, ASSIGNMENTS.c.person == person
    )
    row = connection.execute(query).first()
    if row is None:
        raise NotFound("there is no such task of yours")
    return assignment_of(row)


def locked(connection: Connection, assignment: str, person: str) -> Assignment:
    """Lock a person and return an assignment, locked until the commit. Raises NotFound."""
    lock_person(connection, person)
    query = select(ASSIGNMENTS).where(
        ASSIGNMENTS.c.id == assignment, ASSIGNMENTS.c.person == person
    )
    row = connection.execute(query.with_for_update()).first()
    if row is None:
        raise NotFound("there is no such task of yours")
    return assignment_of(row)


def assignment_of(row: Row[Any]) -> Assignment:
    """Return the assignment of a row."""
    fields = dict(row._mapping)
    return Assignment(**fields | {"order": tuple(fields["order"])})


def change(connection: Connection, assignment: str, values: dict[str, Any]) -> None:
    """Change an assignment, which the caller has locked."""
    connection.execute(update(ASSIGNMENTS).where(ASSIGNMENTS.c.id == assignment).values(values))


def _taken(person: str) -> Any:
    """Return the condition that a person has had an item already."""
    return exists().where(
        ASSIGNMENTS.c.item == ITEMS.c.id,
        ASSIGNMENTS.c.person == person,
        ASSIGNMENTS.c.state.in_(_ENDED),
    )


def _next(connection: Connection, queue: Queue, person: str, at: float) -> Item | None:
    query = (
        select(ITEMS)
        .where(
            ITEMS.c.queue == queue.name,
            ITEMS.c.slots > 0,
            ITEMS.c.ready_at <= at,
            ~_taken(person),
        )
        .order_by(ITEMS.c.xi, ITEMS.c.id)
        .limit(1)
        .with_for_update(skip_locked=True, of=ITEMS)
    )
    row = connection.execute(query).first()
    return None if row is None else item_of(row)


def _gold(connection: Connection, queue: Queue, person: str) -> Item | None:
    """Return a gold item, for a share of the tasks of a person that follows from a hash."""
    if not queue.settings.gold_share:
        return None
    mine = (ASSIGNMENTS.c.queue == queue.name, ASSIGNMENTS.c.person == person)
    number = connection.execute(select(func.count()).where(*mine)).scalar_one()
    if uniform_number(queue.salt, f"gold {person} {number}") >= queue.settings.gold_share:
        return None
    query = select(ITEMS).where(
        ITEMS.c.queue == queue.name,
        ITEMS.c.state == "open",
        ITEMS.c.gold.is_not(None),
        ~_taken(person),
    )
    row = connection.execute(query.order_by(ITEMS.c.u, ITEMS.c.id).limit(1)).first()
    return None if row is None else item_of(row)


def _assign(connection: Connection, queue: Queue, item: Item, person: str, at: float) -> Assignment:
    positions = select(CANDIDATES.c.position).where(CANDIDATES.c.item == item.id)
    order = list(connection.execute(positions.order_by(CANDIDATES.c.position)).scalars())
    order.sort(key=lambda position: uniform_number(queue.salt, f"{item.id} {person} {position}"))
    values: dict[str, Any] = {
        "state": "leased",
        "order": order,
        "guideline": queues.guideline(connection, queue.name).version,
        "leased_at": at,
        "lease_until": at + queue.settings.lease_seconds,
        "ended_at": None,
        "active_ms": 0,
        "skip_reason": "",
    }
    mine = and_(ASSIGNMENTS.c.item == item.id, ASSIGNMENTS.c.person == person)
    known = connection.execute(select(ASSIGNMENTS.c.id).where(mine)).scalar()
    if known is None:
        known = secrets.token_hex(16)
        keys = {"id": known, "queue": queue.name, "item": item.id, "person": person}
        connection.execute(insert(ASSIGNMENTS).values(keys | values))
    else:
        change(connection, known, values)
    if item.gold is None:
        add_slots(connection, item.id, -1)
    values["order"] = tuple(order)
    return Assignment(id=known, queue=queue.name, item=item.id, person=person, **values)


def add_slots(connection: Connection, item: str, number: int) -> None:
    """Change how often an item can still be given out."""
    statement = update(ITEMS).where(ITEMS.c.id == item)
    connection.execute(statement.values(slots=ITEMS.c.slots + number))


def expire(connection: Connection, queue: str, at: float) -> int:
    """End leases whose time is over, so that others get their items; return their number."""
    over = and_(
        ASSIGNMENTS.c.state == "leased",
        ASSIGNMENTS.c.lease_until <= at,
        ASSIGNMENTS.c.queue == queue,
    )
    query = select(ASSIGNMENTS.c.id, ASSIGNMENTS.c.item).where(over).limit(MAX_EXPIRED)
    rows = list(connection.execute(query.with_for_update(skip_locked=True)))
    return _give_back(connection, [(row.id, row.item) for row in rows], "expired", at)


def release(connection: Connection, held: Assignment, at: float) -> None:
    """End a lease of which the person wants no more."""
    _give_back(connection, [(held.id, held.item)], "expired", at)


def _give_back(
    connection: Connection, ended: Sequence[tuple[str, str]], state: str, at: float
) -> int:
    """End assignments and return their slots, in the order of items, so that none waits for us."""
    for assignment, item in sorted(ended, key=lambda pair: pair[1]):
        change(connection, assignment, {"state": state, "ended_at": at})
        statement = update(ITEMS).where(
            ITEMS.c.id == item, ITEMS.c.state == "open", ITEMS.c.gold.is_(None)
        )
        connection.execute(statement.values(slots=ITEMS.c.slots + 1))
    return len(ended)
