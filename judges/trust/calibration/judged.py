"""What the judge said about labelled responses, and about the rest of the traffic.

Both come from evaluations. Scores of two versions of a rubric, or of two judges, are not
comparable, so one version is used: that of the uniform sample that was judged last. Boosted samples
do not represent the traffic and are left out. Memory is bounded: labelled responses are kept, of
the others the sums.
"""

from __future__ import annotations

import math
from collections import Counter, OrderedDict, deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final

from msgspec.structs import replace

from judges.trust.calibration.calibrate import Verdict
from judges.trust.calibration.dimensions import Row
from judges.trust.calibration.labels import Label
from monitor.errors import UserError
from monitor.events.evaluations import HUMAN, Evaluation
from monitor.statistics.corrected import Moments

MAX_SERIES: Final = 1_000
"""Models times rubrics times versions; of further ones only labelled responses are kept."""
MAX_VERSIONS: Final = 8
"""Versions that are kept of a labelled response: the newest."""
MAX_ROWS: Final = 2_000
"""Newest uniform samples whose dimensions are compared."""


def evaluation_name(rubric: str) -> str:
    """Return the name of the evaluations of a rubric, as a label names it."""
    return rubric if rubric.startswith(("judge.", "ragas.", "check.")) else f"judge.{rubric}"


@dataclass(slots=True)
class Sums:
    """Sums of values that are weighted by 1 / their inclusion probability."""

    weights: float = 0.0
    squared_weights: float = 0.0
    values: float = 0.0
    squares: float = 0.0

    def add(self, value: float, probability: float) -> None:
        """Add a value."""
        weight = 1 / probability
        self.weights += weight
        self.squared_weights += weight * weight
        self.values += weight * value
        self.squares += weight * value * value

    def moments(self) -> Moments:
        """Return the moments, as `Moments.of` does for the same values."""
        if not self.weights:
            return Moments(0.0, 0.0, 0.0)
        mean = self.values / self.weights
        variance = max(0.0, self.squares / self.weights - mean * mean)
        return Moments(self.weights**2 / self.squared_weights, mean, variance)


@dataclass(slots=True)
class Traffic:
    """Uniform samples of one model without a label: their scores, and passed as 1 or 0."""

    scores: Sums = field(default_factory=Sums)
    passes: Sums = field(default_factory=Sums)


@dataclass(frozen=True, slots=True)
class Judged:
    """What one version of the judge said, for the labels of one rubric.

    labels: of responses that it judged; inclusion is that of the response in the traffic.
    evaluations: of these responses, by request id. traffic: the other samples, by model.
    rows: scores by dimension of the newest samples.
    left_out: labelled responses by reason why they are not compared.
    """

    version: str
    labels: list[Label]
    evaluations: dict[str, Evaluation]
    traffic: dict[str, Traffic]
    rows: list[Row]
    left_out: dict[str, int]

    def verdicts(self) -> list[Verdict]:
        """Return the verdicts on the labelled responses, as a whole and by dimension."""
        found = []
        for label in self.labels:
            evaluation = self.evaluations[label.request_id]
            if label.dimension:
                score, passed = evaluation.dimensions.get(label.dimension), None
                votes: tuple[float, ...] = ()
            else:
                score, passed, votes = evaluation.score, evaluation.passed, evaluation.votes
            if score is not None:
                found.append(
                    Verdict(label.request_id, label.rubric, label.dimension, score, passed, votes)
                )
        return found


