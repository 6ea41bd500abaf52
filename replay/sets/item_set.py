"""A version of an evaluation set: its items, its digest, and the share that is held out."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable
from itertools import pairwise
from typing import Final

import msgspec

from monitor.errors import UserError
from replay.sets.item import Item

MAX_ITEMS: Final = 50_000
"""Items of a set. A replay of more would take days."""
_legal_name = re.compile(r"(?![.-])[A-Za-z0-9._-]{1,100}").fullmatch


class HoldOut(msgspec.Struct, frozen=True, kw_only=True):
    """Which items are held out: exported to nobody, so that no prompt is tuned on them.

    share: of the items, above 0, at most .5. The items are in 1 / share parts by a hash.
    period: number of the period; its part is held out. Each item is held out once in 1 / share
    consecutive periods.
    """

    share: float
    period: int

    def __post_init__(self) -> None:
        if not 0 < self.share <= 0.5:
            raise ValueError(
                f"the share of held-out items is {self.share}; it is above 0, up to .5"
            )
        if self.period < 0:
            raise ValueError(f"the period of held-out items is {self.period}; it is not negative")

    @property
    def parts(self) -> int:
        """Number of parts, and of periods until each item was held out."""
        return round(1 / self.share)

    def holds(self, item_id: str) -> bool:
        """Return whether an item is held out. It depends on nothing but the id and the period."""
        number = int(hashlib.sha256(f"hold-out {item_id}".encode()).hexdigest()[:12], 16)
        return number % self.parts == self.period % self.parts


class ItemSet(msgspec.Struct, frozen=True, kw_only=True):
    """An immutable version of an evaluation set.

    name: letters, digits, '.', '_' and '-'. version: from 1 on.
    items: in the order of their ids, no id twice.
    created: epoch seconds.
    Raises UserError for a name that is not valid, ValueError for items that are not.
    """

    name: str
    version: int
    items: tuple[Item, ...]
    created: float = 0.0
    hold_out: HoldOut | None = None

    def __post_init__(self) -> None:
        check_name(self.name)
        ids = [item.id for item in self.items]
        if any(first >= second for first, second in pairwise(ids)):
            raise ValueError("the items of a set are in the order of their ids, no id twice")

    @property
    def digest(self) -> str:
        """Hash of the name, the ids and the hold-out: 16 hexadecimal digits.

        Two sets with the same digest pose the same questions and score them alike. Provenance,
        slices and the version are not part of it.
        """
        ids = sorted(item.id for item in self.items)
        content = msgspec.json.encode((self.name, self.hold_out, ids))
        return hashlib.sha256(content).hexdigest()[:16]

    def held_out(self) -> tuple[Item, ...]:
        """Return the items that are held out."""
        held = self.hold_out
        return () if held is None else tuple(item for item in self.items if held.holds(item.id))

    def visible(self) -> tuple[Item, ...]:
        """Return the items that are not held out."""
        held = self.hold_out
        if held is None:
            return self.items
        return tuple(item for item in self.items if not held.holds(item.id))


def make_set(
    name: str,
    version: int,
    items: Iterable[Item],
    created: float = 0.0,
    hold_out: HoldOut | None = None,
) -> ItemSet:
    """Return a set of items in any order; of items with the same id, the first one.

    Raises UserError without items, with too many, or for a name that is not valid.
    """
    unique: dict[str, Item] = {}
    for item in items:
        unique.setdefault(item.id, item)
    if not unique:
        raise UserError(f"{name}: a set needs at least one item")
    if len(unique) > MAX_ITEMS:
        raise UserError(f"{name}: {len(unique):,} items; a set has at most {MAX_ITEMS:,}")
    ordered = tuple(unique[key] for key in sorted(unique))
    return ItemSet(name=name, version=version, items=ordered, created=created, hold_out=hold_out)


def check_name(name: str) -> None:
    """Raise UserError unless a text can name a set. Such names cannot leave their folder."""
    if not _legal_name(name):
        raise UserError(
            f"{name!r} cannot name an evaluation set: use letters, digits, '.', '_' and '-', at"
            " most 100, and begin with a letter, a digit or '_'"
        )


def approve(items: Iterable[Item], by: str) -> tuple[Item, ...]:
    """Return the items as approved by a person; those that were approved keep their approver.

    Raises UserError if the name of the person is empty.
    """
    if not by.strip():
        raise UserError("an approval needs the name of the person who approves")
    return tuple(
        item if item.approved else msgspec.structs.replace(item, approved=by.strip())
        for item in items
    )
