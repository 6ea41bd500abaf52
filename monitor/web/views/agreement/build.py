"""Build the report of a review queue from its data."""

from __future__ import annotations

from collections import Counter
from functools import partial
from typing import Any, Final

import numpy as np
from sqlalchemy import Connection

from monitor.statistics.agreement import Floats, Undefined
from monitor.statistics.bradley_terry import Rating as ModelRating
from monitor.statistics.review.annotators import Work, annotator_statistics, votes_of
from monitor.statistics.review.dawid_skene import TrueLabels as Estimates
from monitor.statistics.review.dawid_skene import dawid_skene
from monitor.statistics.review.preferences import (
    comparison_agreement,
    comparison_ratings,
    first_shown,
)
from monitor.statistics.review.rankings import ranking_agreement, ranking_ratings
from monitor.statistics.review.ratings import rating_agreement
from monitor.statistics.review.spans import Span, span_agreement
from monitor.web.review.answers import OVERALL
from monitor.web.review.ratings import Rating
from monitor.web.views.agreement import columns
from monitor.web.views.agreement.columns import Places, matrix
from monitor.web.views.agreement.quality import qualities
from monitor.web.views.agreement.reading import Reviewed, read
from monitor.web.views.agreement.report import QueueReport, TrueLabels

SEED: Final = 1
"""Of the bootstrap, so that the same ratings have the same intervals."""
MOST_MODELS: Final = 50
"""Models that are rated against each other, those with most items."""
TOLERANCE: Final = 1.0
"""Points by which two overall scores may differ and still agree."""


def queue_report(connection: Connection, name: str) -> QueueReport:
    """Return the report of a queue. Raises NotFound. It takes seconds for 100,000 ratings."""
    return build(read(connection, name))


def build(reviewed: Reviewed) -> QueueReport:
    """Return the report of the data of a queue."""
    queue, at = reviewed.queue, columns.places(reviewed)
    work = _work(reviewed, at)
    tolerance = TOLERANCE if queue.task == "single" else 0.0
    parts: dict[str, Any] = {
        "scores": {},
        "passed": None,
        "preferences": {},
        "first_shown": None,
        "ranking": None,
        "spans": None,
        "models": {},
        "true_labels": None,
        "quality": [],
    }
    parts |= _BY_TASK[queue.task](reviewed, at, np.random.default_rng(SEED))
    votes = votes_of(work, len(at.people)) if queue.task != "ranking" else _NO_ERRORS
    return QueueReport(
        queue=queue.name,
        task=queue.task,
        people=list(at.people),
        ratings=len(reviewed.ratings),
        annotators=annotator_statistics(work, len(at.people), tolerance=tolerance),
        effective_votes=votes,
        **parts,
    )


_NO_ERRORS: Final = Undefined("the error of a ranking is not a number")


def _single(reviewed: Reviewed, at: Places, rng: np.random.Generator) -> dict[str, Any]:
    queue, ratings = reviewed.queue, reviewed.ratings
    scores = {
        each.name: matrix(ratings, at, partial(columns.score, each.name))
        for each in queue.rubric.dimensions
    }
    passed = matrix(
        ratings,
        at,
        lambda r: None if r.overall is None else float(r.overall >= queue.rubric.pass_mark),
    )
    return {
        "scores": {name: rating_agreement(each, "ordinal", rng) for name, each in scores.items()},
        "passed": rating_agreement(passed, "nominal", rng),
        "true_labels": _true_labels(passed, 2),
        "quality": qualities(queue, list(reviewed.items.values())),
    }


def _pairwise(reviewed: Reviewed, at: Places, rng: np.random.Generator) -> dict[str, Any]:
    ratings = reviewed.ratings
    names = sorted({name for each in ratings for name in each.answer.preferences} | {OVERALL})
    outcomes = {name: matrix(ratings, at, partial(columns.preference, name)) for name in names}
    shown = matrix(ratings, at, columns.first_is_shown_first)
    models = _largest_models(reviewed, at)
    pairs = [reviewed.models.get(item, ()) for item in at.items]
    rated = np.array([len(set(each)) == 2 and set(each) <= set(models) for each in pairs], bool)
    first, second = (
        np.array([models[each[k]] for each, use in zip(pairs, rated, strict=True) if use], int)
        for k in (0, 1)
    )
    found = comparison_ratings(outcomes[OVERALL][rated], first, second, max(1, len(models)))
    return {
        "preferences": {name: comparison_agreement(each, rng) for name, each in outcomes.items()},
        "first_shown": first_shown(outcomes[OVERALL], shown),
        "models": _named(models, found),
        "true_labels": _true_labels(outcomes[OVERALL] + 1, 3),
    }


