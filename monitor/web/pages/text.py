"""Text from records, made safe to show: control and direction characters become visible.

Each character is replaced by one character, so that positions in a response stay those of the
stored text.
"""

from __future__ import annotations

import re
from itertools import count
from typing import Final
from urllib.parse import quote

from markupsafe import Markup, escape

MAX_MARKED: Final = 1_000
"""Characters of a text that are labelled with their code; further ones are only replaced."""
_HIDDEN: Final = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\xad\u061c\u180e\u200b\u200e\u200f\u2028-\u202e"
    "\u2060-\u206f\ufeff\ufff9-\ufffb\ud800-\udfff\U000e0000-\U000e007f]"
)
"""Controls, marks that change the direction of text, invisible characters, lone surrogates.

Joiners (U+200C, U+200D) are part of words and of emoji, and stay.
"""
_PICTURES: Final = 0x2400
"""Code point of the picture of NUL; those of the other C0 controls follow."""
_SPACE: Final = 0x20
_DELETE: Final = 0x7F


def plain(text: str) -> str:
    """Return a text without hidden characters. Line feeds and tabs stay."""
    return _HIDDEN.sub(_picture, text.replace("\r\n", " \n"))


def _picture(found: re.Match[str]) -> str:
    code = ord(found[0])
    if code < _SPACE:
        return chr(_PICTURES + code)
    return "\N{SYMBOL FOR DELETE}" if code == _DELETE else "\N{REPLACEMENT CHARACTER}"


def shown(text: str) -> Markup:
    """Return a text as markup, with the code of each hidden character beside it."""
    numbers = count()

    def marked(found: re.Match[str]) -> str:
        picture = _picture(found)
        if next(numbers) >= MAX_MARKED:
            return picture
        return f'<span class="control" data-code="U+{ord(found[0]):04X}">{picture}</span>'

    escaped = str(escape(text.replace("\r\n", " \n")))
    return Markup(_HIDDEN.sub(marked, escaped))  # the text is escaped above


def path_of(prefix: str, name: str) -> str:
    """Return the address of the page of a name, which may contain any character.

    A name with an empty or dotted part would be resolved by the browser, and the path of a route
    ends before a line break; such a name goes into the query.
    """
    if "\n" in name or any(part in {"", ".", ".."} for part in name.split("/")):
        return f"{prefix}?name={quoted(name)}"
    return f"{prefix}/{quoted(name)}"


def quoted(text: str) -> str:
    """Return a text as a part of an address."""
    return quote(text, safe="", errors="replace")
