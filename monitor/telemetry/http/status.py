"""The status of each model, from its events and from the watches of this process."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from itertools import chain
from typing import Literal

import msgspec

from detectors.trends import Trend
from monitor import __version__
from monitor.events.history import EventHistory, OpenAlarm
from monitor.events.wording.drift import sentence
from monitor.records import Source
from monitor.telemetry.counters.metrics import Metrics, ModelState

DAY_SECONDS = 86_400.0

State = Literal["healthy", "degraded", "warming_up"]


class AlarmStatus(msgspec.Struct, frozen=True, kw_only=True):
    """An open alarm. opened, since: event times; since is None if it is unknown.

    summary: the sentence of its newest event. source: where the values of the feature come from.
    """

    id: str
    model: str
    segment: str
    feature: str
    severity: str
    opened: float
    since: float | None
    psi: float
    summary: str
    source: Source = Source.LOG


class SourceStatus(msgspec.Struct, frozen=True, kw_only=True):
    """The watch over another source of a model than the log.

    warmup: records that its warm-up still needs.
    """

    source: Source
    records: int
    reference_records: int
    window_records: int
    warmup: int


class ModelStatus(msgspec.Struct, frozen=True, kw_only=True):
    """The status of one model.

    state: `degraded` while an alarm is open, segments included. records, reference_records,
    window_records, warmup (records that it still needs): of the log; None if another process
    watches the model. sources: the others, such as judged samples. last_day: alarms that opened or
    became critical in the last 24 hours, by severity. drift: PSI by feature. trends: by feature in
    which larger values are better.
    """

    model: str
    state: State
    records: int | None = None
    reference_records: int | None = None
    window_records: int | None = None
    warmup: int | None = None
    sources: list[SourceStatus] = []
    alarms: list[AlarmStatus] = []
    last_day: dict[str, int] = {}
    drift: dict[str, float] = {}
    trends: dict[str, Trend] = {}


class Status(msgspec.Struct, frozen=True, kw_only=True):
    """The status of all models. time: seconds since the epoch. not_ready: roles that are not."""

    version: str
    time: float
    not_ready: list[str]
    models: list[ModelStatus]


def alarm_statuses(history: EventHistory) -> list[AlarmStatus]:
    """Return the open alarms, the newest first."""
    return [_alarm_status(alarm) for alarm in history.open_alarms()]


def status(history: EventHistory, metrics: Metrics, now: float) -> Status:
    """Return the status of the models that have events or are watched here.

    now: seconds since the epoch.
    """
    with metrics.lock:
        watched = defaultdict[str, list[ModelState]](list)
        for state in chain.from_iterable(metrics.models.values()):
            watched[state.model].append(state)
    recent = [e for e in history.since(now - DAY_SECONDS) if e.change in {"opened", "escalated"}]
    counts = defaultdict[str, Counter[str]](Counter)
    for event in recent:
        counts[event.model][event.severity] += 1
    alarms = defaultdict[str, list[AlarmStatus]](list)
    for alarm in alarm_statuses(history):
        alarms[alarm.model].append(alarm)
    return Status(
        version=__version__,
        time=now,
        not_ready=metrics.health.unready(),
        models=[
            _model_status(
                name,
                watched.get(name, []),
                alarms.get(name, []),
                dict(sorted(counts[name].items())),
            )
            for name in sorted({*watched, *alarms, *counts})
        ],
    )


def _model_status(
    model: str,
    watched: Sequence[ModelState],
    alarms: list[AlarmStatus],
    last_day: dict[str, int],
) -> ModelStatus:
    of_log = next((state for state in watched if state.source is Source.LOG), None)
    psi = {feature: psi for state in watched for feature, psi in state.psi.items()}
    return ModelStatus(
        model=model,
        state=_state(of_log, alarms),
        records=of_log.records if of_log else None,
        reference_records=of_log.reference_records if of_log else None,
        window_records=of_log.window_records if of_log else None,
        warmup=of_log.warmup if of_log else None,
        sources=[_source_status(state) for state in watched if state is not of_log],
        alarms=alarms,
        last_day=last_day,
        drift=dict(sorted(psi.items(), key=lambda item: -item[1])),
        trends={feature: trend for state in watched for feature, trend in state.trends.items()},
    )


def _source_status(state: ModelState) -> SourceStatus:
    return SourceStatus(
        source=state.source,
        records=state.records,
        reference_records=state.reference_records,
        window_records=state.window_records,
        warmup=state.warmup,
    )


def _state(watched: ModelState | None, alarms: Iterable[AlarmStatus]) -> State:
    if any(alarm.severity in {"warning", "critical"} for alarm in alarms):
        return "degraded"
    return "warming_up" if watched and not watched.reference_records else "healthy"


def _alarm_status(alarm: OpenAlarm) -> AlarmStatus:
    event = alarm.event
    since = event.explanation.since
    return AlarmStatus(
        id=event.alarm,
        model=event.model,
        segment=event.segment,
        feature=event.feature,
        severity=event.severity,
        opened=alarm.opened,
        since=since.time if since else None,
        psi=event.psi,
        summary=sentence(event),
        source=event.source,
    )
