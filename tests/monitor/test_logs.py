"""The daemon's own log: one JSON object a line, and nothing that nobody should read."""

from __future__ import annotations

import io
import json
import sys
from typing import Any

import pytest
import structlog
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from monitor.config import Config, LogConfig
from monitor.config_file import load
from monitor.logs import configure

PASSWORD = "hunter2-Zq"


class Terminal(io.StringIO):
    """A standard error that is a terminal."""

    def isatty(self) -> bool:
        """It is one."""
        return True


def logged(monkeypatch: pytest.MonkeyPatch, **config: Any) -> io.StringIO:
    """Where the log goes when standard error is a pipe."""
    stream = io.StringIO()
    monkeypatch.setattr(sys, "stderr", stream)
    configure(LogConfig(**config))
    return stream


def test_a_line_is_one_object(monkeypatch: pytest.MonkeyPatch) -> None:
    """Event, level, time and fields, in one line of JSON."""
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


values = st.none() | st.booleans() | st.integers() | st.text() | st.binary() | st.builds(object)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.text(), st.dictionaries(st.text(alphabet="abc", min_size=1), values | st.lists(values)))
def test_any_event_is_one_line(event: str, fields: dict[str, Any]) -> None:
    """Whatever is logged, line breaks and what JSON does not know included."""
    stream = io.StringIO()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "stderr", stream)
        configure(LogConfig(format="json"))
        structlog.get_logger().info(event, **fields)
    text = stream.getvalue()
    assert text.count("\n") == 1
    assert text.isascii()
    assert json.loads(text)["event"] == event


def test_a_traceback_is_in_the_line(monkeypatch: pytest.MonkeyPatch) -> None:
    """An exception is a field of its event, without the values of variables."""
    stream = logged(monkeypatch)
    fail_and_log()
    [line] = stream.getvalue().splitlines()
    found = json.loads(line)
    assert "ValueError: no" in found["exception"]
    assert PASSWORD not in line


def fail_and_log() -> None:
    """Log an exception where a variable holds a secret."""
    try:
        raise_with({"sasl.password": "-".join(["hunter2", "Zq"])})
    except ValueError:
        structlog.get_logger().exception("role failed")


def raise_with(settings: dict[str, str]) -> None:
    """Fail with a secret among the variables."""
    raise ValueError("no" if settings else "yes")


def test_no_variables_in_tracebacks_for_people(monkeypatch: pytest.MonkeyPatch) -> None:
    """A traceback on the console does not show what variables hold: records, and passwords."""
    stream = logged(monkeypatch, format="console")
    fail_and_log()
    assert "ValueError: no" in stream.getvalue()
    assert "raise_with" in stream.getvalue()
    assert PASSWORD not in stream.getvalue()


@pytest.mark.parametrize("form", ["json", "console"])
def test_a_configuration_shows_no_secret(monkeypatch: pytest.MonkeyPatch, form: str) -> None:
    """Logging the configuration, or parts of it, shows the keys and masks the secrets."""
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
def test_levels(monkeypatch: pytest.MonkeyPatch, level: Any, shown: list[str]) -> None:
    """What is less severe than the configured level is not logged."""
    stream = logged(monkeypatch, level=level)
    for each in ("debug", "info", "warning", "error"):
        getattr(structlog.get_logger(), each)("x")
    assert [json.loads(line)["level"] for line in stream.getvalue().splitlines()] == shown


def test_auto_is_for_people_on_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    """Colours on a terminal, JSON elsewhere, and json means json on a terminal too."""
    for config, pretty in (({}, True), ({"format": "json"}, False), ({"format": "console"}, True)):
        stream = Terminal()
        monkeypatch.setattr(sys, "stderr", stream)
        configure(LogConfig.model_validate(config))
        structlog.get_logger().info("started")
        assert "started" in stream.getvalue()
        assert stream.getvalue().startswith("{") is not pretty


def test_standard_output_stays_clean(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Logs go to standard error: standard output is for what a program may read."""
    stream = logged(monkeypatch)
    structlog.get_logger().error("x", config=Config().log)
    assert stream.getvalue()
    assert capsys.readouterr().out == ""
