"""The report of a review queue, and its JSON."""

from __future__ import annotations

from dataclasses import dataclass, fields, is_dataclass
from enum import Enum
from math import isfinite
from typing import Any

from monitor.statistics.agreement import Undefined
from monitor.statistics.bradley_terry import Rating
from monitor.statistics.paired import Wins
from monitor.statistics.review.annotators import AnnotatorStatistics
from monitor.statistics.review.preferences import PreferenceAgreement
from monitor.statistics.review.queue import QueueEstimate
from monitor.statistics.review.rankings import RankingAgreement
from monitor.statistics.review.ratings import RatingAgreement
from monitor.statistics.review.spans import SpanAgreement


@dataclass(frozen=True, slots=True)
class Quality:
    """Estimated quality of the traffic of a model; an empty model means all.

    mean: of the overall score, 0 to 5. pass_rate: share that reaches the pass mark.
    unjudged: items that are left out, because the judge has no score for them.
    """

    model: str
    items: int
    unjudged: int
    mean: QueueEstimate | Undefined
    pass_rate: QueueEstimate | Undefined


@dataclass(frozen=True, slots=True)
class TrueLabels:
    """Dawid and Skene's model of passed or failed, or of the outcome of comparisons.

    accuracy: by annotator, in the order of `QueueReport.people`. differs: items whose most probable
    label is not that of the majority.
    """

    items: int
    differs: int
    accuracy: list[float]


@dataclass(frozen=True, slots=True)
class QueueReport:
    """What the ratings of a queue show. Which parts are there follows from the type of the task.

    people: annotators by id; statistics name them by their position. ratings: valid answers.
    scores: of `single`, agreement by dimension. passed: of `single`, on reaching the pass mark.
    preferences: of `pairwise`, by dimension and "overall"; first_shown: position bias.
    models: of `pairwise` and `ranking`, Bradley-Terry ratings against the first model; None without
    a chain of comparisons. effective_votes: independent annotators of a gold item.
    quality: of `single`, over all models and by model.
    """

    queue: str
    task: str
    people: list[str]
    ratings: int
    scores: dict[str, RatingAgreement]
    passed: RatingAgreement | None
    preferences: dict[str, PreferenceAgreement]
    first_shown: Wins | Undefined | None
    ranking: RankingAgreement | None
    spans: SpanAgreement | None
    models: dict[str, Rating | None]
    annotators: list[AnnotatorStatistics]
    effective_votes: float | Undefined
    true_labels: TrueLabels | Undefined | None
    quality: list[Quality]


def to_json(value: Any) -> Any:
    """Return a report as JSON values.

    An undefined value is {"undefined": reason}; a number without a bound is null.
    """
    if isinstance(value, Undefined):
        return {"undefined": value.reason}
    if is_dataclass(value) and not isinstance(value, type):
        return {each.name: to_json(getattr(value, each.name)) for each in fields(value)}
    if isinstance(value, dict):
        return {str(key): to_json(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [to_json(each) for each in value]
    return _plain(value)


def _plain(value: Any) -> Any:
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, float):
        return float(value) if isfinite(value) else None
    return value
