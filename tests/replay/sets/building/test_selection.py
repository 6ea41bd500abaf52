from __future__ import annotations

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st
from msgspec import structs

from replay.sets.building.selection import select
from replay.sets.item import Item
from tests.replay.sets.items import questions

ITEMS = [
    structs.replace(each, slices={"language": "de" if at < 4 else "en"} if at < 30 else {})
    for at, each in enumerate(questions(40))
]


@given(st.permutations(ITEMS), st.integers(0, 45), st.sampled_from(["", "language"]))
def test_selection_does_not_depend_on_the_order(items: list[Item], count: int, by: str) -> None:
    """The same items give the same selection, of the number that was asked for."""
    found = select(items, count, by=by)
    assert found == select(ITEMS, count, by=by)
    assert len(found) == len({each.id for each in found}) == min(count, len(ITEMS))


def test_slices_are_represented_evenly() -> None:
    """A small slice is taken whole before a large one takes more."""
    found = Counter(each.slices.get("language") for each in select(ITEMS, 18, by="language"))
    assert found == {"de": 4, "en": 7, None: 7}


def test_a_seed_chooses_others() -> None:
    """A larger selection contains the smaller one, and another seed chooses other items."""
    few, many = (set(map(repr, select(ITEMS, count))) for count in (10, 20))
    assert few < many
    assert set(map(repr, select(ITEMS, 10, seed=1))) != few
