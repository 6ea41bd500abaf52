"""Remove duplicates: equal after normalisation, or similar."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final, Literal, NamedTuple

import msgspec

from replay.sets.building.near import SimilarTexts
from replay.sets.building.texts import prompt_text, shingles, text_hash, whole_prompt, words
from replay.sets.item import Item, Origin, Scoring

SIMILAR: Final = 0.8
"""Jaccard similarity of word 3-grams from which two items of up to 30 3-grams are duplicates."""
_SHORT: Final = 30
_SHARE: Final = 0.1
VARIANTS: Final[frozenset[Origin]] = frozenset({"generated", "behaviour"})
"""Origins whose items of one cluster are similar on purpose, such as paraphrases."""
TRAFFIC: Final[frozenset[Origin]] = frozenset({"sample", "disliked", "failure"})
"""Origins in which other passages do not make another question."""
SHORT: Final[frozenset[Scoring]] = frozenset({"exact_match", "choice"})
"""Scorings by a short target: "What is 3 + 4?" and "What is 3 + 5?" have different ones."""
_TRUST: Final = {"reference": 0, "human": 1}


class Duplicate(NamedTuple):
    """An item that was dropped, the item it duplicates, and their similarity (1 if equal)."""

    item: Item
    kept: str
    kind: Literal["equal", "similar"]
    similarity: float


class Unique(NamedTuple):
    """Items without duplicates, in order of precedence, and what was dropped."""

    items: tuple[Item, ...]
    dropped: tuple[Duplicate, ...]


def without_duplicates(
    items: Iterable[Item], known: Sequence[Item] = (), *, similar: float = SIMILAR
) -> Unique:
    """Return the items of which no two are duplicates, nor duplicates of a known one.

    The result does not depend on the order of the items. Of duplicates the one is kept that is
    approved, or whose target was accepted by a reference, else by a person, else the one with the
    smallest id.

    known: items that are kept in any case; they are not returned.
    similar: lowest Jaccard similarity of duplicates, above 0; see `least_similarity`.
    """
    index = SimilarTexts()
    by_hash: dict[str, Item] = {}
    indexed: list[Item] = []
    kept: list[Item] = []
    dropped: list[Duplicate] = []

    def keep(item: Item, key: str, text: str) -> None:
        by_hash.setdefault(key, item)
        index.add(text)
        indexed.append(item)

    for item in known:
        keep(item, _key(item), _question(item))
    for item in sorted(items, key=_precedence):
        key, text = _key(item), _question(item)
        if key in by_hash:
            dropped.append(Duplicate(item, by_hash[key].id, "equal", 1.0))
            continue
        near = [
            (similarity, indexed[number])
            for number, similarity in index.find(text, least_similarity(text, similar))
            if not _variants(item, indexed[number])
        ]
        if near:
            similarity, other = max(near, key=lambda each: (each[0], each[1].id))
            dropped.append(Duplicate(item, other.id, "similar", similarity))
            continue
        keep(item, key, text)
        kept.append(item)
    return Unique(tuple(kept), tuple(dropped))


def least_similarity(text: str, similar: float) -> float:
    """Return the similarity from which a text is a duplicate.

    Two questions in a long common frame differ in few of their 3-grams. So the number that may
    differ grows slowly with the text: with .8 it is 6, which is one word, of up to 300 3-grams, and
    2 % of longer texts.
    """
    count = len(shingles(words(text)))
    return 1 - (1 - similar) * max(_SHORT, _SHARE * count) / max(_SHORT, count)


def _question(item: Item) -> str:
    """Return what makes an item similar to others: not its passages, which many items share."""
    return "\n".join((prompt_text(item), *item.choices))


def _key(item: Item) -> str:
    """Return the hash of all that the model reads, and of the constraint on its response."""
    constraint = msgspec.json.encode(item.format, order="deterministic").decode()
    return f"{text_hash(whole_prompt(item))} {constraint}"


def _precedence(item: Item) -> tuple[bool, int, str]:
    trust = _TRUST.get(item.provenance.accepted_by, len(_TRUST) + (item.target is None))
    return (not item.approved, trust, item.id)


def _variants(first: Item, second: Item) -> bool:
    """Return whether two similar items are no duplicates.

    They are different in their constraints, in a short target or, unless they are of traffic, in
    their passages; or they are variants of each other.
    """
    if first.format != second.format:
        return True
    both = {first.provenance.origin, second.provenance.origin}
    if first.contexts != second.contexts and not both & TRAFFIC:
        return True
    if {first.scoring, second.scoring} <= SHORT and _target(first) != _target(second):
        return True
    return bool(first.cluster) and first.cluster == second.cluster and bool(both & VARIANTS)


def _target(item: Item) -> str:
    return text_hash(item.target or "")
