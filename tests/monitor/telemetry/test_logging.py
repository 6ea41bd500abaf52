"""The log of the daemon: one JSON object per line, without secrets."""

from __future__ import annotations

import io
import json
import os
import sys
from collections.abc import Callable
from typing import Any, TextIO

import pytest
import structlog
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from monitor.config.load import load
from monitor.config.schema import Config
from monitor.config.sections.process.section import LogConfig
from monitor.events.codec import event_fields
from monitor.events.types import BinShift, Explanation
from monitor.events.wording.drift import sentence
from monitor.telemetry.logging import configure
from tests.monitor.notify import drift_events

PASSWORD = "hunter2-Zq"


class Terminal(io.StringIO):
    """A stream that is a terminal."""

    def isatty(self) -> bool:
        """Return True."""
        return True


def logged(monkeypatch: pytest.MonkeyPatch, **config: Any) -> io.StringIO:
    """Configure logging, and return the stream that replaces standard error."""
    stream = io.StringIO()
    monkeypatch.setattr(sys, "stderr", stream)
    configure(LogConfig(**config))
    return stream


def test_a_line_is_a_json_object(monkeypatch: pytest.MonkeyPatch) -> None:
    """It has the event, level, time and fields."""
    stream = logged(monkeypatch)
    structlog.get_logger("x").warning("partitions\nlost", role="ingest", partitions=[1, 2])
    [line] = stream.getvalue().splitlines()
    found = json.loads(line)
    assert found.pop("timestamp").endswith("Z")
    assert found == {
        "event": "partitions\nlost",
        "level": "warning",
        "role": "ingest",
        "partitions": [1, 2],
    }


def full() -> TextIO:
    """Return a stream of a full disk."""
    return open("/dev/full", "w")


def broken_pipe() -> TextIO:
    """Return the end of a pipe whose reader is gone."""
    reader, writer = os.pipe()
    os.close(reader)
    return os.fdopen(writer, "w")


def closed() -> TextIO:
    """Return a stream that is closed."""
    stream = io.StringIO()
    stream.close()
    return stream


def absent() -> None:
    """Return what Python gives if the descriptor is closed when the process starts."""


@pytest.mark.parametrize("stream", [full, broken_pipe, closed, absent])
@pytest.mark.parametrize("style", ["json", "console", "auto"])
def test_a_log_that_cannot_be_written_is_lost(
    monkeypatch: pytest.MonkeyPatch, stream: Callable[[], TextIO | None], style: str
) -> None:
    """Logging raises nothing, neither at the start nor later."""
    broken = stream()
    with monkeypatch.context() as patch:
        patch.setattr(sys, "stderr", broken)
        configure(LogConfig.model_validate({"format": style}))
        for _ in range(100):
            structlog.get_logger("x").warning("an event", text="x" * 1000)
        try:
            raise ValueError
        except ValueError:
            structlog.get_logger("x").exception("failed")
    if broken is not None:
        broken.close()


values = st.none() | st.booleans() | st.integers() | st.text() | st.binary() | st.builds(object)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.text(), st.dictionaries(st.text(alphabet="abc", min_size=1), values | st.lists(values)))
def test_any_event_is_one_line(event: str, fields: dict[str, Any]) -> None:
    """This holds for line breaks and for values that JSON does not support."""
    stream = io.StringIO()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "stderr", stream)
        configure(LogConfig(format="json"))
        structlog.get_logger().info(event, **fields)
    text = stream.getvalue()
    assert text.count("\n") == 1
    assert text.isascii()
    assert json.loads(text)["event"] == event


def test_a_traceback_is_a_field(monkeypatch: pytest.MonkeyPatch) -> None:
    """It does not contain the values of variables."""
    stream = logged(monkeypatch)
    fail_and_log()
    [line] = stream.getvalue().splitlines()
    found = json.loads(line)
    assert "ValueError: no" in found["exception"]
    assert PASSWORD not in line


def fail_and_log() -> None:
    """Log an exception of a function with a secret in a variable."""
    try:
        raise_with({"sasl.password": "-".join(["hunter2", "Zq"])})
    except ValueError:
        structlog.get_logger().exception("role failed")


def raise_with(settings: dict[str, str]) -> None:
    """Raise ValueError with a secret in a variable."""
    raise ValueError("no" if settings else "yes")


def test_a_console_traceback_has_no_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    """Variables may contain records and passwords."""
    stream = logged(monkeypatch, format="console")
    fail_and_log()
    assert "ValueError: no" in stream.getvalue()
    assert "raise_with" in stream.getvalue()
    assert PASSWORD not in stream.getvalue()


@pytest.mark.parametrize("form", ["json", "console"])
def test_a_logged_configuration_has_no_secret(monkeypatch: pytest.MonkeyPatch, form: str) -> None:
    """The configuration and its parts are logged with keys, and with masked values."""
    stream = logged(monkeypatch, format=form)
    config = load(None, {"PLUMBLINE__KAFKA__CLIENT": json.dumps({"sasl.password": PASSWORD})})
    assert config.kafka.client_settings()["sasl.password"] == PASSWORD
    log = structlog.get_logger()
    log.info("configured", config=config, kafka=config.kafka, client=config.kafka.client)
    log.info("dumped", config=config.model_dump(mode="json"))
    assert "sasl.password" in stream.getvalue()
    assert PASSWORD not in stream.getvalue()


