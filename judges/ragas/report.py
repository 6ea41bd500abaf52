"""A report on a RAG pipeline: which component is weak, and whether another pipeline is better."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from judges.ragas.metrics import METRICS, Component

CONFIDENCE: Final = 0.95
MIN_SAMPLES: Final = 10
"""Samples below which no interval is given."""
COMPONENT_METRICS: Final = {
    Component.RETRIEVAL: ("context_precision", "context_recall"),
    Component.GENERATION: ("faithfulness", "answer_relevancy"),
}
"""The metrics that decide which component is weak. All have the range 0 to 1, but not one scale:
the report states a difference in their means, not a cause."""

Values = Mapping[str, Mapping[str, float]]
"""Metric -> request id -> value. Samples without a score are absent."""


class Weakness(StrEnum):
    """The component with the lower mean."""

    RETRIEVAL = "retrieval"
    GENERATION = "generation"
    NO_DIFFERENCE = "no_difference"
    UNKNOWN = "unknown"
    """Too few samples have a score for both components."""


class Better(StrEnum):
    """Which of two pipelines has the higher mean."""

    FIRST = "first"
    SECOND = "second"
    NO_DIFFERENCE = "no_difference"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Estimate:
    """A mean with its 95 % interval; lower and upper are None below 10 samples."""

    samples: int
    mean: float | None
    lower: float | None
    upper: float | None


@dataclass(frozen=True, slots=True)
class RagReport:
    """The metrics of one pipeline.

    components: mean over the metrics of a component that a sample has. difference: retrieval less
    generation, over samples with both.
    """

    metrics: Mapping[str, Estimate]
    components: Mapping[Component, Estimate]
    difference: Estimate
    weak: Weakness


@dataclass(frozen=True, slots=True)
class Comparison:
    """One metric, or rubric, of two pipelines. difference: second less first.

    paired: whether the samples are the same requests, compared one by one.
    """

    first: Estimate
    second: Estimate
    difference: Estimate
    paired: bool
    better: Better


def rag_report(values: Values) -> RagReport:
    """Return the report on one pipeline."""
    by_component = {part: _component(values, names) for part, names in COMPONENT_METRICS.items()}
    retrieval, generation = by_component.values()
    both = sorted(retrieval.keys() & generation.keys())
    difference = estimate([retrieval[key] - generation[key] for key in both])
    return RagReport(
        metrics={name: estimate(list(values[name].values())) for name in METRICS if name in values},
        components={part: estimate(list(found.values())) for part, found in by_component.items()},
        difference=difference,
        weak=Weakness(_sign(difference, Weakness.RETRIEVAL, Weakness.GENERATION)),
    )


def compare(first: Values, second: Values) -> dict[str, Comparison]:
    """Return the comparison of two pipelines for each name that both have: metrics or rubrics.

    Requests that both answered are compared in pairs, if that is at least half of the smaller set;
    otherwise the sets are independent (Welch).
    """
    return {name: _compared(first[name], second[name]) for name in first if name in second}


def estimate(values: Sequence[float]) -> Estimate:
    """Return the mean of values with its interval by Student's t."""
    count = len(values)
    if not count:
        return Estimate(0, None, None, None)
    array = np.asarray(values, np.float64)
    mean = float(array.mean())
    if count < MIN_SAMPLES:
        return Estimate(count, mean, None, None)
    half = _quantile(count - 1) * float(array.std(ddof=1)) / math.sqrt(count)
    return Estimate(count, mean, mean - half, mean + half)


def _component(values: Values, names: Sequence[str]) -> dict[str, float]:
    """Return request id -> mean of the metrics, for requests with all of those that were scored."""
    scored = [values[name] for name in names if values.get(name)]
    if not scored:
        return {}
    common = sorted(set.intersection(*(set(metric) for metric in scored)))
    return {key: sum(metric[key] for metric in scored) / len(scored) for key in common}


def _compared(first: Mapping[str, float], second: Mapping[str, float]) -> Comparison:
    common = sorted(first.keys() & second.keys())
    paired = bool(common) and 2 * len(common) >= min(len(first), len(second))
    if paired:
        difference = estimate([second[key] - first[key] for key in common])
    else:
        difference = _welch(np.array([*first.values()]), np.array([*second.values()]))
    return Comparison(
        first=estimate(list(first.values())),
        second=estimate(list(second.values())),
        difference=difference,
        paired=paired,
        better=Better(_sign(difference, Better.FIRST, Better.SECOND)),
    )


def _welch(first: NDArray[np.float64], second: NDArray[np.float64]) -> Estimate:
    """Return the difference of the means of independent samples, by Welch's t."""
    count = min(first.size, second.size)
    if not count:
        return Estimate(0, None, None, None)
    mean = float(second.mean() - first.mean())
    if count < MIN_SAMPLES:
        return Estimate(count, mean, None, None)
    variances = [float(part.var(ddof=1)) / part.size for part in (first, second)]
    total = sum(variances)
    if total == 0:
        return Estimate(count, mean, mean, mean)
    sizes = (first.size, second.size)
    degrees = total**2 / sum(v**2 / (n - 1) for v, n in zip(variances, sizes, strict=True))
    half = _quantile(degrees) * math.sqrt(total)
    return Estimate(count, mean, mean - half, mean + half)


def _quantile(degrees: float) -> float:
    return float(stats.t.ppf((1 + CONFIDENCE) / 2, degrees))


def _sign(difference: Estimate, negative: str, positive: str) -> str:
    """Return the word for an interval below zero, above it, around it, or absent."""
    if difference.lower is None or difference.upper is None:
        return "unknown"
    if difference.upper < 0:
        return negative
    return positive if difference.lower > 0 else "no_difference"
