from __future__ import annotations

from random import Random

from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import structs

from monitor.records import ChatMessage
from replay.sets.building.duplicates import without_duplicates
from replay.sets.building.near import SimilarTexts
from replay.sets.building.texts import jaccard, shingles, words
from replay.sets.item import Item, Provenance
from tests.replay.sets.items import item, item_lists, prompts

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


def test_questions_in_a_common_frame_are_different() -> None:
    """A long frame makes no duplicates of its questions, and a system text does not count."""
    frame = " ".join(WORDS[100:400])
    asked = [item(f"{frame} {' '.join(WORDS[at : at + 9])}") for at in range(0, 90, 9)]
    assert len(without_duplicates(asked).items) == 10
    edited = [item(f"{frame} {' '.join(WORDS[:9])}"), item(f"{frame} {' '.join(WORDS[:8])} other")]
    assert len(without_duplicates(edited).items) == 1
    chats = [
        Item(
            prompt=(ChatMessage("system", frame), ChatMessage("user", question)),
            scoring="token_f1",
            target="yes",
            provenance=Provenance(origin="sample"),
        )
        for question in ("Where is Rome now?", "Who built the tower?", "where is rome now")
    ]
    assert len(without_duplicates(chats).items) == 2


def test_passages_and_short_targets_make_another_question() -> None:
    """Of traffic the same question with other passages is one item; sums have other targets."""
    passages = [item(LONG, contexts=("one",)), item(LONG, contexts=("two",))]
    assert len(without_duplicates(passages).items) == 2
    sampled = Provenance(origin="sample")
    traffic = [structs.replace(each, provenance=sampled) for each in passages]
    assert len(without_duplicates(traffic).items) == 1
    sums = [item(f"{LONG} {n}", f"{n}") for n in range(3)]
    assert len(without_duplicates(sums).items) == 3
    graded = [structs.replace(each, scoring="token_f1") for each in sums]
    assert len(without_duplicates(graded).items) == 1


@given(st.lists(prompts, min_size=1, max_size=15), st.sampled_from([0.3, 0.5, 0.8]))
@settings(max_examples=60)
def test_the_filter_of_candidates_loses_nothing(texts: list[str], least: float) -> None:
    """What is found are all texts of some equal band that are similar enough."""
    index = SimilarTexts()
    for text in texts:
        index.add(text)
    for text in texts:
        grams = shingles(words(text))
        banded = set(index._index.query(index._signature(grams)))
        exact = [(n, jaccard(grams, shingles(words(each)))) for n, each in enumerate(texts)]
        expected = [(n, found) for n, found in exact if n in banded and found >= least]
        assert index.find(text, least) == expected
