"""Classify responses: does one begin with a refusal?

Only the beginning of a response is examined, without a closed part of reasoning and without marks
such as emoji, quotes, Markdown or tags of HTML. Most responses are excluded by their first letters.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Sequence
from itertools import groupby

from monitor.config.sections.base.fields import regex_search
from monitor.ingest.refusals import latin, scripts
from monitor.ingest.refusals.english import ENGLISH

HEAD_CHARS = 200
"""Number of characters of an answer that are examined."""
LANGUAGES = (ENGLISH, *latin.LANGUAGES, *scripts.LANGUAGES)


_REASONING = r"[ \t\r\n]{0,100}+[<\[](think|thinking|thought|reasoning|THINK)[>\]]"
_reasoning = re.compile(_REASONING).match
_TAGS = ("p", "div", "span", "b", "i", "em", "strong", "br", "blockquote", "h1", "h2", "h3", "li")
_TAG = (
    r"(?<=<)(?:"
    + "|".join("".join(f"[{c}{c.upper()}]" if c.isalpha() else c for c in name) for name in _TAGS)
    + r")(?:\s[^<>]{0,100})?/?>"
)
"""A tag of HTML without the `<`, which is one of the marks."""
_MARKS = rf"[\W_]{{0,100}}+(?:{_TAG}[\W_]{{0,100}}+){{0,5}}+"
_leading_marks = re.compile(_MARKS).match
_without_tags = re.compile(_TAG).sub
MARKUP = tuple(name + end for name in _TAGS for end in (">", " ", "/"))
"""Beginnings of responses that have tags before them, without marks."""
_closing = {
    **{'"': '"', "'": r"'(?!\w)", "“": '[”“"]', "„": '[“”"]', "«": "»", "‹": "›"},
    **{"「": "」", "『": "』"},
}
"""Opening quote -> pattern of the closing one, in normalized text."""
_quotes = {
    opening: re.compile(rf"{closing}[^\w\n]*\w").search for opening, closing in _closing.items()
}
_REPLACED = (
    *(("’", "'"), ("‘", "'"), ("ʼ", "'"), ("—", " "), ("–", " "), ("\u00a0", " ")),
    *(("\u202f", " "), ("\u3000", " ")),
    *(("\u0640", ""), ("\u200c", "")),  # the Arabic tatweel, the zero-width non-joiner
)
_blanks = re.compile(r"\s{2,}|[\n\t\r]").sub


def normalized(text: str) -> str:
    """Return a text in lower case and composed form (NFC), with straight apostrophes.

    White space between words is one space, or one line break if it contains one.
    """
    if not text.isascii():
        text = unicodedata.normalize("NFC", text)
        for character, replacement in _REPLACED:
            text = text.replace(character, replacement)
    if "  " in text or "\n" in text or "\t" in text:
        text = _blanks(lambda blank: "\n" if "\n" in blank[0] else " ", text)
    return text.lower()


OPENINGS = tuple(sorted({normalized(each) for language in LANGUAGES for each in language.openings}))
"""Normalized beginnings of refusals, without marks before them."""


class RefusalClassifier:
    """Classifies responses.

    patterns: the user's regular expressions, in the syntax of Rust, whose time is linear in the
    text. A response is also a refusal if one of them is found in its normalized beginning.
    """

    def __init__(self, patterns: Sequence[str] = ()) -> None:
        self._searches = [regex_search(pattern) for pattern in patterns]
        self._by_start = _matchers_by_start()

    def flags(self, texts: Sequence[str]) -> list[bool]:
        """Return which responses are refusals. A response may be cut to its beginning."""
        if self._searches:
            return [self.is_refusal(text) for text in texts]
        return [_may_decline(text) is not None and self.is_refusal(text) for text in texts]

    def is_refusal(self, text: str) -> bool:
        """Return whether a response declines."""
        start = answer_start(text)
        if start is None:
            return False
        head = normalized(text[start : start + HEAD_CHARS])
        body = _without_marks(head)
        for search in self._searches:
            if search(body):
                return True
        for match in self._by_start.get(body[:2], ()):
            if match(body):
                return not _is_quotation(head, body)
        return False


def answer_start(text: str) -> int | None:
    """Return where the answer begins, after a part of reasoning; None if that is not closed."""
    reasoning = _reasoning(text)
    if reasoning is None:
        return 0
    name = "/" + reasoning[1]
    close = text.find(name, reasoning.end())
    end = close + len(name)
    closed = close > 0 and text[close - 1] in "<[" and text[end : end + 1] in {">", "]"}
    return end + 1 if closed else None


def _without_marks(text: str) -> str:
    """Return a text from its first letter or digit on."""
    marks = _leading_marks(text)
    return text[marks.end() :] if marks else text


def _is_quotation(head: str, body: str) -> bool:
    """Return whether a text goes on after a quotation at its beginning, which it discusses."""
    marks = _without_tags("", head[: len(head) - len(body)])
    return any(_quotes[mark](body) for mark in marks if mark in _quotes)


def _matchers_by_start() -> dict[str, tuple[Callable[[str], object], ...]]:
    """Return the patterns of the languages by the first two characters of their openings."""
    found: dict[str, dict[Callable[[str], object], None]] = {}
    for language in LANGUAGES:
        match = language.matcher()
        for opening in language.openings:
            found.setdefault(normalized(opening)[:2], {})[match] = None
    return {start: tuple(matches) for start, matches in found.items()}


def _trie(openings: Sequence[str]) -> str:
    """Return a pattern for texts that begin with one of these sorted texts, in any case.

    It is not compiled with IGNORECASE, which is slow for alternatives.
    """
    if "" in openings:
        return ""
    children = [
        _character(first) + _trie([each[1:] for each in rest])
        for first, rest in groupby(openings, lambda each: each[0])
    ]
    return children[0] if len(children) == 1 else f"(?:{'|'.join(children)})"


def _character(character: str) -> str:
    """Return a pattern for all characters that `normalized` converts to this one."""
    same = {a for a, b in _REPLACED if b == character} | {character, character.upper()}
    if character == " ":
        same |= set("\t\n\r")
    return f"[{''.join(re.escape(each) for each in sorted(same) if len(each) == 1)}]"


_firsts = "".join(sorted({each[0] for each in OPENINGS} | {each[0].upper() for each in OPENINGS}))
_may_decline = re.compile(rf"{_MARKS}(?=[{_firsts}]){_trie(OPENINGS)}|{_REASONING}").match
"""Match texts that may be refusals. What the reader of records does not keep does not match."""
