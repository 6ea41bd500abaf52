"""What a report needs from the database."""

from __future__ import annotations

from dataclasses import dataclass, fields

from sqlalchemy import Connection, select

from monitor.web.review import queues, ratings
from monitor.web.review.model import Item, Queue
from monitor.web.review.ratings import Rating
from monitor.web.store.tables import ASSIGNMENTS, CANDIDATES, ITEMS

MOST_ITEMS = 200_000
"""Items of a queue that a report reads, the newest."""


@dataclass(frozen=True, slots=True)
class Reviewed:
    """The data of a queue.

    ratings, gold: valid answers to ordinary and to gold items. skips: item and person.
    items: by id. models: names of the models, or model and variant, of the candidates of an item.
    """

    queue: Queue
    ratings: list[Rating]
    gold: list[Rating]
    skips: list[tuple[str, str]]
    items: dict[str, Item]
    models: dict[str, tuple[str, ...]]


def read(connection: Connection, name: str) -> Reviewed:
    """Return the data of a queue. Raises NotFound."""
    queue = queues.find(connection, name)
    columns = [ITEMS.c[each.name] for each in fields(Item)]
    newest = select(*columns).where(ITEMS.c.queue == name).order_by(ITEMS.c.created_at.desc())
    rows = connection.execute(newest.limit(MOST_ITEMS))
    skipped = select(ASSIGNMENTS.c.item, ASSIGNMENTS.c.person).where(
        ASSIGNMENTS.c.queue == name, ASSIGNMENTS.c.state == "skipped"
    )
    items = {each.id: each for each in (Item(*row) for row in rows)}
    return Reviewed(
        queue=queue,
        ratings=[each for each in ratings.ratings(connection, name) if each.item in items],
        gold=[each for each in ratings.ratings(connection, name, gold=True) if each.item in items],
        skips=[(row.item, row.person) for row in connection.execute(skipped) if row.item in items],
        items=items,
        models=_models(connection, name) if queue.task in {"pairwise", "ranking"} else {},
    )


def _models(connection: Connection, name: str) -> dict[str, tuple[str, ...]]:
    query = (
        select(CANDIDATES.c.item, CANDIDATES.c.model, CANDIDATES.c.variant)
        .join(ITEMS, ITEMS.c.id == CANDIDATES.c.item)
        .where(ITEMS.c.queue == name)
        .order_by(CANDIDATES.c.item, CANDIDATES.c.position)
    )
    found: dict[str, tuple[str, ...]] = {}
    for row in connection.execute(query):
        model = f"{row.model} / {row.variant}" if row.variant else row.model
        found[row.item] = (*found.get(row.item, ()), model)
    return found
