"""Verdicts: by the evidence, in the right direction, never changed, blocked where in doubt."""

from __future__ import annotations

from dataclasses import replace

import pytest

from monitor.experiments.decisions.evaluation import Outcome, evaluate
from monitor.experiments.decisions.result import decode_result, encode_result
from monitor.experiments.decisions.state import decode_state, encode_state
from monitor.experiments.design import Metric, Scale
from tests.monitor.experiments.decisions.looks import (
    COST,
    LATENCY,
    SCORE,
    START,
    Experiment,
    design,
    normal,
    run,
)

BETTER = {SCORE.name: normal((10.0, 11.0))}
SAME = {SCORE.name: normal((10.0, 10.0))}


def verdict(outcome: Outcome, variant: str = "treatment") -> str:
    """Return the verdict of a variant."""
    return next(arm.verdict for arm in outcome.result.arms if arm.variant == variant)


def waiting(outcome: Outcome) -> tuple[str, ...]:
    """Return why the treatment has no verdict."""
    return outcome.result.arms[1].waiting


def test_a_better_arm_is_found_and_reported_once() -> None:
    """A true improvement gives the verdict, with its evidence, and one event."""
    outcomes = list(run(Experiment(design(), BETTER), looks=10, users=200))
    assert verdict(outcomes[-1]) == "better"
    decision = outcomes[-1].result.arms[1].decision
    assert decision is not None
    assert decision.rule == "sequence"
    assert decision.lower is not None
    assert decision.lower > 0
    assert decision.p_value is not None
    assert decision.p_value <= 0.05
    assert decision.criteria.mde == 0.05
    events = [event for outcome in outcomes for event in outcome.events]
    assert [(event.kind, event.outcome) for event in events] == [("verdict", "better")]
    assert events[0].time == decision.time
    assert events[0].id in outcomes[-1].state.event_ids


def test_lower_is_better_for_a_cost() -> None:
    """The direction of the goal decides which sign is better."""
    goal = replace(SCORE, direction="lower")
    outcomes = list(run(Experiment(design(goal=goal), BETTER), looks=10, users=200))
    assert verdict(outcomes[-1]) == "worse"


def test_a_verdict_stays() -> None:
    """Data that contradict a verdict later do not change it, its time or its numbers."""
    experiment = Experiment(design(), BETTER)
    *_, last = run(experiment, looks=10, users=200)
    given = last.result.arms[1].decision
    experiment.draw = {SCORE.name: normal((11.0, 5.0))}
    *_, later = run(experiment, looks=10, users=400, state=last.state)
    comparison = later.result.comparison(SCORE.name, "treatment")
    assert comparison is not None
    assert comparison.effect is not None
    assert comparison.effect < 0
    assert verdict(later) == "better"
    assert later.result.arms[1].decision == given
    assert comparison.verdict == "better"


def test_equal_arms_do_not_differ_by_more_than_the_smallest_effect_that_matters() -> None:
    """With enough users, equal arms get the verdict no_difference."""
    outcomes = list(run(Experiment(design(), SAME), looks=20, users=400))
    decision = outcomes[-1].result.arms[1].decision
    assert decision is not None
    assert decision.verdict == "no_difference"
    assert decision.lower is not None
    assert decision.upper is not None
    assert -0.05 < decision.lower < decision.upper < 0.05


def test_false_winners_are_rare() -> None:
    """Of A/A experiments that are looked at twelve times, few have a winner or a loser."""
    wrong = 0
    for seed in range(30):
        experiment = Experiment(design(), {SCORE.name: normal((10.0, 10.0), 5.0)}, seed=seed)
        *_, last = run(experiment, looks=12, users=400)
        wrong += verdict(last) in {"better", "worse"}
    assert wrong <= 4  # alpha is .05; more than 4 of 30 have a probability of .02


def test_no_verdict_before_a_hundred_effective_users() -> None:
    """During the burn-in there is no interval, no p-value and no verdict."""
    outcome = evaluate(design(), Experiment(design(), BETTER).add(150), None)
    comparison = outcome.result.comparison(SCORE.name, "treatment")
    assert comparison is not None
    assert comparison.n_eff is not None
    assert comparison.n_eff < 100
    assert (comparison.lower, comparison.p_value) == (None, None)
    assert comparison.problem == "fewer than 100 effective users"
    assert "burn_in" in waiting(outcome)


@pytest.mark.parametrize(
    ("other", "reason"), [({"min_users": 5_000}, "min_users"), ({"min_hours": 500.0}, "min_hours")]
)
def test_declared_minimums_hold_back_a_verdict(other: dict[str, float], reason: str) -> None:
    """Strong evidence does not decide before the declared users and hours."""
    *_, last = run(Experiment(design(**other), BETTER), looks=10, users=200)
    assert verdict(last) == "not_yet"
    assert waiting(last) == (reason,)
    comparison = last.result.comparison(SCORE.name, "treatment")
    assert comparison is not None
    assert comparison.p_value is not None
    assert comparison.p_value < 0.001


