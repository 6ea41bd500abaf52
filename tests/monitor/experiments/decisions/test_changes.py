"""Changes of the configuration in a running phase: no finding is made or changed by them."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from msgspec import structs

from monitor.experiments.decisions.evaluation import evaluate
from monitor.experiments.decisions.result import Comparison, Result
from monitor.experiments.decisions.state import decode_state, encode_state
from monitor.experiments.design import Design, Metric, Scale
from monitor.experiments.report.wording import cautions
from tests.monitor.experiments.decisions.looks import (
    COST,
    LATENCY,
    SCORE,
    Experiment,
    design,
    normal,
    run,
)

PLAN = design(secondary=(LATENCY,), guardrails=(COST,))
DRAW = {
    SCORE.name: normal((10.0, 10.0), 5.0),
    LATENCY.name: normal((6.0, 5.8)),
    COST.name: normal((0.3, 0.306), 0.05),
}


def compared(result: Result, metric: str, variant: str = "treatment") -> Comparison:
    """Return a comparison that exists."""
    found = result.comparison(metric, variant)
    assert found is not None
    return found


@pytest.mark.parametrize("name", [LATENCY.name, COST.name])
@pytest.mark.parametrize(
    ("field", "value"), [("mde", 0.001), ("mde", 5.0), ("direction", "higher")]
)
def test_margins_and_directions_are_those_declared_first(name: str, field: str, value: Any) -> None:
    """What is found of a metric, and what is shown beside it, is as without the change."""

    def other(metric: Metric) -> Metric:
        return replace(metric, **{field: value}) if metric.name == name else metric

    changed = replace(
        PLAN,
        secondary=tuple(map(other, PLAN.secondary)),
        guardrails=tuple(map(other, PLAN.guardrails)),
    )
    *_, before = run(Experiment(PLAN, DRAW), looks=5, users=400)
    data = Experiment(PLAN, DRAW, seed=2).add(6_000, hours=10)
    expected, found = (evaluate(each, data, before.state) for each in (PLAN, changed))
    assert found.result.ignored == (f"{field} of {name}",)
    assert replace_ignored(found.result) == expected.result
    assert found.state == expected.state
    assert any("changed in the configuration" in text for text in cautions(found.result))


def replace_ignored(result: Result) -> Result:
    """Return the result without the names of changed criteria."""
    return structs.replace(result, ignored=())


def test_a_state_of_an_earlier_version_takes_what_is_configured() -> None:
    """Margins that it did not keep are those of the next look."""
    *_, before = run(Experiment(PLAN, DRAW), looks=5, users=400)
    old = decode_state(encode_state(structs.replace(before.state, metrics={})))
    data = Experiment(PLAN, DRAW, seed=2).add(6_000, hours=10)
    assert evaluate(PLAN, data, old) == evaluate(PLAN, data, before.state)


def stopped_midway(before: dict[str, Any], after: dict[str, Any]) -> tuple[Result, Result]:
    """Return the results when a variant is stopped, and after its control has changed.

    before, after: values by metric. Later users are all in the control.
    """
    experiment = Experiment(PLAN, before)
    *_, at_stop = run(experiment, looks=5, users=400)
    experiment.design = replace(PLAN, stopped=frozenset({"treatment"}))
    experiment.draw, experiment.shares = after, (1.0, 0.0)
    *_, later = run(experiment, looks=5, users=2_000, state=at_stop.state)
    assert not [event for event in later.events if event.variant]
    return at_stop.result, later.result


def test_nothing_is_found_of_a_stopped_variant_by_later_users() -> None:
    """Its users are not compared with those of other days: no harm, nothing safe, no finding."""
    same = {
        name: normal((level, level), 0.1) for name, level in zip(DRAW, (10, 6, 0.3), strict=True)
    }
    lower = {
        name: normal((level, level), 0.1) for name, level in zip(DRAW, (5, 3, 0.1), strict=True)
    }
    at_stop, later = stopped_midway(same, lower)
    for metric in (COST.name, LATENCY.name):
        old, new = compared(at_stop, metric), compared(later, metric)
        assert (old.p_value, old.guardrail) == (new.p_value, new.guardrail)
        assert new.verdict == "not_yet"
        history = later.history[metric]["treatment"]
        assert history[:-1] == at_stop.history[metric]["treatment"][: len(history) - 1]


def test_a_blocked_split_blocks_the_findings_of_secondary_metrics() -> None:
    """As the verdict of the goal: users of a wrong split may differ in every metric."""
    draw = DRAW | {LATENCY.name: normal((6.0, 5.0))}
    *_, fair = run(Experiment(PLAN, draw), looks=5, users=400)
    assert compared(fair.result, LATENCY.name).verdict == "better"
    *_, blocked = run(Experiment(PLAN, draw, shares=(0.7, 0.3)), looks=5, users=400)
    assert blocked.result.srm.status == "block"
    assert compared(blocked.result, LATENCY.name).verdict == "not_yet"


def test_a_variant_that_starts_later_is_named() -> None:
    """The control has users of days on which the variant had none."""
    waiting: Design = replace(PLAN, stopped=frozenset({"treatment"}))
    experiment = Experiment(waiting, DRAW, shares=(1.0, 0.0))
    *_, before = run(experiment, looks=24, users=50)
    experiment.design, experiment.shares = PLAN, (0.5, 0.5)
    *_, after = run(experiment, looks=10, users=200, state=before.state)
    text = "treatment: started 25 hours after the control"
    assert any(each.startswith(text) for each in cautions(after.result))
    *_, usual = run(Experiment(PLAN, DRAW), looks=34, users=50)
    assert not any("after the control" in each for each in cautions(usual.result))


def test_a_zero_share_of_both_arms_is_no_finding() -> None:
    """A rate that is zero in both arms has neither a finding nor an effect."""
    error = Metric("error", "error", Scale.MEAN, "lower", 0.1)
    plan = design(guardrails=(error,))
    draw = {SCORE.name: normal((10.0, 10.0)), error.name: normal((0.0, 0.0), 0.0)}
    *_, last = run(Experiment(plan, draw), looks=5, users=1_000)
    found = compared(last.result, error.name)
    assert found.guardrail is not None
    assert (found.effect, found.guardrail.harm, found.guardrail.safe) == (None, None, None)


def test_a_rate_that_rises_from_zero_is_harm() -> None:
    """The control has no errors, so that there is no relative effect; the harm is certain."""
    error = Metric("error", "error", Scale.MEAN, "lower", 0.1)
    plan = design(guardrails=(error,))
    draw = {
        SCORE.name: normal((10.0, 10.0)),
        error.name: lambda random, n, arm: (random.random(n) < 0.1 * arm).astype(float),
    }
    outcomes = list(run(Experiment(plan, draw), looks=5, users=1_000))
    assert [e.outcome for each in outcomes for e in each.events if e.kind == "guardrail"] == [
        "harm"
    ]
