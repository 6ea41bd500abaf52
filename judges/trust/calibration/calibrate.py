"""Compare the verdicts of a judge with human labels."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.stats import t

from judges.trust.calibration.labels import Label
from judges.trust.calibration.report import Calibration, Confusion, GroupBias, PassMark, Result
from monitor.statistics.agreement import (
    Estimate,
    Undefined,
    cohen_kappa,
    gwet_ac1,
    krippendorff_alpha,
    with_interval,
)
from monitor.statistics.panel import effective_votes

Floats = NDArray[np.float64]
MIN_GROUP_CASES = 10
MAX_GROUPS = 20
_NAN = float("nan")


@dataclass(frozen=True, slots=True)
class Verdict:
    """What the judge says about one answer; a dimension is empty for the answer as a whole.

    votes: scores of all judges of a panel, in the same order for all answers.
    """

    request_id: str
    rubric: str
    dimension: str = ""
    score: float | None = None
    passed: bool | None = None
    votes: tuple[float, ...] = ()


@dataclass(frozen=True, slots=True)
class Pairs:
    """Cases with a label and a verdict, of one dimension of a rubric.

    Arrays of one value per case: scores, pass verdicts as 1 and 0, NaN where absent; inclusion
    probabilities. people: shape (cases, raters), scores of each person, or their pass verdicts if
    nobody gave scores. votes: shape (cases, judges), scores of each judge of a panel.
    groups: metadata of the cases.
    """

    human: Floats
    judge: Floats
    human_passed: Floats
    judge_passed: Floats
    inclusion: Floats
    people: Floats
    votes: Floats
    groups: list[dict[str, str]]
    unjudged: int


def pair(
    labels: Iterable[Label], verdicts: Iterable[Verdict], *, pass_mark: float | None = None
) -> dict[tuple[str, str], Pairs]:
    """Join labels and verdicts, by rubric and dimension.

    Of several people, the score is the mean and the verdict that of the majority; a tie is absent.
    pass_mark: where a person gave a score only, from which score on the answer passes.
    """
    judged = {(v.request_id, v.rubric, v.dimension): v for v in verdicts}
    by_case: dict[tuple[str, str, str], list[Label]] = defaultdict(list)
    for label in labels:
        by_case[label.key].append(label)
    by_dimension: dict[tuple[str, str], list[tuple[list[Label], Verdict | None]]] = defaultdict(
        list
    )
    for key, given in by_case.items():
        by_dimension[key[1:]].append((given, judged.get(key)))
    return {key: _pairs(cases, pass_mark) for key, cases in sorted(by_dimension.items())}


def _pairs(cases: list[tuple[list[Label], Verdict | None]], pass_mark: float | None) -> Pairs:
    both = [(given, verdict) for given, verdict in cases if verdict is not None]
    raters = sorted({label.rater for given, _ in both for label in given})
    scored = any(label.score is not None for given, _ in both for label in given)
    people = np.full((len(both), len(raters)), _NAN)
    for row, (given, _) in enumerate(both):
        for label in given:
            value = label.score if scored else label.passed
            people[row, raters.index(label.rater)] = _NAN if value is None else float(value)
    return Pairs(
        human=np.array([_mean([x.score for x in given]) for given, _ in both]),
        judge=np.array([_NAN if v.score is None else v.score for _, v in both]),
        human_passed=np.array([_majority(given, pass_mark) for given, _ in both]),
        judge_passed=np.array([_NAN if v.passed is None else float(v.passed) for _, v in both]),
        inclusion=np.array([given[0].inclusion for given, _ in both]),
        people=people,
        votes=_votes([verdict.votes for _, verdict in both]),
        groups=[given[0].metadata for given, _ in both],
        unjudged=len(cases) - len(both),
    )


def _votes(given: list[tuple[float, ...]]) -> Floats:
    """Return the votes of cases, shape (cases, judges), NaN without those of all judges.

    Fewer votes do not show which judge is missing.
    """
    votes = np.full((len(given), max(map(len, given), default=0)), _NAN)
    for row, each in enumerate(given):
        if len(each) == votes.shape[1]:
            votes[row] = each
    return votes


def _mean(values: list[float | None]) -> float:
    given = [value for value in values if value is not None]
    return sum(given) / len(given) if given else _NAN


def _majority(given: list[Label], pass_mark: float | None) -> float:
    votes = [label.passed for label in given if label.passed is not None]
    if not votes and pass_mark is not None:
        votes = [label.score >= pass_mark for label in given if label.score is not None]
    passed = sum(votes)
    if not votes or 2 * passed == len(votes):
        return _NAN
    return float(2 * passed > len(votes))


def calibrate(
    labels: Iterable[Label],
    verdicts: Iterable[Verdict],
    generator: np.random.Generator,
    *,
    pass_mark: float | None = None,
    resamples: int = 1000,
) -> list[Calibration]:
    """Return how the judge compares with people, for each dimension that has labels.

    generator: for the bootstrap of the coefficients' intervals. Coefficients weigh all cases
    equally; bias and rates weigh them by 1 / their inclusion probability.
    """
    return [
        _calibration(rubric, dimension, pairs, generator, resamples)
        for (rubric, dimension), pairs in pair(labels, verdicts, pass_mark=pass_mark).items()
    ]


def _calibration(
    rubric: str, dimension: str, pairs: Pairs, generator: np.random.Generator, resamples: int
) -> Calibration:
    scores = np.stack([pairs.human, pairs.judge], axis=1)
    passes = np.stack([pairs.human_passed, pairs.judge_passed], axis=1)
    groups, left_out = _groups(pairs)
    return Calibration(
        rubric=rubric,
        dimension=dimension,
        cases=len(pairs.human),
        unjudged=pairs.unjudged,
        alpha=with_interval(scores, krippendorff_alpha, generator, resamples=resamples),
        kappa=with_interval(
            scores, lambda x: cohen_kappa(x, "quadratic"), generator, resamples=resamples
        ),
        pass_kappa=with_interval(passes, cohen_kappa, generator, resamples=resamples),
        pass_ac1=with_interval(passes, gwet_ac1, generator, resamples=resamples),
        people_alpha=with_interval(
            pairs.people, krippendorff_alpha, generator, resamples=resamples
        ),
        judges=pairs.votes.shape[1],
        effective_votes=effective_votes(pairs.votes - pairs.human[:, None]),
        bias=bias(pairs.human, pairs.judge, pairs.inclusion),
        confusion=confusion(pairs),
        pass_mark=suggested_pass_mark(pairs),
        groups=groups,
        groups_left_out=left_out,
    )


def bias(human: Floats, judge: Floats, inclusion: Floats, *, level: float = 0.95) -> Result:
    """Return the mean of judge less human score, with the interval of Student's t."""
    gaps = judge - human
    present = ~np.isnan(gaps)
    if present.sum() < 2:
        return Undefined("fewer than two cases have both scores")
    gaps, weights = gaps[present], 1 / inclusion[present]
    weights = weights / weights.sum()
    mean = float(weights @ gaps)
    effective = 1 / float(weights @ weights)
    error = np.sqrt(float(weights**2 @ (gaps - mean) ** 2) * effective / max(effective - 1, 1e-9))
    half = float(t.ppf((1 + level) / 2, max(effective - 1, 1))) * float(error)
    return Estimate(mean, mean - half, mean + half)