def test_a_sample_ratio_mismatch_blocks_verdicts_and_is_reported() -> None:
    """A split of 60 to 40 instead of equal arms blocks the verdict of a better arm."""
    plan = design(min_users=1_000)  # so that the mismatch is found before there can be a verdict
    experiment = Experiment(plan, BETTER, shares=(0.6, 0.4))
    outcomes = list(run(experiment, looks=20, users=300))
    assert outcomes[-1].result.srm.status == "block"
    assert verdict(outcomes[-1]) == "not_yet"
    assert "sample_ratio" in waiting(outcomes[-1])
    found = [event.outcome for outcome in outcomes for event in outcome.events]
    assert found in (["warn", "block"], ["block"])


def test_a_block_stays_when_later_users_hide_the_mismatch() -> None:
    """The status follows the smallest p-value so far."""
    experiment = Experiment(design(), SAME, shares=(0.65, 0.35))
    *_, blocked = run(experiment, looks=10, users=300)
    experiment.shares = (0.35, 0.65)
    *_, later = run(experiment, looks=10, users=300, state=blocked.state)
    assert later.result.srm.e_value < 100  # not even a warning by itself
    assert later.result.srm.status == "block"


def test_a_stopped_variant_begins_a_new_epoch_and_gets_no_verdict() -> None:
    """After a stop the other arms share all users, which is no mismatch."""
    three = design(variants=("control", "a", "b"), weights=(0.4, 0.3, 0.3))
    experiment = Experiment(three, {SCORE.name: normal((10.0, 10.2, 10.1), 5.0)})
    *_, before = run(experiment, looks=5, users=600)
    experiment.design = replace(three, stopped=frozenset({"b"}))
    experiment.shares = (4 / 7, 3 / 7, 0.0)
    *_, after = run(experiment, looks=10, users=600, state=before.state)
    assert after.result.srm.status == "ok"
    assert after.result.srm.epochs == 2
    assert after.result.srm.expected == pytest.approx({"control": 4 / 7, "a": 3 / 7})
    assert after.result.arms[2].stopped
    assert "stopped" in after.result.arms[2].waiting
    experiment.design = three  # the same users against the old plan would be a mismatch
    wrong = evaluate(three, experiment.add(600), None)
    assert wrong.result.srm.status == "block"


def test_a_mismatch_before_a_change_of_shares_counts_after_it() -> None:
    """The evidence of the epochs is multiplied."""
    experiment = Experiment(design(), SAME, shares=(0.54, 0.46))
    *_, before = run(experiment, looks=10, users=300)
    evidence = before.result.srm.e_value
    assert evidence > 3
    experiment.design = replace(experiment.design, weights=(0.7, 0.3))
    experiment.shares = (0.7, 0.3)
    *_, after = run(experiment, looks=1, users=300, state=before.state)
    assert after.result.srm.e_value == pytest.approx(evidence, rel=1e-9)


def test_the_same_arguments_give_the_same_outcome() -> None:
    """A repeated look gives the same bytes and event ids."""
    *_, before = run(Experiment(design(), BETTER, seed=5), looks=1, users=150)
    experiment = Experiment(design(), BETTER, seed=6)
    data = experiment.add(3_000, hours=10)
    one, two = (evaluate(design(), data, before.state) for _ in range(2))
    assert encode_state(one.state) == encode_state(two.state)
    assert encode_result(one.result) == encode_result(two.result)
    assert one.events == two.events
    assert one.events


def test_a_restored_state_continues_as_if_nothing_had_happened() -> None:
    """State and result survive their bytes, in the middle of an experiment."""
    plan = design(secondary=(LATENCY,), guardrails=(COST,))
    draw = {
        SCORE.name: normal((10.0, 10.3), 3.0),
        LATENCY.name: normal((6.0, 5.8)),
        COST.name: normal((0.5, 0.56), 0.2),
    }
    *_, middle = run(Experiment(plan, draw), looks=8, users=150)
    restored = decode_state(encode_state(middle.state))
    assert restored == middle.state
    assert decode_result(encode_result(middle.result)) == middle.result
    data = Experiment(plan, draw, seed=7).add(4_000, hours=30)
    assert evaluate(plan, data, restored) == evaluate(plan, data, middle.state)


def test_a_new_phase_archives_the_decisions_and_begins_anew() -> None:
    """Verdicts of another phase are kept apart, and bind nothing."""
    *_, old = run(Experiment(design(), BETTER), looks=10, users=200)
    fresh = evaluate(design(phase="p2"), Experiment(design(), SAME).add(50), old.state)
    assert verdict(fresh) == "not_yet"
    (archived,) = fresh.result.archive
    assert archived.phase == "p1"
    assert [each.verdict for each in archived.decisions] == ["better"]
    assert sum(archived.users.values()) == 2_000


