"""Item sets: immutable versions by digest, and the texts of their items.

The texts are rows of their own, shared by the versions, so that one request can erase a text from
all of them. The digest of a version covers ids of items, which are hashes, and remains valid.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any, Final

import msgspec
from sqlalchemy import Connection, delete, func, insert, select

from replay.sets.item import Item
from replay.store import chain
from replay.store.database.columns import clean
from replay.store.database.errors import StoreError
from replay.store.database.inserting import insert_new
from replay.store.database.tables import ITEM_SETS, ITEM_TEXTS, SET_ITEMS

TEXTS: Final = ("prompt", "target", "choices", "contexts", "format")
"""Fields of an item that are stored apart and can be erased."""


class SetVersion(msgspec.Struct, frozen=True, kw_only=True):
    """A version of an item set. items: number of them; holdout: of these, held out."""

    digest: str
    name: str
    version: int
    frozen_at: float
    items: int
    holdout: int


def save(
    connection: Connection,
    version: tuple[str, int, str],
    items: Sequence[Item],
    holdout: Collection[str],
    at: float,
) -> bool:
    """Store a version of a set. Returns False if it is there already.

    version: its name, number and digest. holdout: ids of the items that are held out.
    Raises StoreError if the number belongs to a version with another digest.
    """
    name, number, digest = version
    row = {"digest": digest, "name": name, "version": number, "frozen_at": at}
    if not insert_new(connection, ITEM_SETS, [row]):
        return _check(connection, name, number, digest)
    rows, texts = [], []
    for position, item in enumerate(items):
        fields = msgspec.to_builtins(item)
        texts.append({"item": item.id, "content": {k: fields.pop(k) for k in TEXTS if k in fields}})
        rows.append(
            {
                "set_digest": digest,
                "position": position,
                "item": item.id,
                "holdout": item.id in holdout,
                "content": fields,
            }
        )
    insert_new(connection, ITEM_TEXTS, texts)
    if rows:
        connection.execute(insert(SET_ITEMS), rows)
    chain.append(connection, "set", digest, {"name": name, "version": number}, at)
    return True


def _check(connection: Connection, name: str, number: int, digest: str) -> bool:
    """Return False if this version exists as it is; else raise StoreError."""
    query = select(ITEM_SETS).where(ITEM_SETS.c.digest == digest)
    row = connection.execute(query).first()
    if row is None:
        raise StoreError(
            f"item set {name}: version {number} exists with other items; versions are immutable,"
            " so freeze these items under a new number"
        )
    return False


def find(connection: Connection, name: str, version: int | None = None) -> SetVersion | None:
    """Return a version of a set, the newest by default; None if there is none."""
    found = [each for each in versions(connection, name) if version in {None, each.version}]
    return found[-1] if found else None


def get(connection: Connection, digest: str) -> SetVersion | None:
    """Return the version with a digest; None if there is none."""
    return next(iter(_versions(connection, ITEM_SETS.c.digest == digest)), None)


def versions(connection: Connection, name: str = "") -> tuple[SetVersion, ...]:
    """Return all versions by name and number, optionally of one set."""
    return _versions(connection, ITEM_SETS.c.name == clean(name) if name else None)


def _versions(connection: Connection, condition: Any) -> tuple[SetVersion, ...]:
    query = (
        select(
            ITEM_SETS,
            func.count(SET_ITEMS.c.item).label("items"),
            func.count(SET_ITEMS.c.item).filter(SET_ITEMS.c.holdout).label("holdout"),
        )
        .join(SET_ITEMS, SET_ITEMS.c.set_digest == ITEM_SETS.c.digest, isouter=True)
        .group_by(*ITEM_SETS.c)
        .order_by(ITEM_SETS.c.name, ITEM_SETS.c.version)
    )
    if condition is not None:
        query = query.where(condition)
    return tuple(SetVersion(**row._mapping) for row in connection.execute(query))


def items(connection: Connection, digest: str) -> tuple[tuple[Item, ...], frozenset[str]]:
    """Return the items of a version in their order, and the ids of those held out.

    Raises StoreError if there is no such version, or texts of it were erased.
    """
    query = (
        select(SET_ITEMS.c.item, SET_ITEMS.c.holdout, SET_ITEMS.c.content, ITEM_TEXTS.c.content)
        .join(ITEM_TEXTS, ITEM_TEXTS.c.item == SET_ITEMS.c.item, isouter=True)
        .where(SET_ITEMS.c.set_digest == digest)
        .order_by(SET_ITEMS.c.position)
    )
    rows = connection.execute(query).all()
    if not rows and get(connection, digest) is None:
        raise StoreError(f"item set {digest[:16]} is not in the store")
    erased = sum(texts is None for *_, texts in rows)
    if erased:
        raise StoreError(f"item set {digest[:16]}: the texts of {erased} items were erased")
    found = tuple(msgspec.convert(fields | texts, Item) for _, _, fields, texts in rows)
    return found, frozenset(row.item for row in rows if row.holdout)


def erase_texts(connection: Connection, ids: Collection[str]) -> int:
    """Delete the texts of items from all versions; return the number of items."""
    return connection.execute(delete(ITEM_TEXTS).where(ITEM_TEXTS.c.item.in_(ids))).rowcount
