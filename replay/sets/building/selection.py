"""Choose items: a number of them, evenly over the values of a slice, by a hash."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Callable, Iterable

from replay.sets.item import Item


def select(items: Iterable[Item], count: int, *, by: str = "", seed: int = 0) -> tuple[Item, ...]:
    """Return up to `count` items, the same ones for the same items in any order.

    by: a dimension of the slices; its values get equal numbers of items as far as they have them.
    Items without a value are a group of their own. Empty: no regard to slices.
    seed: another one chooses other items.
    """
    groups: dict[str, list[Item]] = defaultdict(list)
    for item in items:
        groups[item.slices.get(by, "") if by else ""].append(item)
    for group in groups.values():
        group.sort(key=_number(seed))
    chosen: list[Item] = []
    queues = [groups[value][::-1] for value in sorted(groups)]
    while queues and len(chosen) < count:
        for queue in queues:
            if len(chosen) < count:
                chosen.append(queue.pop())
        queues = [queue for queue in queues if queue]
    return tuple(sorted(chosen, key=lambda item: item.id))


def _number(seed: int) -> Callable[[Item], str]:
    return lambda item: hashlib.sha256(f"select {seed} {item.id}".encode()).hexdigest()
