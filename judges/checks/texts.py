"""Checks of the words of a response: length, keywords, traps."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable

from judges.checks.specifications import LengthCheck
from monitor.records import Sample

_APOSTROPHES = str.maketrans("’ʼ‘", "'''")


def prompt_text(sample: Sample) -> str:
    """Return the text of the prompt; of chat messages, what the user wrote last."""
    if isinstance(sample.prompt, list):
        users = [message.content for message in sample.prompt if message.role == "user"]
        return users[-1] if users else ""
    return sample.prompt or ""


def has_length(limits: LengthCheck) -> Callable[[Sample], float | None]:
    """Return the check of the length. Raises ValueError for limits that exclude every response."""
    pairs = ((limits.min_chars, limits.max_chars), (limits.min_words, limits.max_words))
    if all(limit is None for pair in pairs for limit in pair):
        raise ValueError("a check of the length needs a limit")
    for least, most in pairs:
        if (least or 0) < 0 or (most is not None and most < (least or 0)):
            raise ValueError(f"no length is between {least} and {most}")

    def check(sample: Sample) -> float | None:
        if sample.response is None:
            return None
        words = len(sample.response.split())
        lengths = (len(sample.response), words)
        return float(
            all(
                (least or 0) <= length and (most is None or length <= most)
                for length, (least, most) in zip(lengths, pairs, strict=True)
            )
        )

    return check


def has_keywords(
    required: tuple[str, ...], forbidden: tuple[str, ...]
) -> Callable[[Sample], float | None]:
    """Return the check of keywords. Raises ValueError without any, or if one is empty."""
    needed = [_phrases([each]) for each in required]
    banned = _phrases(forbidden) if forbidden else None
    if not needed and not banned:
        raise ValueError("a check of keywords needs required or forbidden ones")

    def check(sample: Sample) -> float | None:
        if sample.response is None:
            return None
        text = _plain(sample.response)
        return float(
            all(phrase.search(text) for phrase in needed)
            and not (banned is not None and banned.search(text))
        )

    return check


def admits_not_knowing(
    terms: tuple[str, ...], answers: tuple[str, ...]
) -> Callable[[Sample], float | None]:
    """Return the check of traps. Raises ValueError without terms or answers."""
    traps, admissions = _phrases(terms), _phrases(answers)

    def check(sample: Sample) -> float | None:
        if sample.response is None or not traps.search(_plain(prompt_text(sample))):
            return None
        return float(bool(admissions.search(_plain(sample.response))))

    return check


def _plain(text: str) -> str:
    return text.casefold().translate(_APOSTROPHES)


def _phrases(phrases: Iterable[str]) -> re.Pattern[str]:
    """Return a pattern for any of the phrases as whole words. Raises ValueError."""
    found = []
    for phrase in phrases:
        words = _plain(phrase).split()
        if not words:
            raise ValueError("a keyword or phrase must not be empty")
        joined = r"\s+".join(map(re.escape, words))
        before = r"(?<!\w)" if _is_spaced(words[0][0]) else ""
        after = r"(?!\w)" if _is_spaced(words[-1][-1]) else ""
        found.append(f"{before}{joined}{after}")
    if not found:
        raise ValueError("at least one keyword or phrase is required")
    return re.compile("|".join(found))


def _is_spaced(character: str) -> bool:
    """Return whether the script of a letter separates words: not Chinese, Japanese, Thai."""
    unspaced = "\u0e00" <= character <= "\u0eff" or "\u3040" <= character <= "\u9fff"
    return character.isalnum() and not unspaced
