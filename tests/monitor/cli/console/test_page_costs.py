"""The lines about the false-page budget that `plumbline backtest` prints."""

from __future__ import annotations

import pytest
from msgspec import structs

from monitor.cli import report
from monitor.cli.console import tables
from monitor.detect.audit.page_costs import FalsePages, FeaturePages, PageCosts

WITHIN_BUDGET = PageCosts(
    per_days=30, promised=1, measured=0.0, low=0.0, high=311.2, records=925_500, days=0.356
)


def printed(capsys: pytest.CaptureFixture[str], costs: PageCosts, model: str = "m") -> list[str]:
    """Return the printed lines about the budget of a model."""
    result = report.build(
        models={"m": 1}, rejections=[], seconds=1.0, events=[], budget={model: costs}
    )
    tables.print_report(result)
    return capsys.readouterr().out.splitlines()[2:]


def test_line_has_budget_and_measured_rate(capsys: pytest.CaptureFixture[str]) -> None:
    """Each model has a line with both, and a line per feature with alarms."""
    lines = printed(
        capsys,
        structs.replace(
            WITHIN_BUDGET,
            features={"latency_ms": FeaturePages(2, 1083.61), "error": FeaturePages(4, 1.5)},
        ),
    )
    assert lines == [
        "m: budget 1 false page in 30 days, no false page in 0.36 days of traffic replayed from "
        "the reference (925,500 records)",
        "  latency_ms: 2 pages in this log",
        "  error: 4 pages in this log, 1.5 in 30 days at this rate",
    ]


def test_measured_rate_has_an_interval_if_the_replay_is_long(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """A replay of a whole period, or one that contradicts the budget, has rate and interval."""
    long = structs.replace(WITHIN_BUDGET, measured=0.5, low=0.1, high=1.8, days=60.0)
    [line] = printed(capsys, long)
    assert "measured 0.5 (95 % interval 0.1 to 1.8; reference replayed for " in line
    few = structs.replace(WITHIN_BUDGET, measured=30.0, days=1.0)
    assert "1 false page in 1 days" in printed(capsys, few)[0]


def test_exceeded_budget_has_causes_and_advice(capsys: pytest.CaptureFixture[str]) -> None:
    """The line names features and detectors with the most false pages."""
    pages = [FalsePages("latency_ms", "ks", 40), FalsePages("error", "psi", 2)]
    exceeded = structs.replace(WITHIN_BUDGET, measured=50.0, contradicts=True, false_pages=pages)
    lines = printed(capsys, exceeded)
    assert lines[1].startswith("  over budget, mostly latency_ms by ks, error by psi: build")


def test_missing_rate_has_a_reason(capsys: pytest.CaptureFixture[str]) -> None:
    """Without an audit, the line has a reason and no number."""
    lines = printed(capsys, PageCosts(per_days=7, promised=2.5, reason="too short"))
    assert lines == ["m: budget 2.5 false pages in 7 days, not measured: too short"]


def test_names_are_escaped_for_the_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    """Control characters and markup in names of models and features are escaped."""
    hostile = "\x1b[31m[bold]x"
    pages = [FalsePages(hostile, "ks", 1)]
    costly = structs.replace(
        WITHIN_BUDGET, contradicts=True, false_pages=pages, features={hostile: FeaturePages(1, 1.0)}
    )
    text = "\n".join(printed(capsys, costly, hostile))
    assert "\x1b" not in text
    assert text.count("[31m[bold]x") == 3
