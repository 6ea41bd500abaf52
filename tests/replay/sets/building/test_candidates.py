from __future__ import annotations

from random import Random

from hypothesis import given, settings
from hypothesis import strategies as st

from monitor.records import ChatMessage
from replay.sets.building.candidates import build_candidates
from replay.sets.item import Item
from tests.replay.sets.items import item, item_lists, questions

MAIL = "ann@example.com"


@given(item_lists, st.randoms(use_true_random=False))
@settings(max_examples=30)
def test_building_is_deterministic(items: list[Item], random: Random) -> None:
    """The order of the sources changes nothing."""
    shuffled = list(items)
    random.shuffle(shuffled)
    assert build_candidates(items).items == build_candidates(shuffled).items


def test_every_text_is_redacted() -> None:
    """No text of an item keeps an address, and the places are counted."""
    texts = item(
        f"write to {MAIL}", f"sent to {MAIL}", contexts=(f"from {MAIL}",), slices={"topic": MAIL}
    )
    chat = Item(
        prompt=(ChatMessage("system", f"you are {MAIL}"), ChatMessage("user", "hello there")),
        scoring="token_f1",
        target="hi",
        provenance=texts.provenance,
    )
    found = build_candidates([texts, chat])
    assert found.redacted == {"email": 5}
    assert MAIL not in repr(found.items)
    assert len(found.items) == 2


def test_choices_that_redaction_made_equal_are_dropped() -> None:
    """An item whose choices cannot be told apart is not scored by chance."""
    good = item("pick", "a", choices=("a", "b"), scoring="choice")
    bad = item("who", MAIL, choices=(MAIL, "bob@example.com"), scoring="choice")
    absent = item("which", "c", choices=("a", "b"), scoring="choice")
    none = item("that", "c", scoring="choice")
    found = build_candidates([good, bad, absent, none])
    assert found.items == (good,)
    assert found.damaged == tuple(sorted([bad.id, absent.id, none.id]))


def test_known_items_are_not_added_again() -> None:
    """What the set has already is a duplicate, and is reported with the item that it repeats."""
    known = questions(3)
    found = build_candidates([*questions(5), item("ALPHA1 beta1 gamma1 delta1", "t1")], known)
    assert len(found.items) == 2
    assert {each.kept for each in found.duplicates} == {each.id for each in known}
