"""Variants of units over HTTP, also in the terms of OpenFeature, and requests that are refused."""

from __future__ import annotations

import json
from http import HTTPStatus
from typing import Any, get_args
from urllib.parse import quote, urlencode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitor.config.sections.experiments.section import ExperimentConfig
from monitor.events.history import EventHistory
from monitor.experiments.assignment.assign import Reason, assign
from monitor.experiments.assignment.lookup import Assignments
from monitor.telemetry.counters.metrics import Metrics
from monitor.telemetry.http.api import Api
from monitor.telemetry.http.assignments import MAX_UNITS, OPENFEATURE

NAME = "new-prompt.v2"
VARIANTS = {"control": 1.0, "größer": 1.0, "stopped": 1.0}
CONFIG = ExperimentConfig.model_validate(
    {
        "variants": VARIANTS,
        "goal": "error",
        "coverage": 0.6,
        "overrides": {"tester": "größer"},
        "stopped": ["stopped"],
    }
)
API = Api(EventHistory, Metrics(), assign=Assignments({NAME: CONFIG}))


def get(query: str, name: str = NAME) -> tuple[int, Any]:
    """Return status and JSON of the page."""
    answer = API.answer(f"/api/v1/experiments/{quote(name, safe='')}/assign", query)
    assert answer is not None
    return answer[0], json.loads(answer[1])


def expected(unit: str) -> tuple[str | None, Reason]:
    """Return the variant of a unit and its reason."""
    return assign(
        unit, VARIANTS, NAME, coverage=0.6, overrides={"tester": "größer"}, stopped=["stopped"]
    )


@given(st.lists(st.text(st.characters(codec="utf-8"), max_size=20), min_size=1, max_size=20))
def test_each_unit_has_its_variant(units: list[str]) -> None:
    """Any ids, percent-encoded, are assigned in their order."""
    status, found = get(urlencode([("unit", unit) for unit in units]))
    assert status == HTTPStatus.OK
    assert found["experiment"] == NAME
    given_ids = [(e["unit"], e["variant"], e["reason"]) for e in found["assignments"]]
    assert given_ids == [(unit, *expected(unit)) for unit in units]


def test_openfeature_gets_its_own_fields() -> None:
    """The flag is the experiment, its value the variant, and the reason is one of OpenFeature's."""
    reasons = {}
    for unit in ("tester", "", *(f"user-{number}" for number in range(40))):
        status, found = get(urlencode({"targetingKey": unit}))
        variant, reason = expected(unit)
        assert status == HTTPStatus.OK
        assert (found["flagKey"], found["targetingKey"]) == (NAME, unit)
        assert found["value"] == found["variant"] == variant
        assert found["flagMetadata"] == {"assignment": reason}
        assert ("errorCode" in found) == (reason == "invalid_unit")
        reasons[reason] = found["reason"]
    assert reasons == {
        "override": "TARGETING_MATCH",
        "hash": "SPLIT",
        "not_covered": "DEFAULT",
        "stopped": "DISABLED",
        "invalid_unit": "ERROR",
    }
    assert {*OPENFEATURE} == {*get_args(Reason)}


@pytest.mark.parametrize(
    ("query", "error"),
    [
        ("", "the unit is missing; add ?unit=ID, repeated for several units"),
        ("user=1", "unknown parameter 'user'; there are unit and targetingKey"),
        ("unit=%ff", "the query is not percent-encoded UTF-8"),
        ("unit=a&targetingKey=b", "give one targetingKey, without unit; or unit, repeated"),
        ("targetingKey=a&targetingKey=b", "give one targetingKey, without unit; or unit, repeated"),
        ("&".join(["unit=a"] * (MAX_UNITS + 1)), "give at most 500 units in a request"),
    ],
)
def test_a_malformed_request_is_refused(query: str, error: str) -> None:
    """A request without a unit, with other parameters or too many is answered by 400."""
    assert get(query) == (HTTPStatus.BAD_REQUEST, {"error": error})


def test_an_unknown_experiment_is_not_found() -> None:
    """The error has a suggestion, and repeats no more than the begin of the name."""
    assert get("unit=a", "new-prompt") == (
        HTTPStatus.NOT_FOUND,
        {"error": f"unknown experiment 'new-prompt'; did you mean '{NAME}'?"},
    )
    status, found = get("unit=a", "x" * 5_000)
    assert status == HTTPStatus.NOT_FOUND
    assert len(found["error"]) < 200
    none = Api(EventHistory, Metrics(), assign=Assignments({}))
    answer = none.answer("/api/v1/experiments/x/assign", "unit=a")
    assert answer == (
        HTTPStatus.NOT_FOUND,
        b'{"error":"unknown experiment \'x\'; there is none"}\n',
    )


@pytest.mark.parametrize("path", ["x", "x/", "x/other", "x/assign/y", "/assign/"])
def test_other_pages_do_not_exist(path: str) -> None:
    """Only the page of an assignment is served, and none without experiments."""
    assert API.answer(f"/api/v1/experiments/{path}", "unit=a") is None
    assert Api(EventHistory, Metrics()).answer(f"/api/v1/experiments/{NAME}/assign", "") is None
