"""The page: summary, then for each model its timeline and drifted features, then the log's faults.

Everything is bounded: a page with thousands of sections helps no reader.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib.resources import files
from itertools import islice
from pathlib import Path
from xml.etree.ElementTree import Element

from monitor import __version__
from monitor.cli.console import budget_text, dropped_text
from monitor.cli.html import incidents
from monitor.cli.html.experiment.summary import experiments_section
from monitor.cli.html.feature import badge, section
from monitor.cli.html.incidents import DriftedFeature
from monitor.cli.html.timeline import timeline
from monitor.cli.report import Report
from monitor.detect.explain.distribution import Distribution
from monitor.events.types import pages
from monitor.events.wording.markup import Child, document, element, table, unordered

MAX_SECTIONS = 300
"""Features with a section, over all models; the others are counted."""
MAX_MODELS = 1000
"""Models in the summary and in the list of budgets."""

Features = Mapping[str, Sequence[DriftedFeature]]
"""Drifted features by model."""


def write(
    report: Report, distributions: Mapping[str, Distribution], sources: Sequence[Path], path: Path
) -> None:
    """Write the page. distributions: by event id. sources: the files of the log."""
    path.write_bytes(build(report, distributions, sources))


def build(
    report: Report, distributions: Mapping[str, Distribution], sources: Sequence[Path]
) -> bytes:
    """Return the page as HTML. distributions: by event id. sources: the files of the log."""
    features = incidents.by_model(report)
    lines = report.records + report.rejected
    lines = max([lines, *(e.position for e in [*report.events, *report.updated, *report.resolved])])
    folder = files("monitor.cli.html")
    style = (folder / "style.css").read_text(encoding="utf-8")
    if report.experiments:
        style += (folder / "experiment" / "experiment.css").read_text(encoding="utf-8")
    return document(
        "Drift report",
        style,
        _header(report, features, sources),
        element(
            "main",
            _summary(report, features),
            *_models(features, distributions, lines),
            experiments_section(report.experiments),
            _unread(report),
            _budgets(report),
        ),
        element("footer", f"Plumbline {__version__}"),
    )


def _header(report: Report, features: Features, sources: Sequence[Path]) -> Element:
    names = ", ".join(str(path) for path in sources[:3]) + (", ..." if len(sources) > 3 else "")
    models = "1 model" if len(report.models) == 1 else f"{len(report.models):,} models"
    counts = f"{report.records:,} records of {models}"
    if report.rejected:
        counts += f", {report.rejected:,} could not be read"
    return element(
        "header",
        element("h1", "Drift report"),
        element("p", counts, " in ", element("code", names)),
        element("p", _verdict(report, features), class_="verdict"),
    )


def _verdict(report: Report, features: Features) -> str:
    """Return the result in one sentence."""
    drifted = [each for found in features.values() for each in found]
    paging = [each for each in drifted if pages(each.severity)]
    if paging:
        critical = sum(each.severity == "critical" for each in paging)
        verb = "feature has" if len(paging) == 1 else "features have"
        return f"{len(paging):,} {verb} drifted, {critical:,} of them critically."
    if not report.records:
        return "Nothing was read."
    if not report.budget and report.warming_up:
        return "Nothing was watched: all models are still warming up."
    small = f" {len(drifted):,} with a change too small to page." if drifted else ""
    return f"No drift in the {report.records:,} records that were read.{small}"


def _summary(report: Report, features: Features) -> Element:
    """Return the table of models, drifted ones first."""
    order = [*features, *(model for model in report.models if model not in features)]
    rows = [_summary_row(report, model, features.get(model, ())) for model in order[:MAX_MODELS]]
    left = len(order) - len(rows)
    return element(
        "section",
        element("h2", "Models"),
        table(["model", "records", "drifted features", "state"], rows, "numbers"),
        element("p", f"{left:,} more models") if left else None,
    )


def _summary_row(report: Report, model: str, drifted: Sequence[DriftedFeature]) -> Sequence[Child]:
    records = f"{report.models.get(model, {}).get('records', 0):,}"
    names = ", ".join(each.title for each in drifted[:8]) + (", ..." if drifted[8:] else "")
    if drifted:
        return model, records, names, badge(drifted[0].severity)
    if model in report.warming_up:
        return model, records, "", f"warming up: needs {report.warming_up[model]:,} records"
    return model, records, "", "no drift" if model in report.budget else "not watched"


def _models(
    features: Features, distributions: Mapping[str, Distribution], lines: int
) -> list[Element]:
    """Return a section for each model with drift, and the number of features left out."""
    sections, numbers = list[Element](), iter(range(MAX_SECTIONS))
    for model, drifted in features.items():
        shown = list(zip(drifted, numbers, strict=False))
        left = len(drifted) - len(shown)
        content = element(
            "section",
            element("h2", model),
            timeline(drifted[:MAX_SECTIONS], lines),
            *(section(each, distributions, f"feature-{number}") for each, number in shown),
            element("p", f"{left:,} more drifted features") if left else None,
            class_="model",
        )
        sections.append(content)
        if len(sections) >= MAX_SECTIONS:
            break
    return sections


def _unread(report: Report) -> Element | None:
    """Return what could not be read, and what the limits cut off."""
    rows: list[Sequence[Child]] = [
        (
            each.reason,
            f"{each.count:,}",
            f"{each.first.file}, line {each.first.line:,}" if each.first else "",
            each.first.detail if each.first else "",
        )
        for each in report.rejections
    ]
    limits = list(dropped_text.lines(report.dropped))
    if not rows and not limits:
        return None
    rejected = f"{report.rejected:,} of {report.records + report.rejected:,} records could not be"
    headings = ["reason", "records", "first one", "detail"]
    return element(
        "section",
        element("h2", "Not checked"),
        element("p", f"{rejected} read and are not checked.") if rows else None,
        table(headings, rows, "numbers") if rows else None,
        unordered(limits, "limits") if limits else None,
    )


def _budgets(report: Report) -> Element | None:
    """Return the false pages allowed and measured, by model."""
    if not report.budget:
        return None
    items = []
    for model, budget in islice(report.budget.items(), MAX_MODELS):
        costs = [element("li", line) for line in budget_text.causes(budget)]
        costs += [element("li", line) for line in budget_text.costs(budget)]
        nested = element("ul", *costs) if costs else None
        items.append(element("li", budget_text.headline(model, budget), nested))
    return element(
        "section", element("h2", "False-page budget"), element("ul", *items, class_="budget")
    )
