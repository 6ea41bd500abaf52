"""Texts of items in the form in which they are compared: words, hashes, n-grams of words."""

from __future__ import annotations

import hashlib
import re
import unicodedata
from typing import Final

from replay.sets.item import Item

SHINGLE_WORDS: Final = 3
"""Words of an n-gram."""
_words = re.compile(r"\w+|[^\w\s.,;:!?\"'()\[\]{}\u2010-\u2027]").findall


def words(text: str) -> list[str]:
    """Return the words of a text: NFKC, lower case, without punctuation and white space.

    Symbols such as + and emoji are words: 3 + 4 is not 3 - 4. Characters of scripts without spaces
    (Chinese, Japanese, Thai) are words as well.
    """
    found: list[str] = []
    for word in _words(unicodedata.normalize("NFKC", text).casefold()):
        if word.isascii() or not any(map(_unspaced, word)):
            found.append(word)
        else:
            found += list(word)
    return found


def shingles(found: list[str], size: int = SHINGLE_WORDS) -> set[str]:
    """Return the n-grams of words; of a text with fewer words, the whole text as one.

    Empty without words.
    """
    if not found:
        return set()
    if len(found) <= size:
        return {" ".join(found)}
    return {" ".join(found[start : start + size]) for start in range(len(found) - size + 1)}


def text_hash(text: str) -> str:
    """Return the hash of a text, in any case, form and white space: 32 hexadecimal digits."""
    plain = " ".join(unicodedata.normalize("NFKC", text).casefold().split()).rstrip(" .!?")
    return hashlib.sha256(plain.encode("utf-8", "surrogatepass")).hexdigest()[:32]


def jaccard(first: set[str], second: set[str]) -> float:
    """Return the size of the intersection over that of the union; 0 if both are empty."""
    common = len(first & second)
    union = len(first) + len(second) - common
    return common / union if union else 0.0


def prompt_text(item: Item) -> str:
    """Return the prompt as one text; of chat messages, all but those of the system.

    Many items share the text of the system, so it says nothing about their similarity.
    """
    if isinstance(item.prompt, str):
        return item.prompt
    return "\n".join(each.content for each in item.prompt if each.role != "system")


def whole_prompt(item: Item) -> str:
    """Return all that the model reads: contexts, prompt and choices."""
    prompt = item.prompt
    messages = [prompt] if isinstance(prompt, str) else [each.content for each in prompt]
    return "\n".join((*item.contexts, *messages, *item.choices))


def _unspaced(character: str) -> bool:
    return "\u0e00" <= character <= "\u0eff" or "\u3040" <= character <= "\u9fff"