def test_an_earlier_look_is_refused() -> None:
    """A look is after the last one."""
    outcome = evaluate(design(), Experiment(design(), SAME).add(50), None)
    with pytest.raises(ValueError, match="not after"):
        evaluate(design(), Experiment(design(), SAME).look(), outcome.state)


def test_the_criteria_of_a_phase_are_those_declared_first() -> None:
    """Criteria that are changed after the data were seen are named and have no effect."""
    *_, before = run(Experiment(design(min_users=5_000), BETTER), looks=10, users=200)
    experiment = Experiment(design(min_users=5_000), BETTER)
    data = experiment.add(3_000, hours=11)
    changed = design(min_users=10, alpha=0.2, goal=replace(SCORE, mde=0.5))
    after = evaluate(changed, data, before.state)
    assert after.result.ignored == ("alpha", "mde", "min_users")
    assert after.result.criteria == before.result.criteria
    assert verdict(after) == "not_yet"


def test_a_goal_that_the_design_has_lost_gives_no_verdict() -> None:
    """The declared goal is not replaced by another one."""
    *_, before = run(Experiment(design(), SAME), looks=1, users=150)
    data = Experiment(design(), {LATENCY.name: normal((6.0, 5.0))}).add(3_000, hours=11)
    after = evaluate(design(goal=LATENCY), data, before.state)
    assert "goal" in after.result.ignored
    assert "no_values" in waiting(after)


def test_the_goal_shares_alpha_among_the_arms() -> None:
    """Each of three treatments is compared at a third of alpha."""
    many = design(variants=("control", "a", "b", "c"), weights=(0.25,) * 4)
    draw = {SCORE.name: normal((10.0,) * 4)}
    outcome = evaluate(many, Experiment(many, draw).add(1_000), None)
    assert outcome.result.criteria.level == pytest.approx(0.05 / 3)
    assert {each.level for each in outcome.result.comparisons} == {outcome.result.criteria.level}


def test_a_planned_end_has_one_fixed_test() -> None:
    """At the planned number of users one fixed test decides what the sequence does not."""
    found: dict[str, int] = {}
    for seed in range(12):
        plan = design(planned_users=6_000)
        experiment = Experiment(plan, {SCORE.name: normal((10.0, 10.25), 3.0)}, seed=seed)
        *_, last = run(experiment, looks=10, users=600)
        assert last.result.criteria.level == pytest.approx(0.01)
        assert last.state.final == {"treatment"} or verdict(last) != "not_yet"
        decision = last.result.arms[1].decision
        if decision is not None:
            found[decision.rule] = found.get(decision.rule, 0) + 1
        *_, later = run(experiment, looks=1, users=10, state=last.state)
        again = later.result.arms[1].decision
        assert again is None or again.rule != "planned_end" or again == decision
    assert found.get("planned_end", 0) >= 2


def test_a_guardrail_is_harmed_beyond_its_margin() -> None:
    """A cost that rises by a third is a breach, reported once; it blocks no verdict of the goal."""
    plan = design(guardrails=(COST,))
    draw = {SCORE.name: normal((10.0, 11.0)), COST.name: normal((0.3, 0.4), 0.1)}
    outcomes = list(run(Experiment(plan, draw), looks=10, users=300))
    events = [event for outcome in outcomes for event in outcome.events]
    breaches = [event for event in events if event.kind == "guardrail"]
    assert [(event.outcome, event.metric) for event in breaches] == [("harm", COST.name)]
    assert breaches[0].severity == "warning"
    comparison = outcomes[-1].result.comparison(COST.name, "treatment")
    assert comparison is not None
    assert comparison.guardrail is not None
    assert comparison.guardrail.harm == breaches[0].time
    assert comparison.guardrail.safe is None
    assert verdict(outcomes[-1]) == "better"


def test_an_unchanged_guardrail_is_safe() -> None:
    """A cost that stays is found not to rise by more than the margin, without an event."""
    plan = design(guardrails=(COST,))
    draw = {SCORE.name: normal((10.0, 10.0)), COST.name: normal((0.3, 0.3), 0.05)}
    outcomes = list(run(Experiment(plan, draw), looks=10, users=300))
    comparison = outcomes[-1].result.comparison(COST.name, "treatment")
    assert comparison is not None
    assert comparison.guardrail is not None
    assert comparison.guardrail.safe is not None
    assert not [e for outcome in outcomes for e in outcome.events if e.kind == "guardrail"]


