"""What can be checked: a frozen specification per check, which a configuration can build.

`judges.checks.build.build` turns a specification into a function from a sample to its value.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

DONT_KNOW = (
    *("i don't know", "i do not know", "i'm not sure", "i am not sure", "not aware of"),
    *("no information", "couldn't find", "could not find", "cannot find", "can't find"),
    *("does not exist", "doesn't exist", "no record of", "not familiar with", "unable to verify"),
    *("ich weiß nicht", "ist mir nicht bekannt", "existiert nicht", "keine informationen"),
    *("je ne sais pas", "n'existe pas", "aucune information", "no lo sé", "no existe"),
    *(
        "não sei",
        "não existe",
        "non lo so",
        "non esiste",
        "我不知道",
        "不存在",
        "わかりません",
        "存在しません",
    ),
)
"""Phrases with which an answer admits that it does not know, or that there is no such thing."""


@dataclass(frozen=True, slots=True)
class JsonSchemaCheck:
    """1 if the response is JSON that matches the schema, else 0. None without a response.

    A response is JSON as a whole, or as its only fenced block. References to other documents are
    not loaded.
    """

    name: str
    schema: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class LanguageCheck:
    """1 if the response is in one of the languages (ISO 639-1), else 0.

    languages: empty for the language of the prompt.
    None if the language cannot be determined: short texts, code, languages that are not known.
    """

    name: str
    languages: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class LengthCheck:
    """1 if the length of the response is within the limits, which are inclusive, else 0."""

    name: str
    min_chars: int | None = None
    max_chars: int | None = None
    min_words: int | None = None
    max_words: int | None = None


@dataclass(frozen=True, slots=True)
class KeywordCheck:
    """1 if the response has all required and no forbidden words or phrases, else 0.

    Words are whole, in any case of letters and with any white space between them.
    """

    name: str
    required: tuple[str, ...] = ()
    forbidden: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class TrapCheck:
    """1 if the answer to a trap admits that it does not know, else 0.

    terms: words of a prompt that make it a trap, such as the name of a product that does not exist.
    answers: phrases that are right there. None if the prompt is no trap.
    """

    name: str
    terms: tuple[str, ...]
    answers: tuple[str, ...] = DONT_KNOW


@dataclass(frozen=True, slots=True)
class ParaphraseCheck:
    """Agreement, 0 to 1, of the responses to two prompts that mean the same.

    key: key of the metadata whose value is the same for both prompts. The second response of a
    pair gets the value; None for the first one, and for samples without the key.
    pending: number of first responses that wait for their second one. The oldest is dropped.
    """

    name: str
    key: str
    pending: int = 10_000


Specification = (
    JsonSchemaCheck | LanguageCheck | LengthCheck | KeywordCheck | TrapCheck | ParaphraseCheck
)
