"""Find similar texts: MinHash signatures in bands, by rensa, verified by the exact similarity.

MinHash (Broder, On the resemblance and containment of documents, 1997) estimates the Jaccard
similarity of the word 3-grams of two texts; texts that are equal in one of 32 bands of 4 values
are candidates. With a similarity of .7 a pair is found with a probability above .999, with .5 in
.87, with .3 in .23 of the cases. Paraphrases share few n-grams and are not found.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, Final

from monitor.errors import UserError
from replay.sets.building.texts import jaccard, shingles, words

if TYPE_CHECKING:
    import rensa

PERMUTATIONS: Final = 128
BANDS: Final = 32
_SEED: Final = 20_261


class SimilarTexts:
    """An index of texts by number. Raises UserError if the package rensa is not installed."""

    def __init__(self) -> None:
        self._rensa = _package()
        self._index = self._rensa.RMinHashLSH(0.0, PERMUTATIONS, BANDS)
        self._shingles: list[set[str]] = []
        self._texts_with: dict[str, list[int]] = {}

    def add(self, text: str) -> int:
        """Add a text, and return its number: 0 for the first one. A text without words has none of
        the others as similar.
        """
        grams = shingles(words(text))
        number = len(self._shingles)
        self._shingles.append(grams)
        for gram in grams:
            self._texts_with.setdefault(gram, []).append(number)
        if grams:
            self._index.insert(number, self._signature(grams))
        return number

    def find(self, text: str, least: float) -> list[tuple[int, float]]:
        """Return number and Jaccard similarity of the texts that are similar, in order of numbers.

        least: lowest similarity, 0 to 1.
        """
        grams = shingles(words(text))
        if not grams:
            return []
        found = []
        for number in self._candidates(grams, least):
            similarity = jaccard(grams, self._shingles[number])
            if similarity >= least:
                found.append((number, similarity))
        return found

    def _candidates(self, grams: set[str], least: float) -> list[int]:
        """Return the numbers of texts that may be similar, in order.

        Texts with a common frame are equal in some band, all of them. A similar text lacks at most
        (1 - least) of the n-grams, so it has one of that many and one more, whichever they are: the
        rarest ones exclude most texts before their similarity is computed.
        """
        in_a_band = set(self._index.query(self._signature(grams)))
        if len(in_a_band) <= 1:
            return sorted(in_a_band)
        lacking = math.floor((1 - least) * len(grams) + 1e-9)
        by_rarity = sorted(grams, key=lambda gram: (len(self._texts_with.get(gram, ())), gram))
        having: set[int] = set()
        for gram in by_rarity[: lacking + 1]:
            having.update(self._texts_with.get(gram, ()))
        return sorted(in_a_band & having)

    def _signature(self, grams: set[str]) -> rensa.RMinHash:
        signature = self._rensa.RMinHash(PERMUTATIONS, _SEED)
        signature.update(sorted(grams))
        return signature


def _package() -> Any:
    try:
        import rensa  # an extra
    except ImportError:
        raise UserError(
            "evaluation sets need more packages: pip install '.[replay]' in a checkout (rensa is"
            " missing)"
        ) from None
    return rensa
