"""Answers: checked against the task, stored as JSON, compared with gold answers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, replace
from typing import Any, Final

import msgspec

from monitor.web.review.model import HIGHEST, TIE, Answer, Queue, ReviewError, Rubric, Span, Texts

OVERALL: Final = "overall"
MAX_SPANS: Final = 200
MAX_COMMENT_CHARS: Final = 4_000
GOLD_TOLERANCE: Final = 1
"""Difference of scores up to which a rating agrees with a gold answer."""
_FIELDS: Final = {
    "single": ("scores",),
    "pairwise": ("preferences",),
    "ranking": ("ranking",),
    "spans": ("spans",),
}
"""Fields of an answer by type of task, besides the comment."""


class InvalidAnswer(ReviewError):
    """The answer does not fit the task. Its message says what is missing or wrong."""


def check(queue: Queue, answer: Answer, texts: Texts) -> None:
    """Raise InvalidAnswer unless an answer is complete and fits the task and its texts."""
    given = {
        name for name in ("scores", "preferences", "ranking", "spans") if getattr(answer, name)
    }
    extra = sorted(given - set(_FIELDS[queue.task]))
    if extra:
        raise InvalidAnswer(f"{extra[0]} does not belong to a {queue.task} task")
    if len(answer.comment) > MAX_COMMENT_CHARS:
        raise InvalidAnswer(f"a comment has at most {MAX_COMMENT_CHARS:,} characters")
    if queue.task == "single":
        _check_scores(queue.rubric, answer.scores)
    elif queue.task == "pairwise":
        _check_preferences(queue.rubric, answer.preferences)
    elif queue.task == "ranking":
        _check_ranking(answer.ranking, len(texts.responses))
    else:
        _check_spans(queue.rubric, answer.spans, texts)


def _check_scores(rubric: Rubric, scores: Mapping[str, int]) -> None:
    names = {each.name for each in rubric.dimensions}
    missing, unknown = sorted(names - set(scores)), sorted(set(scores) - names)
    if missing:
        raise InvalidAnswer(f"a score is missing: {', '.join(missing)}")
    if unknown:
        raise InvalidAnswer(f"the rubric has no dimension {unknown[0][:80]!r}")
    if not all(0 <= score <= HIGHEST for score in scores.values()):
        raise InvalidAnswer(f"a score is a whole number from 0 to {HIGHEST}")


def _check_preferences(rubric: Rubric, preferences: Mapping[str, int]) -> None:
    if OVERALL not in preferences:
        raise InvalidAnswer("choose the better response, or that both are equally good")
    names = {OVERALL, *(each.name for each in rubric.dimensions)}
    unknown = sorted(set(preferences) - names)
    if unknown:
        raise InvalidAnswer(f"the rubric has no dimension {unknown[0][:80]!r}")
    if not set(preferences.values()) <= {0, 1, TIE}:
        raise InvalidAnswer("a preference is one of the two responses, or a tie")


def _check_ranking(ranking: tuple[tuple[int, ...], ...], number: int) -> None:
    ranked = [position for group in ranking for position in group]
    if sorted(ranked) != list(range(number)) or not all(ranking):
        raise InvalidAnswer(f"rank each of the {number} responses once")


def _check_spans(rubric: Rubric, spans: tuple[Span, ...], texts: Texts) -> None:
    kinds = {each.name for each in rubric.dimensions}
    if len(spans) > MAX_SPANS:
        raise InvalidAnswer(f"mark at most {MAX_SPANS} errors")
    for span in spans:
        if not 0 <= span.candidate < len(texts.responses):
            raise InvalidAnswer("an error is marked in a response that does not exist")
        if not 0 <= span.start < span.end <= len(texts.responses[span.candidate]):
            raise InvalidAnswer("an error is marked outside of the response")
        if span.kind not in kinds:
            raise InvalidAnswer(f"the rubric has no dimension {span.kind[:80]!r}")


def encode(queue: Queue, answer: Answer) -> dict[str, Any]:
    """Return the content of an answer as it is stored: without the comment, which can be erased."""
    fields = asdict(answer)
    return {name: fields[name] for name in _FIELDS[queue.task]}


def decode(content: Any, comment: str = "") -> Answer:
    """Return a stored answer."""
    return replace(msgspec.convert(content, Answer), comment=comment)


def overall(queue: Queue, answer: Answer) -> float | None:
    """Return the overall score of a `single` answer, 0 to 5; None for other tasks."""
    if queue.task != "single":
        return None
    return queue.rubric.overall({name: float(score) for name, score in answer.scores.items()})


def gold_agreement(queue: Queue, answer: Answer, gold: Any) -> float:
    """Return the share of a gold answer with which an answer agrees, 0 to 1.

    single: scores that differ by at most 1. pairwise: equal preferences. ranking: equal order of
    pairs. spans: kinds of error that both have or both lack.
    """
    known = decode(gold)
    if queue.task == "single":
        hits = [abs(answer.scores[k] - v) <= GOLD_TOLERANCE for k, v in known.scores.items()]
    elif queue.task == "pairwise":
        hits = [answer.preferences.get(k) == v for k, v in known.preferences.items()]
    elif queue.task == "ranking":
        mine, theirs = _places(answer), _places(known)
        pairs = [(a, b) for a in theirs for b in theirs if a < b]
        hits = [_sign(mine, *pair) == _sign(theirs, *pair) for pair in pairs]
    else:
        mine_kinds, their_kinds = ({s.kind for s in each.spans} for each in (answer, known))
        names = [each.name for each in queue.rubric.dimensions]
        hits = [(name in mine_kinds) == (name in their_kinds) for name in names]
    return sum(hits) / len(hits) if hits else 1.0


def _places(answer: Answer) -> dict[int, int]:
    return {position: place for place, group in enumerate(answer.ranking) for position in group}


def _sign(places: Mapping[int, int], a: int, b: int) -> int:
    difference = places[a] - places[b]
    return (difference > 0) - (difference < 0)
