"""Rules of the user."""

from __future__ import annotations

import sys
import time

import pytest

from monitor.redaction.custom import CustomRule
from monitor.redaction.redactor import Redactor


class TestCustomRules:
    """With RE2."""

    def test_whole_matches_are_replaced(self) -> None:
        """The longest match from each start is replaced, in any case, beside shipped rules."""
        redactor = Redactor([CustomRule("employee", r"\bEMP-\d{4,8}\b")])
        found = redactor.redact("Für emp-12345678 (jo@ex.org) — EMP-12 ✓ EMP-4711")
        assert found.text == "Für [employee] ([email]) — EMP-12 ✓ [employee]"
        assert found.counts == {"employee": 2, "email": 1}

    def test_characters_of_other_scripts(self) -> None:
        """Positions are right behind characters of several bytes."""
        redactor = Redactor([CustomRule("plate", "京[A-Z]{2}[0-9]{3}")])
        assert redactor.redact("🚗🚗 车牌 京AB123，谢谢").text == "🚗🚗 车牌 [plate]，谢谢"

    def test_a_pattern_that_matches_its_replacement(self) -> None:
        """A replacement is not replaced again."""
        redactor = Redactor([CustomRule("word", "[a-z]+")])
        once = redactor.redact("abc def")
        assert once.text == "[word] [word]"
        assert redactor.redact(once.text) == (once.text, {})

    def test_time_is_linear(self) -> None:
        """A pattern that takes exponential time elsewhere is searched in linear time."""
        redactor = Redactor([CustomRule("evil", r"(a+)+!")])
        started = time.process_time()
        redactor.redact("a" * 100_000)
        assert time.process_time() - started < 2

    @pytest.mark.parametrize(
        ("name", "pattern", "part"),
        [
            ("Upper", "x", "lower-case"),
            ("", "x", "lower-case"),
            ("email", "x", "shipped rule"),
            ("a", "", "1 to 1000"),
            ("a", "x" * 1001, "1 to 1000"),
            ("a", "(", "not a regular expression"),
            ("a", r"(x)\1", "not a regular expression"),
            ("a", "(?=x)y", "not a regular expression"),
            ("a", "x*", "empty text"),
            ("a", "(x{1000}){1000}", "not a regular expression"),
        ],
    )
    def test_errors(self, name: str, pattern: str, part: str) -> None:
        """Names and patterns that cannot work are refused with the reason."""
        with pytest.raises(ValueError, match=part):
            CustomRule(name, pattern)


def test_requires_re2(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the package, a custom rule is an error that names the extra."""
    monkeypatch.setitem(sys.modules, "re2", None)
    with pytest.raises(ValueError, match="extra samples"):
        CustomRule("employee", "EMP-[0-9]+ not compiled before")
