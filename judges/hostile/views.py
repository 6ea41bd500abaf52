"""Other readings of a text: without invisible characters, look-alike letters and encodings."""

from __future__ import annotations

import base64
import binascii
import codecs
import re
import unicodedata
from collections.abc import Iterator
from typing import Final

from judges.hostile.folding import folded

MAX_CHARS: Final = 100_000
"""Length of text that is searched, half of it at either end."""
_MAX_ENCODED: Final = 20

_LOOKALIKES: Final = str.maketrans(
    "аеорсхуіјѕԁѵһкмтвнαορυιεκτνηΑΒΕΖΗΙΚΜΝΟΡΤΥΧ‘’“”–—",
    "aeopcxyijsdvhkmtbhaopuiektvnABEZHIKMNOPTYX''\"\"--",
)
_LEET: Final = str.maketrans("0134578@$!", "oieastbasi")
_SPACED: Final = re.compile(r"(?:\b\w[ ._-]+){6,}\w\b")
_GAP: Final = re.compile(r"(?<=\b\w)[ ._-](?=\w\b)")
_JOINED: Final = re.compile(r"\b[a-z]{2,12}(?:[-_.][a-z]{1,12}){3,20}\b")
_BASE64: Final = re.compile(r"[A-Za-z0-9+/_-]{24,8000}={0,2}")
_HEX: Final = re.compile(r"(?:[0-9a-fA-F]{2}){16,4000}")
_HARMLESS_JOINERS: Final = frozenset("\u200c\u200d")
"""Joiners of emoji, and of scripts such as Persian and Hindi."""
_TAGS: Final = range(0xE0020, 0xE007F)
"""Invisible copies of ASCII."""
_OVERRIDES: Final = frozenset("\u202d\u202e\u2066\u2067\u2068")


def bounded(text: str) -> str:
    """Return the text, or its beginning and end if it is very long."""
    if len(text) <= MAX_CHARS:
        return text
    return text[: MAX_CHARS // 2] + "\n" + text[-MAX_CHARS // 2 :]


def plain(text: str) -> str:
    """Return text in lower case, letters in one notation, and without invisible characters."""
    tags = {ord(char): ord(char) - 0xE0000 for char in set(text) if ord(char) in _TAGS}
    readable = folded(text.translate(tags))
    if not readable.isascii():
        readable = "".join(char for char in readable if unicodedata.category(char) != "Cf")
    return readable.lower()


def collapsed(text: str) -> str:
    """Return text with one space in place of several."""
    return re.sub(r"[ \t]+", " ", text)


def latin(text: str) -> str:
    """Return text with letters of other scripts that look like Latin ones replaced by them."""
    return text.translate(_LOOKALIKES)


def hides_text(text: str) -> bool:
    """Whether text contains characters that hide it, or its order, from a reader.

    Invisible joiners between letters of the Latin script count; those of emoji and of scripts that
    need them do not. One soft hyphen or byte order mark is common in copied text.
    """
    if text.isascii():
        return False
    if any(ord(char) in _TAGS for char in text) and "\U0001f3f4" not in text:
        return True  # the black flag: flags of regions are tag characters after it
    if any(char in _OVERRIDES for char in text) and not _right_to_left(text):
        return True
    hidden = sum(
        unicodedata.category(char) == "Cf"
        and char.isprintable() is False
        and char not in _HARMLESS_JOINERS
        and text[i - 1 : i].isascii()
        and text[i + 1 : i + 2].isascii()
        for i, char in enumerate(text)
        if not char.isascii() and 0 < i < len(text) - 1
    )
    return hidden >= 3


def respelled(text: str) -> Iterator[str]:
    """Yield plain text in other spellings: digits as letters, without gaps, reversed, by ROT13."""
    yield text.translate(_LEET)
    for found in _SPACED.finditer(text):
        yield _GAP.sub("", found[0])
    yield " ".join(re.sub(r"[-_.]", " ", words) for words in _JOINED.findall(text))
    yield text[::-1]
    yield codecs.encode(text, "rot13")


def decoded(text: str) -> Iterator[str]:
    """Yield the texts that a text contains in base64 or in hexadecimal digits."""
    for found in list(_BASE64.finditer(text))[:_MAX_ENCODED]:
        word = found[0].rstrip("=").translate(str.maketrans("-_", "+/"))
        try:
            yield base64.b64decode(word + "=" * (-len(word) % 4)).decode()
        except (binascii.Error, ValueError):
            continue
    for found in list(_HEX.finditer(text))[:_MAX_ENCODED]:
        try:
            yield bytes.fromhex(found[0]).decode()
        except ValueError:
            continue


def _right_to_left(text: str) -> bool:
    """Whether text contains letters of a script that is written from right to left."""
    return any(unicodedata.bidirectional(char) in {"R", "AL"} for char in text)