def _ranking(reviewed: Reviewed, at: Places, rng: np.random.Generator) -> dict[str, Any]:
    by_item: dict[str, list[Floats]] = {item: [] for item in at.items}
    for each in reviewed.ratings:
        size = sum(map(len, each.answer.ranking))
        by_item[each.item].append(columns.ranks(each.answer, size))
    rankings = [np.stack(each) for each in by_item.values()]
    models = _largest_models(reviewed, at)
    chosen = [
        (ranks, reviewed.models[item])
        for item, ranks in zip(by_item, rankings, strict=True)
        if len(set(reviewed.models.get(item, ()))) == ranks.shape[1]
        and set(reviewed.models[item]) <= set(models)
    ]
    found = ranking_ratings(
        [ranks for ranks, _ in chosen],
        [np.array([models[name] for name in names]) for _, names in chosen],
        max(1, len(models)),
    )
    return {"ranking": ranking_agreement(rankings, rng), "models": _named(models, found)}


def _spans(reviewed: Reviewed, at: Places, rng: np.random.Generator) -> dict[str, Any]:
    marks: list[dict[int, list[Span]]] = [{} for _ in at.items]
    for each in reviewed.ratings:
        marks[at.items[each.item]][at.people[each.person]] = [
            Span(span.start, span.end, span.kind) for span in each.answer.spans
        ]
    present = matrix(reviewed.ratings, at, lambda r: float(bool(r.answer.spans)))
    return {
        "spans": span_agreement(marks, len(at.people), rng),
        "true_labels": _true_labels(present, 2),
    }


_BY_TASK: Final = {
    "single": _single,
    "pairwise": _pairwise,
    "ranking": _ranking,
    "spans": _spans,
}


def _largest_models(reviewed: Reviewed, at: Places) -> dict[str, int]:
    """Return the positions of the models with most rated items, by name."""
    count = Counter(name for item in at.items for name in reviewed.models.get(item, ()))
    largest = sorted(count, key=lambda name: (-count[name], name))[:MOST_MODELS]
    return {name: position for position, name in enumerate(sorted(largest))}


def _named(
    models: dict[str, int], found: list[ModelRating | None]
) -> dict[str, ModelRating | None]:
    return {name: found[position] for name, position in models.items()}


def _true_labels(values: Floats, classes: int) -> TrueLabels | Undefined:
    """Return the true labels of values from 0 to `classes`, shape (items, people)."""
    items, people = np.nonzero(~np.isnan(values))
    labels = values[items, people].astype(np.int64)
    found = dawid_skene(items, people, labels, (*values.shape, classes))
    if not isinstance(found, Estimates):
        return found
    votes = np.stack([(values == each).sum(axis=1) for each in range(classes)], axis=1)
    majority = votes == votes.max(axis=1, keepdims=True)
    agreed = majority[np.arange(len(values)), found.labels]
    return TrueLabels(len(values), int((~agreed).sum()), [float(x) for x in found.accuracy])


def _work(reviewed: Reviewed, at: Places) -> Work:
    """Return all finished and skipped tasks as columns."""
    queue, gold = reviewed.queue, {each.item for each in reviewed.gold}
    done = [*reviewed.ratings, *reviewed.gold]
    numbers = {item: number for number, item in enumerate(sorted(reviewed.items))}
    absent = [columns.ABSENT] * len(reviewed.skips)
    known = {item: columns.gold_headline(queue, reviewed.items[item].gold) for item in gold}
    return Work(
        items=np.array(
            [numbers[r.item] for r in done] + [numbers[item] for item, _ in reviewed.skips], int
        ),
        annotators=np.array(
            [at.people[r.person] for r in done] + [at.people[who] for _, who in reviewed.skips], int
        ),
        values=np.array([columns.headline(queue, r.answer) for r in done] + absent, float),
        seconds=np.array([r.active_ms / 1000 or columns.ABSENT for r in done] + absent, float),
        gold=np.array([known.get(r.item, columns.ABSENT) for r in done] + absent, float),
        first_shown=np.array([_preferred_first(r) for r in done] + absent, float),
    )


def _preferred_first(rating: Rating) -> float:
    """Return 1 if the answer shown first was preferred, .5 for a tie, NaN without a comparison."""
    outcome, shown = columns.outcome(rating.answer), columns.first_is_shown_first(rating)
    if outcome is None or shown is None:
        return columns.ABSENT
    return (1 + outcome * (2 * shown - 1)) / 2
