"""Ratings of a queue as data for statistics: who gave which answer to which item."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import Connection, case, func, select

from monitor.web.review.answers import decode
from monitor.web.review.model import Answer, Item
from monitor.web.store.tables import ANNOTATIONS, ASSIGNMENTS, ITEMS, PEOPLE

MAX_RATINGS: Final = 200_000
"""Ratings that statistics read, the newest."""


@dataclass(frozen=True, slots=True)
class Rating:
    """A valid answer. order: positions of the candidates, as they were shown.

    gold_score: agreement with the known answer, 0 to 1; None if the item is no gold item.
    """

    item: str
    person: str
    answer: Answer
    overall: float | None
    gold_score: float | None
    order: tuple[int, ...]
    active_ms: int
    at: float


@dataclass(frozen=True, slots=True)
class Activity:
    """What an annotator did in a queue. gold: mean agreement with gold items, None without one."""

    person: str
    name: str
    submitted: int
    skipped: int
    active_ms: int
    gold: float | None
    gold_items: int


def ratings(
    connection: Connection, queue: str, *, gold: bool = False, limit: int = MAX_RATINGS
) -> Iterator[Rating]:
    """Yield the valid answers of a queue, newest first. gold: those of gold items, or of others."""
    query = (
        select(
            ASSIGNMENTS.c.item,
            ASSIGNMENTS.c.person,
            ASSIGNMENTS.c.order,
            ASSIGNMENTS.c.active_ms,
            ANNOTATIONS.c.content,
            ANNOTATIONS.c.comment,
            ANNOTATIONS.c.overall,
            ANNOTATIONS.c.gold_score,
            ANNOTATIONS.c.created_at,
        )
        .join(ASSIGNMENTS, ASSIGNMENTS.c.id == ANNOTATIONS.c.assignment)
        .join(ITEMS, ITEMS.c.id == ASSIGNMENTS.c.item)
        .where(ASSIGNMENTS.c.queue == queue, ANNOTATIONS.c.withdrawn_at.is_(None))
        .where(ITEMS.c.gold.is_not(None) if gold else ITEMS.c.gold.is_(None))
        .order_by(ANNOTATIONS.c.id.desc())
        .limit(limit)
    )
    for row in connection.execute(query):
        yield Rating(
            item=row.item,
            person=row.person,
            answer=decode(row.content, row.comment),
            overall=row.overall,
            gold_score=row.gold_score,
            order=tuple(row.order),
            active_ms=row.active_ms,
            at=row.created_at,
        )


def items_of(connection: Connection, queue: str) -> dict[str, Item]:
    """Return the items of a queue that were rated, by id."""
    rated = select(ASSIGNMENTS.c.item).where(
        ASSIGNMENTS.c.queue == queue, ASSIGNMENTS.c.state == "submitted"
    )
    query = select(ITEMS).where(ITEMS.c.id.in_(rated)).limit(MAX_RATINGS)
    return {row.id: Item(**row._mapping) for row in connection.execute(query)}


def activity(connection: Connection, queue: str | None = None) -> list[Activity]:
    """Return what each annotator did, in a queue or in all, the most active first."""

    def number(state: str) -> Any:
        return func.sum(case((ASSIGNMENTS.c.state == state, 1), else_=0))

    valid = (ANNOTATIONS.c.assignment == ASSIGNMENTS.c.id) & ANNOTATIONS.c.withdrawn_at.is_(None)
    query = (
        select(
            PEOPLE.c.id,
            PEOPLE.c.name,
            number("submitted").label("submitted"),
            number("skipped").label("skipped"),
            func.sum(ASSIGNMENTS.c.active_ms).label("active_ms"),
            func.avg(ANNOTATIONS.c.gold_score).label("gold"),
            func.count(ANNOTATIONS.c.gold_score).label("gold_items"),
        )
        .join(PEOPLE, PEOPLE.c.id == ASSIGNMENTS.c.person)
        .join(ANNOTATIONS, valid, isouter=True)
        .group_by(PEOPLE.c.id, PEOPLE.c.name)
        .order_by(number("submitted").desc(), PEOPLE.c.id)
    )
    if queue is not None:
        query = query.where(ASSIGNMENTS.c.queue == queue)
    return [
        Activity(
            person=row.id,
            name=row.name,
            submitted=int(row.submitted),
            skipped=int(row.skipped),
            active_ms=int(row.active_ms),
            gold=None if row.gold is None else float(row.gold),
            gold_items=int(row.gold_items),
        )
        for row in connection.execute(query)
    ]
