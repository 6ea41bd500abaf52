"""Tests of the arguments of `plumbline run`."""

from __future__ import annotations

import pytest

from monitor.cli.commands.run import parse_roles
from tests.monitor.cli.command_line import one_line_error


@pytest.mark.parametrize(
    ("roles", "unknown"), [("ingest,dtect", "dtect"), ("", ""), ("ingest,", ""), ("all", "all")]
)
def test_unknown_role_is_an_error(
    capsys: pytest.CaptureFixture[str], roles: str, unknown: str
) -> None:
    """The error names the unknown role and the valid ones."""
    text = one_line_error(capsys, "run", "--roles", roles)
    assert f"unknown role {unknown!r}; the roles are ingest, detect" in text


def test_repeated_roles_are_taken_once() -> None:
    """Spaces and repetitions are ignored."""
    assert parse_roles("detect, ingest,detect") == ("detect", "ingest")
