"""One pass over several texts: it must not call a text clean in which something is replaced."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitor.redaction.custom import CustomRule
from monitor.redaction.redactor import Redactor
from tests.monitor.redaction.blind_set import load
from tests.monitor.redaction.test_blind_set import HERE

REDACTOR = Redactor()
TEXTS = [each.text for name in ("", "_2") for each in load(HERE / f"blind_set{name}.yaml")]


def test_a_text_with_a_secret_is_not_clean() -> None:
    """Neither alone nor between other texts, at the start or the end of a text."""
    found = [text for text in TEXTS if REDACTOR.redact(text).counts]
    assert len(found) > 500
    for text in found:
        assert not REDACTOR.clean([text])
        assert not REDACTOR.clean(["héllo", text, "bye"])


def test_plain_texts_are_clean() -> None:
    """Texts without candidates take one pass: the reason for it."""
    assert REDACTOR.clean(["What is the capital of France?", "Paris – of course.", ""])
    assert REDACTOR.clean([])


@given(st.lists(st.one_of(st.sampled_from(TEXTS), st.text(max_size=20)), max_size=4))
def test_clean_texts_are_kept(texts: list[str]) -> None:
    """If texts are clean, redaction changes none of them."""
    if REDACTOR.clean(texts):
        assert [REDACTOR.redact(text).text for text in texts] == texts


def test_rules_of_the_user_are_always_applied() -> None:
    """Their patterns may depend on where a text ends."""
    pytest.importorskip("re2")
    assert not Redactor([CustomRule("employee", r"EMP-\d+$")]).clean(["EMP-17"])
