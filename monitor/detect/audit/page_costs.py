"""Page costs of a log: false pages promised and measured, and the alarms by feature."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import msgspec

from detectors.calibration import SECONDS_PER_DAY
from monitor.detect.audit import self_audit
from monitor.detect.audit.self_audit import AuditResult
from monitor.detect.monitor import DriftMonitor
from monitor.detect.watch import Watch
from monitor.events.types import DriftEvent, pages
from monitor.ingest.chunks.segments import WHOLE

VALUES = 6_000_000
"""Values audited over all models, one per feature and record: about a second."""
MODELS = 10
"""Models audited, those with the most records: setting one up costs as much as 50,000 records."""


class FalsePages(msgspec.Struct, frozen=True):
    """False pages of the self-audit by feature and by the detector that opened the alarm."""

    feature: str
    detector: str
    pages: int


class FeaturePages(msgspec.Struct, frozen=True):
    """Alarms of a feature that paged in the log. per_period: the same per `per_days` days."""

    pages: int
    per_period: float


class PageCosts(msgspec.Struct, frozen=True, kw_only=True):
    """False pages of one model, promised and measured, and the pages in the log.

    promised, measured, low, high: false pages per per_days days. low and high are the limits of a
    95 % Poisson interval. measured, low and high are None without an audit; `reason` says why.
    records, days: audited records and the traffic they amount to. false_pages: of the audit.
    features: alarms in the log.
    """

    per_days: float
    promised: float
    measured: float | None = None
    low: float | None = None
    high: float | None = None
    records: int = 0
    days: float = 0.0
    contradicts: bool = False
    reason: str | None = None
    false_pages: list[FalsePages] = []
    features: dict[str, FeaturePages] = {}


def compute(monitor: DriftMonitor, events: Sequence[DriftEvent]) -> dict[str, PageCosts]:
    """Return the page costs of every model with a reference. events: all events of the log."""
    watches = [watch for watch in monitor.log.whole() if watch.profile]
    watches.sort(key=lambda watch: (-watch.records, watch.model))
    audited = watches[:MODELS]
    features = sum(len(watch.profile.baseline.streams) for watch in audited if watch.profile)
    records = VALUES // max(1, features)
    return {
        watch.model: _model_costs(watch, events, records if watch in audited else 0)
        for watch in watches
    }


def _model_costs(watch: Watch, events: Sequence[DriftEvent], records: int) -> PageCosts:
    """Return the page costs of one model. records: records to audit; 0 for no audit."""
    assert watch.profile is not None
    profile, config = watch.profile, watch.config
    reason = None if records else f"only the {MODELS} models with the most records are audited"
    tally = self_audit.Tally()
    try:
        tally = self_audit.run(profile, config, [t.levels for t in watch.tracks], records)
    except ValueError as error:
        reason = str(error)
    result = self_audit.result(config, profile, tally, watch.settings.share)
    records_per_day = profile.records_per_second * SECONDS_PER_DAY
    days = config.alarms.per_days
    return PageCosts(
        per_days=days,
        promised=result.promised * days,
        measured=_times(result.measured, days),
        low=_times(result.low, days),
        high=_times(result.high, days),
        records=result.records,
        days=result.records / records_per_day,
        contradicts=result.contradicts,
        reason=reason,
        false_pages=_false_pages(result),
        features=_features(watch, events, days * records_per_day),
    )


def _features(watch: Watch, events: Sequence[DriftEvent], period: float) -> dict[str, FeaturePages]:
    """Return the alarms of the whole model by feature, most first. period: its records."""
    paged = {
        event.alarm: event.feature
        for event in events
        if pages(event.severity)
        and (event.model, event.segment, event.source) == (watch.model, WHOLE, watch.source)
    }
    opened = Counter(paged.values())
    # count records of strides: no alarm can open during the warm-up
    watched = watch.main.window.strides * watch.main.window.stride
    return {
        feature: FeaturePages(count, count / watched * period)
        for feature, count in opened.most_common()
    }


def _false_pages(result: AuditResult) -> list[FalsePages]:
    by_count = sorted(result.pages.items(), key=lambda each: (-each[1], each[0]))
    return [FalsePages(feature, detector, count) for (feature, detector), count in by_count]


def _times(rate: float | None, days: float) -> float | None:
    return None if rate is None else rate * days
