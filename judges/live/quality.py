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
from typing import Final, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from monitor.events.evaluations import HUMAN, Evaluation
from monitor.statistics.agreement import Undefined, krippendorff_alpha
from monitor.statistics.corrected import (
    Corrected,
    Floats,
    Moments,
    corrected_mean,
    rogan_gladen,
)

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
MARK_TOLERANCE: Final = 1e-9
"""Scores are sums of weights such as 0.1, which are not exact."""
_Z95: Final = 1.959963984540054


@dataclass(frozen=True, slots=True)
class PassRate:
    """Share of a model's traffic that passes the rubric, by people's standard.

    state: "corrected": people's verdicts correct those of the judge, by its sensitivity and
    specificity. "undefined": they do not determine the rate; then `reason` says why, and value and
    interval are None.
    labels: number of labels with verdicts of people and judge.
    judged: share that the judge passes, without correction; None if it gives no verdicts.
    """

    state: Literal["corrected", "undefined"]
    reason: str
    value: float | None
    lower: float | None
    upper: float | None
    labels: int
    judged: float | None


@dataclass(frozen=True, slots=True)
class QualityEstimate:
    """Mean score of a model's traffic with a 95 % interval, and its pass rate.

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
    pass_rate: PassRate


class _Score(NamedTuple):
    """A judged sample. request: hash of its id. passed: 1, 0, or NaN without a verdict."""

    request: int
    value: float
    probability: float
    passed: float


class _Label(NamedTuple):
    """Scores of people and of the judge for one response. passed: by people; None if unknown."""

    human: float
    judge: float
    probability: float
    passed: bool | None


@dataclass(slots=True)
class _Series:
    """Scores of one model by one version of a rubric.

    newest: rank of the last score. pass_mark: of this version; None until it is known.
    labels: by request id.
    """

    newest: tuple[float, int] = (-math.inf, 0)
    pass_mark: float | None = None
    scores: deque[_Score] = field(default_factory=lambda: deque(maxlen=MAX_SCORES))
    labels: OrderedDict[str, _Label] = field(default_factory=OrderedDict)

    def copy(self) -> _Series:
        """Return a copy that can be read without the lock."""
        return _Series(self.newest, self.pass_mark, self.scores.copy(), self.labels.copy())


class _Data(NamedTuple):
    """What an estimate is made from.

    scores: shape (n, 3): value, inclusion probability, passed. others: shape (n,), whether a score
    is that of a sample without a label. labels: shape (m, 5): score of people, of the judge,
    inclusion probability, verdicts of people and of the judge. A verdict that is unknown is NaN.
    """

    scores: Floats
    others: NDArray[np.bool_]
    labels: Floats

    @classmethod
    def of(cls, series: _Series) -> _Data:
        """Return the data of a series."""
        labelled = set(map(hash, series.labels))
        labels = [_verdicts(each, series.pass_mark) for each in series.labels.values()]
        return cls(
            np.array([each[1:] for each in series.scores], np.float64).reshape(-1, 3),
            np.array([each.request not in labelled for each in series.scores], np.bool_),
            np.array(labels, np.float64).reshape(-1, 5),
        )


def _verdicts(label: _Label, pass_mark: float | None) -> tuple[float, ...]:
    """Return a label with the verdicts of people and of the judge, as a row of `_Data`.

    Without a verdict of people, their score and the pass mark decide.
    """
    if pass_mark is None:
        return label.human, label.judge, label.probability, math.nan, math.nan
    mark = pass_mark - MARK_TOLERANCE
    human = label.human >= mark if label.passed is None else label.passed
    return label.human, label.judge, label.probability, float(human), float(label.judge >= mark)


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
                self._add_score(evaluation, evaluation.score, arrived)
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

    def _add_score(self, evaluation: Evaluation, score: float, arrived: float) -> None:
        series = self._open(evaluation)
        self._added += 1
        series.newest = max(series.newest, (arrived, self._added))
        passed = math.nan if evaluation.passed is None else float(evaluation.passed)
        request = hash(evaluation.request_id)
        series.scores.append(_Score(request, score, evaluation.probability, passed))
        if evaluation.pass_mark is not None:
            series.pass_mark = evaluation.pass_mark

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
        labels[label.request_id] = _Label(
            label.score, label.judge_score, label.probability, label.passed
        )
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
            copies = {
                key: series.copy()
                for key, series in newest.items()
                if len(series.scores) >= LEAST_SCORES
            }
        return [
            _estimate(model, name, _Data.of(series)) for (model, name), series in copies.items()
        ]

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


def _estimate(model: str, name: str, data: _Data) -> QualityEstimate:
    """Return the estimate; without enough labels, the mean is that of the judge alone."""
    values, inclusion, _ = data.scores.T
    moments, rate = Moments.of(values, inclusion), _pass_rate(data)
    found = _corrected(data, _bounds(name))
    corrected = isinstance(found, Corrected)
    if isinstance(found, Corrected):
        value, lower, upper = found.value, found.lower, found.upper
    else:
        half = _Z95 * math.sqrt(moments.variance / max(moments.count - 1, 1))
        value, lower, upper = moments.mean, moments.mean - half, moments.mean + half
    scores, labels = len(data.scores), len(data.labels)
    return QualityEstimate(
        model, name, value, lower, upper, corrected, scores, labels, moments.mean, rate
    )


def _corrected(data: _Data, bounds: tuple[float, float] | None) -> Corrected | Undefined:
    """Return the mean score by labels and by the scores of the other samples."""
    values, inclusion, _ = data.scores[data.others].T
    human, judge, chosen, _, _ = data.labels.T
    others = Moments.of(values, inclusion)
    return corrected_mean(human, judge, others, inclusion=chosen, bounds=bounds)


def _bounds(name: str) -> tuple[float, float] | None:
    return BOUNDS.get(name.partition(".")[0])


def _pass_rate(data: _Data) -> PassRate:
    """Return the pass rate by the judge's sensitivity and specificity on the labelled samples."""
    decided = ~np.isnan(data.scores[:, 2])
    _, inclusion, passed = data.scores[decided].T
    if not passed.size:
        return _undefined("the judge gives no pass verdicts", 0, None)
    judged = Moments.of(passed, inclusion).mean
    labels = data.labels[~np.isnan(data.labels[:, 3])]
    if len(labels) < len(data.labels):  # the mark belongs to the version: it lacks all or none
        return _undefined("the pass mark is not known yet", 0, judged)
    others = data.others[decided]
    _, _, chosen, human, judge = labels.T
    found = rogan_gladen(
        human, judge, Moments.of(passed[others], inclusion[others]), inclusion=chosen
    )
    if isinstance(found, Undefined):
        return _undefined(found.reason, len(labels), judged)
    return PassRate("corrected", "", found.value, found.lower, found.upper, len(labels), judged)


def _undefined(reason: str, labels: int, judged: float | None) -> PassRate:
    return PassRate("undefined", reason, None, None, None, labels, judged)