class JudgedCases:
    """Collects the evaluations that a calibration needs.

    read: number of evaluations of the labelled rubrics.
    """

    def __init__(self, labels: Iterable[Label]) -> None:
        self.read = 0
        self._labels = list(labels)
        self._wanted = {(each.request_id, evaluation_name(each.rubric)) for each in self._labels}
        self._names = {name for _, name in self._wanted}
        self._cases: dict[tuple[str, str], OrderedDict[str, Evaluation]] = {}
        self._newest: dict[tuple[str, str], tuple[bool, float, int]] = {}
        self._traffic: dict[tuple[str, str, str], Traffic] = {}
        self._rows: dict[tuple[str, str], deque[Row]] = {}

    def add(self, evaluation: Evaluation, arrived: float = 0.0) -> None:
        """Add the next evaluation of the topic.

        arrived: when it was written to the topic, in epoch seconds. Of equal ones, the order of
        the calls counts. Times of records are not used: a wrong clock of a client would decide.
        """
        if evaluation.name not in self._names or evaluation.evaluator == HUMAN:
            return
        self.read += 1
        key = evaluation.name, evaluation.version
        uniform = evaluation.uniform and evaluation.probability > 0
        if key in self._newest or len(self._newest) < MAX_SERIES:
            known = self._newest.get(key, (False, -math.inf, 0))
            self._newest[key] = max(known, (uniform, arrived, self.read))
        labelled = (evaluation.request_id, evaluation.name) in self._wanted
        if labelled:
            self._keep(evaluation)
        if evaluation.score is not None and uniform and key in self._newest:
            self._add_uniform(evaluation, labelled=labelled)

    def _keep(self, evaluation: Evaluation) -> None:
        """Keep an evaluation; the nightly run repeats one of the traffic, which it is not."""
        versions = self._cases.setdefault(
            (evaluation.request_id, evaluation.name), OrderedDict[str, Evaluation]()
        )
        known = versions.get(evaluation.version)
        if known is not None and known.uniform and not evaluation.uniform:
            return
        versions[evaluation.version] = evaluation
        versions.move_to_end(evaluation.version)
        if len(versions) > MAX_VERSIONS:
            versions.popitem(last=False)

    def _add_uniform(self, evaluation: Evaluation, *, labelled: bool) -> None:
        rows = self._rows.setdefault(
            (evaluation.name, evaluation.version), deque[Row](maxlen=MAX_ROWS)
        )
        if evaluation.dimensions:
            rows.append((evaluation.request_id, evaluation.dimensions))
        key = evaluation.name, evaluation.version, evaluation.model
        if labelled or (key not in self._traffic and len(self._traffic) >= MAX_SERIES):
            return
        traffic = self._traffic.setdefault(key, Traffic())
        assert evaluation.score is not None
        traffic.scores.add(evaluation.score, evaluation.probability)
        if evaluation.passed is not None:
            traffic.passes.add(float(evaluation.passed), evaluation.probability)

    def of(self, rubric: str) -> Judged:
        """Return what the current version of the judge said, for the labels of a rubric.

        Raises UserError if it judged no labelled response, with the reasons.
        """
        name = evaluation_name(rubric)
        version = self._version(name)
        evaluations: dict[str, Evaluation] = {}
        left_out: Counter[str] = Counter()
        for request_id in {each.request_id for each in self._labels if each.rubric == rubric}:
            found: Mapping[str, Evaluation] = self._cases.get((request_id, name), {})
            reason = _left_out(found, version)
            if reason:
                left_out[reason] += 1
            else:
                evaluations[request_id] = found[version]
        if not evaluations:
            raise UserError(_nothing(rubric, version, left_out))
        labels = [
            replace(each, inclusion=each.inclusion * evaluations[each.request_id].probability)
            for each in self._labels
            if each.rubric == rubric and each.request_id in evaluations
        ]
        traffic = {
            model: each
            for (n, v, model), each in self._traffic.items()
            if (n, v) == (name, version)
        }
        rows = list(self._rows.get((name, version), ()))
        return Judged(version, labels, evaluations, traffic, rows, dict(sorted(left_out.items())))

    def _version(self, name: str) -> str:
        """Return the version of the last uniform sample; "" if nothing was judged."""
        ranks = {version: rank for (n, version), rank in self._newest.items() if n == name}
        return max(ranks, key=lambda version: ranks[version], default="")


def _left_out(found: Mapping[str, Evaluation], version: str) -> str | None:
    """Return why a labelled response is not compared; None if it is."""
    if not found:
        return "not judged"
    evaluation = found.get(version)
    if evaluation is None:
        return "another version"
    if evaluation.score is None:
        return "unscored"
    if not evaluation.uniform or evaluation.probability <= 0:
        return "boosted"
    return None


_ADVICE: Final = {
    "not judged": "was not judged; check request_id and rubric, and that its evaluations still"
    " exist",
    "another version": "was judged by another version of the rubric or by another judge only; label"
    " responses that the current one has judged",
    "boosted": "is a boosted sample, which does not represent the traffic; label uniform samples",
    "unscored": "was not scored by the judge; label responses with a score",
}


def _nothing(rubric: str, version: str, left_out: Counter[str]) -> str:
    reason, count = left_out.most_common(1)[0]
    current = f" (current version: {version})" if version else ""
    return (
        f"rubric {rubric!r}{current}: nothing to compare; {count} of {left_out.total()} labelled"
        f" responses: each {_ADVICE[reason]}"
    )
