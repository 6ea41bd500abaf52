"""Compare matched answers: paired tests by metric, verdicts, and ratings of all models."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import combinations
from typing import Final, Literal

import numpy as np

from detectors.arrays import Floats
from monitor.experiments.compare.answers import Answers
from monitor.experiments.compare.matching import Matched
from monitor.experiments.compare.metrics import (
    CompareMetric,
    Mask,
    count_reasons,
    value_reasons,
)
from monitor.statistics.agreement import Undefined
from monitor.statistics.bradley_terry import Rating, bradley_terry
from monitor.statistics.paired import (
    Effect,
    Paired,
    Wins,
    holm,
    paired_difference,
    paired_rates,
    win_rate,
)

LEAST_PROMPTS: Final = 20
"""Prompts that "no difference" requires: fewer equal answers do not show equality."""

Scale = Literal["mean", "log", "rate", "preference"]
EffectKind = Literal["relative", "absolute"]
Verdict = Literal["better", "worse", "no_difference", "not_yet"]


@dataclass(frozen=True, slots=True)
class Criteria:
    """What a verdict requires.

    alpha: probability of a false verdict among all metrics of all variants.
    mde: smallest effect that matters: relative, or in points of a rate or a win rate.
    """

    alpha: float = 0.05
    mde: float = 0.05


@dataclass
class Preferences:
    """Which answer of each pair a judge prefers.

    outcomes: shape (cases,): 1 if the second model of the pair is better, -1 if the first is, 0 for
    a tie, NaN if unscored. unscored: by reason. inconsistent: ties because the judge preferred
    another answer in each order.
    """

    outcomes: Floats
    unscored: dict[str, int] = field(default_factory=dict)
    inconsistent: int = 0


@dataclass(frozen=True, slots=True)
class MetricResult:
    """The comparison of one metric with the control.

    control_mean, mean: geometric means for the scale `log`; absent for `preference`.
    effect: relative, or absolute in the unit of the metric; for `preference` the win rate less .5.
    wins: of the variant, by the direction of the metric.
    differing: pairs that differ.
    p_adjusted: Holm's, over all metrics of all variants that have a pair that differs.
    """

    name: str
    scale: Scale
    direction: str
    pairs: int
    prompts: int
    unscored: dict[str, int]
    control_mean: float | None = None
    mean: float | None = None
    effect_kind: EffectKind = "absolute"
    effect: Effect | None = None
    p_value: float | None = None
    p_adjusted: float | None = None
    differing: int = 0
    wins: Wins | None = None
    verdict: Verdict = "not_yet"

    @property
    def contradiction(self) -> bool:
        """Whether the variant is better by the mean and loses most prompts, or the reverse."""
        if self.wins is None:
            return False
        rate = self.wins.rate
        return (self.verdict == "better" and rate.upper < 0.5) or (
            self.verdict == "worse" and rate.lower > 0.5
        )


@dataclass(frozen=True, slots=True)
class VariantResult:
    """The comparison of one variant with the control.

    pairs: cases that both have.
    """

    name: str
    pairs: int
    prompts: int
    metrics: list[MetricResult]


@dataclass(frozen=True, slots=True)
class Ratings:
    """Bradley-Terry ratings. goal: what decides a comparison. by_name: None without a chain of
    comparisons with the control. unscored: pairs that no comparison came from, by reason."""

    goal: str
    by_name: dict[str, Rating | None]
    unscored: dict[str, int]


def compare(
    files: Sequence[Answers],
    matched: Matched,
    metrics: Sequence[CompareMetric],
    criteria: Criteria,
    judged: tuple[str, Mapping[tuple[int, int], Preferences]] | None = None,
) -> list[VariantResult]:
    """Compare each file with the first one.

    judged: name of the metric, and the preferences by pair of files, the smaller index first.
    """
    found = []
    for index in range(1, len(files)):
        pair = _Pair(files[0], files[index], matched, index, criteria)
        results = [_metric(metric, pair) for metric in metrics]
        if judged is not None:
            name, preferences = judged
            results.insert(0, _preference(name, preferences[0, index], pair))
        prompts = len(np.unique(pair.groups))
        found.append(VariantResult(files[index].name, len(pair.groups), prompts, results))
    return _with_verdicts(found, criteria)


def rate(
    files: Sequence[Answers],
    matched: Matched,
    goal: CompareMetric | None,
    criteria: Criteria,
    judged: tuple[str, Mapping[tuple[int, int], Preferences]] | None = None,
) -> Ratings | None:
    """Return the ratings of all files by the judge, or by the goal; None without both.

    A difference of the goal that is smaller than `criteria.mde` is a tie.
    """
    if judged is not None:
        name = judged[0]
    elif goal is not None:
        name = goal.name
    else:
        return None
    first, second, scores, groups = [], [], [], []
    unscored: dict[str, int] = {}
    for i, j in combinations(range(len(files)), 2):
        if judged is not None:
            outcomes, reasons = judged[1][i, j].outcomes, judged[1][i, j].unscored
        elif goal is not None:
            outcomes, reasons = _outcomes(files, matched, goal, criteria.mde, (i, j))
        for reason, count in reasons.items():
            unscored[reason] = unscored.get(reason, 0) + count
        scored = np.flatnonzero(~np.isnan(outcomes))
        first.append(np.full(len(scored), i))
        second.append(np.full(len(scored), j))
        scores.append((1 - np.sign(outcomes[scored])) / 2)
        groups.append(matched.groups[scored])
    ratings = bradley_terry(
        np.concatenate(first),
        np.concatenate(second),
        np.concatenate(scores),
        len(files),
        groups=np.concatenate(groups),
        level=1 - criteria.alpha,
    )
    named = {each.name: rating for each, rating in zip(files, ratings, strict=True)}
    return Ratings(name, named, unscored)


class _Pair:
    """The cases that the control and one variant have."""

    def __init__(
        self, control: Answers, variant: Answers, matched: Matched, index: int, criteria: Criteria
    ) -> None:
        self.level = 1 - criteria.alpha
        self.mde = criteria.mde
        self.both: Mask = (matched.rows[0] >= 0) & (matched.rows[index] >= 0)
        self.groups = matched.groups[self.both]
        self._files = control, variant
        self._rows = matched.rows[0][self.both], matched.rows[index][self.both]

    def values(self, name: str) -> tuple[Floats, Floats]:
        """Return a feature of the control and of the variant, shape (pairs,)."""
        control, variant = (
            file.values[name][rows] for file, rows in zip(self._files, self._rows, strict=True)
        )
        return control, variant

    def scored(self, metric: CompareMetric) -> tuple[Floats, Floats, dict[str, int], Mask]:
        """Return the values of all pairs, the reasons of pairs without one, and the others."""
        control, variant = self.values(metric.name)
        failed = np.maximum(*self.values("error"))
        reasons = value_reasons(metric, control, variant, failed)
        unscored, kept = count_reasons(reasons, len(control))
        return control, variant, unscored, kept


def _outcomes(
    files: Sequence[Answers],
    matched: Matched,
    goal: CompareMetric,
    mde: float,
    indices: tuple[int, int],
) -> tuple[Floats, dict[str, int]]:
    """Return which of two files is better by a metric, shape (cases,), as in `Preferences`."""
    i, j = indices
    shared = replace(matched, rows=matched.rows[[i, j]])
    pair = _Pair(files[i], files[j], shared, 1, Criteria(mde=mde))
    control, variant, unscored, kept = pair.scored(goal)
    outcomes = np.full(matched.rows.shape[1], np.nan)
    found = wins_of(goal, control[kept], variant[kept], mde)
    outcomes[np.flatnonzero(pair.both)[kept]] = found
    return outcomes, unscored


def wins_of(metric: CompareMetric, control: Floats, variant: Floats, mde: float) -> Floats:
    """Return 1 for each pair in which the variant is better, -1 for worse, 0 for a tie.

    A difference below the smallest effect that matters is a tie: of a logarithmic metric relative
    to the pair, of another one with values of one sign relative to the mean of the control. Scores
    that are nearly equal would otherwise decide as much as those that differ.
    """
    if metric.logarithmic:
        difference, least = np.log(variant) - np.log(control), np.log1p(mde)
    else:
        difference = variant - control
        positive = len(control) and min(control.min(), variant.min()) >= 0
        least = mde * control.mean() if positive else 0.0
    signs: Floats = np.where(np.abs(difference) > least, np.sign(difference), 0.0)
    return metric.sign * signs


def _metric(metric: CompareMetric, pair: _Pair) -> MetricResult:
    """Return the comparison of a metric, without its verdict."""
    control, variant, unscored, kept = pair.scored(metric)
    control, variant, groups = control[kept], variant[kept], pair.groups[kept]
    binary = bool(np.isin(control, (0, 1)).all() and np.isin(variant, (0, 1)).all())
    scale: Scale = "log" if metric.logarithmic else "rate" if binary else "mean"
    empty = MetricResult(metric.name, scale, metric.direction, 0, 0, unscored)
    outcomes = wins_of(metric, control, variant, pair.mde)
    wins = win_rate(outcomes, groups, level=pair.level)
    if scale == "log":
        found = paired_difference(np.log(control), np.log(variant), groups, level=pair.level)
    else:
        test = paired_rates if scale == "rate" else paired_difference
        found = test(control, variant, groups, level=pair.level)
    if isinstance(found, Undefined) or isinstance(wins, Undefined):
        return empty
    return _filled(empty, found, wins)


def _filled(empty: MetricResult, found: Paired, wins: Wins) -> MetricResult:
    means: tuple[float, float] = (found.control_mean, found.mean)
    kind: EffectKind = "absolute"
    effect = found.difference
    if empty.scale == "log":
        with np.errstate(over="ignore"):
            means = float(np.exp(found.control_mean)), float(np.exp(found.mean))
            low, value, high = np.expm1([effect.lower, effect.value, effect.upper])
        kind, effect = "relative", Effect(float(value), float(low), float(high))
    elif found.relative is not None:
        kind, effect = "relative", found.relative
    return replace(
        empty,
        pairs=found.pairs,
        prompts=found.groups,
        control_mean=means[0],
        mean=means[1],
        effect_kind=kind,
        effect=effect,
        p_value=found.p_value,
        differing=found.differing,
        wins=wins,
    )


def _preference(name: str, preferences: Preferences, pair: _Pair) -> MetricResult:
    """Return the win rate of a variant by a judge, without its verdict."""
    outcomes = preferences.outcomes[pair.both]
    kept = ~np.isnan(outcomes)
    wins = win_rate(outcomes[kept], pair.groups[kept], level=pair.level)
    empty = MetricResult(name, "preference", "higher", 0, 0, dict(preferences.unscored))
    if isinstance(wins, Undefined):
        return empty
    rate = wins.rate
    return replace(
        empty,
        pairs=wins.pairs,
        prompts=wins.groups,
        effect=Effect(rate.value - 0.5, rate.lower - 0.5, rate.upper - 0.5),
        p_value=wins.p_value,
        differing=wins.wins + wins.losses,
        wins=wins,
    )


def _with_verdicts(found: list[VariantResult], criteria: Criteria) -> list[VariantResult]:
    """Return the results with adjusted p-values and verdicts."""
    tested = [m for each in found for m in each.metrics if m.p_value is not None and m.differing]
    p_values = np.array([m.p_value for m in tested], np.float64)
    # a metric without a pair that differs cannot be significant, so it costs the others nothing
    adjusted = {id(m): p for m, p in zip(tested, holm(p_values).tolist(), strict=True)}
    return [
        replace(
            each,
            metrics=[
                m if m.p_value is None else _judged(m, adjusted.get(id(m), 1.0), criteria)
                for m in each.metrics
            ],
        )
        for each in found
    ]


def _judged(result: MetricResult, p_value: float, criteria: Criteria) -> MetricResult:
    """Return a result with its verdict. p_value: adjusted."""
    effect = result.effect
    assert effect is not None
    verdict: Verdict = "not_yet"
    inside = -criteria.mde < effect.lower and effect.upper < criteria.mde
    if inside and result.prompts >= LEAST_PROMPTS:
        verdict = "no_difference"
    elif p_value <= criteria.alpha and effect.value != 0:
        higher = effect.value > 0
        verdict = "better" if higher == (result.direction == "higher") else "worse"
    return replace(result, p_adjusted=p_value, verdict=verdict)
