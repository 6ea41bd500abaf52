"""What pages cost, in a back-test's report and on the screen."""

from __future__ import annotations

from dataclasses import replace

import pytest
from msgspec import structs

from monitor import console, costs, reference, report
from monitor.config import Config
from monitor.drift import DriftMonitor
from monitor.events import DriftEvent
from monitor.report import Budget, Cost, Replayed
from tests.monitor import made

CHANGE = 6_000
LOG = made.joined(
    made.stream(CHANGE, seed=1), made.stream(300, seed=2, factor=3.0), made.stream(3_700, seed=3)
)
RATE_A_MONTH = 30 * 86_400 * made.RATE


@pytest.fixture(autouse=True)
def short_audits(monkeypatch: pytest.MonkeyPatch) -> None:
    """A tenth of what is replayed otherwise."""
    monkeypatch.setattr(costs, "VALUES", 600_000)


def watched(settings: Config, *models: str) -> tuple[DriftMonitor, list[DriftEvent]]:
    """A monitor that has seen a log in which latency drifts once, and its events."""
    monitor = DriftMonitor(settings, {})
    logs = [replace(LOG, model=model) for model in models or ("m",)]
    return monitor, [event for log in logs for event in monitor.process(log)]


def shown(capsys: pytest.CaptureFixture[str], budget: Budget, model: str = "m") -> list[str]:
    """What the screen says of a model's budget."""
    made_report = report.build(
        models={}, rejections={}, seconds=1.0, events=[], budget={model: budget}
    )
    console.print_report(made_report)
    return capsys.readouterr().out.splitlines()[2:]


def test_promise_measure_and_cost_stand_side_by_side() -> None:
    """False pages in thirty days: allowed, measured on the reference, and as the log had them."""
    monitor, events = watched(made.config())
    budget = costs.of(monitor, events)["m"]
    assert (budget.per_days, budget.promised, budget.reason) == (30, 1, None)
    assert budget.measured is not None
    assert budget.low is not None
    assert budget.high is not None
    assert budget.low <= budget.measured <= budget.high
    assert budget.records >= costs.VALUES / 5
    assert budget.days == pytest.approx(budget.records / (made.RATE * 86_400), rel=0.01)
    opened = sum(e.change == "opened" and e.feature == "latency_ms" for e in events)
    assert opened >= 1
    expected = opened / (len(LOG) - made.WARMUP) * RATE_A_MONTH
    assert budget.features["latency_ms"].pages == opened
    assert budget.features["latency_ms"].per_period == pytest.approx(expected, rel=0.02)


def test_without_chance() -> None:
    """The same log has the same costs."""
    monitor, events = watched(made.config())
    assert costs.of(monitor, events) == costs.of(monitor, events)


def test_models_in_their_warm_up_cost_nothing_yet() -> None:
    """Without a reference there is neither a promise nor an alarm."""
    monitor = DriftMonitor(made.config(), {})
    monitor.process(made.stream(made.WARMUP - 1))
    assert costs.of(monitor, []) == {}


def test_segments_are_no_models() -> None:
    """Their alarms are not the whole model's, whose promise is half of the budget then."""
    monitor, events = watched(made.config(segments=("metadata.route",)))
    budget = costs.of(monitor, events)["m"]
    assert any(event.segment for event in events)
    assert budget.promised == 0.5
    opened = [e for e in events if e.change == "opened" and not e.segment]
    assert sum(cost.pages for cost in budget.features.values()) == len(opened)


def test_many_models_are_not_all_audited(monkeypatch: pytest.MonkeyPatch) -> None:
    """The others say why."""
    monkeypatch.setattr(costs, "MODELS", 1)
    monitor, events = watched(made.config(), "a", "b")
    found = costs.of(monitor, events)
    assert found["a"].measured is not None
    assert found["b"].measured is None
    assert found["b"].reason == "only the 1 models with the most records are audited"
    assert found["b"].features


def test_a_reference_too_short_says_so() -> None:
    """It costs nothing but the audit."""
    monitor, events = watched(made.config())
    watch = monitor.watches["m", ""]
    short = reference.build([made.stream(300)], segment="", window=200, categories=10)
    watch.adopt(short)
    watch.feed(made.stream(1000))
    found = costs.of(monitor, events)["m"]
    assert found.measured is None
    assert found.reason == "a reference of 300 records holds no two windows of 200"


FINE = Budget(
    per_days=30, promised=1, measured=0.0, low=0.0, high=311.2, records=925_500, days=0.356
)


def test_a_line_says_promised_and_measured(capsys: pytest.CaptureFixture[str]) -> None:
    """One for each model; then what its features' alarms cost."""
    told = shown(capsys, structs.replace(FINE, features={"latency_ms": Cost(2, 1083.61)}))
    assert told == [
        "m: promised 1 false page in 30 days, measured 0 (95 % interval 0 to 311; reference "
        "replayed for 925,500 records, 0.36 days of traffic)",
        "  latency_ms: 2 pages in this log, 1,084 in 30 days at this rate",
    ]


def test_a_broken_promise_stands_out(capsys: pytest.CaptureFixture[str]) -> None:
    """With those who broke it, and what to do."""
    pages = [Replayed("latency_ms", "ks", 40), Replayed("error", "psi", 2)]
    broken = structs.replace(FINE, measured=50.0, contradicts=True, false_pages=pages)
    told = shown(capsys, broken)
    assert told[1].startswith("  more than promised, mostly latency_ms by ks, error by psi: build")


def test_what_was_not_measured_has_its_reason(capsys: pytest.CaptureFixture[str]) -> None:
    """And no number that could be taken for one."""
    told = shown(capsys, Budget(per_days=7, promised=2.5, reason="too short"))
    assert told == ["m: promised 2.5 false pages in 7 days, not measured: too short"]


def test_names_cannot_steer_the_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    """Models and features come from a log."""
    hostile = "\x1b[31m[bold]x"
    pages = [Replayed(hostile, "ks", 1)]
    costly = structs.replace(
        FINE, contradicts=True, false_pages=pages, features={hostile: Cost(1, 1.0)}
    )
    text = "\n".join(shown(capsys, costly, hostile))
    assert "\x1b" not in text
    assert text.count("[31m[bold]x") == 3
