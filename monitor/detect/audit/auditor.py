"""Runs the self-audit in a live daemon: step by step, all models in turn, in 1 % of the time."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from weakref import WeakKeyDictionary, WeakSet

import structlog

from monitor.detect.audit import self_audit
from monitor.detect.audit.self_audit import AuditResult, Replica, Tally
from monitor.detect.reference.profile import Profile
from monitor.detect.reference.sources import SourceSettings
from monitor.detect.watch import Watch
from monitor.ingest.chunks.segments import WHOLE

log = structlog.get_logger(__name__)

MAX_SOURCES = 3
"""Features and detectors named in a warning, those with the most false pages first."""


class Auditor:
    """Audits the references of whole models, of all sources; that with fewest replicas is next.

    It holds one replica at a time, and a tally for each reference in use.

    rejected: references that cannot be audited. reported: references for which a violated budget
    has been logged.
    """

    def __init__(self) -> None:
        self.tallies: WeakKeyDictionary[Profile, Tally] = WeakKeyDictionary()
        self.rejected: WeakSet[Profile] = WeakSet()
        self.reported: WeakSet[Profile] = WeakSet()
        self._steps: Iterator[Tally] = iter(())
        self._profile: Profile | None = None
        self._settings: SourceSettings | None = None

    def step(self, watches: Iterable[Watch]) -> None:
        """Run one step of the current replica, or set up the next replica."""
        added, profile, settings = next(self._steps, None), self._profile, self._settings
        if added is None or profile is None or settings is None:
            self._next_replica(watches)
            return
        tally = self.tallies[profile]
        tally.add(added)
        if added.replicas and profile not in self.reported:
            self._report(profile, settings, tally)

    def result(self, watch: Watch) -> AuditResult | None:
        """Return the result for a whole model; None for a segment or during the warm-up."""
        if watch.profile is None or watch.segment != WHOLE:
            return None
        tally = self.tallies.get(watch.profile, Tally())
        return self_audit.result(watch.config, watch.profile, tally, watch.settings.share)

    def _next_replica(self, watches: Iterable[Watch]) -> None:
        """Set up the next replica of the reference with the fewest replicas."""
        by_profile = {
            watch.profile: watch
            for watch in watches
            if watch.segment == WHOLE and watch.profile and watch.profile not in self.rejected
        }
        self._profile = min(
            by_profile,
            key=lambda each: self.tallies.setdefault(each, Tally()).replicas,
            default=None,
        )
        if (profile := self._profile) is None:
            return
        watch, number = by_profile[profile], self.tallies[profile].replicas
        self._settings = watch.settings
        levels = [track.levels for track in watch.tracks]
        try:
            self._steps = Replica(profile, watch.config, levels, number).steps()
        except ValueError as error:
            self.rejected.add(profile)
            log.warning(
                "reference cannot be audited",
                model=profile.model,
                source=watch.source,
                reason=str(error),
            )

    def _report(self, profile: Profile, settings: SourceSettings, tally: Tally) -> None:
        """Log a warning, once per reference, if the measured rate exceeds the budget."""
        result = self_audit.result(settings.config, profile, tally, settings.share)
        if not result.contradicts:
            return
        self.reported.add(profile)
        sources = sorted(tally.pages, key=lambda source: -tally.pages[source])[:MAX_SOURCES]
        log.warning(
            "audit found more false pages than promised",
            model=result.model,
            source=settings.source,
            promised_per_day=float(f"{result.promised:.3g}"),
            measured_per_day=float(f"{result.measured or 0:.3g}"),
            records=result.records,
            mostly=[f"{feature} by {detector}" for feature, detector in sources],
            advice=self_audit.ADVICE,
        )
