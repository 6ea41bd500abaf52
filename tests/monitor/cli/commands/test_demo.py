"""Tests of the arguments of `plumbline demo`."""

from __future__ import annotations

import pytest

from tests.monitor.cli.command_line import one_line_error


@pytest.mark.parametrize("seconds", ["-5", "0", "nan", "inf", "ten", ""])
@pytest.mark.parametrize("option", ["--seconds", "--rate"])
def test_numbers_must_be_above_zero(
    capsys: pytest.CaptureFixture[str], option: str, seconds: str
) -> None:
    """Any other value is named in an error."""
    text = one_line_error(capsys, "demo", f"{option}={seconds}")
    assert f"argument {option}: {seconds!r} is not a number above 0" in text


@pytest.mark.parametrize(
    ("seconds", "rate", "message"),
    [
        ("1", "1000", "1,000 records are too few for a demo"),
        ("5.9", "2000", "11,800 records are too few"),
        ("1e300", "1e300", "must be at most 100,000,000"),
    ],
)
def test_too_few_or_too_many_records_are_an_error(
    capsys: pytest.CaptureFixture[str], seconds: str, rate: str, message: str
) -> None:
    """A demo that would show nothing or run for days does not start."""
    assert message in one_line_error(capsys, "demo", "--seconds", seconds, "--rate", rate)
