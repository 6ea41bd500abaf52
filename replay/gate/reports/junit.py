"""The result of a gate as JUnit XML: a suite for each stage, a case for each check.

Regressed is a failure, a broken run an error, inconclusive and not run are skipped. The elements
and their order are those of the schema that Jenkins and GitLab read:
https://github.com/jenkinsci/xunit-plugin/blob/master/src/main/resources/org/jenkinsci/plugins/xunit/types/model/xsd/junit-10.xsd
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Final, Literal
from xml.etree import ElementTree

from replay.gate.outcome import Check, GateResult, Stage
from replay.gate.reports.texts import finding, plain

_ELEMENT: Final[dict[str, Literal["failure", "error", "skipped"]]] = {
    "regressed": "failure",
    "error": "error",
    "inconclusive": "skipped",
    "not_run": "skipped",
}
_COUNTS: Final = {"failures": "failure", "errors": "error", "skipped": "skipped"}


def junit(result: GateResult) -> bytes:
    """Return the XML document, UTF-8."""
    suites = ElementTree.Element("testsuites", name=plain(result.name), time=_time(result.seconds))
    started = result.started
    for stage in result.stages:
        suites.append(_suite(result, stage, started))
        started += stage.seconds
    for name in ("tests", *_COUNTS):
        suites.set(name, str(sum(int(suite.get(name, "0")) for suite in suites)))
    ElementTree.indent(suites)
    document: bytes = ElementTree.tostring(suites, encoding="utf-8", xml_declaration=True)
    return document + b"\n"


def _suite(result: GateResult, stage: Stage, started: float) -> ElementTree.Element:
    suite = ElementTree.Element(
        "testsuite",
        name=f"{plain(result.name)}.{stage.name}",
        timestamp=datetime.fromtimestamp(started, UTC).strftime("%Y-%m-%dT%H:%M:%S"),
        time=_time(stage.seconds),
    )
    properties = ElementTree.SubElement(suite, "properties")
    for name, value in _properties(result):
        ElementTree.SubElement(properties, "property", name=name, value=plain(value))
    checks = stage.checks or (_stage_check(stage),)
    for check in checks:
        suite.append(_case(result, stage, check, stage.seconds / len(checks)))
    suite.set("tests", str(len(checks)))
    for name, element in _COUNTS.items():
        suite.set(name, str(len(suite.findall(f"testcase/{element}"))))
    return suite


def _stage_check(stage: Stage) -> Check:
    """Return the only case of a stage without checks: that it ran."""
    outcome = "inconclusive" if stage.outcome == "not_run" else stage.outcome
    detail = "an earlier stage did not pass" if stage.outcome == "not_run" else stage.detail
    reason = f"{stage.reason}: {detail}" if stage.reason else detail
    return Check(name="run", dimension="", outcome=outcome, rule="the stage runs", detail=reason)


def _case(result: GateResult, stage: Stage, check: Check, seconds: float) -> ElementTree.Element:
    case = ElementTree.Element(
        "testcase",
        classname=f"plumbline.{plain(result.name)}.{stage.name}",
        name=plain(check.name),
        time=_time(seconds),
    )
    text = finding(check)
    element = _ELEMENT.get(check.outcome)
    if element is not None and check.required:
        found = ElementTree.SubElement(case, element, message=f"{check.outcome}: {text}")
        if element != "skipped":
            found.set("type", check.outcome)
        found.text = f"rule: {plain(check.rule)}\nfound: {text}"
    else:
        ElementTree.SubElement(case, "system-out").text = f"rule: {plain(check.rule)}\n{text}"
    return case


def _properties(result: GateResult) -> list[tuple[str, str]]:
    origin = result.origin
    found = [
        ("criteria_sha256", result.criteria_sha256),
        ("candidate", result.candidate),
        ("baseline", result.baseline),
        ("commit", origin.commit),
        ("ref", origin.ref),
        ("pipeline", origin.pipeline),
    ]
    return [(name, value) for name, value in found if value]


def _time(seconds: float) -> str:
    return f"{seconds:.3f}"
