"""Tests of the alert rules: their form, when they fire, and their runbooks."""

from __future__ import annotations

import json
import re
import subprocess
from collections import Counter
from pathlib import Path
from typing import Any

import msgspec
import pytest
import yaml

from grafana.alerts.rules import GRAFANA, RULES, Rule, by_name, groups
from grafana.links import RUNBOOKS
from monitor.telemetry.counters.experiments import ExperimentMetrics
from monitor.telemetry.counters.joins import JoinMetrics
from monitor.telemetry.counters.judging import JudgeMetrics
from monitor.telemetry.counters.metrics import Metrics
from monitor.telemetry.counters.replay import QueueState, ReplayMetrics
from monitor.telemetry.counters.web import ReviewState, WebMetrics
from monitor.telemetry.exporter import registry
from tests.debian import needed

ROOT = Path(__file__).parents[3]
CASES = sorted((Path(__file__).parent / "data").glob("*.test.yaml"))
FOUND = groups(RULES.read_text())
ALL = by_name(FOUND)
EVERY_RULE = pytest.mark.parametrize("rule", ALL.values(), ids=ALL)
DURATION = r"(0m|[1-9]\d*[smhd])"
SUFFIXES = {"counter": ("_total",), "histogram": ("_count", "_sum", "_bucket")}
EXPORTED = {
    family.name + suffix
    for family in registry(
        Metrics(
            newest_event_time=1.0,
            checkpoint_seconds=1.0,
            last_checkpoint=1.0,
            judging=JudgeMetrics(remaining=1.0),
            joins=JoinMetrics(),
            experiments=ExperimentMetrics(),
            replay=ReplayMetrics(queue=QueueState({}, gpu_seconds_left=1.0)),
            web=WebMetrics(review=ReviewState({}, {}, 0, 0)),
        )
    ).collect()
    for suffix in SUFFIXES.get(family.type, ("",))
}
HEADINGS = ["Meaning", "Impact", "Diagnosis", "Mitigation"]


