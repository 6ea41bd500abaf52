"""Markdown of gates: step summary and comment."""

from __future__ import annotations

import re

from replay.gate.reports.markdown import code, comment, summary
from tests.replay.gate.results import HOSTILE, check, result, stage


def test_the_summary_has_all_stages_and_checks() -> None:
    """Each check is a row with its numbers; the headline names what decided."""
    text = summary(
        result(
            "regressed",
            stage("L0", "passed", check("a")),
            stage("L1", "regressed", check("a", "regressed"), check("b")),
        )
    )
    assert text.startswith("## `gate support: regressed in L1 (a)`\n")
    rows = [line for line in text.splitlines() if line.startswith("| `")]
    assert len(rows) == 3
    assert "| `a` | regressed | 0.7 | 0.8 | -0.1 | -0.13 to -0.07 | 500 |" in rows[1]
    assert "criteria `abababababab`, commit `c0ffeec0ffee`; exit status 1" in text


def test_the_comment_is_found_again_and_short() -> None:
    """The first line is a marker of the gate; passed checks are left out."""
    text = comment(
        result("regressed", stage("L1", "regressed", check("a", "regressed"), check("b")))
    )
    assert text.splitlines()[0] == "<!-- plumbline gate: support -->"
    assert "`a`" in text
    assert "`b`" not in text


def test_hostile_text_is_in_code_spans() -> None:
    """No stranger's text leaves its code span or its cell of the table."""
    bad = check(HOSTILE, "regressed", HOSTILE)
    found = result("regressed", stage("L0", "regressed", bad), name=HOSTILE)
    for text in (summary(found), comment(found)):
        outside = re.sub(r"`[^`\n]*`", "", text)
        assert "<script" not in outside
        assert "@" not in outside
        (row,) = (line for line in text.splitlines() if line.startswith("| `"))
        assert len(re.findall(r"(?<!\\)\|", row)) == 9
    assert code("") == ""


def test_many_checks_are_cut() -> None:
    """A summary stays below GitHub's limit of a mebibyte."""
    many = [check(f"task {i} {'x' * 400}", "regressed") for i in range(3000)]
    text = summary(result("regressed", stage("L0", "regressed", *many)))
    assert len(text) < 1 << 20
    assert "2800 more checks" in text
