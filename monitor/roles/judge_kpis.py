"""Which KPIs the judged features measure, and which features measure none."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from judges.rubrics import loading
from monitor.config.sections.judging.section import JudgesConfig
from monitor.events.wording.drift import printable

PREFIXES = ("judge.", "ragas.", "check.")


def judged_features(config: JudgesConfig) -> list[str]:
    """Return the features of all configured rubrics, metrics and checks.

    Raises UserError if a rubric cannot be read.
    """
    return [
        *(f"judge.{loading.load(name).name}" for name in config.rubrics),
        *(f"ragas.{name}" for name in config.ragas),
        *(f"check.{name}" for name in config.checks),
    ]


def unmapped(config: JudgesConfig, features: Iterable[str]) -> list[str]:
    """Return the features that measure no KPI; none if no KPI is configured."""
    mapped = {feature for each in config.kpis.values() for feature in each}
    return [name for name in features if name not in mapped] if config.kpis else []


def kpi_warnings(config: JudgesConfig) -> list[str]:
    """Return what a mapping lacks: judged features of no KPI, and features that do not exist.

    Raises UserError if a rubric cannot be read.
    """
    if not config.kpis:
        return []
    features = judged_features(config)
    warnings = [
        f"judges.kpis: {name} measures no KPI; add it to one" for name in unmapped(config, features)
    ]
    for kpi, mapped in config.kpis.items():
        warnings += [
            f"judges.kpis.{kpi}: {name} is not configured in judges, so this KPI lacks it"
            for name in mapped
            if name.startswith(PREFIXES) and name not in features
        ]
    return warnings


def kpi_report(config: JudgesConfig, means: Mapping[str, float | None]) -> dict[str, Any]:
    """Return the part of a report about KPIs; empty if none is configured.

    means: of the features in the report, None where it is unknown.
    """
    if not config.kpis:
        return {}
    kpis = {kpi: {name: means.get(name) for name in names} for kpi, names in config.kpis.items()}
    return {"kpis": kpis, "unmapped": unmapped(config, means)}


def kpi_lines(report: Mapping[str, Any]) -> Iterator[str]:
    """Yield this part as lines for a console, without control characters."""
    for kpi, means in report.get("kpis", {}).items():
        shown = (name if mean is None else f"{name} {mean:.3f}" for name, mean in means.items())
        yield printable(f"KPI {kpi}: {', '.join(shown)}")
    if report.get("unmapped"):
        yield printable(f"without a KPI: {', '.join(report['unmapped'])}")
