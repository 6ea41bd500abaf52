"""All checks of a stage: margins, limits and the balance."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from replay.gate.criteria.model import Criteria
from replay.gate.criteria.parsing import parse
from replay.gate.decision.evaluation import Evidence, chances, evaluate
from replay.gate.decision.tasks import Sides
from replay.gate.outcome import Check, Outcome
from replay.results import RunError, TaskScores
from tests.replay.gate.criteria.data import content
from tests.replay.gate.decision.test_measures import sample
from tests.replay.gate.scores import draws, scores


def criteria(**dimensions: Any) -> Criteria:
    """Return criteria with dimensions; `balance` is that of the criteria."""
    balance = dimensions.pop("balance", None)
    return parse(content(dimensions=dimensions, balance=balance))


QUALITY = {"tasks": ["support"], "margin": 0.05}


def checks(
    found: Criteria,
    candidate: TaskScores | tuple[TaskScores, ...],
    baseline: TaskScores | tuple[TaskScores, ...] = (),
    latencies: tuple[Any, Any] = ((), ()),
) -> dict[str, Check]:
    """Return the checks by name."""
    sides = [each if isinstance(each, tuple) else (each,) for each in (candidate, baseline)]
    samples = [[sample(latency_ms=float(v)) for v in values] for values in latencies]
    evidence = Evidence(Sides(*sides), (samples[0], samples[1]), {})
    return {check.name: check for check in evaluate(found, evidence)}


@pytest.mark.parametrize(
    ("n", "drop", "outcome"),
    [(500, 0.0, "passed"), (500, 0.1, "regressed"), (40, 0.03, "inconclusive")],
)
def test_the_margin_of_a_task(n: int, drop: float, outcome: Outcome) -> None:
    """The paired verdict decides; its numbers are in the check."""
    candidate, baseline = draws(n, 0.8, drop)
    (check,) = checks(criteria(quality=QUALITY), scores(candidate), scores(baseline)).values()
    assert check.outcome == outcome
    assert check.name == "quality: support margin"
    assert check.value == pytest.approx(np.mean(candidate))
    assert check.effect == pytest.approx(np.mean(candidate) - np.mean(baseline))
    assert check.items == n
    assert (check.lower or -1) < (check.effect or 0) + 1e-9
    if outcome == "inconclusive":
        assert (check.required_items or 0) > n


def test_a_small_drop_passes_with_a_flag() -> None:
    """A proven drop within the margin is named."""
    candidate, baseline = draws(2000, 0.8, 0.02)
    found = checks(criteria(quality=QUALITY), scores(candidate), scores(baseline))
    assert found["quality: support margin"].flags == ("small_drop",)
    assert found["quality: support margin"].outcome == "passed"


@pytest.mark.parametrize(
    ("limit", "outcome"), [(0.7, "passed"), (0.9, "regressed"), (0.8, "inconclusive")]
)
def test_limits_of_a_task_need_no_baseline(limit: float, outcome: Outcome) -> None:
    """The bound of the candidate's mean decides."""
    rules = {"q": {"tasks": ["support"], "at_least": limit}}
    found = parse(content(baseline=None, dimensions=rules))
    (check,) = checks(found, scores([1.0] * 320 + [0.0] * 80)).values()
    assert check.outcome == outcome
    assert check.rule == f"mean exact_match of support is at least {limit:g}"


def test_few_items_are_inconclusive() -> None:
    """Below min_items neither a margin nor a limit is decided."""
    rules = criteria(quality=QUALITY | {"at_least": 0.1})
    found = checks(rules, scores([1.0] * 29), scores([1.0] * 29))
    assert {check.outcome for check in found.values()} == {"inconclusive"}


def test_broken_scores_are_errors() -> None:
    """Missing tasks, missing baselines, other prompts and failed answers have reasons."""
    good = scores([1.0] * 60)
    cases: list[tuple[TaskScores, Any, str]] = [
        (scores([1.0] * 60, task="other"), good, "missing_task"),
        (good, (), "no_baseline"),
        (good, scores([1.0] * 50), "mismatched_items"),
        (scores([1.0] * 60, failed=10), good, "invalid_responses"),
    ]
    for candidate, baseline, reason in cases:
        with pytest.raises(RunError) as caught:
            checks(criteria(quality=QUALITY), candidate, baseline)
        assert caught.value.reason == reason
    limits = parse(content(dimensions={"q": {"tasks": ["support"], "at_least": 0.1}}))
    with pytest.raises(RunError) as caught:
        checks(limits, scores([1.0] * 60, failed=10))
    assert caught.value.reason == "invalid_responses"


LATENCY = {"measure": "latency_ms", "margin": 0.2}


def balanced(drop: float, factor: float, at_least: float) -> Check:
    """Return the balance of a quality and of a latency that is not required."""
    candidate, baseline = draws(1500, 0.8, drop)
    times = np.random.default_rng(1).lognormal(6.0, 0.3, (2, 1500))
    found = checks(
        criteria(
            quality=QUALITY | {"weight": 3.0},
            latency=LATENCY | {"weight": 1.0, "required": False},
            balance={"at_least": at_least},
        ),
        scores(candidate),
        scores(baseline),
        (times[0] * factor, times[1]),
    )
    assert found["latency margin"].required is False
    return found["balance"]


def test_the_balance_weighs_effects_in_units_of_margins() -> None:
    """A quarter of the weight at the margin gives a quarter of it; more speed pays for a drop."""
    at_margin = balanced(0.0, 1.2, -0.8)
    assert at_margin.value == pytest.approx(-0.25, abs=0.05)
    assert at_margin.outcome == "passed"
    assert balanced(0.04, 1.2, -0.3).outcome == "regressed"
    assert balanced(0.02, 0.5, -0.5).outcome == "passed"
    assert balanced(0.0, 1.2, -0.25).outcome == "inconclusive"


def test_a_balance_without_a_comparison_is_inconclusive() -> None:
    """A weighted dimension without records on one side decides nothing."""
    candidate, baseline = draws(500, 0.8)
    rules = criteria(
        quality=QUALITY | {"weight": 1.0},
        latency=LATENCY | {"weight": 1.0},
        balance={"at_least": -1.0},
    )
    found = checks(rules, scores(candidate), scores(baseline), (np.ones(50), ()))
    assert found["balance"].outcome == "inconclusive"


def test_chances_count_all_rules_of_all_stages() -> None:
    """Margins of tasks are one chance together; a limit is one for each task."""
    found = criteria(
        quality={"tasks": ["a", "b"], "margin": 0.05, "at_least": 0.5, "weight": 1.0},
        latency=LATENCY | {"at_most": 900.0},
        balance={"at_least": -0.5},
    )
    assert chances(found) == 2 * (1 + 2 + 2 + 1)
    assert chances(criteria(quality={"tasks": ["core"], "at_least": 0.5})) == 2 * 6


def test_false_regressions_over_nested_stages_stay_below_alpha() -> None:
    """A model that did not change fails in L0 or L1 with a probability of at most alpha."""
    rules = criteria(quality=QUALITY | {"at_least": 0.5})
    failed = 0
    for seed in range(80):
        random = np.random.default_rng(seed)
        hard = random.uniform(size=300)
        sides = [(hard + random.normal(0, 0.3, 300) < 0.8).astype(float) for _ in range(2)]
        tiers = [[scores(side[:n].tolist()) for side in sides] for n in (50, 300)]
        found = [checks(rules, new, old) for new, old in tiers]
        failed += any(c.outcome == "regressed" for each in found for c in each.values())
    assert failed <= 80 * 0.05 + 2 * (80 * 0.05 * 0.95) ** 0.5
