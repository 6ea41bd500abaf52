"""`plumbline status` and the arguments of `plumbline events`."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from prometheus_client.registry import CollectorRegistry

from detectors.trends import Trend
from monitor.events.history import EventHistory
from monitor.records import Source
from monitor.telemetry.counters.metrics import Metrics, ModelState
from monitor.telemetry.health import Health
from monitor.telemetry.http.api import Api
from monitor.telemetry.http.server import WebServer
from tests.monitor.cli.command_line import one_line_error, read_json, run
from tests.monitor.events.drift_events import event, numbers

HOSTILE = "m\x1b[2J[red]\n2026 [info] all is well"


@pytest.fixture
def address(tmp_path: Path) -> Iterator[str]:
    """The address of a daemon with a model that has drifted, and one that warms up."""
    history, metrics = EventHistory(), Metrics()
    history.add(event(numbers(), numbers(90.0), model=HOSTILE))
    trend = Trend(0.7, 0.8, -0.1, -0.13, -0.07, "declining")
    metrics.models[0] = [
        ModelState(HOSTILE, 9000, 2000, 200, [], {"latency_ms": 0.31}, {}, {"score.x": trend}),
        ModelState("new", 17, 0, 0, [], {}, {}),
        ModelState("new", 1250, 0, 0, [], {}, {}, source=Source.JUDGE, warmup=750),
    ]
    metrics.health.register("notify")
    api = Api(lambda: history, metrics, lambda: 1.7e9 + 60)
    with WebServer("127.0.0.1", 0, CollectorRegistry(), Health(), api) as web:
        (tmp_path / "plumbline.yaml").write_text(f"http: {{port: {web.port}}}\n")
        yield f"http://127.0.0.1:{web.port}"


@pytest.mark.usefixtures("address")
def test_status_in_words(capsys: pytest.CaptureFixture[str]) -> None:
    """The status shows each model, its open alarms and trends; names cannot control a terminal."""
    assert run("status") == 0
    out = capsys.readouterr().out
    assert "\x1b" not in out
    assert "[red]" in out
    lines = out.splitlines()
    assert lines[0] == "not ready: notify"
    [model] = [line for line in lines if "degraded" in line]
    assert "latency_ms 0.31" in model
    assert "9,000" in model
    [new] = [line for line in lines if line.startswith("new ")]
    assert "warming up" in new
    assert "judged samples of new: 1,250, warming up, 750 more needed" in lines
    [alarm] = [line for line in lines if "open since 2023-11-14 22:13:20 UTC" in line]
    assert "median 50 -> 90 ms" in alarm
    [trend] = [line for line in lines if "declining" in line]
    assert "mean 0.7, reference 0.8, change -0.1 (95% interval -0.13 to -0.07)" in trend


def test_status_as_json(address: str, capsys: pytest.CaptureFixture[str]) -> None:
    """The status of another address as the API returns it."""
    models = read_json(capsys, "status", "--json", "--url", address)["models"]
    assert {model["model"]: model["state"] for model in models} == {
        HOSTILE: "degraded",
        "new": "warming_up",
    }


def test_an_unreachable_daemon_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    """Without a daemon the error names the address and the option."""
    text = one_line_error(capsys, "status", "--url", "http://127.0.0.1:9")
    assert "http://127.0.0.1:9/api/v1/status" in text
    assert "--url" in text


def test_a_page_of_something_else_is_one_line(
    address: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """A server without this API is an error with its status."""
    assert "status 404" in one_line_error(capsys, "status", "--url", f"{address}/elsewhere")


def test_a_proxy_of_the_environment_is_not_used(
    address: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The daemon is on this machine or network, and no proxy of the internet reaches it."""
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    monkeypatch.delenv("no_proxy", raising=False)
    assert run("status", "--url", address, "--json") == 0
    assert json.loads(capsys.readouterr().out)["models"]


@pytest.mark.parametrize("words", [("--last", "0"), ("--last", "x"), ("--open", "--follow")])
def test_bad_arguments_of_events_are_one_line(
    words: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    """A bad number, or two lists at once, is an error before anything is read."""
    assert "plumbline events" in one_line_error(capsys, "events", *words)


def test_events_of_an_unreachable_broker_are_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Without a broker the error names its address and the topic."""
    (tmp_path / "plumbline.yaml").write_text("kafka: {bootstrap_servers: '127.0.0.1:9'}\n")
    text = one_line_error(capsys, "events")
    assert "127.0.0.1:9: plumbline.events" in text
