"""Candidates of a set: redacted items without duplicates, which a person then approves."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from msgspec import structs

from monitor.records import ChatMessage
from monitor.redaction.redactor import Redacted
from monitor.redaction.redactor import redact as redact_shipped
from replay.sets.building.duplicates import SIMILAR, Duplicate, without_duplicates
from replay.sets.item import Item

Redact = Callable[[str], Redacted]
"""Returns a text without secrets and personal data, and the number of replaced places by kind."""


@dataclass(frozen=True, slots=True)
class Candidates:
    """Items that a person can approve, in the order of their ids.

    duplicates: what was dropped, and for which item. redacted: replaced places by kind.
    damaged: ids of items that were dropped because redaction changed their choices or target so
    that they cannot be scored.
    """

    items: tuple[Item, ...]
    duplicates: tuple[Duplicate, ...]
    redacted: dict[str, int]
    damaged: tuple[str, ...]


def build_candidates(
    items: Iterable[Item],
    known: Sequence[Item] = (),
    *,
    redact: Redact = redact_shipped,
    similar: float = SIMILAR,
) -> Candidates:
    """Return items as candidates. The result does not depend on the order of the items.

    known: items of the set so far; duplicates of them are dropped.
    redact: applied to every text, also of samples, which are redacted already: that changes
        nothing.
    """
    counts: Counter[str] = Counter()
    clean: list[Item] = []
    damaged: list[str] = []
    for item in items:
        redacted = redacted_item(item, redact, counts)
        if _can_be_scored(redacted):
            clean.append(redacted)
        else:
            damaged.append(item.id)
    unique = without_duplicates(clean, known, similar=similar)
    ordered = tuple(sorted(unique.items, key=lambda item: item.id))
    return Candidates(ordered, unique.dropped, dict(sorted(counts.items())), tuple(sorted(damaged)))


def with_parent_clusters(items: Iterable[Item]) -> tuple[Item, ...]:
    """Return items of which each parent of a variant is in the cluster of its variants.

    Otherwise the statistics would take the parent as independent of them.
    """
    given = tuple(items)
    parents = {item.provenance.parent for item in given if item.provenance.parent}
    return tuple(
        structs.replace(item, cluster=item.id) if not item.cluster and item.id in parents else item
        for item in given
    )


def redacted_item(item: Item, redact: Redact, counts: Counter[str]) -> Item:
    """Return an item without secrets and personal data. counts: receives the replaced places."""

    def clean(text: str) -> str:
        result, found = redact(text)
        counts.update(found)
        return result

    prompt = (
        clean(item.prompt)
        if isinstance(item.prompt, str)
        else tuple(ChatMessage(message.role, clean(message.content)) for message in item.prompt)
    )
    return structs.replace(
        item,
        prompt=prompt,
        target=None if item.target is None else clean(item.target),
        choices=tuple(map(clean, item.choices)),
        contexts=tuple(map(clean, item.contexts)),
        slices={name: clean(value) for name, value in item.slices.items()},
    )


def _can_be_scored(item: Item) -> bool:
    """Return whether the choices are different from each other, and the target is one of them."""
    if not item.choices:
        return item.scoring != "choice"
    return len(set(item.choices)) == len(item.choices) and item.target in item.choices
