"""All watches: columns go in, drift events come out. The daemon and `backtest` share this code."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

from monitor import segments
from monitor.columns import Columns
from monitor.config import Config
from monitor.events import DriftEvent
from monitor.features import OTHER
from monitor.reference import Profile
from monitor.segments import WHOLE
from monitor.watch import Watch

References = Mapping[tuple[str, str], Profile]
"""(model, segment) -> its reference; who is not in it warms up."""


class DriftMonitor:
    """A watch for every model, and for every segment of the configured keys, up to a bound.

    records: by model, all that were seen; models past the bound count as "other".
    segments_dropped: records that were in a segment past the bound.
    """

    def __init__(self, config: Config, references: References) -> None:
        self.config = config
        self.references = references
        self.records: Counter[str] = Counter()
        self.watches: dict[tuple[str, str], Watch] = {}
        self.segments_dropped = 0

    def process(self, columns: Columns) -> list[DriftEvent]:
        """What is found in the next records of one model."""
        model = columns.model if self._knows(columns.model) else OTHER
        self.records[model] += len(columns)
        if model == OTHER:
            return []
        events: list[DriftEvent] = []
        for segment, part in segments.split(columns, self.config.segments):
            watch = self._watch(model, segment)
            if watch is None:
                self.segments_dropped += len(part)
            else:
                events += watch.feed(part)
        return events

    def warming_up(self) -> dict[str, int]:
        """Models that have no reference yet -> the records that it takes."""
        return {
            model: watch.warmup.needed
            for (model, segment), watch in self.watches.items()
            if segment == WHOLE and watch.profile is None
        }

    def _knows(self, model: str) -> bool:
        """Whether a model is watched, or there is room for one more."""
        if model in self.records:
            return True
        # every ingest worker has a bound of its own, and they need not have met the same models
        return len(self.records.keys() - {OTHER}) < self.config.limits.models

    def _watch(self, model: str, segment: str) -> Watch | None:
        key = model, segment
        watch = self.watches.get(key)
        if watch is None:
            if segment != WHOLE and not self._room_for(model, segment):
                return None
            watch = self.watches[key] = self.new_watch(model, segment)
            if key in self.references:
                watch.adopt(self.references[key])
        return watch

    def new_watch(self, model: str, segment: str) -> Watch:
        """A watch that has seen nothing yet."""

        def pace() -> float | None:
            whole = self.watches.get((model, WHOLE))
            return whole.profile.records_per_second if whole and whole.profile else None

        return Watch(model, segment, self.config, pace)

    def _room_for(self, model: str, segment: str) -> bool:
        key = segment.split("=", 1)[0] + "="
        known = sum(m == model and s.startswith(key) for m, s in self.watches)
        return known < self.config.limits.segments
