"""The language of a text, from its script and its most frequent words."""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Callable

from judges.checks.texts import prompt_text
from monitor.records import Sample

_WORDS = {
    "en": "the and of to is in that it for you with this are was have not be on as can your",
    "de": "der die und das ist nicht ein eine zu mit den von sie für auf auch es dem werden sich",
    "fr": "le la les et des est une pour dans vous que qui pas du sur avec ce par être nous au",
    "es": "el la los que de y en un una es por con para las se del como su más está no",
    "pt": "o que de e do da em um uma para não com os é por as dos mais você como se",
    "it": "il di che e la per un una è non con sono del le della più si gli nel questo anche",
    "nl": "de het een en van is dat niet te op voor met zijn je die maar ook als er aan",
    "sv": "och att det en som är på för inte med av jag till den har ett kan om du vi",
    "pl": "i w nie na się jest to że z do jak co ale po tak za od przez dla są",
    "tr": "ve bir bu için ile da de çok olarak daha ne gibi var olan mı en değil ama kadar ya",
    "id": "yang dan di untuk dengan ini dari pada tidak adalah itu dalam akan atau juga ke bisa",
    "ru": "и в не на что с как это по для к но из у от вы он же так за",
    "uk": "і в не на що з як це для та до але із у від ви він є так за",
    "bg": "и в не на че с как това за да се от са по е ще ви като или но",
}
"""Frequent words of languages that share a script with others."""
_SETS = {language: frozenset(words.split()) for language, words in _WORDS.items()}
_SCRIPTS = {
    "HANGUL": "ko", "HIRAGANA": "ja", "KATAKANA": "ja", "CJK": "zh", "GREEK": "el",
    "HEBREW": "he", "ARABIC": "ar", "DEVANAGARI": "hi", "THAI": "th", "TAMIL": "ta",
    "BENGALI": "bn", "GEORGIAN": "ka", "ARMENIAN": "hy",
}  # fmt: skip
KNOWN = frozenset({*_SETS, *_SCRIPTS.values()})
"""Languages that can be recognised (ISO 639-1)."""
MAX_CHARS = 4000
MIN_LETTERS = 15
MIN_SCRIPT_LETTERS = 5
MIN_HITS = 3
_code = re.compile(r"```.*?(?:```|\Z)|`[^`\n]*`|https?://\S+", re.DOTALL)
_words = re.compile(r"[^\W\d_]+").findall


def language(text: str) -> str | None:
    """Return the language of the first 4,000 characters; None if it is not clear.

    Code and addresses do not count. Scripts of one language decide; kana make Chinese characters
    Japanese. For others, the language with the most frequent words wins: at least three, and a
    fifth more than the next one.
    """
    text = _code.sub(" ", text[:MAX_CHARS]).lower()
    letters = [character for character in text if character.isalpha()]
    scripts = Counter(unicodedata.name(each, "?").split(" ")[0] for each in letters)
    if scripts["HIRAGANA"] + scripts["KATAKANA"] >= max(2, scripts["CJK"] / 10):
        scripts["HIRAGANA"] += scripts.pop("CJK", 0) + scripts.pop("KATAKANA", 0)
    if not scripts:
        return None
    script, count = scripts.most_common(1)[0]
    if script in _SCRIPTS:
        return _SCRIPTS[script] if count >= MIN_SCRIPT_LETTERS else None
    return _by_words(text) if len(letters) >= MIN_LETTERS else None


def _by_words(text: str) -> str | None:
    words = Counter(_words(text))
    hits = {
        name: sum(n for word, n in words.items() if word in known) for name, known in _SETS.items()
    }
    (first, most), (_, next_most) = Counter(hits).most_common(2)
    return first if most >= MIN_HITS and most >= 1.2 * next_most else None


def answers_in_language(languages: tuple[str, ...]) -> Callable[[Sample], float | None]:
    """Return the check of the language; without languages, that of the prompt is expected.

    Raises ValueError if a language cannot be recognised.
    """
    unknown = sorted(set(languages) - KNOWN)
    if unknown:
        known = ", ".join(sorted(KNOWN))
        raise ValueError(f"cannot recognise {', '.join(unknown)}; known: {known}")

    def check(sample: Sample) -> float | None:
        found = language(sample.response) if sample.response else None
        if found is None:
            return None
        if languages:
            return float(found in languages)
        expected = language(prompt_text(sample))
        return None if expected is None else float(found == expected)

    return check
