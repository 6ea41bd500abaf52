"""Measures of records and their rules."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from monitor.records import Inclusion, Sample
from replay.gate.criteria.dimension import Dimension
from replay.gate.decision.measures import check_measure, values, worsening
from replay.gate.decision.rules import Levels, levels
from replay.gate.outcome import Outcome

LEVELS = Levels(0.05, 0.01)


def sample(**fields: Any) -> Sample:
    """Return a sample with fields."""
    return Sample(
        request_id="r", timestamp=0.0, model="m", inclusion=Inclusion(True, 1.0), **fields
    )


SAMPLES = [
    sample(latency_ms=100.0, output_tokens=20.0, scores={"tone": 4.0}, response="yes"),
    sample(latency_ms=0.0, output_tokens=20.0, error="timeout"),
    sample(latency_ms=float("nan"), cost_usd=0.01, response="no"),
]


@pytest.mark.parametrize(
    ("measure", "expected"),
    [
        ("latency_ms", [100.0, 0.0]),
        ("tokens_per_second", [200.0]),
        ("cost_usd", [0.01]),
        ("error", [0.0, 1.0, 0.0]),
        ("scores.tone", [4.0]),
        ("scores.other", []),
        ("check.yes", [1.0, 0.0]),
    ],
)
def test_values_of_measures(measure: str, expected: list[float]) -> None:
    """Absent and unusable values are left out, never zero."""
    checks = {"yes": lambda s: None if s.response is None else float(s.response == "yes")}
    assert values(SAMPLES, measure, checks).tolist() == expected


def outcomes(found: dict[str, Any], candidate: Any, baseline: Any = None) -> list[Outcome]:
    """Return the outcomes of the checks of a dimension."""
    dimension = Dimension.model_validate(found)
    sides = (np.asarray(candidate, float), None if baseline is None else np.asarray(baseline))
    return [check.outcome for check in check_measure("x", dimension, sides, LEVELS, 20)]


RANDOM = np.random.default_rng(5)
SLOW = RANDOM.lognormal(7.0, 0.3, 400)
"""Latencies whose p95 is 1,796."""
P95 = {"measure": "latency_ms", "statistic": "p95"}


@pytest.mark.parametrize(
    ("limit", "outcome"), [(2500.0, "passed"), (1500.0, "regressed"), (1800.0, "inconclusive")]
)
def test_a_limit_is_proven_or_broken_or_open(limit: float, outcome: Outcome) -> None:
    """The bound decides, not the estimate."""
    assert outcomes(P95 | {"at_most": limit}, SLOW) == [outcome]


def test_limits_of_shares() -> None:
    """A lowest share of answers that pass a check."""
    passes = np.repeat([1.0, 0.0], [198, 2])
    for limit, expected in ((0.95, "passed"), (0.98, "inconclusive"), (0.9999, "regressed")):
        key = {"measure": "check.json", "at_least": limit}
        assert outcomes(key, passes) == [expected]


@pytest.mark.parametrize(
    ("factor", "outcome"), [(1.0, "passed"), (1.6, "regressed"), (0.5, "passed")]
)
def test_a_margin_compares_with_the_baseline(factor: float, outcome: Outcome) -> None:
    """A margin of 20 % permits as much; a faster candidate passes."""
    other = np.random.default_rng(6).lognormal(7.0, 0.3, 400)
    assert outcomes(P95 | {"margin": 0.2}, SLOW * factor, other) == [outcome]


def test_a_proven_drop_within_the_margin_passes_with_a_flag() -> None:
    """A small drop is reported, and passes."""
    dimension = Dimension.model_validate({"measure": "scores.tone", "margin": 1.0})
    random = np.random.default_rng(7)
    sides = (random.normal(3.7, 0.5, 300), random.normal(4.0, 0.5, 300))
    (check,) = check_measure("x", dimension, sides, LEVELS, 20)
    assert (check.outcome, check.flags) == ("passed", ("small_drop",))
    assert check.effect is not None
    assert -0.45 < (check.lower or 0) < check.effect < (check.upper or 0) < 0


def test_few_values_are_inconclusive() -> None:
    """Below the least number of values there is no outcome, whatever they are."""
    assert outcomes(P95 | {"at_most": 1e9}, SLOW[:19]) == ["inconclusive"]
    assert outcomes(P95 | {"margin": 0.2}, SLOW, SLOW[:3]) == ["inconclusive"]
    assert outcomes({"measure": "cost_usd", "margin": 0.1}, SLOW, np.zeros(400)) == ["inconclusive"]


def test_worsening_has_the_direction_of_the_measure() -> None:
    """Half the speed and double the latency are worse; a ratio to zero does not exist."""
    speed = Dimension.model_validate({"measure": "tokens_per_second", "margin": 0.1})
    slow = Dimension.model_validate({"measure": "latency_ms", "margin": 0.1})
    for dimension, factor in ((speed, 0.5), (slow, 2.0)):
        worse = worsening(dimension, (SLOW * factor, SLOW), LEVELS)
        assert worse is not None
        assert 0 < worse.failing.lower < worse.passing.value < worse.failing.upper
    assert worsening(slow, (SLOW, np.zeros(30)), LEVELS) is None


def test_levels_divide_what_can_fail() -> None:
    """Passing needs no correction, because everything must pass."""
    assert levels(0.05, 10) == Levels(0.05, 0.005)


def test_false_regressions_of_many_measures_stay_below_alpha() -> None:
    """With ten equal dimensions in three stages, alpha bounds the chance that any fails."""
    random = np.random.default_rng(8)
    dimension = Dimension.model_validate({"measure": "scores.tone", "margin": 0.05})
    level = levels(0.05, 30)
    failed = 0
    for _ in range(60):
        sides = [(random.normal(size=60), random.normal(size=60)) for _ in range(30)]
        found = [c.outcome for s in sides for c in check_measure("x", dimension, s, level, 20)]
        failed += "regressed" in found
    assert failed <= 60 * 0.05 + 3 * (60 * 0.05 * 0.95) ** 0.5
