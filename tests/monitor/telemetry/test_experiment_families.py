"""Metric families of experiments: findings as states, numbers only where they exist."""

from __future__ import annotations

import pytest

from monitor.experiments.decisions.result import Guardrail
from monitor.telemetry.counters.experiments import ExperimentMetrics
from monitor.telemetry.counters.metrics import Metrics
from monitor.telemetry.families.experiments import guardrail_state
from tests.monitor.experiments.decisions.looks import COST, SCORE, Experiment, design, normal, run
from tests.monitor.telemetry.scrape import everything, get, samples

ARM = {"experiment": "prompt", "variant": "treatment"}
GOAL = {**ARM, "metric": SCORE.name}


def test_users_means_and_effects_are_gauges() -> None:
    """Numbers are by experiment, variant and metric; the control has means and no effects."""
    found = samples(everything())
    control = {"experiment": "prompt", "variant": "control", "metric": SCORE.name}
    users = [
        get(found, "experiment_users", experiment="prompt", variant=v)
        for v in ("control", "treatment")
    ]
    assert sum(value or 0 for value in users) == 600
    assert get(found, "experiment_mean", **GOAL) == pytest.approx(10, abs=1)
    assert get(found, "experiment_mean", **control) == pytest.approx(10, abs=1)
    effect, lower, upper = (
        get(found, f"experiment_effect{s}", **GOAL) for s in ("", "_lower", "_upper")
    )
    assert effect is not None
    assert lower is not None
    assert upper is not None
    assert lower < effect < upper
    assert get(found, "experiment_effect", **control) is None
    assert get(found, "experiment_looks_total", experiment="prompt") == 1
    assert get(found, "experiment_exposures_total", experiment="prompt") == 600
    assert get(found, "experiment_exposures_ignored_total", reason="other_phase") == 0
    assert get(found, "experiment_records_without_unit_total", experiment="prompt") == 3


def test_the_state_that_holds_has_a_sample() -> None:
    """A state that no longer holds has none, so that its alert resolves."""
    metrics = Metrics(experiments=ExperimentMetrics())
    assert metrics.experiments is not None
    experiment = Experiment(design(), {SCORE.name: normal((10.0, 11.0))})
    first, *_, last = run(experiment, looks=6, users=150)
    metrics.experiments.publish(first.result)
    found = samples(metrics)
    assert get(found, "experiment_verdict", **GOAL, verdict="not_yet") == 1
    metrics.experiments.publish(last.result)
    found = samples(metrics)
    assert get(found, "experiment_verdict", **GOAL, verdict="not_yet") is None
    assert get(found, "experiment_verdict", **GOAL, verdict="better") == 1
    assert get(found, "experiment_srm_status", experiment="prompt", status="ok") == 1
    metrics.experiments.remove("prompt")
    assert get(samples(metrics), "experiment_verdict", **GOAL, verdict="better") is None


def test_numbers_that_do_not_exist_have_no_sample() -> None:
    """Before the end of the burn-in there is no interval."""
    metrics = Metrics(experiments=ExperimentMetrics())
    assert metrics.experiments is not None
    experiment = Experiment(design(), {SCORE.name: normal((10.0, 11.0))})
    (only,) = run(experiment, looks=1, users=50)
    metrics.experiments.publish(only.result)
    found = samples(metrics)
    assert get(found, "experiment_effect_lower", **GOAL) is None
    assert get(found, "experiment_time_to_verdict_seconds", **ARM) is None


@pytest.mark.parametrize(
    ("harm", "safe", "state"),
    [(None, None, "unknown"), (1.0, None, "harm"), (None, 1.0, "safe"), (1.0, 2.0, "both")],
)
def test_the_state_of_a_guardrail(harm: float | None, safe: float | None, state: str) -> None:
    """Both findings can hold: worse, but by less than the margin."""
    assert guardrail_state(Guardrail(margin=0.05, harm=harm, safe=safe)) == state


def test_the_guardrail_of_everything_is_exported() -> None:
    """A cost that rose by a third is harm."""
    labels = {**ARM, "metric": COST.name}
    assert get(samples(everything()), "experiment_guardrail", **labels, state="harm") == 1
