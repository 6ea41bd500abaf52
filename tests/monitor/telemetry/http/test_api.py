"""The JSON API: status, alarms and events over HTTP, and requests that it refuses."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any
from urllib.error import HTTPError
from urllib.request import urlopen

import msgspec
import pytest
from prometheus_client.registry import CollectorRegistry

from detectors.trends import Trend
from monitor.events.history import EventHistory
from monitor.records import Source
from monitor.telemetry.counters.metrics import Metrics, ModelState
from monitor.telemetry.health import Health
from monitor.telemetry.http.api import Api, HistoryUnavailableError
from monitor.telemetry.http.server import WebServer
from monitor.telemetry.http.status import Status
from tests.monitor.events.drift_events import EXPLANATION, event, numbers

NOW = 1.7e9 + 100


@dataclass
class Server:
    """A running server, and what its API reports."""

    port: int = 0
    history: EventHistory = field(default_factory=EventHistory)
    metrics: Metrics = field(default_factory=Metrics)
    problem: str = ""

    def source(self) -> EventHistory:
        """Return the history, unless there is a problem."""
        if self.problem:
            raise HistoryUnavailableError(self.problem)
        return self.history

    def quality(self) -> dict[str, Any]:
        """Return a quality, unless there is a problem."""
        self.source()
        return {"quality": [{"model": "m", "value": 3.5}]}

    def get(self, path: str) -> tuple[int, Any]:
        """Return status and JSON of a page."""
        try:
            with urlopen(f"http://127.0.0.1:{self.port}{path}", timeout=10) as response:
                assert response.headers["Content-Type"] == "application/json"
                return response.status, json.load(response)
        except HTTPError as error:
            with error:
                return error.code, json.loads(error.read() or b"null")

    def add(self, number: int, **other: Any) -> None:
        """Add an event to the history."""
        fields = {"id": f"e{number}", "alarm": f"a{number}", "time": NOW - 10 + number}
        self.history.add(event(numbers(), numbers(90.0), **fields | other))


@pytest.fixture
def server() -> Iterator[Server]:
    """Run a server whose clock shows NOW."""
    running = Server()
    api = Api(running.source, running.metrics, lambda: NOW, running.quality)
    with WebServer("127.0.0.1", 0, CollectorRegistry(), Health(), api) as web:
        running.port = web.port
        yield running


def watched(model: str, **other: Any) -> ModelState:
    """Return the state of a model that this process watches."""
    fields: dict[str, Any] = {"records": 9000, "reference_records": 2000, "window_records": 200}
    fields |= {"readings": [], "psi": {"latency_ms": 0.01, "score.x": 0.3}, "severities": {}}
    return ModelState(model=model, **fields | other)


def test_status_of_each_model(server: Server) -> None:
    """A model is degraded with an open alarm, warming up without a reference, else healthy."""
    trend = Trend(0.7, 0.8, -0.1, -0.13, -0.07, "declining")
    server.metrics.models[0] = [
        watched("bad", trends={"score.x": trend}),
        watched("new", reference_records=0, psi={}),
    ]
    server.metrics.models[1] = [watched("good")]
    server.add(1, model="bad", severity="warning", explanation=EXPLANATION)
    server.add(2, model="elsewhere")
    server.add(3, model="elsewhere", alarm="a2", change="resolved")
    status, body = server.get("/api/v1/status")
    assert status == 200
    models = {model["model"]: model for model in body["models"]}
    assert {name: model["state"] for name, model in models.items()} == {
        "bad": "degraded",
        "elsewhere": "healthy",
        "good": "healthy",
        "new": "warming_up",
    }
    bad = models["bad"]
    assert (bad["records"], bad["last_day"]) == (9000, {"warning": 1})
    assert list(bad["drift"]) == ["score.x", "latency_ms"]
    assert bad["trends"]["score.x"]["direction"] == "declining"
    assert bad["trends"]["score.x"]["lower"] == -0.13
    [alarm] = bad["alarms"]
    assert (alarm["feature"], alarm["since"]) == ("latency_ms", EXPLANATION.since.time)  # type: ignore[union-attr]  # it has a start
    assert "has drifted" in alarm["summary"]
    assert (models["elsewhere"]["records"], models["elsewhere"]["alarms"]) == (None, [])
    assert msgspec.convert(body, Status).version


def test_other_sources_are_a_part_of_the_status_of_their_model(server: Server) -> None:
    """Judged samples have a warm-up of their own; the state of the model is that of its log."""
    judge = {"source": Source.JUDGE, "records": 1_250, "warmup": 750, "psi": {"judge.tone": 0.02}}
    server.metrics.models[0] = [
        watched("m", warmup=0),
        watched("m", reference_records=0, window_records=0, **judge),
    ]
    server.add(1, model="m", severity="info", feature="judge.tone", source=Source.JUDGE)
    [model] = server.get("/api/v1/status")[1]["models"]
    assert (model["state"], model["records"], model["warmup"]) == ("healthy", 9000, 0)
    assert model["sources"] == [
        {
            "source": "judge",
            "records": 1_250,
            "reference_records": 0,
            "window_records": 0,
            "warmup": 750,
        }
    ]
    assert set(model["drift"]) == {"latency_ms", "score.x", "judge.tone"}
    assert [alarm["source"] for alarm in model["alarms"]] == ["judge"]
    [event] = server.get("/api/v1/events")[1]["events"]
    assert event["source"] == "judge"


def test_only_the_last_day_is_counted(server: Server) -> None:
    """Events older than 24 hours do not count, but their alarms are still open."""
    server.add(1, model="m", time=NOW - 86_500)
    server.add(2, model="m", time=NOW - 86_300)
    server.add(3, model="m", time=NOW, change="escalated")
    server.add(4, model="m", time=NOW, alarm="a2", change="resolved")
    [model] = server.get("/api/v1/status")[1]["models"]
    assert model["last_day"] == {"critical": 2}
    assert [alarm["id"] for alarm in model["alarms"]] == ["a3", "a1"]


def test_alarms_and_events(server: Server) -> None:
    """Alarms are listed newest first, events oldest first, without request ids."""
    for number in range(1, 4):
        server.add(number, model=f"m{number % 2}", explanation=EXPLANATION)
    status, body = server.get("/api/v1/alarms")
    assert status == 200
    assert [alarm["id"] for alarm in body["alarms"]] == ["a3", "a2", "a1"]
    status, body = server.get("/api/v1/events")
    assert [each["id"] for each in body["events"]] == ["e1", "e2", "e3"]
    assert "examples" not in body["events"][0]["explanation"]
    assert body["events"][0]["explanation"]["since"]["record"] == 601
    assert [e["id"] for e in server.get("/api/v1/events?limit=1")[1]["events"]] == ["e3"]
    assert [e["id"] for e in server.get("/api/v1/events?model=m0")[1]["events"]] == ["e2"]


@pytest.mark.parametrize(
    "query",
    ["limit=0", "limit=1001", "limit=-1", "limit=x", "limit=", "limit=%D9%A1", "mode=m", "a=b&c=d"],
)
def test_a_bad_parameter_is_named(server: Server, query: str) -> None:
    """A parameter that is unknown or out of range is status 400 with a sentence."""
    status, body = server.get(f"/api/v1/events?{query}")
    assert status == 400
    assert "limit" in body["error"]


def test_unread_events_are_an_error(server: Server) -> None:
    """Without the events there is no answer: an empty list would mean that nothing is wrong."""
    server.problem = "plumbline.events: broker down"
    for view in ("status", "alarms", "events"):
        assert server.get(f"/api/v1/{view}") == (503, {"error": server.problem})


@pytest.mark.parametrize("path", ["/api/v1/", "/api/v1", "/api/v1/other", "/api/v2/status"])
def test_other_pages_are_not_found(server: Server, path: str) -> None:
    """A page that does not exist is status 404."""
    with pytest.raises(HTTPError, match="404"):
        urlopen(f"http://127.0.0.1:{server.port}{path}", timeout=10)


def test_quality(server: Server) -> None:
    """The quality is as its source reports it; a topic that cannot be read is status 503."""
    assert server.get("/api/v1/quality") == (200, {"quality": [{"model": "m", "value": 3.5}]})
    server.problem = "plumbline.evaluations: denied"
    assert server.get("/api/v1/quality") == (503, {"error": "plumbline.evaluations: denied"})


def test_no_quality_without_its_source() -> None:
    """A server without judged quality has no such page."""
    assert Api(EventHistory, Metrics()).answer("/api/v1/quality", "") is None
