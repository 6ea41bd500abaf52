"""All watches of a process: columns in, drift events out. The daemon and `backtest` share it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping

from monitor.config.schema import Config
from monitor.detect.explain.distribution import Observer
from monitor.detect.reference import sources
from monitor.detect.reference.profile import Profile
from monitor.detect.reference.sources import SourceSettings
from monitor.detect.watch import Watch
from monitor.events.types import DriftEvent
from monitor.ingest.chunks.columns import Columns
from monitor.ingest.chunks.segments import WHOLE
from monitor.ingest.fields.limits import OTHER, Dropped
from monitor.records import Source

OTHER_EPOCH = "the judge or a rubric has changed, and a new reference is collected"
OTHER_MARKERS = "the markers of style have changed, and a new reference is collected"
TOO_FEW_SCORES = "too few of the samples of the warm-up have a score"
"""Why a warm-up begins again."""
References = Mapping[tuple[str, str], Profile]
"""Reference by model and segment; models and segments without one warm up."""


class SourceWatches:
    """One watch per model and per segment of one source, up to the configured limits.

    references: the configured ones. dropped: receives the names that a limit cut off.
    records: records by model; models beyond the limit count as `OTHER`.
    watches: by model and segment. segments_dropped: records in segments beyond the limit.
    skipped: records of another epoch than the watched one, by model.
    warmed_up: watches of whole models whose warm-up has ended.
    restarted: watches of whole models whose warm-up has begun again, and why.
    """

    def __init__(
        self,
        settings: SourceSettings,
        references: References,
        dropped: Dropped,
        observer: Observer | None,
    ) -> None:
        self.settings = settings
        self.references = references
        self.dropped = dropped
        self.observer = observer
        self.records: Counter[str] = Counter()
        self.watches: dict[tuple[str, str], Watch] = {}
        self.segments_dropped = 0
        self.skipped: Counter[str] = Counter()
        self.warmed_up: list[Watch] = []
        self.restarted: list[tuple[Watch, str]] = []

    def process(self, columns: Columns) -> list[DriftEvent]:
        """Return the events of the next records of one model."""
        model, events = self.label(columns.model), list[DriftEvent]()
        self.records[model] += len(columns)
        if model == OTHER:
            if columns.model != OTHER:
                self.dropped.models.add(columns.model, len(columns))
            return events
        whole = self.watch_of(model, WHOLE)
        assert whole is not None
        watched, ended = self._of_epoch(whole, columns)
        events += ended
        for part in self._by_warmup(whole, watched):
            events += self._feed(whole, part)
        return events

    def _of_epoch(self, whole: Watch, columns: Columns) -> tuple[Columns, list[DriftEvent]]:
        """Return the records of the watched epoch, and the events of alarms that another one ends.

        The whole model decides for its segments, so that all begin a warm-up at the same record.
        """
        epochs, before, events = whole.epochs, whole.epochs.current, list[DriftEvent]()
        skipped = epochs.skip(columns.epoch, len(columns))
        if before not in {None, epochs.current}:
            reason = OTHER_MARKERS if whole.source is Source.STYLE else OTHER_EPOCH
            for watch in self._of_model(whole.model):
                events += watch.closing_events(reason)
                watch.restart()
            self.restarted.append((whole, reason))
        if skipped:
            self.skipped[whole.model] += skipped
            columns = columns.take(slice(skipped, None))
        return columns, events

    def _of_model(self, model: str) -> list[Watch]:
        """Return the watches of a model in the order of their segments, the whole model first."""
        return [watch for (of, _), watch in sorted(self.watches.items()) if of == model]

    def _by_warmup(self, whole: Watch, columns: Columns) -> Iterator[Columns]:
        """Yield the records in parts; where a warm-up of samples ends, a part ends.

        Segments that begin another warm-up with the whole model then do so at the same record,
        however the chunks are cut.
        """
        if self.settings.source is not Source.LOG:
            while whole.profile is None and len(columns) > (left := whole.warmup.left):
                yield columns.take(slice(0, left))
                columns = columns.take(slice(left, None))
        if len(columns):
            yield columns

    def _feed(self, whole: Watch, columns: Columns) -> list[DriftEvent]:
        """Return the events of records of the whole model and of its segments."""
        warming_up, before, events = whole.profile is None, whole.before, list[DriftEvent]()
        for segment, part in self.settings.split(columns):
            watch = self.watch_of(whole.model, segment)
            if watch is None:
                self.segments_dropped += len(part)
                self.dropped.segments.add(segment, len(part))
            else:
                events += watch.feed(part)
        if warming_up and whole.profile is not None:
            self.warmed_up.append(whole)
        if whole.before != before:
            self.restarted.append((whole, TOO_FEW_SCORES))
            # a segment must not have a reference before the model: its levels follow from that
            for watch in self._of_model(whole.model):
                if watch.profile is None:
                    watch.restart()
        return events

    def warming_up(self) -> dict[str, int]:
        """Return the models without a reference, with the records that their warm-up needs."""
        return {w.model: w.warmup.needed for w in self.whole() if w.profile is None}

    def whole(self) -> Iterator[Watch]:
        """Yield the watches of whole models."""
        return (w for (_, segment), w in list(self.watches.items()) if segment == WHOLE)

    def new_watch(self, model: str, segment: str) -> Watch:
        """Return a new watch, without a reference."""

        def model_rate() -> float | None:
            whole = self.watches.get((model, WHOLE))
            return whole.profile.records_per_second if whole and whole.profile else None

        watch = Watch(model, segment, self.settings, model_rate, self.dropped)
        watch.observer = self.observer
        return watch

    def label(self, model: str) -> str:
        """Return the name under which a model is counted: its own, or "other" if not watched."""
        return model if self._is_watched(model) else OTHER

    def _is_watched(self, model: str) -> bool:
        """Return whether the model is watched, or can be within the limit on models."""
        if model in self.records:
            return True
        # each ingest worker limits its own models; together they may exceed the limit
        return len(self.records.keys() - {OTHER}) < self.settings.config.limits.models

    def watch_of(self, model: str, segment: str) -> Watch | None:
        """Return the watch, creating it if needed; None for a segment beyond the limit."""
        key = model, segment
        watch = self.watches.get(key)
        if watch is None:
            if segment != WHOLE and not self._within_segment_limit(model, segment):
                return None
            watch = self.watches[key] = self.new_watch(model, segment)
            if key in self.references:
                watch.adopt(self.references[key])
        return watch

    def _within_segment_limit(self, model: str, segment: str) -> bool:
        """Return whether another segment of the same key can be watched."""
        key = segment.split("=", 1)[0] + "="
        watched = sum(m == model and s.startswith(key) for m, s in self.watches)
        return watched < self.settings.config.limits.segments


class DriftMonitor:
    """The watches of all sources. Sources do not influence each other.

    references: the configured ones, of the source `log`.
    pending: events of alarms that ended at a restore; `process` returns them too.
    dropped: names that a limit cut off.
    observer: called with each event and the whole distribution of its stream.
    """

    def __init__(
        self, config: Config, references: References, observer: Observer | None = None
    ) -> None:
        self.pending: list[DriftEvent] = []
        self.dropped = Dropped()
        self._sources = {
            source: SourceWatches(
                settings, references if source is Source.LOG else {}, self.dropped, observer
            )
            for source, settings in sources.settings(config).items()
        }

    def of(self, source: Source) -> SourceWatches:
        """Return the watches of a source."""
        return self._sources[source]

    @property
    def log(self) -> SourceWatches:
        """The watches of the log: the records themselves."""
        return self._sources[Source.LOG]

    def process(self, columns: Columns) -> list[DriftEvent]:
        """Return the events of the next records of one source of a model."""
        return self.take_pending() + self.of(columns.source).process(columns)

    def watches(self) -> Iterator[Watch]:
        """Yield the watches of all sources, models and segments, those of the log first."""
        return (w for each in self._sources.values() for w in list(each.watches.values()))

    def whole(self) -> Iterator[Watch]:
        """Yield the watches of whole models, of all sources."""
        return (w for each in self._sources.values() for w in each.whole())

    def records(self) -> Mapping[Source, Mapping[str, int]]:
        """Return the number of records by source and model."""
        return {source: each.records for source, each in self._sources.items()}

    @property
    def segments_dropped(self) -> int:
        """Records in segments beyond the limit."""
        return sum(each.segments_dropped for each in self._sources.values())

    def take_warmed_up(self) -> list[Watch]:
        """Remove and return the watches of whole models whose warm-up has ended."""
        ended = list[Watch]()
        for each in self._sources.values():
            ended += each.warmed_up
            each.warmed_up = []
        return ended

    def take_restarted(self) -> list[tuple[Watch, str]]:
        """Remove and return the watches of whole models that warm up again, with the reasons."""
        begun = list[tuple[Watch, str]]()
        for each in self._sources.values():
            begun += each.restarted
            each.restarted = []
        return begun

    def take_pending(self) -> list[DriftEvent]:
        """Remove and return the events of alarms that ended at a restore."""
        events, self.pending = self.pending, []
        return events
