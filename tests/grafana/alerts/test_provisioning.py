"""Tests that Grafana's alerting is equivalent to that of Prometheus and Alertmanager."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from grafana.alerts import provisioning
from grafana.alerts.__main__ import ROOT, main
from grafana.alerts.rules import ALERTMANAGER, RULES, by_name, groups, parse_matcher

COMMITTED = ROOT / "grafana" / "provisioning" / "alerting"
SOURCE = by_name(groups(RULES.read_text()))


def committed(name: str) -> Any:
    """Return the content of a committed file."""
    return yaml.safe_load((COMMITTED / name).read_text())


def rules() -> dict[str, Any]:
    """Return Grafana's rules by alert name."""
    found = [rule for group in committed("rules.yaml")["groups"] for rule in group["rules"]]
    return {rule["title"]: rule for rule in found}


def texts(value: Any) -> Iterator[str]:
    """Yield all strings of a YAML value."""
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, list):
        for each in value:
            yield from texts(each)
    elif isinstance(value, str):
        yield value


def test_generated_files_are_up_to_date(capsys: pytest.CaptureFixture[str]) -> None:
    """The committed files equal the output of `make alerts`."""
    assert main(["check"]) == 0
    assert capsys.readouterr().err == ""


def test_check_lists_stale_files(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A changed or missing file is listed with the command that fixes it."""
    assert main(["build", "--out", str(tmp_path)]) == 0
    assert main(["check", "--out", str(tmp_path)]) == 0
    folder = tmp_path / "grafana" / "provisioning" / "alerting"
    (folder / "rules.yaml").write_text((folder / "rules.yaml").read_text() + "\n")
    (folder / "policies.yaml").unlink()
    assert main(["check", "--out", str(tmp_path)]) == 1
    lines = capsys.readouterr().err.splitlines()
    assert [line.split()[0] for line in lines] == [
        "grafana/provisioning/alerting/rules.yaml",
        "grafana/provisioning/alerting/policies.yaml",
    ]
    assert all(line.endswith("run make alerts") for line in lines)


def test_build_replaces_the_placeholder_urls(tmp_path: Path) -> None:
    """Both rule files contain the given URLs and no placeholders."""
    arguments = ["--runbooks", "https://wiki.example/p/", "--grafana", "https://grafana.example"]
    assert main(["build", *arguments, "--out", str(tmp_path)]) == 0
    for name in ("grafana/alerts/plumbline.rules.yaml", "grafana/provisioning/alerting/rules.yaml"):
        text = (tmp_path / name).read_text()
        assert text.count("https://wiki.example/p/plumbline") == len(SOURCE)
        assert text.count("https://grafana.example/d/plumbline-") == len(SOURCE)
        assert "plumbline.example" not in text


@pytest.mark.parametrize(
    "url", ["wiki", "ftp://x", "https://x y", "https://x\n- alert: y", "https://"]
)
def test_invalid_urls_are_rejected(url: str, capsys: pytest.CaptureFixture[str]) -> None:
    """An invalid URL is a usage error."""
    with pytest.raises(SystemExit, match="2"):
        main(["check", "--runbooks", url])
    assert "is not a URL such as https://" in capsys.readouterr().err


def test_all_rules_are_converted() -> None:
    """Each rule keeps its duration, labels, summary and runbook, and has a valid uid."""
    assert rules().keys() == SOURCE.keys()
    for name, rule in rules().items():
        source = SOURCE[name]
        assert (rule["for"], rule["labels"]) == (source.wait, source.labels)
        assert rule["annotations"].keys() == source.annotations.keys()
        for annotation in ("summary", "runbook_url"):
            assert rule["annotations"][annotation] == source.annotations[annotation]
        assert re.fullmatch(r"[a-z]{1,40}", rule["uid"])


@pytest.mark.parametrize("name", SOURCE)
def test_rule_fires_on_any_value(name: str) -> None:
    """A rule has three steps: the instant query, 1 for each of its series, and a check > 0."""
    query, exists, above = rules()[name]["data"]
    assert query["model"]["expr"] == SOURCE[name].expr.strip()
    assert (query["model"]["instant"], query["model"]["range"]) == (True, False)
    assert query["datasourceUid"] == query["model"]["datasource"]["uid"] == "prometheus"
    assert (exists["refId"], exists["model"]["type"]) == ("B", "math")
    assert set(re.findall(r"\$(\w+)", exists["model"]["expression"])) == {query["refId"]}
    assert (above["refId"], above["model"]["expression"]) == (rules()[name]["condition"], "B")
    assert above["model"]["conditions"] == [{"evaluator": {"type": "gt", "params": [0]}}]


def test_one_rule_reports_failing_queries() -> None:
    """If Prometheus does not answer, one alert fires instead of all; missing data fires none."""
    reporting = [name for name, rule in rules().items() if rule["execErrState"] == "Error"]
    assert reporting == ["PlumblineDown"]
    assert {rule["noDataState"] for rule in rules().values()} == {"OK"}


def test_no_text_contains_a_variable_of_the_environment() -> None:
    """Grafana expands $NAME from the environment except in queries, so no text contains a "$"."""
    for rule in rules().values():
        assert not any("$" in text for text in texts({**rule, "data": None}))
    assert not any("$" in text for text in texts(committed("policies.yaml")))


@pytest.mark.parametrize(
    ("prometheus", "expected"),
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
def test_templates_are_converted(prometheus: str, expected: str | None) -> None:
    """Labels and the value are renamed; variables that Grafana does not support are an error."""
    if expected is None:
        with pytest.raises(ValueError, match="Grafana supports no variables except"):
            provisioning.template(prometheus)
    else:
        assert provisioning.template(prometheus) == expected


def test_the_policy_equals_that_of_alertmanager() -> None:
    """All routes have the same receivers, grouping, times and matchers, in the same order."""
    source = yaml.safe_load(ALERTMANAGER.read_text())["route"]

    def converted(route: dict[str, Any]) -> dict[str, Any]:
        matchers = [list(parse_matcher(text)) for text in route.pop("matchers", [])]
        children = [converted(child) for child in route.pop("routes", [])]
        return {
            **route,
            **({"object_matchers": matchers} if matchers else {}),
            **({"routes": children} if children else {}),
        }

    (policy,) = committed("policies.yaml")["policies"]
    assert policy == {"orgId": 1, **converted(source)}


def test_contact_points_and_mute_times_exist() -> None:
    """The contact points and mute times of the policy exist, and contain no secrets."""
    policies = committed("policies.yaml")
    points = {point["name"] for point in committed("contact-points.yaml")["contactPoints"]}
    text = (COMMITTED / "policies.yaml").read_text()
    assert set(re.findall(r"receiver: (\w+)", text)) == points
    assert [each["name"] for each in policies["muteTimes"]] == ["always"]
    assert not re.search(r"https?://", (COMMITTED / "contact-points.yaml").read_text())


@pytest.mark.parametrize("text", ["severity=critical", 'severity == "x"', 'a="b", c="d"', ""])
def test_invalid_matchers_are_rejected(text: str) -> None:
    """The error shows the supported form."""
    with pytest.raises(ValueError, match='label="value"'):
        parse_matcher(text)
