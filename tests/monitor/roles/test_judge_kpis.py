"""The mapping of judged features to KPIs, and what it lacks."""

from __future__ import annotations

from typing import Any

from monitor.config.schema import Config
from monitor.config.sections.judging.section import JudgesConfig
from monitor.roles.judge_kpis import kpi_lines, kpi_report, kpi_warnings


def judges(**kpis: Any) -> JudgesConfig:
    """Return a section with three judged features and KPIs."""
    section = {
        "rubrics": ["tone"],
        "ragas": ["faithfulness"],
        "checks": {"short": {"kind": "length", "max_chars": 9}},
        "model": "m",
        "prices": {"m": {"input": 0, "output": 0}},
        "kpis": kpis,
    }
    return Config.model_validate({"judges": section}).judges


def test_unmapped_and_unknown_features_are_named() -> None:
    """Features of the log may be mapped as well; without KPIs there is no warning."""
    assert kpi_warnings(judges()) == []
    whole = judges(trust=["ragas.faithfulness", "feedback"], style=["judge.tone", "check.short"])
    assert kpi_warnings(whole) == []
    [unmapped, unknown] = kpi_warnings(
        judges(trust=["ragas.faithfulness", "check.shorter"], style=["judge.tone"])
    )
    assert unmapped.startswith("judges.kpis: check.short measures no KPI")
    assert unknown.startswith("judges.kpis.trust: check.shorter is not configured")


def test_reports_have_the_means_of_each_kpi() -> None:
    """A feature that the report lacks is there without a mean; others are listed as unmapped."""
    config = judges(trust=["ragas.faithfulness", "feedback"])
    report = kpi_report(config, {"ragas.faithfulness": 0.75, "judge.tone": 3.0})
    assert report == {
        "kpis": {"trust": {"ragas.faithfulness": 0.75, "feedback": None}},
        "unmapped": ["judge.tone"],
    }
    assert list(kpi_lines(report)) == [
        "KPI trust: ragas.faithfulness 0.750, feedback",
        "without a KPI: judge.tone",
    ]
    assert kpi_report(judges(), {"judge.tone": 3.0}) == {}
    assert list(kpi_lines({})) == []
