"""Measures of answers: the values of a dimension in records, and their checks."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Final

import msgspec
import numpy as np

from monitor.records import Sample
from replay.gate.criteria.dimension import Dimension
from replay.gate.decision.bounds import QUANTILES, Estimate, Floats, change, difference, quantile
from replay.gate.decision.bounds import mean as mean_estimate
from replay.gate.decision.rules import Bounds, Levels, at_least, at_most, not_worse
from replay.gate.outcome import Check, Outcome

AnswerCheck = Callable[[Sample], float | None]
"""Returns the value of an answer, 0 to 1; None if the check does not apply to it."""

_SPEED: Final = "tokens_per_second"


def values(samples: Sequence[Sample], measure: str, checks: Mapping[str, AnswerCheck]) -> Floats:
    """Return the finite values of a measure; answers without one have none.

    checks: by name, for `check.NAME`. Raises KeyError if a check is not among them.
    """
    value = _reader(measure, checks)
    found = (value(sample) for sample in samples)
    return np.array([v for v in found if v is not None and math.isfinite(v)], dtype=np.float64)


def _reader(measure: str, checks: Mapping[str, AnswerCheck]) -> AnswerCheck:
    group, _, name = measure.partition(".")
    if group == "check":
        return checks[name]
    if group == "scores":
        return lambda sample: (sample.scores or {}).get(name)
    if measure == "error":
        return lambda sample: float(bool(sample.error))
    if measure == _SPEED:
        return _tokens_per_second

    def read(sample: Sample) -> float | None:
        value: float | None = getattr(sample, measure)
        return value

    return read


def _tokens_per_second(sample: Sample) -> float | None:
    """Return output tokens per second of the whole answer."""
    if sample.output_tokens is None or not sample.latency_ms:
        return None
    return sample.output_tokens / sample.latency_ms * 1000


def check_measure(
    name: str,
    dimension: Dimension,
    sides: tuple[Floats, Floats | None],
    levels: Levels,
    min_items: int,
) -> list[Check]:
    """Return a check for each rule of a measure.

    sides: values of the candidate and, where there is one, of the baseline.
    """
    candidate, baseline = sides
    compared = baseline if dimension.margin is not None else None
    smallest = min(len(side) for side in (candidate, compared) if side is not None)
    if smallest < min_items:
        return [_few(name, dimension, smallest, min_items)]
    own = _bounds(candidate, dimension, levels)
    checks = limit_checks(name, dimension, own, _words(dimension))
    if compared is not None:
        checks.append(_compared(name, dimension, own, _bounds(compared, dimension, levels)))
    return checks


def limit_checks(name: str, dimension: Dimension, own: Bounds, words: str) -> list[Check]:
    """Return the checks of `at_least` and `at_most` of a dimension. words: what is limited."""
    low, high = own.passing, own.failing
    checks = []
    if dimension.at_least is not None:
        outcome = at_least(own, dimension.at_least)
        checks.append(_limit(f"{name} at least", outcome, dimension.at_least, (low, high)))
    if dimension.at_most is not None:
        outcome = at_most(own, dimension.at_most)
        checks.append(_limit(f"{name} at most", outcome, dimension.at_most, (high, low)))
    return [
        msgspec.structs.replace(
            check,
            dimension=name.partition(":")[0],
            required=dimension.required,
            rule=f"{words} is {check.rule}",
        )
        for check in checks
    ]


def _limit(name: str, outcome: Outcome, limit: float, ends: tuple[Estimate, Estimate]) -> Check:
    lower, upper = ends
    return Check(
        name=name,
        dimension="",
        outcome=outcome,
        rule=f"at {name.rpartition(' ')[2]} {limit:g}",
        value=lower.value,
        lower=finite(lower.lower),
        upper=finite(upper.upper),
        limit=limit,
        items=lower.n,
    )


def worsening(dimension: Dimension, sides: tuple[Floats, Floats], levels: Levels) -> Bounds | None:
    """Return by how much the candidate is worse: a share of the baseline's value or a difference.

    None if there is no ratio, because a value is not above 0.
    """
    candidate, baseline = (_bounds(side, dimension, levels) for side in sides)
    return _worsening(dimension, candidate, baseline)


def _worsening(dimension: Dimension, own: Bounds, reference: Bounds) -> Bounds | None:
    operation = change if dimension.relative else difference
    passing = operation(own.passing, reference.passing)
    failing = operation(own.failing, reference.failing)
    if passing is None or failing is None:
        return None
    sign = -1.0 if dimension.higher_is_better else 1.0
    return Bounds(passing.scaled(sign), failing.scaled(sign))


def _compared(name: str, dimension: Dimension, own: Bounds, reference: Bounds) -> Check:
    margin = dimension.margin or 0.0
    word = f"{margin:.4g} of the baseline's" if dimension.relative else f"{margin:g}"
    check = Check(
        name=f"{name} margin",
        dimension=name,
        required=dimension.required,
        outcome="inconclusive",
        rule=f"{_words(dimension)} is worse by less than {word}",
        detail="there is no ratio: a value is not above 0",
        value=own.passing.value,
        baseline=reference.passing.value,
        margin=margin,
        items=min(own.passing.n, reference.passing.n),
    )
    worse = _worsening(dimension, own, reference)
    if worse is None:
        return check
    outcome, flags = not_worse(worse, margin)
    sign = -1.0 if dimension.higher_is_better else 1.0
    ends = sorted((worse.failing.lower * sign, worse.passing.upper * sign))
    return msgspec.structs.replace(
        check,
        outcome=outcome,
        flags=flags,
        detail="",
        effect=worse.passing.value * sign,
        lower=finite(ends[0]),
        upper=finite(ends[1]),
    )


def finite(value: float) -> float | None:
    """Return the value, None if it is infinite."""
    return value if math.isfinite(value) else None


def _bounds(found: Floats, dimension: Dimension, levels: Levels) -> Bounds:
    def estimate(alpha: float) -> Estimate:
        if dimension.statistic == "mean":
            return mean_estimate(found, alpha)
        return quantile(found, QUANTILES[dimension.statistic], alpha)

    return Bounds(estimate(levels.passing), estimate(levels.failing))


def _few(name: str, dimension: Dimension, n: int, min_items: int) -> Check:
    return Check(
        name=name,
        dimension=name,
        required=dimension.required,
        outcome="inconclusive",
        rule=f"{_words(dimension)}: at least {min_items} values",
        detail=f"{n} answers have a value of {dimension.measure}",
        items=n,
        required_items=min_items,
    )


def _words(dimension: Dimension) -> str:
    return f"{dimension.statistic} of {dimension.measure}"
