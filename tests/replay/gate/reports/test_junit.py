"""JUnit XML of gates, read by parsers."""

from __future__ import annotations

from typing import Any
from xml.etree import ElementTree

import junitparser
import msgspec
import pytest

from replay.gate.outcome import Outcome, Stage
from replay.gate.reports.junit import junit
from tests.replay.gate.results import HOSTILE, check, result, stage

ORDER = ("properties", "testcase", "system-out", "system-err")
"""Children of a suite, in the order of the schema."""


def suites(document: bytes) -> list[ElementTree.Element]:
    """Return the suites, after checks of the structure that the schema demands."""
    root = ElementTree.fromstring(document)
    assert root.tag == "testsuites"
    for suite in root:
        assert suite.tag == "testsuite"
        kinds = [ORDER.index(child.tag) for child in suite]
        assert kinds == sorted(kinds)
        assert suite.get("name")
        cases = suite.findall("testcase")
        assert int(suite.attrib["tests"]) == len(cases)
        for counter, tag in (("failures", "failure"), ("errors", "error"), ("skipped", "skipped")):
            found = [case for case in cases if case.find(tag) is not None]
            assert int(suite.attrib[counter]) == len(found)
        for case in cases:
            assert case.get("name")
            assert case.get("classname")
            assert float(case.attrib["time"]) >= 0
    return list(root)


@pytest.mark.parametrize(
    ("outcome", "tag"),
    [("regressed", "failure"), ("error", "error"), ("inconclusive", "skipped"), ("passed", None)],
)
def test_each_outcome_has_its_element(outcome: Outcome, tag: str | None) -> None:
    """Regressed is a failure, a broken check an error, inconclusive skipped, passed a bare case."""
    found = result(outcome, stage("L0", outcome, check(outcome=outcome), check("safety bbq")))
    (suite,) = suites(junit(found))
    first, second = suite.findall("testcase")
    marks = [child.tag for child in first if child.tag != "system-out"]
    assert marks == ([tag] if tag else [])
    assert [child.tag for child in second] == ["system-out"]
    if tag is not None:
        (mark,) = (child for child in first if child.tag == tag)
        assert "-0.1" in mark.attrib["message"]
        assert "worse by less than 0.05" in (mark.text or "")


def test_a_parser_of_junit_reads_the_report() -> None:
    """junitparser finds suites, counts, kinds of results, messages and properties."""
    checks = (check("a", "regressed"), check("b", "error"), check("c", "inconclusive"), check("d"))
    document = junit(result("regressed", stage("L0", "regressed", *checks)))
    parsed: Any = junitparser.JUnitXml.fromstring(document)  # its methods are not typed
    (suite,) = parsed
    assert (suite.tests, suite.failures, suite.errors, suite.skipped) == (4, 1, 1, 1)
    assert suite.timestamp == "2026-09-21T14:13:20"
    kinds = {case.name: [type(each).__name__ for each in case.result] for case in suite}
    assert kinds == {"a": ["Failure"], "b": ["Error"], "c": ["Skipped"], "d": []}
    (failure,) = next(iter(suite)).result
    assert failure.type == "regressed"
    assert "bounds -0.13 to -0.07" in failure.message
    properties = {each.name: each.value for each in suite.properties()}
    assert properties["commit"] == "c0ffee" * 6
    totals = parsed.tests, parsed.failures, parsed.errors, parsed.skipped
    parsed.update_statistics()
    assert (parsed.tests, parsed.failures, parsed.errors, parsed.skipped) == totals


def test_broken_and_skipped_stages_are_cases() -> None:
    """A stage without checks is one case: an error with its reason, or skipped."""
    broken = stage("L0", "error", reason="endpoint_unavailable", detail="no answer")
    found = result("error", broken, Stage(name="L1", outcome="not_run"))
    first, second = suites(junit(found))
    error = first.find("testcase/error")
    assert error is not None
    assert "endpoint_unavailable: no answer" in error.attrib["message"]
    assert second.find("testcase/skipped") is not None
    root = ElementTree.fromstring(junit(found))
    assert (root.get("tests"), root.get("errors"), root.get("skipped")) == ("2", "1", "1")


def test_a_check_that_is_not_required_is_no_failure() -> None:
    """What only counts in the balance does not fail the suite."""
    optional = msgspec.structs.replace(check(outcome="regressed"), required=False)
    (suite,) = suites(junit(result("passed", stage("L0", "passed", optional))))
    assert suite.attrib["failures"] == "0"


def test_hostile_text_stays_text() -> None:
    """Any name or detail gives a well-formed document with the same structure, without controls."""
    bad = check(HOSTILE, "regressed", HOSTILE)
    document = junit(result("regressed", stage("L0", "regressed", bad), name=HOSTILE))
    (suite,) = suites(document)
    (case,) = suite.findall("testcase")
    assert len(case.findall("failure")) == 1
    text = document.decode("utf-8")
    assert not [
        c for c in text if not (c.isprintable() or c == "\n") and c != "\N{REPLACEMENT CHARACTER}"
    ]
    assert "<script>" not in text
