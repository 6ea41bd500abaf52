"""The self-audit of a running daemon: a step at a time, all models in turn, in 1 % of the time."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from weakref import WeakKeyDictionary, WeakSet

import structlog

from monitor import audit
from monitor.audit import Audited, Replica, Tally
from monitor.config import Config
from monitor.reference import Profile
from monitor.segments import WHOLE
from monitor.watch import Watch

log = structlog.get_logger(__name__)


class Auditor:
    """Audits the references of whole models; the one with the fewest replicas is next.

    It holds one replica at a time, and a tally for each reference that is in use.
    """

    def __init__(self, config: Config) -> None:
        self.config = config
        self.tallies: WeakKeyDictionary[Profile, Tally] = WeakKeyDictionary()
        self.closed: WeakSet[Profile] = WeakSet()
        """References that cannot be audited."""
        self.told: WeakSet[Profile] = WeakSet()
        """References whose audit has contradicted the promise, and that was said."""
        self._steps: Iterator[Tally] = iter(())
        self._profile: Profile | None = None

    def step(self, watches: Iterable[Watch]) -> None:
        """Audit a little further."""
        added, profile = next(self._steps, None), self._profile
        if added is None or profile is None:
            self._next_replica(watches)
            return
        tally = self.tallies[profile]
        tally.add(added)
        if added.replicas and profile not in self.told:
            self._look(profile, tally)

    def audited(self, watch: Watch) -> Audited | None:
        """What is known so far of a whole model; None of a segment, or in a warm-up."""
        if watch.profile is None or watch.segment != WHOLE:
            return None
        return audit.result(self.config, watch.profile, self.tallies.get(watch.profile, Tally()))

    def _next_replica(self, watches: Iterable[Watch]) -> None:
        ready = {
            watch.profile: watch.levels
            for watch in watches
            if watch.segment == WHOLE and watch.profile and watch.profile not in self.closed
        }
        self._profile = min(
            ready, key=lambda each: self.tallies.setdefault(each, Tally()).replicas, default=None
        )
        if (profile := self._profile) is None:
            return
        number = self.tallies[profile].replicas
        try:
            self._steps = Replica(profile, self.config, ready[profile], number).steps()
        except ValueError as error:
            self.closed.add(profile)
            log.warning("reference cannot be audited", model=profile.model, reason=str(error))

    def _look(self, profile: Profile, tally: Tally) -> None:
        """Say it, once, where the promise does not hold."""
        found = audit.result(self.config, profile, tally)
        if not found.contradicts:
            return
        self.told.add(profile)
        most = sorted(tally.pages, key=lambda who: -tally.pages[who])[:3]
        log.warning(
            "the audit finds more false pages than promised",
            model=found.model,
            promised_per_day=float(f"{found.promised:.3g}"),
            measured_per_day=float(f"{found.measured or 0:.3g}"),
            records=found.records,
            mostly=[f"{feature} by {detector}" for feature, detector in most],
            advice=audit.ADVICE,
        )
