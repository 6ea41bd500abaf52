"""Compute the vectors in data/gbstats.json with gbstats, GrowthBook's statistics.

gbstats 0.8 requires pandas below 2, which excludes it from the project's environment (ragas needs
pandas 3). An environment of its own:

    python -m venv /tmp/gbstats && /tmp/gbstats/bin/pip install gbstats==0.8.0
    /tmp/gbstats/bin/python tests/monitor/experiments/sequential/gbstats_vectors.py

The units of gbstats are the buckets of users here.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
from gbstats.frequentist.tests import SequentialConfig, SequentialTwoSidedTTest
from gbstats.models.statistics import (
    RatioStatistic,
    RegressionAdjustedStatistic,
    SampleMeanStatistic,
)

OUT = Path(__file__).parent / "data" / "gbstats.json"
BUCKETS = 16
CASES = [  # means of both arms, standard deviation, requests a bucket; alpha, tuning
    (((5.0, 5.01), 1.0, 40), (0.05, 5_000.0)),
    (((120.0, 121.0), 30.0, 25), (0.05, 500.0)),
    (((0.4, 0.402), 0.1, 60), (0.01, 50.0)),
    (((-3.0, -2.99), 1.0, 80), (0.025, 16.0)),
]
Values = tuple[tuple[float, float], float, int]


def mean_of(values: Any) -> SampleMeanStatistic:
    """Return the statistic of one value a bucket."""
    return SampleMeanStatistic(
        n=len(values), sum=float(values.sum()), sum_squares=float(values @ values)
    )


def ratio_of(x: Any, n: Any) -> RatioStatistic:
    """Return the statistic of a ratio of two sums by bucket."""
    return RatioStatistic(
        n=len(x), m_statistic=mean_of(x), d_statistic=mean_of(n), m_d_sum_of_products=float(x @ n)
    )


def result(statistics: list[Any], alpha: float, tuning: float) -> dict[str, Any]:
    """Return what gbstats finds, as an absolute difference."""
    control, arm = statistics
    config = SequentialConfig(
        alpha=alpha, sequential_tuning_parameter=tuning, difference_type="absolute"
    )
    theta = getattr(control, "theta", None)
    test = SequentialTwoSidedTTest(control, arm, config)
    if theta is not None:  # it was replaced by one that includes the difference of the arms
        control.theta = arm.theta = theta
    return {
        "alpha": alpha,
        "means": [control.mean, arm.mean],
        "variances": [control.variance / control.n, arm.variance / arm.n],
        "information": float((control.n + arm.n) * test.rho**2),
        "interval": [float(bound) for bound in test.confidence_interval],
        "p_value": float(test.p_value),
    }


def ratio_case(seed: int, values: Values, alpha: float, tuning: float) -> dict[str, Any]:
    """Return a ratio of sums over buckets with unequal numbers of requests."""
    means, sd, requests = values
    rng = np.random.default_rng(seed)
    n = rng.poisson(requests, (2, BUCKETS)).astype(float)
    x = np.round(n * np.array(means)[:, None] + rng.normal(0, sd * np.sqrt(n)), 3)
    found = result([ratio_of(x[0], n[0]), ratio_of(x[1], n[1])], alpha, tuning)
    return {"x": x.tolist(), "n": n.tolist()} | found


def relative_case(seed: int, values: Values, alpha: float) -> dict[str, Any]:
    """Return the p-value of the relative effect, with the default tuning; many units."""
    means, sd, units = values
    rng = np.random.default_rng(seed)
    control, arm = (mean_of(rng.normal(mean, sd, 50 * units)) for mean in means)
    test = SequentialTwoSidedTTest(control, arm, SequentialConfig(alpha=alpha))
    return {
        "alpha": alpha,
        "users": [control.n, arm.n],
        "means": [control.mean, arm.mean],
        "variances": [control.variance / control.n, arm.variance / arm.n],
        "p_value": float(test.p_value),
    }


def cuped_case(seed: int, alpha: float, tuning: float) -> dict[str, Any]:
    """Return means over buckets of one value each, adjusted by a pre-period."""
    rng = np.random.default_rng(seed)
    before = np.round(rng.normal(10, 2, (2, BUCKETS)), 3)
    x = np.round(0.8 * before + rng.normal(0, 1, (2, BUCKETS)) + [[0.0], [0.2]], 3)
    centred = [values - values.mean(axis=1, keepdims=True) for values in (x, before)]
    theta = float((centred[0] * centred[1]).sum() / (centred[1] ** 2).sum())
    statistics = [
        RegressionAdjustedStatistic(
            n=BUCKETS,
            post_statistic=mean_of(x[arm]),
            pre_statistic=mean_of(before[arm]),
            post_pre_sum_of_products=float(x[arm] @ before[arm]),
            theta=theta,
        )
        for arm in (0, 1)
    ]
    found = result(statistics, alpha, tuning)
    return {"x": x.tolist(), "before": before.tolist()} | found


def main() -> None:
    """Write the file."""
    ratios = [
        ratio_case(seed, values, alpha, tuning)
        for seed, (values, (alpha, tuning)) in enumerate(CASES)
    ]
    relative = [relative_case(7, ((5.0, 5.3), 2.0, 30), 0.05)]
    relative += [relative_case(8, ((1.0, 1.1), 1.0, 40), 0.01)]
    vectors = {"ratios": ratios, "relative": relative, "cuped": [cuped_case(9, 0.05, 100.0)]}
    OUT.write_text(json.dumps(vectors, indent=1) + "\n")


if __name__ == "__main__":
    main()