def promtool(*arguments: str | Path) -> None:
    """Run promtool, and fail with its output if it does not succeed."""
    done = subprocess.run(
        [needed("promtool"), *arguments], capture_output=True, text=True, check=False, timeout=120
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_names_are_unique() -> None:
    """Each alert name occurs once."""
    assert len(ALL) == sum(len(group.rules) for group in FOUND) > 20


@EVERY_RULE
def test_rule_has_the_required_fields(rule: Rule) -> None:
    """A rule has a prefixed CamelCase name, severity, scope, a duration and four annotations."""
    assert re.fullmatch(r"Plumbline([A-Z][a-z]+)+", rule.alert)
    assert rule.labels.keys() == {"severity", "scope"}
    assert rule.labels["severity"] in {"critical", "warning", "info"}
    assert rule.labels["scope"] in {"model", "monitor", "experiment"}
    assert re.fullmatch(DURATION, rule.wait)
    assert rule.annotations.keys() == {"summary", "description", "runbook_url", "dashboard_url"}
    assert rule.annotations["runbook_url"] == f"{RUNBOOKS}{rule.alert.lower()}"


@EVERY_RULE
def test_rule_links_to_its_dashboard(rule: Rule) -> None:
    """A rule links to Drift of its model, its experiment, or the page of its subject."""
    page = "plumbline-drift?var-model={{ $labels.model | urlquery }}"
    if rule.alert.startswith("PlumblineJudge"):
        page = "plumbline-judged"
    elif rule.alert.startswith("PlumblineReplay"):
        selected = "?var-model={{ $labels.model | urlquery }}"
        page = f"plumbline-replay{selected if rule.labels['scope'] == 'model' else ''}"
    elif rule.alert.startswith(("PlumblineWeb", "PlumblineReview")):
        page = "plumbline-review"
    elif rule.labels["scope"] == "monitor":
        page = "plumbline-itself"
    elif rule.labels["scope"] == "experiment":
        page = "plumbline-experiments?var-experiment={{ $labels.experiment | urlquery }}"
    elif rule.alert.startswith("PlumblineFleet"):
        page = "plumbline-fleet"
    assert rule.annotations["dashboard_url"] == f"{GRAFANA}/d/{page}"


def test_linked_dashboards_exist() -> None:
    """The UIDs in the links are those of the committed dashboards."""
    folder = ROOT / "grafana" / "dashboards"
    known = {json.loads(path.read_text())["uid"] for path in folder.glob("*.json")}
    linked = {"drift", "fleet", "itself", "judged", "experiments", "replay", "review"}
    assert {f"plumbline-{name}" for name in linked} <= known


@EVERY_RULE
def test_annotations_are_sentences(rule: Rule) -> None:
    """The summary is short and has no template; the description formats every number."""
    summary, description = rule.annotations["summary"], rule.annotations["description"]
    assert "{{" not in summary
    assert len(summary) < 80
    for text in (summary, description):
        assert text.endswith(".")
        assert "\n" not in text
    assert not re.search(r"{{\s*\$value\s*}}", description)


@EVERY_RULE
def test_names_from_logs_are_escaped(rule: Rule) -> None:
    """Descriptions remove markup from names of models and features."""
    for template in re.findall(r"{{(.*?)}}", rule.annotations["description"]):
        if re.search(r"\$labels\.(model|feature|experiment|variant|metric)", template):
            assert '| reReplaceAll "[<>&]" "?"' in template


@EVERY_RULE
def test_rule_reads_exported_metrics(rule: Rule) -> None:
    """The daemon exports every metric in an expression."""
    named = set(re.findall(r"\bplumbline_\w+", rule.expr))
    assert named
    assert named <= EXPORTED


def test_promtool_accepts_the_rules() -> None:
    """Prometheus can load the rule file."""
    promtool("check", "rules", RULES)


@pytest.mark.parametrize("path", CASES, ids=lambda path: path.name.partition(".")[0])
def test_rules_fire_as_in_the_cases(path: Path) -> None:
    """All promtool test cases pass, with labels and rendered annotations."""
    promtool("test", "rules", path)


def test_every_rule_has_a_firing_and_a_quiet_case() -> None:
    """Each rule has a case in which it fires and a case in which it does not."""
    seen = Counter(
        (case["alertname"], bool(case["exp_alerts"]))
        for path in CASES
        for test in yaml.safe_load(path.read_text())["tests"]
        for case in test["alert_rule_test"]
    )
    assert {(name, fires) for name in ALL for fires in (True, False)} == seen.keys()


@EVERY_RULE
def test_rule_has_a_runbook(rule: Rule) -> None:
    """Its page has the alert's name as title and the four headings, each with text."""
    page = (ROOT / "docs" / "runbooks" / f"{rule.runbook}.md").read_text()
    title, *sections = re.split(r"^#+ ", page, flags=re.MULTILINE)[1:]
    assert title.strip() == rule.alert
    parts: list[Any] = [section.partition("\n") for section in sections]
    assert [heading for heading, _, _ in parts] == HEADINGS
    assert all(len(text.split()) >= 12 for _, _, text in parts)


def test_every_runbook_has_a_rule() -> None:
    """Each runbook belongs to an existing alert."""
    pages = {path.stem for path in (ROOT / "docs" / "runbooks").glob("*.md")} - {"README"}
    assert pages == {rule.runbook for rule in ALL.values()}


def test_runbooks_refer_to_existing_metrics_and_alerts() -> None:
    """Metrics and alerts in runbooks exist."""
    known = {name.lower() for name in ALL}
    for path in (ROOT / "docs" / "runbooks").glob("*.md"):
        text = path.read_text()
        assert {
            name.lower() for name in re.findall(r"\bPlumbline[A-Z]\w+\b(?!\.\*)", text)
        } <= known
        assert set(re.findall(r"\bplumbline_\w+", text)) - {"plumbline_"} <= EXPORTED, path.name


def test_documentation_lists_every_rule() -> None:
    """docs/alerts.md lists each alert once, with its severity and scope."""
    page = (ROOT / "docs" / "alerts.md").read_text()
    rows = re.findall(
        r"^\| \[(\w+)\]\(runbooks/(\w+)\.md\) \| (\w+) \| (\w+) \|", page, re.MULTILINE
    )
    assert sorted(rows) == sorted(
        (rule.alert, rule.runbook, rule.labels["severity"], rule.labels["scope"])
        for rule in ALL.values()
    )


def test_recording_rules_are_inlined() -> None:
    """Alert expressions contain the expressions of recording rules instead of their names."""
    alert = "{alert: A, expr: 'a:b:sum > 1', for: 0m, labels: {}, annotations: {}}"
    ((rule,),) = (
        group.rules
        for group in groups(
            f"groups: [{{name: x, rules: [{{record: 'a:b:sum', expr: sum(y)}}, {alert}]}}]"
        )
    )
    assert rule.expr == "(\n  sum(y)) > 1"
    assert "plumbline:" in RULES.read_text()
    assert not any("plumbline:" in rule.expr for rule in ALL.values())


@pytest.mark.parametrize(
    "text",
    [
        "groups: [{name: x, rules: [{alert: A}]}]",
        "groups: [{name: x, rule: []}]",
        "groups: [{name: x, rules: [{record: 'a:b', expr: y, for: 1m}]}]",
    ],
)
def test_invalid_rule_files_are_rejected(text: str) -> None:
    """A missing or unknown key is an error."""
    with pytest.raises(msgspec.ValidationError, match=r"missing|unknown"):
        groups(text)
