"""The dashboards keep to the rules, and each rule finds what breaks it."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from typing import Any

import pytest

from grafana.dashboards import build
from monitor.metrics import registry
from tests.grafana.dashboards import rules
from tests.grafana.dashboards.rules import RULES
from tests.grafana.dashboards.variables import strings
from tests.monitor.test_metrics import everything

TEXTS = build.texts()
EXPORTED = rules.exported(registry(everything()).collect())
SHOWN_LATER: frozenset[str] = frozenset()
"""Metrics that no dashboard shows, each with its reason beside it."""

Change = Callable[[dict[str, Any]], None]


def dashboard(name: str = "drift.json") -> dict[str, Any]:
    """A dashboard of ours, to be read or to be broken."""
    made: dict[str, Any] = json.loads(TEXTS[name])
    return made


def first(dashboard: dict[str, Any], kind: str = "timeseries") -> dict[str, Any]:
    """The first panel of a kind."""
    panel: dict[str, Any] = next(p for p in dashboard["panels"] if p["type"] == kind)
    return panel


def variable(dashboard: dict[str, Any], name: str) -> dict[str, Any]:
    """A variable by its name."""
    [found] = [each for each in dashboard["templating"]["list"] if each["name"] == name]
    assert isinstance(found, dict)
    return found


def setting(name: str, key: str, value: object) -> Change:
    """Give a variable's key another value."""
    return lambda d: variable(d, name).update({key: value})


def asking(query: str) -> Change:
    """Let the first graph ask this instead."""
    return lambda d: first(d)["targets"][0].update(expr=query)


def removing(name: str) -> Change:
    """Take a variable away."""
    return lambda d: d["templating"]["list"].remove(variable(d, name))


SCOPED = 'job=~"$job", instance=~"$instance"'
BREACHES: list[tuple[str, Change]] = [
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
    ("target_promql", asking("sum(")),
    ("target_promql", lambda d: d["annotations"]["list"][0].update(expr="1 +")),
    ("target_rate_interval", asking(f"rate(plumbline_rebalances_total{{{SCOPED}}}[5m])")),
    ("target_job_and_instance", asking("plumbline_drift_psi")),
    ("target_job_and_instance", asking('plumbline_drift_psi{job=~"$job"}')),
    ("target_job_and_instance", asking('plumbline_drift_psi{job="$job", instance="$instance"}')),
    ("target_job_and_instance", asking(f"plumbline_drift_psi{{{SCOPED}}} > plumbline_drift_psi")),
    ("target_counter_agg", asking(f"plumbline_rebalances_total{{{SCOPED}}}")),
    ("target_counter_agg", asking(f"resets(plumbline_rebalances_total{{{SCOPED}}}[1h])")),
    (
        "target_histogram",
        asking(f"rate(plumbline_inference_latency_seconds_bucket{{{SCOPED}}}[1h])"),
    ),
    (
        "target_histogram",
        asking(f"histogram_quantile(0.5, sum by (model) (rate(x_bucket{{{SCOPED}}}[1h])))"),
    ),
    ("uneditable_dashboard", lambda d: d.update(editable=True)),
    ("hostile_names", asking('plumbline_drift_psi{model="$model"}')),
    ("hostile_names", asking('plumbline_drift_psi{model=~"${model:regex}"}')),
    ("hostile_names", asking("plumbline_drift_psi{model=~`$model`}")),
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
    ("variables_exist", asking("vector($limit)")),
    ("variables_exist", lambda d: d["templating"]["list"].append({"name": "spare"})),
    ("numbered", lambda d: first(d).update(id=1)),
    ("numbered", lambda d: first(d)["targets"].append(first(d)["targets"][0])),
    ("laid_out", lambda d: first(d)["gridPos"].update(x=20)),
    ("laid_out", lambda d: first(d)["gridPos"].update(y=0)),
]


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("name", TEXTS)
def test_dashboards_keep_the_rule(name: str, rule: str) -> None:
    """No dashboard of ours breaks it."""
    assert list(RULES[rule](dashboard(name))) == []


@pytest.mark.parametrize(("rule", "change"), BREACHES)
def test_a_breach_is_found(rule: str, change: Change) -> None:
    """A dashboard that was good and is broken in one place is complained of."""
    broken = dashboard()
    change(broken)
    assert len(list(RULES[rule](broken))) >= 1


def test_every_rule_is_seen_to_find_something() -> None:
    """A rule that nothing breaks might as well not be there."""
    assert {rule for rule, _ in BREACHES} == set(RULES)


# --- what is asked for is there, and what is there is asked for -------------------------------


@pytest.mark.parametrize("name", TEXTS)
def test_every_metric_that_is_asked_for_is_exported(name: str) -> None:
    """A misspelt metric or label would leave an empty panel, which looks like good news."""
    assert list(rules.metrics_exist(EXPORTED)(dashboard(name))) == []


@pytest.mark.parametrize(
    "query",
    [
        "plumbline_drift_psy{x}",
        'plumbline_drift_psi{detector="ks"}',
        'plumbline_rebalances_total{role="x"}',
    ],
)
def test_a_metric_that_is_not_exported_is_found(query: str) -> None:
    """By its name, and by its labels."""
    broken = dashboard()
    asking(query.replace("{x}", ""))(broken)
    assert len(list(rules.metrics_exist(EXPORTED)(broken))) >= 1


def test_every_metric_is_shown_somewhere() -> None:
    """What the daemon tells is looked at: a metric without a panel is found by nobody."""
    places = [place for name in TEXTS for place in rules.targets(dashboard(name))]
    shown = {selector.name for _, selector, _ in rules.selectors(places)}
    assert {name for name in EXPORTED if name.startswith("plumbline_")} - shown == SHOWN_LATER


def test_every_runbook_that_is_linked_is_there() -> None:
    """A link at 3 am leads to a page."""
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


def test_breaking_leaves_the_others_whole() -> None:
    """The dashboards above are read anew each time."""
    kept = copy.deepcopy(dashboard())
    dashboard()["panels"].clear()
    assert dashboard() == kept
