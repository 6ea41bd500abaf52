"""Item sets: immutable versions by digest, and the texts of their items.

The texts are rows of their own, shared by the versions, so that one request can erase a text from
all of them. The digest of a version covers ids of items, which are hashes, and remains valid.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection
from typing import Any, Final

import msgspec
from sqlalchemy import ColumnElement, Connection, delete, exists, func, insert, select

from monitor.database.columns import clean, encode
from monitor.database.errors import StoreError
from monitor.database.inserting import insert_new
from replay.sets.item import Item
from replay.sets.item_set import HoldOut, ItemSet
from replay.store import chain
from replay.store.database.tables import (
    ITEM_RESULTS,
    ITEM_SETS,
    ITEM_TEXTS,
    RESPONSES,
    SET_ITEMS,
)

TEXTS: Final = ("prompt", "target", "choices", "contexts", "format")
"""Fields of an item that are stored apart and can be erased."""


_ANSWER: Final = ("run", "task", "doc_id", "filter")
"""Key of an answer."""


class SetVersion(msgspec.Struct, frozen=True, kw_only=True):
    """A version of an item set. items: number of them."""

    digest: str
    name: str
    version: int
    created: float
    items: int


def save(connection: Connection, item_set: ItemSet, at: float) -> bool:
    """Store a version of a set. Returns False if a version with its digest is there already.

    Raises StoreError if its number belongs to a version with another digest.
    """
    digest = item_set.digest
    row = {
        "digest": digest,
        "name": item_set.name,
        "version": item_set.version,
        "created": item_set.created,
        "hold_out": item_set.hold_out,
    }
    if not insert_new(connection, ITEM_SETS, [row]):
        if get(connection, digest) is None:
            raise StoreError(
                f"item set {item_set.name}: version {item_set.version} exists with other items;"
                " versions are immutable, so freeze these items under a new number"
            )
        return False
    rows, texts = [], []
    for item in item_set.items:
        fields = msgspec.to_builtins(item)
        text = {name: fields.pop(name) for name in TEXTS if name in fields}
        texts.append({"item": item.id, "content": text})
        rows.append({"set_digest": digest, "item": item.id, "content": fields})
    insert_new(connection, ITEM_TEXTS, texts)
    connection.execute(insert(SET_ITEMS), rows)
    content = {
        "name": item_set.name,
        "version": item_set.version,
        "items": items_digest(connection, digest),
    }
    chain.append(connection, "set", digest, content, at)
    return True


def items_digest(connection: Connection, digest: str) -> str:
    """Return the SHA-256 of the items of a version, without the texts, which can be erased."""
    rows = connection.execute(select(SET_ITEMS).where(SET_ITEMS.c.set_digest == digest))
    lines = sorted(encode(dict(row._mapping)) for row in rows)
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


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


def _versions(
    connection: Connection, condition: ColumnElement[bool] | None
) -> tuple[SetVersion, ...]:
    fields = (ITEM_SETS.c.digest, ITEM_SETS.c.name, ITEM_SETS.c.version, ITEM_SETS.c.created)
    query = (
        select(*fields, func.count(SET_ITEMS.c.item).label("items"))
        .join(SET_ITEMS, SET_ITEMS.c.set_digest == ITEM_SETS.c.digest, isouter=True)
        .group_by(*fields)
        .order_by(ITEM_SETS.c.name, ITEM_SETS.c.version)
    )
    if condition is not None:
        query = query.where(condition)
    return tuple(SetVersion(**row._mapping) for row in connection.execute(query))


def load(connection: Connection, digest: str) -> ItemSet:
    """Return a version with its items.

    Raises StoreError if there is none, texts of it were erased, or it does not have its digest.
    """
    row = connection.execute(select(ITEM_SETS).where(ITEM_SETS.c.digest == digest)).first()
    if row is None:
        raise StoreError(f"item set {clean(digest)[:16]} is not in the store")
    found = ItemSet(
        name=row.name,
        version=row.version,
        items=_items(connection, digest),
        created=row.created,
        hold_out=None if row.hold_out is None else msgspec.convert(row.hold_out, HoldOut),
    )
    if found.digest != digest:
        raise StoreError(f"item set {digest}: its items were changed after it was stored")
    return found


def _items(connection: Connection, digest: str) -> tuple[Item, ...]:
    query = (
        select(SET_ITEMS.c.content, ITEM_TEXTS.c.content)
        .join(ITEM_TEXTS, ITEM_TEXTS.c.item == SET_ITEMS.c.item, isouter=True)
        .where(SET_ITEMS.c.set_digest == digest)
    )
    rows: list[tuple[dict[str, Any], dict[str, Any] | None]] = [
        (fields, texts) for fields, texts in connection.execute(query)
    ]
    erased = sum(texts is None for _, texts in rows)
    if erased:
        raise StoreError(f"item set {digest}: the texts of {erased} of its items were erased")
    items = (msgspec.convert(fields | (texts or {}), Item) for fields, texts in rows)
    return tuple(sorted(items, key=lambda item: item.id))  # databases order texts differently


def items_of_requests(connection: Connection, request_ids: Collection[str]) -> set[str]:
    """Return the ids of the items, of all versions, that were drawn from these requests."""
    wanted = set(map(clean, request_ids))
    rows = connection.execute(select(SET_ITEMS.c.item, SET_ITEMS.c.content))
    return {item for item, fields in rows if fields["provenance"].get("request_id") in wanted}


def erase_texts(connection: Connection, ids: Collection[str]) -> int:
    """Delete the texts of items from all versions, and the answers to them.

    Returns the number of items. A version that lost texts cannot be replayed any more.
    """
    erased = 0
    for item in sorted(ids):
        answers = ITEM_RESULTS.c.item == item
        same = [ITEM_RESULTS.c[key] == RESPONSES.c[key] for key in _ANSWER]
        connection.execute(delete(RESPONSES).where(exists().where(answers, *same)))
        erased += connection.execute(delete(ITEM_TEXTS).where(ITEM_TEXTS.c.item == item)).rowcount
    return erased
