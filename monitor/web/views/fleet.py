"""The models: open alarms, judged quality, the last replay; and one model in detail."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final, TypeVar

from monitor.events.history import EventHistory, OpenAlarm
from monitor.events.replay import ReplayEvent
from monitor.events.types import DriftEvent, rank
from monitor.events.wording.drift import sentence
from monitor.events.wording.replay import replay_sentence
from monitor.experiments.decisions.result import Result
from monitor.telemetry.http.api import HistoryUnavailableError
from monitor.web.views.sources import Published

T = TypeVar("T")
MAX_EVENTS: Final = 50
MAX_REPLAYS: Final = 20


@dataclass(frozen=True, slots=True)
class Alarm:
    """An open alarm with its newest event. summary: its sentence. opened: epoch seconds."""

    opened: float
    event: DriftEvent
    summary: str


@dataclass(frozen=True, slots=True)
class PassRate:
    """Share of a model's traffic that passes a rubric, with a 95 % interval.

    state: "corrected" or "undefined"; then `reason` says why, and value and interval are None.
    labels: number of labels. judged: share that the judge alone passes, None without verdicts.
    """

    state: str
    reason: str
    value: float | None
    lower: float | None
    upper: float | None
    labels: int
    judged: float | None


@dataclass(frozen=True, slots=True)
class Quality:
    """Judged quality of a model by a rubric, with a 95 % interval.

    corrected: whether labels of people were used. scores, labels: numbers of samples. judged: mean
    of the judge alone.
    """

    model: str
    rubric: str
    value: float
    lower: float
    upper: float
    corrected: bool
    scores: int
    labels: int
    judged: float
    pass_rate: PassRate


@dataclass(frozen=True, slots=True)
class Replay:
    """A replay with its sentence."""

    event: ReplayEvent
    summary: str


@dataclass(frozen=True, slots=True)
class ModelRow:
    """A model of the fleet. alarms: those that page; worst: their highest severity, or "".

    info: alarms that do not page. replay: the newest, None without one.
    """

    name: str
    alarms: int
    info: int
    worst: str
    quality: tuple[Quality, ...]
    replay: Replay | None


@dataclass(frozen=True, slots=True)
class Fleet:
    """All models. alarms: the most severe first, then the newest. problems: what is not shown."""

    models: tuple[ModelRow, ...]
    alarms: tuple[Alarm, ...]
    experiments: tuple[Result, ...]
    problems: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Model:
    """One model. events, replays: the newest first. problems: what is not shown."""

    name: str
    alarms: tuple[Alarm, ...]
    quality: tuple[Quality, ...]
    replays: tuple[Replay, ...]
    events: tuple[tuple[DriftEvent, str], ...]
    experiments: tuple[Result, ...]
    problems: tuple[str, ...]


def fleet(published: Published | None) -> Fleet:
    """Return the models that have events, judged quality or replays."""
    problems: list[str] = []
    history = _history(published, problems)
    found = _alarms(history)
    quality, replays = _quality(published, problems), _replays(published, problems)
    newest = {event.model: event for event in replays}
    names = {each.event.model for each in found} | {each.model for each in quality} | newest.keys()
    if history is not None:
        names |= {event.model for event in history.since(float("-inf"))}
    return Fleet(
        models=tuple(_row(name, found, quality, newest.get(name)) for name in sorted(names)),
        alarms=tuple(found),
        experiments=tuple(_experiments(published, problems)),
        problems=tuple(problems),
    )


def model(published: Published | None, name: str) -> Model:
    """Return a model; one without events has empty fields."""
    problems: list[str] = []
    history = _history(published, problems)
    events = [] if history is None else history.newest(MAX_EVENTS, model=name)
    replays = [event for event in _replays(published, problems) if event.model == name]
    return Model(
        name=name,
        alarms=tuple(each for each in _alarms(history) if each.event.model == name),
        quality=tuple(each for each in _quality(published, problems) if each.model == name),
        replays=tuple(_replay(event) for event in reversed(replays[-MAX_REPLAYS:])),
        events=tuple((event, sentence(event)) for event in reversed(events)),
        experiments=tuple(_experiments(published, problems)),
        problems=tuple(problems),
    )


def _history(published: Published | None, problems: list[str]) -> EventHistory | None:
    return _read(None if published is None else published.history, "Alarms", problems)


def _alarms(history: EventHistory | None) -> list[Alarm]:
    found = [] if history is None else [_alarm(each) for each in history.open_alarms()]
    return sorted(found, key=lambda each: -rank(each.event.severity))


def _alarm(each: OpenAlarm) -> Alarm:
    return Alarm(each.opened, each.event, sentence(each.event))


def _quality(published: Published | None, problems: list[str]) -> list[Quality]:
    report = _read(None if published is None else published.quality, "Judged quality", problems)
    rows: Sequence[dict[str, Any]] = () if report is None else report["quality"]
    return [Quality(**row | {"pass_rate": PassRate(**row["pass_rate"])}) for row in rows]


def _replays(published: Published | None, problems: list[str]) -> Sequence[ReplayEvent]:
    found = _read(None if published is None else published.replays, "Replays", problems)
    return () if found is None else found


def _experiments(published: Published | None, problems: list[str]) -> list[Result]:
    found = _read(None if published is None else published.experiments, "Experiments", problems)
    return [] if found is None else [result for _, result in sorted(found.items())]


def _read(source: Callable[[], T] | None, what: str, problems: list[str]) -> T | None:
    """Return what a source has; None, with the reason in `problems`, if it is not available.

    A role that is not configured is no problem.
    """
    if source is None:
        return None
    try:
        return source()
    except HistoryUnavailableError as error:
        problems.append(f"{what} are not available: {error}")
        return None


def _replay(event: ReplayEvent) -> Replay:
    return Replay(event, replay_sentence(event))


def _row(
    name: str, alarms: Sequence[Alarm], quality: Sequence[Quality], replay: ReplayEvent | None
) -> ModelRow:
    mine = [each.event.severity for each in alarms if each.event.model == name]
    paging = [severity for severity in mine if severity != "info"]
    return ModelRow(
        name=name,
        alarms=len(paging),
        info=len(mine) - len(paging),
        worst=max(paging, key=rank, default=""),
        quality=tuple(each for each in quality if each.model == name),
        replay=None if replay is None else _replay(replay),
    )
