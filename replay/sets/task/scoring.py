"""Load and score the items of an evaluation set, for lm-eval.

This file is copied beside the task files as `utils.py`, so that lm-eval runs the folder without
this project: it imports nothing of it. All scores are from 0 to 1. A score that is computed after
the run, such as that of a judge, is NaN here.
"""

from __future__ import annotations

import json
import math
import re
import unicodedata
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

_ARTICLES = frozenset({"a", "an", "the"})
_word = re.compile(r"[^\W_]+")


def load_items(file: str, **_: Any) -> Any:
    """Return the items of a JSON Lines file beside this one, as lm-eval's `custom_dataset`.

    The JSON reader of `datasets` would turn texts that look like dates into times.
    """
    import datasets  # noqa: PLC0415 - lm-eval has loaded it; other users of this file need not

    text = Path(__file__).with_name(file).read_text(encoding="utf-8")
    rows = [json.loads(line) for line in text.split("\n") if line]
    return datasets.DatasetDict({"test": datasets.Dataset.from_list(rows)})


def process_results(doc: Mapping[str, Any], results: Sequence[Any]) -> dict[str, float]:
    """Return the score of an item under the name of its scoring, as lm-eval calls it."""
    scoring = doc["scoring"]
    answer = results[0]
    if scoring not in SCORES:
        return {scoring: math.nan}
    if not isinstance(answer, str):  # log probabilities of the letters
        values = [result[0] for result in results]
        best = max(range(len(values)), key=values.__getitem__)
        return {scoring: float(doc["letters"][best] == doc["target"])}
    if scoring == "choice":
        return {scoring: float(letter(answer, doc["letters"]) == doc["target"])}
    return {scoring: SCORES[scoring](answer, doc["target"])}


def normalized(text: str) -> list[str]:
    """Return the words of a text for comparison.

    NFKC, lower case, without English articles and without punctuation around a word. Signs inside
    a word and before a number stay: "3.5" is not "35", and "-5" is not "5".
    """
    words = unicodedata.normalize("NFKC", text).casefold().split()
    kept = (_strip(word) for word in words)
    return [word for word in kept if word and word not in _ARTICLES]


def _strip(word: str) -> str:
    """Remove punctuation at both ends of a word, except for the sign of a number."""
    start, end = 0, len(word)
    while start < end and _is_mark(word[start]) and not _is_sign(word[start : start + 2]):
        start += 1
    while end > start and _is_mark(word[end - 1]) and word[end - 1] != "%":
        end -= 1
    return word[start:end]


def _is_mark(character: str) -> bool:
    return unicodedata.category(character).startswith("P")


def _is_sign(text: str) -> bool:
    return len(text) == 2 and text[0] in "-." and text[1].isdecimal()


def exact_match(response: str, target: str) -> float:
    """Return 1 if the normalized texts are equal, else 0."""
    return float(normalized(response) == normalized(target))


def token_f1(response: str, target: str) -> float:
    """Return the F1 score of the normalized words (SQuAD; Rajpurkar et al., 2016)."""
    found, expected = normalized(response), normalized(target)
    if not found or not expected:
        return float(found == expected)
    return _f1(sum((Counter(found) & Counter(expected)).values()), len(found), len(expected))


def _f1(shared: int, found: int, expected: int) -> float:
    """Return the harmonic mean of precision and recall."""
    return 2 * shared / (found + expected) if shared else 0.0


def words(text: str) -> list[str]:
    """Return the words of a text in lower case; characters of scripts without spaces are words."""
    result: list[str] = []
    for word in _word.findall(unicodedata.normalize("NFKC", text).casefold()):
        result += [word] if word.isascii() or not any(map(_unspaced, word)) else list(word)
    return result


def _unspaced(character: str) -> bool:
    """Whether a character belongs to a script without spaces: Thai to Myanmar, CJK, kana."""
    code = ord(character)
    return 0x0E00 <= code <= 0x109F or 0x3040 <= code <= 0x30FF or 0x3400 <= code <= 0x9FFF


def rouge_n(n: int) -> Callable[[str, str], float]:
    """Return ROUGE-N as F1 of n-grams (Lin, 2004), without stemming."""

    def rouge(response: str, target: str) -> float:
        found, expected = _grams(words(response), n), _grams(words(target), n)
        return _f1(sum((found & expected).values()), found.total(), expected.total())

    return rouge


def _grams(found: Sequence[str], n: int) -> Counter[tuple[str, ...]]:
    return Counter(tuple(found[i : i + n]) for i in range(len(found) - n + 1))


def rouge_l(response: str, target: str) -> float:
    """Return ROUGE-L as F1 of the longest common subsequence of words (Lin, 2004)."""
    found, expected = words(response), words(target)
    if not found or not expected:
        return 0.0
    row = [0] * (len(expected) + 1)
    for word in found:
        before = 0
        for i, other in enumerate(expected, 1):
            diagonal, before = before, row[i]
            row[i] = diagonal + 1 if word == other else max(row[i], row[i - 1])
    return _f1(row[-1], len(found), len(expected))


def bleu(response: str, target: str) -> float:
    """Return BLEU of one sentence with effective order (sacrebleu's default tokenizer), 0 to 1."""
    import sacrebleu  # noqa: PLC0415 - lm-eval has loaded it; other users of this file need not

    return float(sacrebleu.sentence_bleu(response, [target]).score) / 100


def letter(response: str, letters: Sequence[str]) -> str:
    """Return the letter of the choice that a response names, empty if it names none or several.

    A letter at the beginning counts first, then the one after "answer is", then the only one that
    stands alone in the text.
    """
    known = "".join(letters)
    patterns = (
        rf"^\W*([{known}])(?![^\W_]|['\u2019])(?:\W*$|[\W_]*[).:,\n])",
        rf"(?i:answer(?:\s+is)?|choice|option)\W{{1,10}}([{known}])(?![^\W_]|['\u2019])",
    )
    for pattern in patterns:
        if match := re.search(pattern, response[:2000]):
            return match.group(1)
    alone = set(re.findall(rf"(?<![^\W_])([{known}])(?![^\W_]|['\u2019])", response[:2000]))
    return alone.pop() if len(alone) == 1 else ""


SCORES: dict[str, Callable[[str, str], float]] = {
    "exact_match": exact_match,
    "token_f1": token_f1,
    "rouge_1": rouge_n(1),
    "rouge_2": rouge_n(2),
    "rouge_l": rouge_l,
    "bleu": bleu,
    "choice": exact_match,
}
"""Scores of a response by its target, by scoring."""
