"""Look for the items of a set in training or few-shot files.

| kind | a document has | finds |
|---|---|---|
| exact | a line, a field or the whole that equals the prompt or the target | copies |
| near | word 3-grams with a Jaccard similarity of .5 or more, found by MinHash | edits |
| contained | at least .7 of the word 8-grams of the prompt or the target | copies in longer texts |
| embedding | an embedding with a cosine of .85 or more | paraphrases, for review only |

MinHash compares whole texts of similar length and finds no paraphrases; embeddings find them, and
also questions that only look alike, so they are no contamination until a person has looked.

The items are indexed and the documents are read once, so that memory is that of the set.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Literal

import msgspec
import numpy as np
from numpy.typing import NDArray

from monitor.redaction.redactor import redact
from replay.sets.building.near import SimilarTexts
from replay.sets.building.texts import prompt_text, text_hash, words
from replay.sets.contamination.corpus import Document
from replay.sets.item import Item

Kind = Literal["exact", "near", "contained", "embedding"]
Embed = Callable[[Sequence[str]], NDArray[Any]]
"""Returns an array of (texts, dimensions), rows of length 1."""
NEAR: Final = 0.5
CONTAINED: Final = 0.7
COSINE: Final = 0.85
GRAM: Final = 8
"""Words of the n-grams of containment: few texts share eight words by chance."""
LEAST_WORDS: Final = 4
"""Words from which a text is looked for: "yes" is in every file."""
MAX_EMBEDDED: Final = 5_000
"""Documents that are embedded; at 28 a second the others would take hours."""
MAX_PLACES: Final = 3
"""Places that are kept of an item, by kind: the most similar ones."""
EXCERPT: Final = 160


class Hit(msgspec.Struct, frozen=True, kw_only=True):
    """An item that was found.

    part: of the item. similarity: Jaccard similarity, share of n-grams, or cosine; 1 if exact.
    place: file and line. excerpt: beginning of the document, redacted.
    """

    item: str
    part: Literal["prompt", "target"]
    kind: Kind
    similarity: float
    place: str
    excerpt: str


@dataclass(frozen=True, slots=True)
class Part:
    """A text of an item, as it is looked for."""

    item: str
    part: Literal["prompt", "target"]
    text: str


@dataclass(slots=True)
class Search:
    """Items that are looked for in documents, one after another.

    documents: number that was read. embedded: number that was embedded.
    """

    items: Sequence[Item]
    embed: Embed | None = None
    documents: int = 0
    embedded: int = 0
    _parts: list[Part] = field(default_factory=list)
    _exact: dict[str, list[int]] = field(default_factory=lambda: defaultdict(list))
    _grams: dict[str, list[int]] = field(default_factory=lambda: defaultdict(list))
    _sizes: list[int] = field(default_factory=list)
    _near: SimilarTexts = field(default_factory=SimilarTexts)
    _vectors: NDArray[Any] | None = None
    _hits: dict[tuple[str, Kind], list[Hit]] = field(default_factory=lambda: defaultdict(list))

    def __post_init__(self) -> None:
        for number, part in enumerate(_parts(self.items)):
            self._parts.append(part)
            self._exact[text_hash(part.text)].append(number)
            self._near.add(part.text)
            grams = _grams(words(part.text))
            self._sizes.append(len(grams))
            for gram in grams:
                self._grams[gram].append(number)
        if self.embed is not None and self._parts:
            self._vectors = self.embed([part.text for part in self._parts])

    def read(self, found: Iterable[Document]) -> None:
        """Look for the items in documents."""
        for document in found:
            self.documents += 1
            texts = {document.text, *document.fields, *document.text.splitlines()}
            exact = {number for text in texts for number in self._exact.get(text_hash(text), ())}
            for number in exact:
                self._add(number, "exact", 1.0, document)
            for number, similarity in self._similar(texts):
                if number not in exact:
                    self._add(number, "near", similarity, document)
            for number, share in self._contained(document.text):
                if number not in exact:
                    self._add(number, "contained", share, document)
            self._compare_embeddings(document)

    def hits(self) -> list[Hit]:
        """Return what was found, by item, the most similar place first."""
        return [
            hit
            for key in sorted(self._hits)
            for hit in sorted(self._hits[key], key=lambda each: (-each.similarity, each.place))
        ]

    def checked_items(self) -> set[str]:
        """Return the ids of the items that are looked for: others are too short."""
        return {part.item for part in self._parts}

    def _similar(self, texts: Iterable[str]) -> list[tuple[int, float]]:
        best: dict[int, float] = {}
        for text in texts:
            for number, similarity in self._near.find(text, NEAR):
                best[number] = max(similarity, best.get(number, 0.0))
        return list(best.items())

    def _contained(self, text: str) -> Iterator[tuple[int, float]]:
        """Yield the parts of which a document has enough n-grams, and the share."""
        counts: dict[int, int] = defaultdict(int)
        for gram in _grams(words(text)):
            for number in self._grams.get(gram, ()):
                counts[number] += 1
        for number, count in counts.items():
            share = count / self._sizes[number]
            if share >= CONTAINED:
                yield number, share

    def _compare_embeddings(self, document: Document) -> None:
        if self._vectors is None or self.embed is None or self.embedded >= MAX_EMBEDDED:
            return
        self.embedded += 1
        cosines = self._vectors @ self.embed([document.text])[0]
        for number in np.flatnonzero(cosines >= COSINE):
            self._add(int(number), "embedding", float(cosines[number]), document)

    def _add(self, number: int, kind: Kind, similarity: float, document: Document) -> None:
        """Keep a place, if it is among the most similar ones of its item."""
        part = self._parts[number]
        hit = Hit(
            item=part.item,
            part=part.part,
            kind=kind,
            similarity=round(similarity, 4),
            place=document.place,
            excerpt=redact(document.text[: 4 * EXCERPT]).text[:EXCERPT],
        )
        hits = self._hits[part.item, kind]
        hits.append(hit)
        hits.sort(key=lambda each: (-each.similarity, each.place))
        del hits[MAX_PLACES:]


def _parts(items: Iterable[Item]) -> Iterator[Part]:
    """Yield the texts of items that are long enough to be looked for."""
    for item in items:
        texts: tuple[tuple[Literal["prompt", "target"], str], ...] = (
            ("prompt", prompt_text(item)),
            ("target", item.target or ""),
        )
        for part, text in texts:
            if len(words(text)) >= LEAST_WORDS:
                yield Part(item.id, part, text)


def _grams(found: list[str]) -> set[str]:
    """Return the n-grams of words; none of a text with fewer words."""
    return {" ".join(found[at : at + GRAM]) for at in range(len(found) - GRAM + 1)}
