from __future__ import annotations

from random import Random

from hypothesis import given, settings
from msgspec import structs

from replay.sets.building.duplicates import without_duplicates
from replay.sets.building.near import SimilarTexts
from replay.sets.building.texts import jaccard, shingles, words
from replay.sets.item import Item, Provenance
from tests.replay.sets.items import item, item_lists

WORDS = [f"word{i}" for i in range(500)]
LONG = " ".join(WORDS[:40])


@given(item_lists)
@settings(max_examples=60)
def test_removing_duplicates_again_removes_nothing(items: list[Item]) -> None:
    """The result has no duplicates, has one of each kind, and does not depend on the order."""
    found = without_duplicates(items)
    assert without_duplicates(found.items).items == found.items
    assert without_duplicates(items[::-1]).items == found.items
    assert len(found.items) + len(found.dropped) == len(items)
    assert without_duplicates(items, found.items).items == ()


def test_equal_is_equal_after_normalisation() -> None:
    """Case, white space and width do not make another question; a sign does."""
    first = item("What is 3 + 4?")
    same = [item("what  is\n3 + 4"), item("What is \uff13 + 4 ?")]
    assert len(without_duplicates([first, *same]).items) == 1
    others = [
        item("What is 3 - 4?"),
        item("What is 3 + 5?"),
        item("\U0001f600"),
        item("\U0001f622"),
    ]
    assert len(without_duplicates([first, *others]).items) == 5


def test_similar_items_are_duplicates() -> None:
    """One word of forty changed is a duplicate; another question in the same frame is not."""
    changed = LONG.replace("word20", "other")
    found = without_duplicates([item(LONG), item(changed)])
    assert [each.kind for each in found.dropped] == ["similar"]
    assert found.dropped[0].similarity == jaccard(shingles(words(LONG)), shingles(words(changed)))
    assert (
        len(without_duplicates([item("Where is Rome now?"), item("Where is Bern now?")]).items) == 2
    )


def test_the_best_of_duplicates_is_kept() -> None:
    """An approved item precedes a reference, that a person's target, that a judge's."""
    by = {
        name: item(f"{LONG}{'!' * i}", provenance=Provenance(origin="sample", accepted_by=name))
        for i, name in enumerate(["judge.q 4", "human", "reference"])
    }
    assert without_duplicates(by.values()).items == (by["reference"],)
    approved = structs.replace(by["judge.q 4"], approved="ann")
    assert without_duplicates([*by.values(), approved]).items == (approved,)


def test_variants_of_an_item_are_no_duplicates() -> None:
    """Paraphrases and other constraints are similar on purpose; turns of a session are not."""
    made = Provenance(origin="generated")
    pair = [item(LONG, cluster="c", provenance=made), item(f"{LONG} now", cluster="c")]
    assert len(without_duplicates(pair).items) == 2
    session = [item(LONG, cluster="s"), item(f"{LONG} now", cluster="s")]
    assert len(without_duplicates(session).items) == 1
    constrained = [item(LONG), item(f"{LONG} now", format={"name": "length", "max_words": 5.0})]
    assert len(without_duplicates(constrained).items) == 2


def test_similar_texts_are_found_as_measured() -> None:
    """Recall of one changed word in forty is nearly 1; unrelated texts are not found."""
    random = Random(1)
    index = SimilarTexts()
    texts = [random.choices(WORDS, k=40) for _ in range(300)]
    for text in texts:
        index.add(" ".join(text))
    found = 0
    for number, text in enumerate(texts):
        query = list(text)
        query[random.randrange(40)] = "changed"
        hits = [hit for hit, _ in index.find(" ".join(query), 0.5)]
        assert hits in ([], [number])
        found += bool(hits)
    assert found >= 297
    assert index.find("", 0.0) == []
    assert SimilarTexts().find(LONG, 0.0) == []
