"""Whether a value looks like a secret rather than a placeholder, a word or a piece of code."""

from __future__ import annotations

import math
import re
from collections import Counter

_PLACEHOLDER_WORDS = """
    your yours example placeholder insert replace replaceme dummy redacted changeme sample todo
    here goes put enter none null undefined secret password passwd pass pwd token key apikey env
    environ process config settings user username string str value variable required optional
"""
_PLACEHOLDERS = frozenset(_PLACEHOLDER_WORDS.split())
_filler = re.compile(r"([xX*.0#_-])\1{4,}|\.\.\.|…").search
_parts = re.compile(r"[A-Za-z]+").findall
_mixed = re.compile(r"[A-Za-z]\d|\d[A-Za-z]").search
_license = re.compile(r"(?=.*\d)(?=.*[A-Z])(?:[A-Z0-9]{4,8}-){2,}[A-Z0-9]{4,8}").fullmatch
_camel = re.compile(r"[A-Z]?[a-z]+|[A-Z]+").findall


def entropy(text: str) -> float:
    """Return the Shannon entropy of the characters of a text, in bits per character."""
    counts = Counter(text).values()
    return -sum(n / len(text) * math.log2(n / len(text)) for n in counts)


def is_placeholder(value: str) -> bool:
    """Return whether a value stands for a secret: YOUR_KEY, xxxxxx, ${KEY}, process.env.KEY."""
    if not value or _filler(value) or value[0] in "$%<{" or len(set(value)) < 4:
        return True
    words = [part.lower() for part in _parts(value)]
    known = sum(len(word) for word in words if word in _PLACEHOLDERS)
    return known > 0 and known * 2 >= sum(map(len, words))


def is_random(value: str) -> bool:
    """Return whether a value is random rather than words: letters and digits, high entropy.

    The limit, 2.6 bits per character for 12 characters and 3 for 16 or more, is below the entropy
    of 999 in 1,000 random hexadecimal strings of these lengths. Words joined by hyphens, dots or
    underscores are not random, nor are names with a number.
    """
    if is_placeholder(value) or entropy(value) < (3.0 if len(value) >= 16 else 2.6):
        return False
    if _license(value) or (_mixed(value) and not _is_name(value)):
        return True
    # Letters alone: random case changes more often than that of names.
    longest = max(_parts(value), key=len, default="")
    return len(longest) >= 16 and len(longest) < 4 * len(_camel(longest))


def _is_name(value: str) -> bool:
    """Return whether a value is words with at most two short numbers: get_user_v2, report2024."""
    pieces = re.findall(r"[A-Za-z]+|\d+", value)
    numbers = [piece for piece in pieces if piece.isdigit()]
    words = [word for piece in pieces if piece.isalpha() for word in _camel(piece)]
    short = len(numbers) <= 2 and all(len(number) <= 4 for number in numbers)
    return short and all(len(word) >= 3 or word in {"v", "V"} for word in words)
