"""The read-only JSON API under /api/v1."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from http import HTTPStatus
from typing import Any
from urllib.parse import parse_qs, unquote

import msgspec

from monitor.events.codec import event_fields
from monitor.events.history import EventHistory
from monitor.events.replay import ReplayEvent, replay_fields
from monitor.events.types import DriftEvent
from monitor.events.wording.drift import sentence
from monitor.events.wording.replay import replay_sentence
from monitor.experiments.assignment.lookup import UnknownExperimentError
from monitor.experiments.decisions.result import Result
from monitor.telemetry.counters.metrics import Metrics
from monitor.telemetry.http import ofrep
from monitor.telemetry.http.assignments import AssignmentSource, assignments
from monitor.telemetry.http.status import alarm_statuses, status

PREFIX = "/api/v1/"
EXPERIMENTS = "experiments/"
DEFAULT_EVENTS = 100
MAX_EVENTS = 1_000
"""Events of a response."""


class HistoryUnavailableError(Exception):
    """A topic was not read to its end yet; the text says why."""


HistorySource = Callable[[], EventHistory]
"""Returns the history of the events topic. Raises HistoryUnavailableError."""

ExperimentSource = Callable[[], Mapping[str, Result]]
"""Returns the last result of each experiment. Raises HistoryUnavailableError."""

ReplaySource = Callable[[], Sequence[ReplayEvent]]
"""Returns the newest replays, oldest first. Raises HistoryUnavailableError."""

QualitySource = Callable[[], dict[str, Any]]
"""Returns the quality of the models. Raises HistoryUnavailableError."""

Answer = tuple[HTTPStatus, bytes]


class Api:
    """Answers requests with JSON.

    clock: returns the seconds since the epoch. quality: absent without judged quality. assign,
    experiments: absent without experiments. replays: absent where nothing is replayed.
    """

    def __init__(
        self,
        history: HistorySource,
        metrics: Metrics,
        clock: Callable[[], float] = time.time,
        quality: QualitySource | None = None,
        assign: AssignmentSource | None = None,
        experiments: ExperimentSource | None = None,
        replays: ReplaySource | None = None,
    ) -> None:
        self.views: dict[str, Callable[[Mapping[str, str]], Any]] = {
            "status": lambda _: status(history(), metrics, clock()),
            "alarms": lambda _: {"alarms": alarm_statuses(history())},
            "events": lambda query: {"events": _events(history(), query)},
        }
        if quality is not None:
            self.views["quality"] = lambda _: quality()
        if replays is not None:
            self.views["replays"] = lambda query: {"replays": _replays(replays(), query)}
        self.experiment_views: dict[str, Callable[[str, str], Any]] = {}
        if experiments is not None:
            self.views["experiments"] = lambda _: _overview(experiments())
            self.experiment_views[""] = lambda name, query: _result(experiments(), name, query)
        self._assign = assign
        if assign is not None:
            self.experiment_views["assign"] = lambda name, query: assignments(assign, name, query)

    def answer(self, path: str, query: str) -> Answer | None:
        """Return the answer to a request; None if there is no such page."""
        page = self._page(path.removeprefix(PREFIX)) if path.startswith(PREFIX) else None
        if page is None:
            return None
        try:
            return HTTPStatus.OK, _encode(page(query))
        except UnknownExperimentError as error:
            return HTTPStatus.NOT_FOUND, _encode({"error": str(error)})
        except HistoryUnavailableError as error:
            return HTTPStatus.SERVICE_UNAVAILABLE, _encode({"error": str(error)})
        except ValueError as error:
            return HTTPStatus.BAD_REQUEST, _encode({"error": str(error)})

    def evaluation(self, path: str, body: bytes) -> Answer | None:
        """Return the answer to a POST request; None if there is no such page."""
        if self._assign is None or not path.startswith(ofrep.FLAGS):
            return None
        name = unquote(path.removeprefix(ofrep.FLAGS))
        status, answer = ofrep.evaluate(self._assign, name, body)
        return status, _encode(answer)

    def _page(self, path: str) -> Callable[[str], Any] | None:
        """Return the function that answers a query of a page, or None if there is no such page."""
        if path.startswith(EXPERIMENTS):
            name, _, part = path.removeprefix(EXPERIMENTS).partition("/")
            about = self.experiment_views.get(part)
            return None if about is None else partial(about, unquote(name))
        view = self.views.get(path)
        return None if view is None else _Parsed(view)


@dataclass(frozen=True, slots=True)
class _Parsed:
    """A view, called with a query."""

    view: Callable[[Mapping[str, str]], Any]

    def __call__(self, query: str) -> Any:
        """Return the answer. Raises ValueError if the query is malformed."""
        return self.view(_parameters(query))


def _parameters(query: str) -> dict[str, str]:
    """Return the parameters of a query. Raises ValueError if it is malformed."""
    parameters = parse_qs(query, keep_blank_values=True, max_num_fields=20)
    return {name: values[-1] for name, values in parameters.items()}


def _events(history: EventHistory, query: Mapping[str, str]) -> list[dict[str, Any]]:
    """Return the newest events, oldest first.

    Parameters: `limit`, number of events; `model`, name of a model. Raises ValueError if one of
    them is invalid.
    """
    limit = _limit(query)
    return [_fields(event) for event in history.newest(limit, model=query.get("model"))]


def _replays(found: Sequence[ReplayEvent], query: Mapping[str, str]) -> list[dict[str, Any]]:
    """Return the newest replays, oldest first. Parameters: as of `_events`."""
    limit, model = _limit(query), query.get("model")
    chosen = [event for event in found if model in {None, event.model}][-limit:]
    return [{"summary": replay_sentence(event), **replay_fields(event)} for event in chosen]


def _limit(query: Mapping[str, str]) -> int:
    """Return the parameter `limit`. Raises ValueError if it, or another parameter, is invalid."""
    unknown = sorted(query.keys() - {"limit", "model"})
    if unknown:
        raise ValueError(f"unknown parameter {unknown[0]!r}; there are limit and model")
    limit = query.get("limit", str(DEFAULT_EVENTS))
    if not (limit.isascii() and limit.isdigit() and 1 <= int(limit) <= MAX_EVENTS):
        raise ValueError(f"limit must be a number from 1 to {MAX_EVENTS}")
    return int(limit)


def _overview(results: Mapping[str, Result]) -> dict[str, Any]:
    """Return the names of all experiments with their verdicts by variant."""
    return {
        "experiments": [
            {
                "experiment": name,
                "time": result.time,
                "goal": result.goal,
                "verdicts": {arm.variant: arm.verdict for arm in result.arms[1:]},
                "srm": result.srm.status,
                "in_doubt": [arm.variant for arm in result.arms if arm.in_doubt],
            }
            for name, result in sorted(results.items())
        ]
    }


def _result(results: Mapping[str, Result], name: str, query: str) -> Result:
    """Return the last result of an experiment. Raises UnknownExperimentError, and ValueError."""
    if unknown := sorted(_parameters(query)):
        raise ValueError(f"unknown parameter {unknown[0][:100]!r}; there is none")
    if name not in results:
        raise UnknownExperimentError(f"no result of an experiment {name[:100]!r} yet")
    return results[name]


def _fields(event: DriftEvent) -> dict[str, Any]:
    """Return an event without request ids: anyone who can reach the port can read the API."""
    fields = event_fields(event)
    fields["explanation"].pop("examples", None)
    return {"summary": sentence(event), **fields}


def _encode(value: Any) -> bytes:
    return msgspec.json.encode(value) + b"\n"
