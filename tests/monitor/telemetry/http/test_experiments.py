"""The results of experiments over HTTP."""

from __future__ import annotations

import json
from http import HTTPStatus
from typing import Any

import pytest

from monitor.events.history import EventHistory
from monitor.experiments.decisions.result import Result, decode_result
from monitor.telemetry.counters.metrics import Metrics
from monitor.telemetry.http.api import Api, HistoryUnavailableError
from tests.monitor.experiments.decisions.looks import SCORE, Experiment, design, normal, run

NAME = "a b/ü"


@pytest.fixture(scope="module")
def result() -> Result:
    """Return the result of an experiment with a verdict."""
    plan = design(name=NAME)
    *_, last = run(Experiment(plan, {SCORE.name: normal((10.0, 11.0))}), looks=5, users=300)
    return last.result


def get(result: Result | None, path: str, query: str = "") -> tuple[HTTPStatus, Any]:
    """Return status and JSON; None is a topic that cannot be read."""

    def results() -> dict[str, Result]:
        if result is None:
            raise HistoryUnavailableError("still reading the topic")
        return {result.experiment: result}

    api = Api(EventHistory, Metrics(), experiments=results)
    answer = api.answer(f"/api/v1/{path}", query)
    assert answer is not None
    status, body = answer
    return status, json.loads(body)


def test_the_page_of_an_experiment_is_its_result(result: Result) -> None:
    """The name is percent-encoded; the body decodes to the same result."""
    status, body = get(result, "experiments/a%20b%2F%C3%BC")
    assert status is HTTPStatus.OK
    assert decode_result(json.dumps(body).encode()) == result


def test_all_experiments_are_listed_with_their_verdicts(result: Result) -> None:
    """The overview has goal, verdicts and the state of the split."""
    status, body = get(result, "experiments")
    assert status is HTTPStatus.OK
    (only,) = body["experiments"]
    assert only["experiment"] == NAME
    assert only["verdicts"] == {"treatment": "better"}
    assert only["srm"] == "ok"


def test_requests_that_cannot_be_answered(result: Result) -> None:
    """An unknown name, a parameter, and a topic that is not read have a status of their own."""
    assert get(result, "experiments/other")[0] is HTTPStatus.NOT_FOUND
    assert get(result, "experiments/a%20b%2F%C3%BC", "x=1")[0] is HTTPStatus.BAD_REQUEST
    assert get(None, "experiments")[0] is HTTPStatus.SERVICE_UNAVAILABLE
    api = Api(EventHistory, Metrics())
    assert api.answer("/api/v1/experiments/x", "") is None
    assert api.answer("/api/v1/experiments", "") is None