def test_a_small_certain_harm_within_the_margin_breaches_nothing() -> None:
    """Both findings hold and are shown; nobody is called."""
    cost = replace(COST, mde=0.2)
    plan = design(guardrails=(cost,))
    draw = {SCORE.name: normal((10.0, 10.0)), COST.name: normal((0.3, 0.318), 0.05)}
    outcomes = list(run(Experiment(plan, draw), looks=10, users=400))
    comparison = outcomes[-1].result.comparison(COST.name, "treatment")
    assert comparison is not None
    assert comparison.guardrail is not None
    assert comparison.guardrail.harm is not None
    assert comparison.guardrail.safe is not None
    assert not [e for outcome in outcomes for e in outcome.events if e.kind == "guardrail"]


def test_secondary_metrics_are_reported_together() -> None:
    """A secondary metric with an effect is found, one without is not; they are no verdict."""
    other = Metric("feedback", "feedback", Scale.MEAN, "higher", 0.01)
    plan = design(secondary=(LATENCY, other))
    draw = {
        SCORE.name: normal((10.0, 10.0), 5.0),
        LATENCY.name: normal((6.0, 5.8)),
        other.name: normal((10.0, 10.0), 5.0),
    }
    *_, last = run(Experiment(plan, draw), looks=10, users=300)
    found = {each.metric: each.verdict for each in last.result.comparisons}
    assert found[LATENCY.name] == "better"
    assert found[other.name] == "not_yet"


def test_days_to_go_follow_from_the_traffic() -> None:
    """Twice the traffic needs about half the days; without traffic the days are unknown."""
    draw = {SCORE.name: normal((10.0, 10.1), 6.0)}
    slow, fast = (
        list(run(Experiment(design(), draw, seed=3), looks=20, users=100, hours=hours))[-1]
        for hours in (2.0, 1.0)
    )
    days = slow.result.arms[1].days_to_go, fast.result.arms[1].days_to_go
    assert days[0] is not None
    assert days[1] is not None
    assert days[0] == pytest.approx(2 * days[1], rel=0.2)
    assert days[0] > 0


@pytest.mark.parametrize(
    ("other", "hours"), [({"min_hours": 168.0}, 158.0), ({"min_users": 5_000}, 40.0)]
)
def test_days_to_go_include_the_declared_minimums(other: dict[str, float], hours: float) -> None:
    """With strong evidence after 10 hours of 100 users an arm, only the minimum is missing."""
    *_, last = run(Experiment(design(**other), BETTER), looks=10, users=200)
    days = last.result.arms[1].days_to_go
    assert days == pytest.approx(hours / 24, rel=0.05)


def test_a_stopped_or_blocked_arm_has_no_days_to_go() -> None:
    """No traffic gives it a verdict."""
    draw = {SCORE.name: normal((10.0, 10.1), 6.0)}
    stopped = design(stopped=frozenset({"treatment"}))
    blocked = Experiment(design(), draw, shares=(0.7, 0.3))
    for experiment, reason in ((Experiment(stopped, draw), "stopped"), (blocked, "sample_ratio")):
        *_, last = run(experiment, looks=10, users=300)
        assert reason in waiting(last)
        assert last.result.arms[1].days_to_go is None


def test_values_that_are_missing_in_one_arm_are_named() -> None:
    """The reason says which arm has none."""
    experiment = Experiment(design(), {SCORE.name: normal((10.0, 10.0))})
    experiment.add(300)
    experiment.sums[SCORE.name].n[0] = 0
    found = evaluate(design(), experiment.look(), None).result.comparison(SCORE.name, "treatment")
    assert found is not None
    assert found.problem == "no values in the control"


def test_values_without_spread_wait_for_some() -> None:
    """The mean is far from zero, and the variance is zero."""
    experiment = Experiment(design(), {SCORE.name: normal((2.0, 2.0), 0.0)})
    outcome = evaluate(design(), experiment.add(2_000), None)
    assert waiting(outcome) == ("no_spread",)


def test_the_history_is_bounded_and_ends_with_the_look() -> None:
    """Hundreds of looks leave at most 200 points, in order."""
    experiment = Experiment(design(), {SCORE.name: normal((10.0, 10.0), 50.0)})
    *_, last = run(experiment, looks=300, users=60, hours=1 / 60)
    points = last.result.history[SCORE.name]["treatment"]
    assert 50 < len(points) <= 201
    assert [p.time for p in points] == sorted(p.time for p in points)
    assert points[-1].time == last.result.time
    assert len(encode_state(last.state)) < 20_000


def test_hours_count_from_the_first_exposure() -> None:
    """The clock of min_hours is the event time of the looks."""
    *_, last = run(Experiment(design(), SAME), looks=3, users=100, hours=2.0)
    assert last.result.first_time == START
    assert [arm.hours for arm in last.result.arms] == [6.0, 6.0]
