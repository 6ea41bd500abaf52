"""Tests that the dashboards comply with the rules, and that each rule detects violations."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from typing import Any

import pytest

from grafana.dashboards import build
from monitor.telemetry.exporter import registry
from tests.grafana.dashboards import rules
from tests.grafana.dashboards.rules import RULES
from tests.grafana.dashboards.variables import strings
from tests.monitor.telemetry.scrape import everything

TEXTS = build.texts()
EXPORTED = rules.exported(registry(everything()).collect())
NOT_SHOWN = frozenset(f"plumbline_web_request_seconds_{part}" for part in ("sum", "count"))
"""Metrics that no dashboard shows: quantiles of these durations are shown."""

Change = Callable[[dict[str, Any]], None]


def dashboard(name: str = "drift.json") -> dict[str, Any]:
    """Return a new copy of a dashboard, which a test may modify."""
    copied: dict[str, Any] = json.loads(TEXTS[name])
    return copied


def first(dashboard: dict[str, Any], kind: str = "timeseries") -> dict[str, Any]:
    """Return the first panel of a type."""
    panel: dict[str, Any] = next(p for p in dashboard["panels"] if p["type"] == kind)
    return panel


def variable(dashboard: dict[str, Any], name: str) -> dict[str, Any]:
    """Return a variable by name."""
    [found] = [each for each in dashboard["templating"]["list"] if each["name"] == name]
    assert isinstance(found, dict)
    return found


def setting(name: str, key: str, value: object) -> Change:
    """Return a change that sets a key of a variable."""
    return lambda d: variable(d, name).update({key: value})


def querying(query: str) -> Change:
    """Return a change that sets the query of the first graph."""
    return lambda d: first(d)["targets"][0].update(expr=query)


def removing(name: str) -> Change:
    """Return a change that removes a variable."""
    return lambda d: d["templating"]["list"].remove(variable(d, name))


SCOPED = 'job=~"$job", instance=~"$instance"'
VIOLATIONS: list[tuple[str, Change]] = [
    ("template_datasource", removing("datasource")),
    ("template_datasource", setting("datasource", "name", "source")),
    ("template_datasource", setting("datasource", "label", "Source")),
    ("template_job_and_instance", removing("job")),
    ("template_job_and_instance", removing("instance")),
    ("template_job_and_instance", setting("job", "multi", False)),
    ("template_job_and_instance", setting("job", "allValue", ".*")),
    ("template_job_and_instance", setting("instance", "label", "Pod")),
    ("template_job_and_instance", setting("instance", "datasource", {"uid": "prom"})),
    ("template_label_promql", setting("job", "query", {"query": "label_values(up{, job)"})),
    ("template_label_promql", setting("job", "query", {"query": "values(up, job)"})),
    ("template_on_time_change_reload", setting("model", "refresh", 1)),
    ("panel_datasource", lambda d: first(d).update(datasource={"uid": "prom"})),
    ("panel_datasource", lambda d: first(d)["targets"][0].update(datasource={"uid": "prom"})),
    ("panel_title_description", lambda d: first(d).update(title="")),
    ("panel_title_description", lambda d: first(d).pop("description") and None),
    ("panel_title_description", lambda d: first(d).update(description="The latency of a model.")),
    ("panel_units", lambda d: first(d)["fieldConfig"]["defaults"].pop("unit") and None),
    ("panel_units", lambda d: first(d)["fieldConfig"]["defaults"].update(unit="seconds")),
    (
        "panel_units",
        lambda d: first(d, "table")["fieldConfig"]["overrides"].append(
            {"matcher": {}, "properties": [{"id": "unit", "value": "pct"}]}
        ),
    ),
    ("panel_no_targets", lambda d: first(d).update(targets=[])),
    ("target_promql", querying("sum(")),
    ("target_promql", lambda d: d["annotations"]["list"][0].update(expr="1 +")),
    ("target_rate_interval", querying(f"rate(plumbline_rebalances_total{{{SCOPED}}}[5m])")),
    ("target_job_and_instance", querying("plumbline_drift_psi")),
    ("target_job_and_instance", querying('plumbline_drift_psi{job=~"$job"}')),
    ("target_job_and_instance", querying('plumbline_drift_psi{job="$job", instance="$instance"}')),
    ("target_job_and_instance", querying(f"plumbline_drift_psi{{{SCOPED}}} > plumbline_drift_psi")),
    ("target_counter_agg", querying(f"plumbline_rebalances_total{{{SCOPED}}}")),
    ("target_counter_agg", querying(f"resets(plumbline_rebalances_total{{{SCOPED}}}[1h])")),
    (
        "target_histogram",
        querying(f"rate(plumbline_inference_latency_seconds_bucket{{{SCOPED}}}[1h])"),
    ),
    (
        "target_histogram",
        querying(f"histogram_quantile(0.5, sum by (model) (rate(x_bucket{{{SCOPED}}}[1h])))"),
    ),
    ("uneditable_dashboard", lambda d: d.update(editable=True)),
    ("hostile_names", querying('plumbline_drift_psi{model="$model"}')),
    ("hostile_names", querying('plumbline_drift_psi{model=~"${model:regex}"}')),
    ("hostile_names", querying("plumbline_drift_psi{model=~`$model`}")),
    ("hostile_names", setting("model", "regex", "")),
    (
        "hostile_names",
        setting("feature", "query", {"query": 'label_values(x{model="$model"}, feature)'}),
    ),
    (
        "links_escape_names",
        lambda d: first(d).update(links=[{"url": "/d/x?var-model=${__field.labels.model}"}]),
    ),
    ("variables_exist", removing("feature")),
    ("variables_exist", querying("vector($limit)")),
    ("variables_exist", lambda d: d["templating"]["list"].append({"name": "spare"})),
    ("numbered", lambda d: first(d).update(id=1)),
    ("numbered", lambda d: first(d)["targets"].append(first(d)["targets"][0])),
    ("laid_out", lambda d: first(d)["gridPos"].update(x=20)),
    ("laid_out", lambda d: first(d)["gridPos"].update(y=0)),
]


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("name", TEXTS)
def test_dashboards_comply(name: str, rule: str) -> None:
    """No dashboard violates a rule."""
    assert list(RULES[rule](dashboard(name))) == []


@pytest.mark.parametrize(("rule", "change"), VIOLATIONS)
def test_violations_are_detected(rule: str, change: Change) -> None:
    """A rule reports a dashboard after a change that violates it."""
    broken = dashboard()
    change(broken)
    assert len(list(RULES[rule](broken))) >= 1


def test_every_rule_has_a_violation() -> None:
    """The list of violations covers every rule."""
    assert {rule for rule, _ in VIOLATIONS} == set(RULES)


# --- metrics and runbooks exist, and every metric has a panel ---------------------------------


@pytest.mark.parametrize("name", TEXTS)
def test_every_queried_metric_is_exported(name: str) -> None:
    """A misspelt metric or label would cause an empty panel, which looks like a good state."""
    assert list(rules.metrics_exist(EXPORTED)(dashboard(name))) == []


@pytest.mark.parametrize(
    "query",
    [
        "plumbline_drift_psy{x}",
        'plumbline_drift_psi{detector="ks"}',
        'plumbline_rebalances_total{role="x"}',
    ],
)
def test_unknown_metrics_and_labels_are_detected(query: str) -> None:
    """The rule checks names and labels."""
    broken = dashboard()
    querying(query.replace("{x}", ""))(broken)
    assert len(list(rules.metrics_exist(EXPORTED)(broken))) >= 1


def test_every_metric_has_a_panel() -> None:
    """The dashboards show every metric that the daemon exports."""
    places = [place for name in TEXTS for place in rules.targets(dashboard(name))]
    shown = {selector.name for _, selector, _ in rules.selectors(places)}
    assert {name for name in EXPORTED if name.startswith("plumbline_")} - shown == NOT_SHOWN


def test_linked_runbooks_exist() -> None:
    """Each link to a runbook has a page."""
    pages = {page.stem for page in build.SHIPPED.parents[1].glob("docs/runbooks/*.md")}
    linked = {
        word.partition("${runbooks:raw}")[2].rstrip(")")
        for name in TEXTS
        for text in strings(dashboard(name))
        for word in text.split()
        if "${runbooks:raw}" in word
    }
    assert len(linked) > 10
    assert linked - pages == set()


def test_changes_do_not_affect_other_tests() -> None:
    """`dashboard` returns a new copy each time."""
    before = copy.deepcopy(dashboard())
    dashboard()["panels"].clear()
    assert dashboard() == before
