from __future__ import annotations

from collections.abc import Sequence
from random import Random
from typing import Any

import msgspec
import numpy as np
import pytest
from numpy.typing import NDArray

from replay.sets.contamination.check import Embed, Hit, Search
from replay.sets.contamination.corpus import Document
from replay.sets.contamination.report import report_lines, report_of
from replay.sets.item import Item
from replay.sets.item_set import make_set
from tests.replay.sets.items import item

WORDS = [f"word{i}" for i in range(3_000)]


def text(seed: int, words: int = 40) -> str:
    """Return a text of random words."""
    return " ".join(Random(seed).choices(WORDS, k=words))


def changed(original: str, words: int, seed: int = 0) -> str:
    """Return a text with some words replaced, at random places."""
    random, parts = Random(seed), original.split()
    for at in random.sample(range(len(parts)), words):
        parts[at] = f"new{random.randrange(10**6)}"
    return " ".join(parts)


def hits(items: Sequence[Item], *texts: str, embed: Embed | None = None) -> list[Hit]:
    """Return what is found in documents."""
    search = Search(items, embed)
    search.read(Document(each, f"f:{at}", tuple(each.split("|"))) for at, each in enumerate(texts))
    return search.hits()


@pytest.mark.parametrize(
    ("document", "kind"),
    [
        (text(1), "exact"),
        (f"  {text(1).upper()}. ", "exact"),
        (f"Question\n{text(1)}\nanswer", "exact"),
        (f"Question|{text(1)}|answer", "exact"),
        (changed(text(1), 1), "near"),
        (f"{text(2, 500)} {text(1)} {text(3, 500)}", "contained"),
        (text(2), None),
        ("", None),
    ],
)
def test_copies_edits_and_quotes_are_found(document: str, kind: str | None) -> None:
    """A copy is exact, an edit is near, a quotation in a long text is contained."""
    found = hits([item(text(1))], text(9), document)
    assert ({each.kind for each in found} >= {kind}) if kind else found == []
    assert {each.place for each in found} <= {"f:1"}
    if kind == "exact":
        assert [(each.kind, each.similarity) for each in found] == [("exact", 1.0)]


@pytest.mark.parametrize(("words", "least", "most"), [(1, 0.99, 1), (4, 0.9, 1), (12, 0, 0.1)])
def test_recall_is_the_measured_one(words: int, least: float, most: float) -> None:
    """Of texts of 40 words, those with 1 or 4 other words are found, with 12 they are not."""
    items = [item(text(seed)) for seed in range(100)]
    documents = [changed(text(seed), words, seed) for seed in range(100)]
    documents += [text(seed) for seed in range(1_000, 1_300)]
    found = hits(items, *documents)
    numbers = {each.id: f"f:{at}" for at, each in enumerate(items)}
    assert all(each.place == numbers[each.item] for each in found)
    assert least <= len({each.item for each in found}) / 100 <= most


def test_targets_are_looked_for_and_short_texts_are_not() -> None:
    """A long target in a file is as bad as its prompt; "yes" is in every file."""
    (found,) = hits([item("Why?", text(1))], text(1))
    assert found.part == "target"
    assert hits([item("Why so?", "yes")], "Why so?", "yes") == []


def test_embeddings_are_for_review() -> None:
    """A document that is similar by its embedding only is no contamination."""

    def embed(texts: Sequence[str]) -> NDArray[Any]:
        angles = np.array([0.3 if each.startswith("like") else float(len(each)) for each in texts])
        return np.stack([np.cos(angles), np.sin(angles)], axis=1)

    asked = item("like what is the height of it", None, scoring="judge")
    item_set = make_set("s", 1, [asked, item("short", "x")])
    search = Search(item_set.items, embed)
    search.read([Document("like other words here", "f:1"), Document(text(1), "f:2")])
    report = report_of(item_set, ["f"], search)
    assert (report.contaminated, report.review) == ((), (asked.id,))
    assert (report.items, report.checked, report.documents, report.embedded) == (2, 1, 2, 2)
    assert "1 more items are similar by embedding, for review" in "\n".join(report_lines(report))


def test_embedding_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """Documents beyond the bound are compared by their words alone, and the report says so."""
    monkeypatch.setattr("replay.sets.contamination.check.MAX_EMBEDDED", 2)
    search = Search([item(text(1))], lambda texts: np.zeros((len(texts), 2)))
    search.read(Document(text(at), f"f:{at}") for at in range(2, 7))
    assert (search.documents, search.embedded) == (5, 2)


def test_the_report_counts_items_once() -> None:
    """Kinds and places of one item are one contaminated item; the best places are kept."""
    item_set = make_set("s", 3, [item(text(1)), item(text(2))])
    search = Search(item_set.items)
    search.read(Document(changed(text(1), 1, at), f"f:{at}") for at in range(9))
    search.read([Document(text(1), "g:1")])
    report = report_of(item_set, ["f", "g"], search)
    assert len(report.contaminated) == 1
    assert report.kinds["exact"] == report.kinds["near"] == 1
    assert len(report.hits) <= 9
    assert report.hits[0].kind in {"contained", "exact"}
    assert msgspec.json.decode(msgspec.json.encode(report), type=type(report)) == report
    lines = report_lines(report)
    assert lines[0].startswith("contamination: 1 of 2 items are in 10 documents (exact 1, near 1")


def test_excerpts_are_redacted() -> None:
    """A report does not repeat the secrets of a training file."""
    (found,) = hits([item(text(1))], f"ann@example.com\n{text(1)}")
    assert found.excerpt.startswith("[email]\nword")
    assert len(found.excerpt) <= 160
