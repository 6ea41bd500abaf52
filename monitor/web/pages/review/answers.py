"""The answer that a form has, for all types of tasks.

Fields: `score.NAME`, `preference.NAME`, `place.NUMBER`, and `span`, which the script sets to
RESPONSE:START:END:SEVERITY:KIND. Without the script an error is named by its words: `quote.N`,
`quote_kind.N`, `quote_severity.N`. NUMBER and RESPONSE count the shown responses from 0.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import Final, Literal, Protocol, cast

from monitor.web.pages.forms import Fields, first
from monitor.web.review.answers import MAX_SPANS, InvalidAnswer
from monitor.web.review.model import Severity
from monitor.web.views.tasks import Preference, ShownAnswer, ShownSpan

QUOTES: Final = 3
"""Errors that one form without the script can name."""
MAX_DIGITS: Final = 9
_PREFERENCES: Final = ("first", "second", "tie")
_SEVERITIES: Final = ("minor", "major")


class Asked(Protocol):
    """What an answer depends on: a task of an annotator, or an item that an admin decides."""

    @property
    def task(self) -> Literal["single", "pairwise", "ranking", "spans"]:
        """The type of the task."""

    @property
    def responses(self) -> Sequence[str]:
        """The responses in the order in which they are shown."""


def shown_answer(asked: Asked, form: Fields) -> ShownAnswer:
    """Return the answer of a form. Raises InvalidAnswer; what is missing is checked later."""
    comment = first(form, "comment").replace("\r\n", "\n").strip()
    if asked.task == "single":
        scores = {name: _number(value) for name, value in _named(form, "score.")}
        return ShownAnswer(scores=scores, comment=comment)
    if asked.task == "pairwise":
        given = dict(_named(form, "preference."))
        if not set(given.values()) <= set(_PREFERENCES):
            raise InvalidAnswer("a preference is first, second or tie")
        return ShownAnswer(preferences=cast("dict[str, Preference]", given), comment=comment)
    if asked.task == "ranking":
        return ShownAnswer(ranking=_ranking(form), comment=comment)
    return ShownAnswer(spans=_spans(asked, form), comment=comment)


def _named(form: Fields, prefix: str) -> list[tuple[str, str]]:
    return [
        (key.removeprefix(prefix), values[0])
        for key, values in form.items()
        if key.startswith(prefix)
    ]


def _number(text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) <= MAX_DIGITS):
        raise InvalidAnswer("a field of the form is not a number")
    return int(text)


def _ranking(form: Fields) -> list[list[int]]:
    places = defaultdict(list)
    for number, place in _named(form, "place."):
        places[_number(place)].append(_number(number))
    return [sorted(places[place]) for place in sorted(places)]


def _spans(asked: Asked, form: Fields) -> list[ShownSpan]:
    spans = [_span(text) for text in form.get("span", ())[: MAX_SPANS + 1]]
    for number in range(QUOTES):
        if quote := first(form, f"quote.{number}").replace("\r\n", "\n").strip():
            spans.append(_quoted(asked, form, number, quote))
    if not spans and not first(form, "no_errors"):
        raise InvalidAnswer("mark an error, or confirm that there is none")
    if spans and first(form, "no_errors"):
        raise InvalidAnswer("errors are marked, so do not confirm that there is none")
    return spans


def _span(text: str) -> ShownSpan:
    parts = text.split(":", 4)
    if len(parts) < 5:
        raise InvalidAnswer("a marked error is incomplete")
    response, start, end = map(_number, parts[:3])
    return ShownSpan(response, start, end, parts[4], _severity(parts[3]))


def _severity(text: str) -> Severity:
    if text not in _SEVERITIES:
        raise InvalidAnswer("a severity is minor or major")
    return cast("Severity", text)


def _quoted(asked: Asked, form: Fields, number: int, quote: str) -> ShownSpan:
    kind = first(form, f"quote_kind.{number}")
    severity = _severity(first(form, f"quote_severity.{number}", "major"))
    for response, text in enumerate(asked.responses):
        start = text.find(quote)
        if start >= 0:
            return ShownSpan(response, start, start + len(quote), kind, severity)
    raise InvalidAnswer(f"no response contains {quote[:60]!r}; copy the words as they are")


def active_ms(form: Fields) -> int:
    """Return the active time that the script counted; 0 without one."""
    text = first(form, "active_ms", "0")
    return int(text) if text.isascii() and text.isdigit() and len(text) <= MAX_DIGITS else 0
