"""Markers of answers and of prompts: counts of texts as features with plain names.

A binary marker says whether something occurs in the text. A numeric one is a mean or a share; it is
missing where the text has nothing to divide by.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from detectors.arrays import Floats
from monitor.ingest.style.counts import INDEX
from monitor.ingest.style.names import ANSWER_PREFIX, PROMPT_PREFIX
from monitor.ingest.style.words import GROUPS, OPENINGS

Column = Callable[[str], Floats]
"""Returns the counts of n texts by the name of a column."""
Marker = Callable[[Column], NDArray[np.bool_] | Floats]


def _any(name: str, least: int = 1) -> Marker:
    """Return the marker that a column is at least `least`."""
    return lambda of: of(name) >= least


def _is(name: str, characters: str) -> Marker:
    """Return the marker that a column is one of these characters."""
    codes = [ord(c) for c in characters]
    return lambda of: np.isin(of(name), codes)


def _ratio(over: str, under: str, factor: float = 1.0) -> Marker:
    """Return the marker that divides two columns; NaN where the lower one is 0."""

    def ratio(of: Column) -> Floats:
        below = of(under)
        return of(over) * factor / np.where(below > 0, below, np.nan)

    return ratio


def _non_english(of: Column) -> NDArray[np.bool_]:
    """Return whether a text of at least eight words has hardly any of the usual English ones."""
    usual = of("the") + of("of") + of("is") + of("you") + of("i")
    foreign = of("cyrillic") + of("cjk") + of("other_script")
    return (usual * 50 < of("words")) & (of("words") >= 8) | (foreign > of("letters") / 2)


_SHAPES: Final[dict[str, Marker]] = {
    "bold": _any("bold", 2),
    "heading": _any("headings"),
    "bullets": _any("bullets", 2),
    "numbered_list": _any("numbered", 2),
    "code_block": _any("fences"),
    "inline_code": lambda of: of("ticks") > 3 * of("fences"),
    "table": _any("tables", 2),
    "link": _any("links"),
    "emoji": _any("emoji"),
    "exclamation": _any("exclamations"),
    "question": _any("questions"),
    "colon": _any("colons"),
    "semicolon": _any("semicolons"),
    "parenthesis": _any("parentheses"),
    "quotes": _any("quotes"),
    "dash": _any("dashes"),
    "ellipsis": _any("ellipses"),
    "contraction": _any("contractions"),
    "formula": lambda of: (of("backslashes") > 0) | (of("equals") > 1),
    "digits": _any("digits"),
    "list_introduced": _any("colon_lines"),
    "one_paragraph": lambda of: of("paragraphs") <= 1,
    "many_paragraphs": _any("paragraphs", 5),
    "non_english": _non_english,
}
_ANSWER_SHAPES: Final[dict[str, Marker]] = {
    "ends_with_question": _is("last", "?"),
    "ends_with_exclamation": _is("last", "!"),
    "ends_with_full_stop": _is("last", "."),
    "begins_with_quote": _is("first", "\"'"),
    "accented_letters": _any("accented"),
}
_ANSWER_WORDS: Final = (
    *("i", "we", "you", "may", "can", "could", "should", "please", "unfortunately", "sorry"),
    *("however", "also", "finally", "overall", "therefore", "because", "example", "ordinals"),
    *("important", "note", "various", "ensure", "typically", "perhaps", "very", "including"),
    *("while", "great", "provide", "allows", "some", "specific", "let_me_know", "hope_this_helps"),
    *("help", "ai_model", "cannot", "not", "here", "more"),
)
_ANSWER_NUMBERS: Final[dict[str, Marker]] = {
    "sentence_words": _ratio("words", "sentences"),
    "word_letters": _ratio("letters", "words"),
    "paragraph_words": _ratio("words", "paragraphs"),
    "line_words": _ratio("words", "lines"),
    "commas_per_100_words": _ratio("commas", "words", 100),
    "the_per_100_words": _ratio("the", "words", 100),
    "capitals_share": _ratio("upper", "letters"),
    "digits_share": _ratio("digits", "chars"),
    "long_words_share": _ratio("long_words", "words"),
    "repetition_share": _ratio("repeated", "words"),
}
_PROMPT_SHAPES: Final = (
    *("question", "colon", "quotes", "digits", "list_introduced", "one_paragraph", "formula"),
    *("exclamation", "non_english"),
)
_PROMPT_WORDS: Final = (
    *("i", "you", "should", "please", "can", "example", "list", "write", "explain", "rewrite"),
    *("story", "email", "code", "math", "cook", "how", "what", "why", "who", "best", "famous"),
    *("pretend", "brief", "help", "some", "not"),
)
_PROMPT_NUMBERS: Final[dict[str, Marker]] = {
    "words": lambda of: of("words"),
    "word_letters": _ratio("letters", "words"),
}


def _code_asked(of: Column) -> NDArray[np.bool_]:
    return (of("code") > 0) | (of("fences") > 0) | (of("braces") > 1)


ANSWER_BINARY: Final[dict[str, Marker]] = {
    **_SHAPES,
    **_ANSWER_SHAPES,
    **{name: _any(name) for name in _ANSWER_WORDS},
    **{name: _any(name) for name in OPENINGS},
}
PROMPT_BINARY: Final[dict[str, Marker]] = {
    **{name: _SHAPES[name] for name in _PROMPT_SHAPES},
    **{name: _any(name) for name in _PROMPT_WORDS if name != "code"},
    "code": _code_asked,
}
assert set(_ANSWER_WORDS) | set(_PROMPT_WORDS) <= GROUPS.keys()


def _names(prefix: str, markers: Sequence[str]) -> tuple[str, ...]:
    return tuple(sorted(prefix + name for name in markers))


NUMERIC: Final = (
    *_names(PROMPT_PREFIX, [*_PROMPT_NUMBERS]),
    *_names(ANSWER_PREFIX, [*_ANSWER_NUMBERS]),
)
"""Names of the numeric features, sorted."""
BINARY: Final = (
    *_names(PROMPT_PREFIX, [*PROMPT_BINARY]),
    *_names(ANSWER_PREFIX, [*ANSWER_BINARY]),
)
"""Names of the binary features, sorted."""


VERSION: Final = 1
"""Raise it with every change of a marker or of a rule of the counts. Names and words are in EPOCH
themselves."""
EPOCH: Final = hashlib.blake2b(
    repr((VERSION, NUMERIC, BINARY, GROUPS, OPENINGS)).encode(), digest_size=8
).hexdigest()
"""Epoch of the columns: with other markers a new reference is collected."""


def values(prompts: NDArray[np.int32], answers: NDArray[np.int32]) -> Floats:
    """Return the features of n records, shape (len(NUMERIC) + len(BINARY), n), in that order.

    prompts, answers: counts of the texts, shape (n, columns). A prompt without any character has no
    features.
    """
    no_prompt = prompts[:, INDEX["chars"]] == 0
    rows = {
        **_rows(ANSWER_PREFIX, answers, _ANSWER_NUMBERS | ANSWER_BINARY),
        **_rows(PROMPT_PREFIX, prompts, _PROMPT_NUMBERS | PROMPT_BINARY),
    }
    found = np.array([rows[name] for name in (*NUMERIC, *BINARY)], np.float64)
    of_prompt = [name.startswith(PROMPT_PREFIX) for name in (*NUMERIC, *BINARY)]
    found[np.ix_(of_prompt, no_prompt)] = np.nan
    return found


def _rows(
    prefix: str, counts: NDArray[np.int32], markers: dict[str, Marker]
) -> dict[str, NDArray[np.bool_] | Floats]:
    columns = np.asarray(counts.T, np.float64)

    def of(name: str) -> Floats:
        column: Floats = columns[INDEX[name]]
        return column

    return {prefix + name: marker(of) for name, marker in markers.items()}
