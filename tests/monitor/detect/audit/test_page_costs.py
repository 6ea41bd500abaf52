"""Page costs of a log: budget, audited rate, and alarms by feature."""

from __future__ import annotations

from dataclasses import replace

import pytest

from monitor.config.schema import Config
from monitor.detect.audit import page_costs
from monitor.detect.monitor import DriftMonitor
from monitor.detect.reference import builder
from monitor.events.types import DriftEvent
from tests.monitor import synthetic

CHANGE = 6_000
LOG = synthetic.joined(
    synthetic.stream(CHANGE, seed=1),
    synthetic.stream(300, seed=2, factor=3.0),
    synthetic.stream(3_700, seed=3),
)
RATE_A_MONTH = 30 * 86_400 * synthetic.RATE


@pytest.fixture(autouse=True)
def short_audits(monkeypatch: pytest.MonkeyPatch) -> None:
    """Audit a tenth of the usual values."""
    monkeypatch.setattr(page_costs, "VALUES", 600_000)


def monitored(settings: Config, *models: str) -> tuple[DriftMonitor, list[DriftEvent]]:
    """Return a monitor after a log with one drift of latency, and its events."""
    monitor = DriftMonitor(settings, {})
    logs = [replace(LOG, model=model) for model in models or ("m",)]
    return monitor, [event for log in logs for event in monitor.process(log)]


def test_costs_are_promised_measured_and_counted() -> None:
    """Costs have the budget, the rate measured on the reference, and the alarms of the log."""
    monitor, events = monitored(synthetic.config())
    budget = page_costs.compute(monitor, events)["m"]
    assert (budget.per_days, budget.promised, budget.reason) == (30, 1, None)
    assert budget.measured is not None
    assert budget.low is not None
    assert budget.high is not None
    assert budget.low <= budget.measured <= budget.high
    assert budget.records >= page_costs.VALUES / 5
    assert budget.days == pytest.approx(budget.records / (synthetic.RATE * 86_400), rel=0.01)
    opened = sum(e.change == "opened" and e.feature == "latency_ms" for e in events)
    assert opened >= 1
    expected = opened / (len(LOG) - synthetic.WARMUP) * RATE_A_MONTH
    assert budget.features["latency_ms"].pages == opened
    assert budget.features["latency_ms"].per_period == pytest.approx(expected, rel=0.02)


def test_costs_are_deterministic() -> None:
    """A second computation gives the same costs."""
    monitor, events = monitored(synthetic.config())
    assert page_costs.compute(monitor, events) == page_costs.compute(monitor, events)


def test_model_in_warm_up_has_no_costs() -> None:
    """Without a reference there is no audit and no alarm."""
    monitor = DriftMonitor(synthetic.config(), {})
    monitor.process(synthetic.stream(synthetic.WARMUP - 1))
    assert page_costs.compute(monitor, []) == {}


def test_alarms_of_segments_are_not_counted() -> None:
    """The costs of a model exclude its segments; with a segment key its budget is half."""
    monitor, events = monitored(synthetic.config(segments=("metadata.route",)))
    budget = page_costs.compute(monitor, events)["m"]
    assert any(event.segment for event in events)
    assert budget.promised == 0.5
    opened = [e for e in events if e.change == "opened" and not e.segment]
    assert sum(cost.pages for cost in budget.features.values()) == len(opened)


def test_number_of_audited_models_is_limited(monkeypatch: pytest.MonkeyPatch) -> None:
    """The costs of the other models have a reason instead of a rate."""
    monkeypatch.setattr(page_costs, "MODELS", 1)
    monitor, events = monitored(synthetic.config(), "a", "b")
    costs = page_costs.compute(monitor, events)
    assert costs["a"].measured is not None
    assert costs["b"].measured is None
    assert costs["b"].reason == "only the 1 models with the most records are audited"
    assert costs["b"].features


def test_short_reference_has_a_reason() -> None:
    """A reference too short for an audit has costs without a rate."""
    monitor, events = monitored(synthetic.config())
    watch = monitor.log.watches["m", ""]
    short = builder.build([synthetic.stream(300)], segment="", window=200, categories=10)
    watch.adopt(short)
    watch.feed(synthetic.stream(1000))
    costs = page_costs.compute(monitor, events)["m"]
    assert costs.measured is None
    assert costs.reason == "reference of 300 records is shorter than 2 windows of 200"
