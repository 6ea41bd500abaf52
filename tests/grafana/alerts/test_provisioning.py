"""Grafana's alerting says what Prometheus and Alertmanager say, in Grafana's words."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from grafana.alerts import provisioning
from grafana.alerts.__main__ import ROOT, main
from grafana.alerts.rules import ALERTMANAGER, RULES, by_name, groups, matcher

COMMITTED = ROOT / "grafana" / "provisioning" / "alerting"
OURS = by_name(groups(RULES.read_text()))


def committed(name: str) -> Any:
    """A committed file."""
    return yaml.safe_load((COMMITTED / name).read_text())


def rules() -> dict[str, Any]:
    """Alert -> Grafana's rule."""
    found = [rule for group in committed("rules.yaml")["groups"] for rule in group["rules"]]
    return {rule["title"]: rule for rule in found}


def texts(value: Any) -> Iterator[str]:
    """All texts in a plain value."""
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, list):
        for each in value:
            yield from texts(each)
    elif isinstance(value, str):
        yield value


def test_what_is_committed_is_what_is_made(capsys: pytest.CaptureFixture[str]) -> None:
    """Nobody has changed a made file, or forgotten to make it."""
    assert main(["check"]) == 0
    assert capsys.readouterr().err == ""


def test_what_is_stale_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A file that is changed or missing is named, with what to do."""
    assert main(["build", "--out", str(tmp_path)]) == 0
    assert main(["check", "--out", str(tmp_path)]) == 0
    made = tmp_path / "grafana" / "provisioning" / "alerting"
    (made / "rules.yaml").write_text((made / "rules.yaml").read_text() + "\n")
    (made / "policies.yaml").unlink()
    assert main(["check", "--out", str(tmp_path)]) == 1
    lines = capsys.readouterr().err.splitlines()
    assert [line.split()[0] for line in lines] == [
        "grafana/provisioning/alerting/rules.yaml",
        "grafana/provisioning/alerting/policies.yaml",
    ]
    assert all(line.endswith("run make alerts") for line in lines)


def test_links_can_lead_elsewhere(tmp_path: Path) -> None:
    """One's own addresses are in the rules of both, and those that lead nowhere in neither."""
    arguments = ["--runbooks", "https://wiki.example/p/", "--grafana", "https://grafana.example"]
    assert main(["build", *arguments, "--out", str(tmp_path)]) == 0
    for name in ("grafana/alerts/plumbline.rules.yaml", "grafana/provisioning/alerting/rules.yaml"):
        text = (tmp_path / name).read_text()
        assert text.count("https://wiki.example/p/plumbline") == len(OURS)
        assert text.count("https://grafana.example/d/plumbline-") == len(OURS)
        assert "plumbline.example" not in text


@pytest.mark.parametrize(
    "url", ["wiki", "ftp://x", "https://x y", "https://x\n- alert: y", "https://"]
)
def test_what_is_no_address_is_refused(url: str, capsys: pytest.CaptureFixture[str]) -> None:
    """It is named before anything is written."""
    with pytest.raises(SystemExit, match="2"):
        main(["check", "--runbooks", url])
    assert "is no address such as https://" in capsys.readouterr().err


def test_all_rules_are_there() -> None:
    """Each with its wait, labels, summary and runbook, under an id that Grafana takes."""
    assert rules().keys() == OURS.keys()
    for name, rule in rules().items():
        ours = OURS[name]
        assert (rule["for"], rule["labels"]) == (ours.wait, ours.labels)
        assert rule["annotations"].keys() == ours.annotations.keys()
        for annotation in ("summary", "runbook_url"):
            assert rule["annotations"][annotation] == ours.annotations[annotation]
        assert re.fullmatch(r"[a-z]{1,40}", rule["uid"])


@pytest.mark.parametrize("name", OURS)
def test_a_rule_fires_on_any_value(name: str) -> None:
    """The query at this instant, one wherever it has a value, and whether that is above zero."""
    query, exists, above = rules()[name]["data"]
    assert query["model"]["expr"] == OURS[name].expr.strip()
    assert (query["model"]["instant"], query["model"]["range"]) == (True, False)
    assert query["datasourceUid"] == query["model"]["datasource"]["uid"] == "prometheus"
    assert (exists["refId"], exists["model"]["type"]) == ("B", "math")
    assert set(re.findall(r"\$(\w+)", exists["model"]["expression"])) == {query["refId"]}
    assert (above["refId"], above["model"]["expression"]) == (rules()[name]["condition"], "B")
    assert above["model"]["conditions"] == [{"evaluator": {"type": "gt", "params": [0]}}]


def test_one_rule_tells_that_queries_fail() -> None:
    """A Prometheus that does not answer is one alert and not one for each rule; no data is none."""
    told = [name for name, rule in rules().items() if rule["execErrState"] == "Error"]
    assert told == ["PlumblineDown"]
    assert {rule["noDataState"] for rule in rules().values()} == {"OK"}


def test_nothing_is_left_for_the_environment_to_replace() -> None:
    """Grafana expands $NAME in all but the queries: there is none, or descriptions lose words."""
    for rule in rules().values():
        assert not any("$" in text for text in texts({**rule, "data": None}))
    assert not any("$" in text for text in texts(committed("policies.yaml")))


@pytest.mark.parametrize(
    ("theirs", "ours"),
    [
        ("{{ $labels.model }} costs $5 {{ $value | humanize }}", None),
        ("{{ $externalLabels.cluster }}", None),
        (
            "{{ $labels.model | toUpper }}: {{ if gt $value 0.0 }}{{ $value }}{{ end }}",
            "{{ .Labels.model | toUpper }}: "
            "{{ if gt .Values.A.Value 0.0 }}{{ .Values.A.Value }}{{ end }}",
        ),
    ],
)
def test_templates_are_translated(theirs: str, ours: str | None) -> None:
    """Labels and the value have other names; what Grafana does not know is refused, not lost."""
    if ours is None:
        with pytest.raises(ValueError, match="known to Grafana"):
            provisioning.template(theirs)
    else:
        assert provisioning.template(theirs) == ours


def test_the_policy_is_that_of_alertmanager() -> None:
    """Receivers, grouping, times and matchers of every route, in the same order."""
    there = yaml.safe_load(ALERTMANAGER.read_text())["route"]

    def plain(route: dict[str, Any]) -> dict[str, Any]:
        matchers = [list(matcher(text)) for text in route.pop("matchers", [])]
        children = [plain(child) for child in route.pop("routes", [])]
        return {
            **route,
            **({"object_matchers": matchers} if matchers else {}),
            **({"routes": children} if children else {}),
        }

    (policy,) = committed("policies.yaml")["policies"]
    assert policy == {"orgId": 1, **plain(there)}


def test_who_and_when_are_defined() -> None:
    """Contact points and mute times that the policy names are there, and hold no secret."""
    policies = committed("policies.yaml")
    points = {point["name"] for point in committed("contact-points.yaml")["contactPoints"]}
    text = (COMMITTED / "policies.yaml").read_text()
    assert set(re.findall(r"receiver: (\w+)", text)) == points
    assert [each["name"] for each in policies["muteTimes"]] == ["always"]
    assert not re.search(r"https?://", (COMMITTED / "contact-points.yaml").read_text())


@pytest.mark.parametrize("text", ["severity=critical", 'severity == "x"', 'a="b", c="d"', ""])
def test_a_matcher_of_another_form_is_refused(text: str) -> None:
    """It is named, with the form that is understood."""
    with pytest.raises(ValueError, match='label="value"'):
        matcher(text)