def confusion(pairs: Pairs) -> Confusion | Undefined:
    """Return the confusion matrix of the pass verdicts."""
    present = ~(np.isnan(pairs.human_passed) | np.isnan(pairs.judge_passed))
    if not present.any():
        return Undefined("no case has a pass verdict of both people and judge")
    human, judge = pairs.human_passed[present] == 1, pairs.judge_passed[present] == 1
    weights = 1 / pairs.inclusion[present]
    return Confusion(
        both_passed=int((human & judge).sum()),
        both_failed=int((~human & ~judge).sum()),
        wrongly_passed=int((~human & judge).sum()),
        wrongly_failed=int((human & ~judge).sum()),
        sensitivity=_rate(judge, human, weights),
        specificity=_rate(~judge, ~human, weights),
        human_pass_rate=float(np.average(human, weights=weights)),
        judge_pass_rate=float(np.average(judge, weights=weights)),
    )


def _rate(hits: NDArray[np.bool_], cases: NDArray[np.bool_], weights: Floats) -> float | None:
    return float(np.average(hits[cases], weights=weights[cases])) if cases.any() else None


def suggested_pass_mark(pairs: Pairs) -> PassMark | Undefined:
    """Return the mark on the judge's scores that agrees best with people, see `PassMark`."""
    present = ~(np.isnan(pairs.human_passed) | np.isnan(pairs.judge))
    human, scores = pairs.human_passed[present] == 1, pairs.judge[present]
    if human.all() or not human.any():
        return Undefined("people passed all cases, or none")
    weights = 1 / pairs.inclusion[present]
    rate = float(np.average(human, weights=weights))
    best: tuple[float, float, PassMark] | None = None
    for mark in np.unique(scores):
        passed = scores >= mark
        balanced = (
            (_rate(passed, human, weights) or 0) + (_rate(~passed, ~human, weights) or 0)
        ) / 2
        passing = float(np.average(passed, weights=weights))
        order = (round(balanced, 9), -abs(passing - rate))
        if best is None or order > best[:2]:
            best = (*order, PassMark(float(mark), balanced, passing))
    return Undefined("the judge gave no scores") if best is None else best[2]


def _groups(pairs: Pairs) -> tuple[list[GroupBias], int]:
    """Return the bias of the largest groups, and the number of groups that are left out."""
    members: dict[tuple[str, str], list[int]] = defaultdict(list)
    for index, metadata in enumerate(pairs.groups):
        for item in metadata.items():
            members[item].append(index)
    large = {item: cases for item, cases in members.items() if len(cases) >= MIN_GROUP_CASES}
    kept = sorted(large, key=lambda item: (-len(large[item]), item))[:MAX_GROUPS]
    found = [_group(pairs, item, large[item]) for item in sorted(kept)]
    return found, len(members) - len(kept)


def _group(pairs: Pairs, item: tuple[str, str], cases: Sequence[int]) -> GroupBias:
    """Return the bias of a group: of scores or, where there are none, of pass verdicts."""
    at = np.array(cases)
    result = bias(pairs.human[at], pairs.judge[at], pairs.inclusion[at])
    if isinstance(result, Undefined):
        result = bias(pairs.human_passed[at], pairs.judge_passed[at], pairs.inclusion[at])
    return GroupBias(item[0], item[1], len(cases), result)
