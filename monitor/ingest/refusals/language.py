"""The grammar of a refusal in one language."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable
from dataclasses import dataclass

_GAP = r"[^.!?。！？।۔؟\n]{0,110}?"
"""The rest of a sentence."""
_END = r"(?:[.!。！।۔]|\n)\s?"


@dataclass(frozen=True, slots=True)
class Language:
    """The phrases with which responses in one language decline.

    All are regular expressions for text as `classifier.normalized` returns it.

    openings: beginnings of refusals, in plain text. Every refusal begins with one of them.
    unable: "I cannot", with what must not follow. Sufficient by itself.
    sorry: an apology. It is a refusal only if `unable` or `after` follows, in the same sentence or
    at the beginning of the next one.
    lead: words such as "unfortunately"; a refusal only if `unable` or `after` follows in the same
    sentence.
    after: phrases that decline only after an apology or a lead: elsewhere they are too general.
    spaced: whether words are separated by spaces.
    first: the letters with which `unable` and `after` begin, which makes the search in a sentence
    faster; any if empty.
    """

    name: str
    openings: tuple[str, ...]
    unable: str
    sorry: str
    lead: str = r"(?!)"
    after: str = r"(?!)"
    spaced: bool = True
    first: str = ""

    def matcher(self) -> Callable[[str], object]:
        """Return a function that matches a refusal at the beginning of a normalized text."""
        gap = "" if self.spaced else _GAP
        word = (r"(?<!\w)" if self.spaced else "") + (f"(?=[{self.first}])" if self.first else "")
        declines = rf"{word}(?:{self.unable}|{self.after})"
        return re.compile(
            unicodedata.normalize(
                "NFC",
                rf"{self.unable}"
                rf"|(?:{self.sorry})(?:{_END}{gap}|{_GAP}){declines}"
                rf"|(?:{self.lead}){_GAP}{declines}",
            )
        ).match
