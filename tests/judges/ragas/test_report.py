"""The report names the weak component, and compares pipelines with intervals that cover."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from judges.ragas.report import Better, Weakness, compare, estimate, rag_report


def values(mean: float, seed: int, count: int = 60, prefix: str = "r") -> dict[str, float]:
    """Return values around a mean by request id."""
    drawn = np.clip(np.random.default_rng(seed).normal(mean, 0.1, count), 0, 1)
    return {f"{prefix}{i}": float(value) for i, value in enumerate(drawn)}


def test_the_weak_component_is_named() -> None:
    """The component whose metrics are lower, if the interval of the difference excludes zero."""
    weak_retrieval = {
        "context_precision": values(0.4, 1),
        "context_recall": values(0.5, 2),
        "faithfulness": values(0.8, 3),
        "answer_relevancy": values(0.8, 4),
    }
    assert rag_report(weak_retrieval).weak is Weakness.RETRIEVAL
    turned = dict(zip(weak_retrieval, reversed(weak_retrieval.values()), strict=True))
    assert rag_report(turned).weak is Weakness.GENERATION
    same = values(0.7, 5)
    alike = rag_report({"context_recall": same, "faithfulness": same})
    assert alike.weak is Weakness.NO_DIFFERENCE


def test_without_common_samples_nothing_is_stated() -> None:
    """Too few samples, or none with both components, is `unknown` and has no interval."""
    assert rag_report({}).weak is Weakness.UNKNOWN
    apart = {"context_recall": values(0.2, 1), "faithfulness": values(0.9, 2, prefix="other")}
    found = rag_report(apart)
    assert found.weak is Weakness.UNKNOWN
    assert found.difference.mean is None
    few = {"context_recall": values(0.2, 1, 5), "faithfulness": values(0.9, 2, 5)}
    assert rag_report(few).weak is Weakness.UNKNOWN


def test_pipelines_on_the_same_requests_are_compared_in_pairs() -> None:
    """A difference smaller than the spread of the requests is found."""
    first = values(0.6, 1)
    noise = np.random.default_rng(3).normal(0.03, 0.01, len(first))
    second = {key: value + n for (key, value), n in zip(first.items(), noise, strict=True)}
    found = compare({"faithfulness": first}, {"faithfulness": second})["faithfulness"]
    assert found.paired
    assert found.better is Better.SECOND
    reverse = compare({"faithfulness": second}, {"faithfulness": first})["faithfulness"]
    assert reverse.better is Better.FIRST


def test_other_requests_are_compared_by_welch() -> None:
    """The interval is that of scipy."""
    first, second = values(0.6, 1), values(0.7, 2, 40, prefix="other")
    found = compare({"faithfulness": first}, {"faithfulness": second})["faithfulness"]
    assert not found.paired
    expected = stats.ttest_ind(
        list(second.values()), list(first.values()), equal_var=False
    ).confidence_interval()
    assert found.difference.lower == pytest.approx(expected.low)
    assert found.difference.upper == pytest.approx(expected.high)


def test_the_interval_of_a_mean_is_that_of_student() -> None:
    """The interval is that of scipy; a few values have none."""
    drawn = list(values(0.6, 1).values())
    expected = stats.ttest_1samp(drawn, 0).confidence_interval()
    found = estimate(drawn)
    assert (found.lower, found.upper) == pytest.approx((expected.low, expected.high))
    assert estimate(drawn[:9]).lower is None
    assert estimate([]).mean is None


def test_equal_pipelines_rarely_differ() -> None:
    """Of 400 comparisons of the same pipeline about 5 % exclude zero."""
    found = [
        compare({"faithfulness": values(0.6, 2 * i)}, {"faithfulness": values(0.6, 2 * i + 1)})
        for i in range(400)
    ]
    wrong = sum(each["faithfulness"].better is not Better.NO_DIFFERENCE for each in found)
    assert 6 <= wrong <= 36
