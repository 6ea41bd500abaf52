from __future__ import annotations

from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import structs

from monitor.errors import UserError
from replay.sets.item import Item
from replay.sets.item_set import HoldOut, ItemSet, approve, make_set
from tests.replay.sets.items import item, item_lists, questions


@given(item_lists.filter(bool), st.randoms())
def test_digest_does_not_depend_on_the_order(items: list[Item], random: Random) -> None:
    """The same items in another order are the same set."""
    shuffled = list(items)
    random.shuffle(shuffled)
    first, second = make_set("s", 1, items), make_set("s", 2, shuffled)
    assert first.digest == second.digest
    assert [each.id for each in first.items] == [each.id for each in second.items]


def test_digest_covers_what_scores_depend_on() -> None:
    """Another target, name, item or hold-out is another set; another slice or approver is not."""
    items = questions(4)
    digests = {
        make_set("s", 1, items).digest,
        make_set("t", 1, items).digest,
        make_set("s", 1, items[:3]).digest,
        make_set("s", 1, [structs.replace(items[0], target="z"), *items[1:]]).digest,
        make_set("s", 1, items, hold_out=HoldOut(share=0.2, period=1)).digest,
        make_set("s", 1, items, hold_out=HoldOut(share=0.2, period=2)).digest,
    }
    assert len(digests) == 6
    sliced = [structs.replace(each, slices={"language": "de"}, approved="a") for each in items]
    assert make_set("s", 9, sliced).digest == make_set("s", 1, items).digest


@given(st.sampled_from([0.1, 0.2, 0.25, 1 / 3, 0.5]), st.integers(0, 50))
def test_each_item_is_held_out_once_in_a_rotation(share: float, start: int) -> None:
    """In 1 / share consecutive periods each item is held out exactly once."""
    items = questions(60)
    rotation = [
        make_set("s", 1, items, hold_out=HoldOut(share=share, period=start + i)).held_out()
        for i in range(round(1 / share))
    ]
    held = [each.id for part in rotation for each in part]
    assert sorted(held) == sorted(each.id for each in items)


def test_held_out_and_visible_items_are_the_set() -> None:
    """The share is that of the items, and both parts together are the set."""
    found = make_set("s", 1, questions(1_000), hold_out=HoldOut(share=0.2, period=3))
    held, visible = found.held_out(), found.visible()
    assert 150 < len(held) < 250  # 200 expected, standard deviation 12.6
    assert {each.id for each in held} | {each.id for each in visible} == {
        each.id for each in found.items
    }
    assert len(held) + len(visible) == 1_000
    assert make_set("s", 1, questions(3)).held_out() == ()


@pytest.mark.parametrize("share", [0.0, -0.1, 0.51, 1.0, float("nan")])
def test_a_share_that_is_none_is_refused(share: float) -> None:
    """A hold-out leaves at least half of the items."""
    with pytest.raises(ValueError, match="share"):
        HoldOut(share=share, period=1)


@pytest.mark.parametrize("name", ["", "..", "a/b", ".a", "-a", "a b", "a" * 101, "a\n", "ä"])
def test_a_name_cannot_leave_its_folder(name: str) -> None:
    """Names are plain words."""
    with pytest.raises(UserError, match="cannot name"):
        make_set(name, 1, questions(1))


def test_a_set_has_items_in_order() -> None:
    """An empty set and items out of order are refused."""
    with pytest.raises(UserError, match="at least one"):
        make_set("s", 1, [])
    ordered = make_set("s", 1, [*questions(3), *questions(3)]).items
    assert len(ordered) == 3
    with pytest.raises(ValueError, match="order"):
        ItemSet(name="s", version=1, items=(ordered[1], ordered[0]))
    with pytest.raises(ValueError, match="order"):
        ItemSet(name="s", version=1, items=(ordered[1], ordered[1]))


def test_approval_names_a_person() -> None:
    """An item keeps its first approver, and an empty name approves nothing."""
    items = [item("a"), structs.replace(item("b"), approved="ann")]
    assert [each.approved for each in approve(items, " bob ")] == ["bob", "ann"]
    with pytest.raises(UserError, match="name of the person"):
        approve(items, " ")
