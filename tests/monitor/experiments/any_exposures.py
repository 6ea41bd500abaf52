"""Exposures of any shape for property tests, and a design for them."""

from __future__ import annotations

import numpy as np
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from monitor.experiments.design import Design, Metric, Scale
from monitor.experiments.exposures.columns import NOT_COMPARED, UNNAMED, Exposures
from monitor.records import Source

START = 1_767_225_600.0
"""Thursday, 1 January 2026."""
NOW = START + 10 * 86_400
ARMS = ("control", "treatment")
SHARD = 5


def metric(name: str, feature: str, scale: Scale, cap: float | None = None) -> Metric:
    """Return a metric."""
    return Metric(name, feature, scale, "lower", 0.05, cap)


DESIGN = Design(
    "exp",
    "p1",
    ARMS,
    (0.5, 0.5),
    metric("latency_ms", "latency_ms", Scale.LOG),
    (
        metric("latency_ms.zero", "latency_ms", Scale.ZERO),
        metric("latency_ms.capped", "latency_ms", Scale.CAPPED, 500.0),
        metric("latency_ms.p50", "latency_ms", Scale.P50),
        metric("latency_ms.p95", "latency_ms", Scale.P95),
        metric("score.a", "score.a", Scale.MEAN),
        metric("judge.q", "judge.q", Scale.MEAN),
    ),
)


def unit_of(number: int, shard: int = SHARD) -> int:
    """Return a unit of a shard."""
    return (shard << 60) | (number * 0x9E3779B97F4A7C15 & (1 << 60) - 1)


@st.composite
def any_exposures(draw: st.DrawFn, units: int = 40, span: float = 600.0) -> Exposures:
    """Return exposures of DESIGN with times near START, some of them wrong by years."""
    n = draw(st.integers(0, 12))
    times = draw(
        st.lists(
            st.one_of(
                st.floats(START, START + span),
                st.sampled_from([0.0, START - 86_400 * 400, START + 86_400 * 5, 7e9, 1e10]),
            ),
            min_size=n,
            max_size=n,
        )
    )
    numbers = draw(st.lists(st.integers(0, units - 1), min_size=n, max_size=n))
    names = ("latency_ms", "score.a", "other")[: draw(st.integers(0, 3))]
    numbers_of = st.one_of(
        st.floats(-1e15, 1e15), st.floats(0, 2000), st.sampled_from([0.0, np.nan, 500.0])
    )
    return Exposures(
        "exp",
        "p1",
        SHARD,
        np.array(times, np.float64),
        np.array([unit_of(number) for number in numbers], np.uint64),
        ARMS,
        draw(hnp.arrays(np.int16, n, elements=st.integers(UNNAMED, 1))),
        draw(hnp.arrays(np.int16, n, elements=st.integers(NOT_COMPARED, 1))),
        names,
        draw(hnp.arrays(np.float64, (len(names), n), elements=numbers_of)),
        draw(st.sampled_from([Source.LOG, Source.LOG, Source.JUDGE])),
    )


def steady(
    n: int,
    *,
    seed: int = 0,
    start: float = START,
    seconds: float = 600.0,
    units: int = 200,
    shard: int = SHARD,
) -> Exposures:
    """Return n exposures in the order of their times, spread over `seconds`."""
    random = np.random.default_rng(seed)
    numbers = random.integers(0, units, n)
    return Exposures(
        "exp",
        "p1",
        shard,
        start + np.sort(random.random(n)) * seconds,
        np.array([unit_of(int(number), shard) for number in numbers], np.uint64),
        ARMS,
        (numbers % 2).astype(np.int16),
        np.full(n, NOT_COMPARED, np.int16),
        ("latency_ms", "score.a"),
        np.array([random.lognormal(5, 1, n), random.random(n)]),
    )
