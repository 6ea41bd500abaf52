"""What pages and the API show of queues and items."""

from __future__ import annotations

import math
from dataclasses import dataclass

from sqlalchemy import Connection, select

from monitor.web.review import answers, items, queues, ratings
from monitor.web.review.model import (
    Answer,
    Candidate,
    Item,
    Queue,
    QueueSettings,
    Rubric,
    Texts,
)
from monitor.web.review.queues import Guideline
from monitor.web.review.ratings import Activity
from monitor.web.store.tables import ANNOTATIONS, ASSIGNMENTS, PEOPLE, VERDICTS


@dataclass(frozen=True, slots=True)
class QueueView:
    """A queue with its numbers. counts: items by state. oldest_open: epoch seconds."""

    name: str
    task: str
    state: str
    source: str
    rubric: Rubric
    settings: QueueSettings
    guideline_version: int
    counts: dict[str, int]
    oldest_open: float | None
    created_at: float
    updated_at: float


@dataclass(frozen=True, slots=True)
class RatingView:
    """An answer to an item, for admins. state: of the assignment. gold_score: 0 to 1, or None."""

    person: str
    name: str
    state: str
    answer: Answer | None
    overall: float | None
    gold_score: float | None
    skip_reason: str
    active_ms: int
    at: float | None


@dataclass(frozen=True, slots=True)
class VerdictView:
    """A decision of an admin about an item."""

    person: str
    name: str
    answer: Answer
    overall: float | None
    reason: str
    at: float


@dataclass(frozen=True, slots=True)
class ItemView:
    """An item with everything that is known of it, for admins. texts: None if erased."""

    item: Item
    queue: QueueView
    candidates: tuple[Candidate, ...]
    texts: Texts | None
    ratings: tuple[RatingView, ...]
    verdicts: tuple[VerdictView, ...]


def queue_views(connection: Connection) -> list[QueueView]:
    """Return all queues by name."""
    counts = queues.counts(connection)
    return [_view(connection, queue, counts) for queue in queues.listed(connection)]


def queue_view(connection: Connection, name: str) -> QueueView:
    """Return a queue. Raises NotFound."""
    return _view(connection, queues.find(connection, name), queues.counts(connection))


def _view(connection: Connection, queue: Queue, counts: dict[str, queues.QueueCounts]) -> QueueView:
    known = counts.get(queue.name)
    return QueueView(
        name=queue.name,
        task=queue.task,
        state=queue.state,
        source=queue.source,
        rubric=queue.rubric,
        settings=queue.settings,
        guideline_version=queues.guideline(connection, queue.name).version,
        counts={} if known is None else known.items,
        oldest_open=None if known is None else known.oldest_open,
        created_at=queue.created_at,
        updated_at=queue.updated_at,
    )


def guideline_view(connection: Connection, name: str, version: int | None = None) -> Guideline:
    """Return the instructions of a queue. Raises NotFound if there is no such queue."""
    queues.find(connection, name)
    return queues.guideline(connection, name, version)


def item_view(connection: Connection, identity: str) -> ItemView:
    """Return an item with texts, answers and verdicts. Raises NotFound."""
    item = items.find(connection, identity)
    return ItemView(
        item=item,
        queue=queue_view(connection, item.queue),
        candidates=items.candidates(connection, identity),
        texts=items.texts(connection, identity),
        ratings=tuple(_ratings(connection, identity)),
        verdicts=tuple(_verdicts(connection, identity)),
    )


def _ratings(connection: Connection, item: str) -> list[RatingView]:
    valid = (ANNOTATIONS.c.assignment == ASSIGNMENTS.c.id) & ANNOTATIONS.c.withdrawn_at.is_(None)
    query = (
        select(
            ASSIGNMENTS.c.person,
            PEOPLE.c.name,
            ASSIGNMENTS.c.state,
            ASSIGNMENTS.c.skip_reason,
            ASSIGNMENTS.c.active_ms,
            ASSIGNMENTS.c.ended_at,
            ANNOTATIONS.c.content,
            ANNOTATIONS.c.comment,
            ANNOTATIONS.c.overall,
            ANNOTATIONS.c.gold_score,
        )
        .join(PEOPLE, PEOPLE.c.id == ASSIGNMENTS.c.person)
        .join(ANNOTATIONS, valid, isouter=True)
        .where(ASSIGNMENTS.c.item == item)
        .order_by(ASSIGNMENTS.c.leased_at, ASSIGNMENTS.c.id)
    )
    return [
        RatingView(
            person=row.person,
            name=row.name,
            state=row.state,
            answer=None if row.content is None else answers.decode(row.content, row.comment),
            overall=row.overall,
            gold_score=row.gold_score,
            skip_reason=row.skip_reason,
            active_ms=row.active_ms,
            at=row.ended_at,
        )
        for row in connection.execute(query)
    ]


def _verdicts(connection: Connection, item: str) -> list[VerdictView]:
    query = (
        select(VERDICTS, PEOPLE.c.name)
        .join(PEOPLE, PEOPLE.c.id == VERDICTS.c.person)
        .where(VERDICTS.c.item == item)
        .order_by(VERDICTS.c.id.desc())
    )
    return [
        VerdictView(
            person=row.person,
            name=row.name,
            answer=answers.decode(row.content),
            overall=row.overall,
            reason=row.reason,
            at=row.created_at,
        )
        for row in connection.execute(query)
    ]


def activity_view(connection: Connection, name: str) -> list[Activity]:
    """Return what the annotators of a queue did. Raises NotFound."""
    queues.find(connection, name)
    return ratings.activity(connection, name)


def frontier_view(connection: Connection, name: str) -> float | None:
    """Return the frontier of a queue; None if all its items are done. Raises NotFound."""
    queues.find(connection, name)
    found = items.frontier(connection, name)
    return found if math.isfinite(found) else None
