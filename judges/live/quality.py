"""Live quality of models: judged scores of the newest uniform samples, corrected by human labels.

A judge is biased; some human labels of judged responses measure how much. Both come from the
evaluations topic, so every process that reads it computes the same numbers. A label carries the
score of the judge for the same response, so that it is useful long after the sample has expired.
"""

from __future__ import annotations

import math
import threading
from collections import OrderedDict, deque
from dataclasses import dataclass, field
from typing import Final, NamedTuple

import numpy as np

from monitor.events.evaluations import HUMAN, Evaluation
from monitor.statistics.agreement import Undefined, krippendorff_alpha
from monitor.statistics.corrected import Corrected, Moments, corrected_mean

MAX_SCORES: Final = 2_000
"""Newest scores by which a model's quality is estimated."""
MAX_LABELS: Final = 2_000
MAX_SERIES: Final = 1_000
"""Models times rubrics; beyond it the one that was updated longest ago is dropped."""
MAX_PANELS: Final = 500
LEAST_SCORES: Final = 30
"""Scores below which no interval is given."""
BOUNDS: Final = {"judge": (0.0, 5.0), "ragas": (0.0, 1.0), "check": (0.0, 1.0)}
"""Lowest and highest score by the first part of a name."""
_Z95: Final = 1.959963984540054


@dataclass(frozen=True, slots=True)
class QualityEstimate:
    """Mean score of a model's traffic with a 95 % interval.

    corrected: whether human labels were used. scores, labels: numbers of judged and labelled
    samples. judged: mean of the judge alone.
    """

    model: str
    name: str
    value: float
    lower: float
    upper: float
    corrected: bool
    scores: int
    labels: int
    judged: float


class _Score(NamedTuple):
    """A judged sample. request: hash of its id."""

    request: int
    value: float
    probability: float


@dataclass(slots=True)
class _Series:
    """Scores of one model by one version of a rubric. newest: rank of the last score."""

    newest: tuple[float, int] = (-math.inf, 0)
    scores: deque[_Score] = field(default_factory=lambda: deque(maxlen=MAX_SCORES))
    labels: OrderedDict[str, tuple[float, float, float]] = field(default_factory=OrderedDict)
    """Human score, score of the judge and inclusion probability, by request id."""


class QualityHistory:
    """Estimates by model and rubric, from the evaluations of a topic.

    Versions of a rubric are kept apart, because their scores differ; the version whose score
    arrived last counts, whatever the order between partitions of the topic. Times of records are
    not used: a wrong clock of a client would decide. One thread may add evaluations while others
    read.
    """

    def __init__(self) -> None:
        self._series: OrderedDict[tuple[str, str, str], _Series] = OrderedDict()
        self._panels: dict[str, deque[tuple[float, ...]]] = {}
        self._added = 0
        self._lock = threading.Lock()

    def add(self, evaluation: Evaluation, arrived: float = 0.0) -> None:
        """Add the next evaluation.

        arrived: when it was written to the topic, in epoch seconds. Of equal ones, the order of
        the calls counts.
        """
        if evaluation.score is None:
            return
        with self._lock:
            if evaluation.evaluator == HUMAN:
                self._add_label(evaluation)
            elif evaluation.uniform and evaluation.probability > 0:
                series = self._open(evaluation)
                request = hash(evaluation.request_id)
                series.scores.append(_Score(request, evaluation.score, evaluation.probability))
                self._added += 1
                series.newest = max(series.newest, (arrived, self._added))
            if len(evaluation.votes) > 1 and evaluation.evaluator != HUMAN:
                panels = self._panels.setdefault(evaluation.name, deque(maxlen=MAX_PANELS))
                panels.append(evaluation.votes)

    def _open(self, evaluation: Evaluation) -> _Series:
        key = evaluation.model, evaluation.name, evaluation.version
        series = self._series.setdefault(key, _Series())
        self._series.move_to_end(key)
        if len(self._series) > MAX_SERIES:
            self._series.popitem(last=False)
        return series

    def _add_label(self, label: Evaluation) -> None:
        """Add a human label; a later one of the same response replaces it.

        Earlier versions published labels that are not on the scale of the judge.
        """
        if label.score is None or label.judge_score is None or label.probability <= 0:
            return
        lowest, highest = _bounds(label.name) or (-math.inf, math.inf)
        if not all(lowest <= each <= highest for each in (label.score, label.judge_score)):
            return
        labels = self._open(label).labels
        labels[label.request_id] = (label.score, label.judge_score, label.probability)
        labels.move_to_end(label.request_id)
        if len(labels) > MAX_LABELS:
            labels.popitem(last=False)

    def estimates(self) -> list[QualityEstimate]:
        """Return the estimates of all models and rubrics with enough scores."""
        newest: dict[tuple[str, str], _Series] = {}
        with self._lock:
            for (model, name, _), series in self._series.items():
                known = newest.get((model, name))
                if known is None or series.newest > known.newest:
                    newest[model, name] = series
            copies = [
                (key, list(series.scores), series.labels.copy()) for key, series in newest.items()
            ]
        found = (_estimate(model, name, scores, labels) for (model, name), scores, labels in copies)
        return [each for each in found if each is not None]

    def agreement(self) -> dict[str, float]:
        """Return Krippendorff's alpha (interval scale) of the panel by rubric, where defined."""
        with self._lock:
            panels = {name: list(votes) for name, votes in self._panels.items()}
        alphas = {}
        for name, votes in panels.items():
            ratings = np.full((len(votes), max(map(len, votes))), np.nan)
            for row, each in enumerate(votes):
                ratings[row, : len(each)] = each
            alpha = krippendorff_alpha(ratings)
            if not isinstance(alpha, Undefined):
                alphas[name] = alpha
        return alphas


def _estimate(
    model: str,
    name: str,
    scores: list[_Score],
    labels: OrderedDict[str, tuple[float, float, float]],
) -> QualityEstimate | None:
    if len(scores) < LEAST_SCORES:
        return None
    moments = _moments(scores)
    if labels:
        human, judge, chosen = np.array(list(labels.values()), np.float64).T
        bounds = _bounds(name)
        labelled = set(map(hash, labels))
        others = _moments([each for each in scores if each.request not in labelled])
        found = corrected_mean(human, judge, others, inclusion=chosen, bounds=bounds)
        if isinstance(found, Corrected):
            return QualityEstimate(
                model,
                name,
                found.value,
                found.lower,
                found.upper,
                True,
                len(scores),
                len(labels),
                moments.mean,
            )
    half = _Z95 * math.sqrt(moments.variance / max(moments.count - 1, 1))
    return QualityEstimate(
        model,
        name,
        moments.mean,
        moments.mean - half,
        moments.mean + half,
        False,
        len(scores),
        len(labels),
        moments.mean,
    )


def _bounds(name: str) -> tuple[float, float] | None:
    return BOUNDS.get(name.partition(".")[0])


def _moments(scores: list[_Score]) -> Moments:
    values = np.array([each.value for each in scores], np.float64)
    return Moments.of(values, np.array([each.probability for each in scores], np.float64))
