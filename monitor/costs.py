"""What pages cost: the promise, the self-audit, and the alarms of a log, feature by feature."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from detectors.calibration import SECONDS_PER_DAY
from monitor import audit
from monitor.audit import Audited
from monitor.drift import DriftMonitor
from monitor.events import DriftEvent
from monitor.report import Budget, Cost, Replayed
from monitor.segments import WHOLE
from monitor.watch import Watch

VALUES = 6_000_000
"""That are replayed for all models together, one of each feature a record: about a second."""
MODELS = 10
"""That are audited, those with the most records: to set one up costs as much as 50,000 records."""


def of(monitor: DriftMonitor, events: Sequence[DriftEvent]) -> dict[str, Budget]:
    """The budget of every model that has a reference, after a log. events: of all of it."""
    watches = [w for (_, segment), w in monitor.watches.items() if segment == WHOLE and w.profile]
    watches.sort(key=lambda watch: (-watch.records, watch.model))
    audited = watches[:MODELS]
    features = sum(len(watch.window.baseline.streams) for watch in audited)
    records = VALUES // max(1, features)
    return {
        watch.model: _budget(watch, events, records if watch in audited else 0) for watch in watches
    }


def _budget(watch: Watch, events: Sequence[DriftEvent], records: int) -> Budget:
    """One model's. records: to replay, none where others have more traffic."""
    assert watch.profile is not None
    profile, config = watch.profile, watch.config
    reason = None if records else f"only the {MODELS} models with the most records are audited"
    tally = audit.Tally()
    try:
        tally = audit.run(profile, config, watch.levels, records)
    except ValueError as error:
        reason = str(error)
    found, per_day = audit.result(config, profile, tally), profile.records_per_second
    per_day *= SECONDS_PER_DAY
    days = config.alarms.per_days
    return Budget(
        per_days=days,
        promised=found.promised * days,
        measured=_times(found.measured, days),
        low=_times(found.low, days),
        high=_times(found.high, days),
        records=found.records,
        days=found.records / per_day,
        contradicts=found.contradicts,
        reason=reason,
        false_pages=_false_pages(found),
        features=_features(watch, events, days * per_day),
    )


def _features(watch: Watch, events: Sequence[DriftEvent], period: float) -> dict[str, Cost]:
    """Alarms of the whole model by feature, most first. period: records in per_days days."""
    opened = Counter(
        event.feature
        for event in events
        if event.change == "opened" and (event.model, event.segment) == (watch.model, WHOLE)
    )
    # strides, and not records: those of a warm-up could open no alarm
    watched = watch.window.strides * watch.window.stride
    return {
        feature: Cost(count, count / watched * period) for feature, count in opened.most_common()
    }


def _false_pages(found: Audited) -> list[Replayed]:
    most = sorted(found.pages.items(), key=lambda each: (-each[1], each[0]))
    return [Replayed(feature, detector, count) for (feature, detector), count in most]


def _times(rate: float | None, days: float) -> float | None:
    return None if rate is None else rate * days
