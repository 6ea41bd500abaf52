"""The rules keep to their form, fire when they should and not otherwise, and have their runbook."""

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
from monitor.metrics import Metrics, registry
from tests.debian import needed

ROOT = Path(__file__).parents[3]
CASES = sorted((Path(__file__).parent / "data").glob("*.test.yaml"))
FOUND = groups(RULES.read_text())
ALL = by_name(FOUND)
EVERY_RULE = pytest.mark.parametrize("rule", ALL.values(), ids=ALL)
DURATION = r"(0m|[1-9]\d*[smhd])"
EXPORTED = {
    family.name + ("_total" if family.type == "counter" else "")
    for family in registry(
        Metrics(newest_event_time=1.0, checkpoint_seconds=1.0, last_checkpoint=1.0)
    ).collect()
}
HEADINGS = ["Meaning", "Impact", "Diagnosis", "Mitigation"]


def promtool(*arguments: str | Path) -> None:
    """Run promtool; what it says where it does not succeed."""
    done = subprocess.run(
        [needed("promtool"), *arguments], capture_output=True, text=True, check=False, timeout=120
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_names_are_unique() -> None:
    """No rule hides another."""
    assert len(ALL) == sum(len(group.rules) for group in FOUND) > 20


@EVERY_RULE
def test_a_rule_has_its_form(rule: Rule) -> None:
    """CamelCase with the prefix, severity and scope, a wait, and the three annotations."""
    assert re.fullmatch(r"Plumbline([A-Z][a-z]+)+", rule.alert)
    assert rule.labels.keys() == {"severity", "scope"}
    assert rule.labels["severity"] in {"critical", "warning", "info"}
    assert rule.labels["scope"] in {"model", "monitor"}
    assert re.fullmatch(DURATION, rule.wait)
    assert rule.annotations.keys() == {"summary", "description", "runbook_url", "dashboard_url"}
    assert rule.annotations["runbook_url"] == f"{RUNBOOKS}{rule.alert.lower()}"


@EVERY_RULE
def test_a_rule_leads_to_its_dashboard(rule: Rule) -> None:
    """To the drift of the model, whatever it is called, to the fleet, or to Plumbline itself."""
    page = "plumbline-drift?var-model={{ $labels.model | urlquery }}"
    if rule.labels["scope"] == "monitor":
        page = "plumbline-itself"
    elif rule.alert.startswith("PlumblineFleet"):
        page = "plumbline-fleet"
    assert rule.annotations["dashboard_url"] == f"{GRAFANA}/d/{page}"


def test_the_dashboards_are_there() -> None:
    """A link leads to a dashboard of ours."""
    folder = ROOT / "grafana" / "dashboards"
    known = {json.loads(path.read_text())["uid"] for path in folder.glob("*.json")}
    assert {"plumbline-drift", "plumbline-fleet", "plumbline-itself"} <= known


@EVERY_RULE
def test_words_are_sentences(rule: Rule) -> None:
    """The summary is static and short; the description is a sentence, with bare numbers nowhere."""
    summary, description = rule.annotations["summary"], rule.annotations["description"]
    assert "{{" not in summary
    assert len(summary) < 80
    for text in (summary, description):
        assert text.endswith(".")
        assert "\n" not in text
    assert not re.search(r"{{\s*\$value\s*}}", description)


@EVERY_RULE
def test_names_from_logs_are_made_harmless(rule: Rule) -> None:
    """Wherever a description names a model or a feature, mark-up is taken out of it."""
    for template in re.findall(r"{{(.*?)}}", rule.annotations["description"]):
        if re.search(r"\$labels\.(model|feature)", template):
            assert '| reReplaceAll "[<>&]" "?"' in template


@EVERY_RULE
def test_a_rule_reads_what_is_there(rule: Rule) -> None:
    """Every metric in an expression is one that the daemon exports."""
    named = set(re.findall(r"\bplumbline_\w+", rule.expr))
    assert named
    assert named <= EXPORTED


def test_promtool_accepts_the_rules() -> None:
    """Prometheus can load the file."""
    promtool("check", "rules", RULES)


def test_rules_fire_and_are_quiet_as_the_cases_say() -> None:
    """All cases of promtool hold, with labels, numbers and words as people get them."""
    promtool("test", "rules", *CASES)


def test_every_rule_has_a_firing_and_a_quiet_case() -> None:
    """A rule that was never seen to fire, or never seen not to, is not tested."""
    seen = Counter(
        (case["alertname"], bool(case["exp_alerts"]))
        for path in CASES
        for test in yaml.safe_load(path.read_text())["tests"]
        for case in test["alert_rule_test"]
    )
    assert {(name, fires) for name in ALL for fires in (True, False)} == seen.keys()


@EVERY_RULE
def test_a_rule_has_a_runbook(rule: Rule) -> None:
    """Its page has the alert's name and the four headings, each with something under it."""
    page = (ROOT / "docs" / "runbooks" / f"{rule.runbook}.md").read_text()
    title, *sections = re.split(r"^#+ ", page, flags=re.MULTILINE)[1:]
    assert title.strip() == rule.alert
    parts: list[Any] = [section.partition("\n") for section in sections]
    assert [heading for heading, _, _ in parts] == HEADINGS
    assert all(len(text.split()) >= 12 for _, _, text in parts)


def test_every_runbook_has_a_rule() -> None:
    """A page of an alert that is no more would mislead."""
    pages = {path.stem for path in (ROOT / "docs" / "runbooks").glob("*.md")} - {"README"}
    assert pages == {rule.runbook for rule in ALL.values()}


def test_runbooks_name_what_is_there() -> None:
    """Metrics and alerts that a runbook names exist."""
    known = {name.lower() for name in ALL}
    for path in (ROOT / "docs" / "runbooks").glob("*.md"):
        text = path.read_text()
        assert {
            name.lower() for name in re.findall(r"\bPlumbline[A-Z]\w+\b(?!\.\*)", text)
        } <= known
        assert set(re.findall(r"\bplumbline_\w+", text)) - {"plumbline_"} <= EXPORTED, path.name


def test_the_users_page_lists_every_rule() -> None:
    """docs/alerts.md has each alert once, with its severity and scope."""
    page = (ROOT / "docs" / "alerts.md").read_text()
    rows = re.findall(
        r"^\| \[(\w+)\]\(runbooks/(\w+)\.md\) \| (\w+) \| (\w+) \|", page, re.MULTILINE
    )
    assert sorted(rows) == sorted(
        (rule.alert, rule.runbook, rule.labels["severity"], rule.labels["scope"])
        for rule in ALL.values()
    )


def test_what_is_recorded_is_written_out() -> None:
    """An alert that reads a recorded expression has it in its own, for those who record nothing."""
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
def test_a_file_that_is_none_is_refused(text: str) -> None:
    """A key that is missing or unknown is named, not passed over."""
    with pytest.raises(msgspec.ValidationError, match=r"missing|unknown"):
        groups(text)
