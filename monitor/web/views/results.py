"""What other roles publish, as values: alarms, experiments, replays, quality, runs."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import msgspec

from monitor.events.codec import event_fields
from monitor.events.replay import replay_fields
from monitor.events.wording.drift import sentence
from monitor.events.wording.replay import replay_sentence
from monitor.experiments.decisions.result import Result
from monitor.telemetry.http.status import alarm_statuses
from monitor.web.review.model import NotFound
from monitor.web.views.sources import Published

T = TypeVar("T")


def _source(published: Published | None, name: str, role: str) -> Any:
    source = None if published is None else getattr(published, name)
    if source is None:
        raise NotFound(f"the role {role} is not configured here")
    return source


def alarms(published: Published | None) -> Any:
    """Return the open alarms. Raises NotFound, HistoryUnavailableError."""
    return msgspec.to_builtins(alarm_statuses(_source(published, "history", "detect")()))


def events(published: Published | None, model: str | None, limit: int) -> list[dict[str, Any]]:
    """Return the newest drift events with their sentence, oldest first."""
    found = []
    for event in _source(published, "history", "detect")().newest(limit, model=model):
        fields = event_fields(event)
        fields["explanation"].pop("examples", None)
        found.append({"summary": sentence(event), **fields})
    return found


def experiments(published: Published | None) -> Mapping[str, Result]:
    """Return the last result of each experiment."""
    found: Mapping[str, Result] = _source(published, "experiments", "experiment")()
    return found


def experiment(published: Published | None, name: str) -> Result:
    """Return the last result of an experiment. Raises NotFound."""
    found = experiments(published).get(name)
    if found is None:
        raise NotFound(f"no result of an experiment {name[:100]!r} yet")
    return found


def replays(published: Published | None, model: str | None, limit: int) -> list[dict[str, Any]]:
    """Return the newest replays with their sentence, oldest first."""
    found = _source(published, "replays", "replay")()
    chosen = [event for event in found if model in {None, event.model}][-limit:]
    return [{"summary": replay_sentence(event), **replay_fields(event)} for event in chosen]


def quality(published: Published | None) -> dict[str, Any]:
    """Return the judged quality of the models."""
    source: Callable[[], dict[str, Any]] = _source(published, "quality", "judge")
    return source()
