"""Recall and precision per kind on texts that are made apart from the rules."""

from __future__ import annotations

import pytest

from monitor.redaction.redactor import redact
from tests.monitor.redaction.blind.sets import SETS, Case, blind_set

PER_SIDE = 60
SEED = 20


def is_hidden(case: Case, redacted: str) -> bool:
    """Return whether the value is no longer in the text, nor most of it."""
    value = case.value.removeprefix("https://")
    return value not in redacted and value[4:] not in redacted


@pytest.mark.parametrize("kind", sorted(SETS))
def test_recall_and_precision(kind: str) -> None:
    """At least 95 % of the values are replaced, by their kind; 95 % of replacements are right."""
    cases = blind_set(kind, PER_SIDE, SEED)
    results = [(case, redact(case.text)) for case in cases]
    found = sum(
        kind in counts and is_hidden(case, text) for case, (text, counts) in results if case.value
    )
    false = sum(kind in counts for case, (_, counts) in results if not case.value)
    assert found / PER_SIDE >= 0.95
    assert found / (found + false) >= 0.95


def test_a_missed_value_counts() -> None:
    """The measure fails for a value that is still in the text."""
    assert not is_hidden(Case("mail jo@ex.org", "jo@ex.org"), "mail jo@ex.org [email]")
