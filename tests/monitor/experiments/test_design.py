"""The design of an experiment: from the configuration, and what begins a new phase."""

from __future__ import annotations

from typing import Any

import pytest

from monitor.config.sections.experiments.section import ExperimentConfig
from monitor.experiments.design import Design, Metric, Scale, design_of

BASE: dict[str, Any] = {
    "variants": {"control": 1, "treatment": 3},
    "goal": "latency_ms",
    "secondary": [{"metric": "score.x", "direction": "lower", "mde": 0.2}, "error"],
    "guardrails": ["cost_usd.capped", "latency_ms.p95", "cost_usd.zero"],
    "caps": {"cost_usd": 0.5},
    "assignment": "hash",
}


def design(**settings: Any) -> Design:
    """Return the design of an experiment with these settings."""
    return design_of("new-prompt", ExperimentConfig.model_validate(BASE | settings))


def test_a_design_has_the_settings() -> None:
    """Weights are normalised, and metrics have their scale, direction and effect."""
    found = design(alpha=0.01, min_users=200, min_hours=3, planned_users=999, mde=0.1)
    assert (found.name, found.variants, found.weights) == (
        "new-prompt",
        ("control", "treatment"),
        (0.25, 0.75),
    )
    assert found.metrics == (
        Metric("latency_ms", "latency_ms", Scale.LOG, "lower", 0.1),
        Metric("score.x", "score.x", Scale.MEAN, "lower", 0.2),
        Metric("error", "error", Scale.MEAN, "lower", 0.1),
        Metric("cost_usd.capped", "cost_usd", Scale.CAPPED, "lower", 0.1, cap=0.5),
        Metric("latency_ms.p95", "latency_ms", Scale.P95, "lower", 0.1),
        Metric("cost_usd.zero", "cost_usd", Scale.ZERO, "lower", 0.1),
    )
    assert (found.alpha, found.min_users, found.min_hours) == (0.01, 200, 3)
    assert (found.planned_users, found.assignment) == (999, "hash")


NEW_PHASE: list[dict[str, Any]] = [
    {"variants": {"control": 1, "treatment": 2}},
    {"variants": {"treatment": 3, "control": 1}},
    {"variants": {"control": 1, "treatment": 3, "third": 1}},
    {"seed": "other"},
    {"unit": "session_id"},
    {"assignment": "check"},
    {"phase": 2},
    {"phase": 2, "seed": "new-prompt"},
    {"goal": "latency_ms.capped", "caps": {"cost_usd": 0.5, "latency_ms": 9000}},
    {"secondary": ["error"]},
    {"secondary": [*BASE["secondary"], "refusal"]},
    {"caps": {"cost_usd": 0.6}},
    {"start": 1793491200},
    {"pre_period": {"start": 1793491200, "hours": 24}},
    {"pre_period": {"start": 1793491200, "hours": 12}, "start": 1793577600},
]
SAME_PHASE: list[dict[str, Any]] = [
    {"variants": {"control": 0.25, "treatment": 0.75}},
    {"seed": "new-prompt"},
    {"coverage": 0.1},
    {"stopped": ["treatment"]},
    {"overrides": {"tester": "treatment"}},
    {"namespace": {"name": "ui", "range": [0, 0.5]}},
    {"alpha": 0.01, "min_users": 1000, "min_hours": 24, "planned_users": 5000},
    {"mde": 0.1},
    {"goal": "error", "secondary": ["latency_ms", "score.x"]},
]


def test_a_phase_is_fixed() -> None:
    """The hash is the same in every process and version, because stored sums carry it."""
    assert design().phase == "809f9a75f8d7"


@pytest.mark.parametrize("settings", NEW_PHASE, ids=str)
def test_what_sums_depend_on_begins_a_new_phase(settings: dict[str, Any]) -> None:
    """Sums of other variants, weights, units, metrics, caps or times are never mixed."""
    phases = [design(**each).phase for each in NEW_PHASE]
    assert design(**settings).phase != design().phase
    assert phases.count(design(**settings).phase) == 1


@pytest.mark.parametrize("settings", SAME_PHASE, ids=str)
def test_other_changes_keep_the_phase(settings: dict[str, Any]) -> None:
    """A ramp, a stopped variant or other criteria keep the sums."""
    assert design(**settings).phase == design().phase