@pytest.mark.parametrize(
    ("level", "shown"),
    [
        ("debug", ["debug", "info", "warning", "error"]),
        ("info", ["info", "warning", "error"]),
        ("warning", ["warning", "error"]),
        ("error", ["error"]),
    ],
)
def test_lower_levels_are_not_logged(
    monkeypatch: pytest.MonkeyPatch, level: Any, shown: list[str]
) -> None:
    """`log.level` is the lowest level that is logged."""
    stream = logged(monkeypatch, level=level)
    for each in ("debug", "info", "warning", "error"):
        getattr(structlog.get_logger(), each)("x")
    assert [json.loads(line)["level"] for line in stream.getvalue().splitlines()] == shown


def test_auto_is_console_on_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    """The format `json` also applies on a terminal."""
    for config, formatted in (
        ({}, True),
        ({"format": "json"}, False),
        ({"format": "console"}, True),
    ):
        stream = Terminal()
        monkeypatch.setattr(sys, "stderr", stream)
        configure(LogConfig.model_validate(config))
        structlog.get_logger().info("started")
        assert "started" in stream.getvalue()
        assert stream.getvalue().startswith("{") is not formatted


def test_nothing_is_logged_to_standard_output(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Standard output is for the results of commands."""
    stream = logged(monkeypatch)
    structlog.get_logger().error("x", config=Config().log)
    assert stream.getvalue()
    assert capsys.readouterr().out == ""


FORGED = "x\n2026-01-01T00:00:00Z [info     ] drift resolved  model=a\r\x1b[2J\x7f\x9b\u2028\u202e"
"""A text from a log that would forge a line and change the terminal."""


@pytest.mark.parametrize("form", ["json", "console"])
@pytest.mark.parametrize(
    "fields",
    [
        {"value": FORGED},
        {"value": [FORGED, {FORGED: FORGED}]},
        {"value": ValueError(FORGED)},
        {"value": FORGED.encode()},
        {FORGED: 1},
    ],
)
def test_no_field_forges_a_line(
    monkeypatch: pytest.MonkeyPatch, form: str, fields: dict[str, Any]
) -> None:
    """A record is one line without control characters."""
    stream = logged(monkeypatch, format=form)
    structlog.get_logger().warning(FORGED, **fields)
    text = stream.getvalue()
    assert text.endswith("\n")
    assert text[:-1].isprintable()


@pytest.mark.parametrize("form", ["json", "console"])
def test_no_traceback_forges_a_line(monkeypatch: pytest.MonkeyPatch, form: str) -> None:
    """The lines of a traceback are one line of JSON, or indented on a terminal."""
    stream = logged(monkeypatch, format=form)
    try:
        raise ValueError(FORGED)
    except ValueError:
        structlog.get_logger().exception("role failed")
    first, *lines = stream.getvalue().splitlines()
    assert "role failed" in first
    assert all(line.startswith("    ") or not line for line in lines)
    assert first.isprintable()
    assert all(line.isprintable() for line in lines)
    assert bool(lines) is (form == "console")


@pytest.mark.parametrize("form", ["json", "console"])
@pytest.mark.parametrize("severity", ["warning", "critical"])
def test_a_logged_event_has_no_request_id(
    monkeypatch: pytest.MonkeyPatch, form: str, severity: str
) -> None:
    """Examples are in events and notifications, not in the log."""
    explanation = Explanation(
        examples=("req-1-secret", "req-2-secret"), bins=(BinShift(bin=FORGED, before=0.1, after=1),)
    )
    each = drift_events.event(severity=severity, segment=FORGED, explanation=explanation)
    assert "req-1-secret" in str(event_fields(each))
    stream = logged(monkeypatch, format=form)
    log = structlog.get_logger()
    log.warning("drift opened", summary=sentence(each), **event_fields(each))
    log.info("nested", batch=[{"events": [event_fields(each)]}], request_id="req-1-secret")
    assert "latency_ms" in stream.getvalue()
    assert "secret" not in stream.getvalue()
    assert all(line.isprintable() for line in stream.getvalue().splitlines())
    assert len(stream.getvalue().splitlines()) == 2


def test_colours_are_for_terminals(monkeypatch: pytest.MonkeyPatch) -> None:
    """Formatted text in a file has no control characters."""
    stream = logged(monkeypatch, format="console")
    structlog.get_logger().warning("started", role="detect")
    assert "\x1b" not in stream.getvalue()
    stream = Terminal()
    monkeypatch.setattr(sys, "stderr", stream)
    configure(LogConfig(format="console"))
    structlog.get_logger().warning("started", role="detect")
    assert "\x1b" in stream.getvalue()
