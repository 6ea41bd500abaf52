"""Accept traffic of a model as its new reference, without a restart.

A watch whose reference is replaced ends its open alarms with an event that states the reason, and
starts with empty windows. An accepted reference is newer than the configured one: a restart keeps
it until the configuration has another.
"""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

from monitor.config.sections.detection import REFERENCE_WINDOWS
from monitor.detect.monitor import SourceWatches
from monitor.detect.reference import builder
from monitor.detect.reference.profile import Profile
from monitor.detect.reference.sources import SourceSettings
from monitor.events.types import DriftEvent
from monitor.events.wording.drift import records_of
from monitor.ingest.chunks.columns import Columns
from monitor.ingest.chunks.segments import WHOLE
from monitor.ingest.fields.limits import OTHER
from monitor.records import Source

_YEAR_9999 = datetime(9999, 1, 1, tzinfo=UTC).timestamp()
"""Event times before 1970 or from here on are errors in the log."""


class AcceptanceError(Exception):
    """The traffic cannot become the reference; the message says why."""


class NewestRecords:
    """Keeps the newest records of one model, `limit` at most, in bounded memory.

    first_offset, first_time: of the first chunk that is kept. next_offset: after the last one.
    records: number of records kept. seen: number of records added.
    """

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.records = 0
        self.seen = 0
        self._chunks: deque[tuple[int, Columns]] = deque()

    def add(self, offset: int, chunk: Columns) -> None:
        """Add the next chunk; drop the oldest chunks that are no longer needed."""
        if not len(chunk):
            return
        self._chunks.append((offset, chunk))
        self.records += len(chunk)
        self.seen += len(chunk)
        while self.records - len(self._chunks[0][1]) >= self.limit:
            self.records -= len(self._chunks.popleft()[1])

    @property
    def first_offset(self) -> int:
        """Offset of the first chunk that is kept. There must be one."""
        return self._chunks[0][0]

    @property
    def next_offset(self) -> int:
        """Offset after the last chunk. There must be one."""
        return self._chunks[-1][0] + 1

    def pieces(self) -> list[Columns]:
        """Return the newest records, `limit` at most, in order."""
        chunks = [chunk for _, chunk in self._chunks]
        if chunks and (excess := self.records - self.limit) > 0:
            chunks[0] = chunks[0].take(slice(excess, None))
        return chunks

    def times(self) -> tuple[float, float]:
        """Return the smallest and the largest event time. There must be a record."""
        pieces = self.pieces()
        return (
            float(min(piece.times.min() for piece in pieces)),
            float(max(piece.times.max() for piece in pieces)),
        )


@dataclass(slots=True)
class Accepted:
    """The result of `accept`.

    profile: the new reference of the model, or of the chosen segment. configured: id of the
    configured reference that it replaces; "" if there is none. events: of the alarms that ended.
    segments, kept: number of segments with a new reference, and of those that keep theirs.
    """

    profile: Profile
    configured: str
    events: list[DriftEvent] = field(default_factory=list)
    segments: int = 0
    kept: int = 0


def accept(
    monitor: SourceWatches, model: str, segment: str | None, pieces: Sequence[Columns]
) -> Accepted:
    """Make records of a model its reference, and that of its segments.

    segment: None for the model and all its segments; otherwise this one only. A segment with too
    few records keeps its reference.
    pieces: records of the source of the model, in order; those of another epoch than the watched
    one are left out.
    Raises AcceptanceError.
    """
    epoch = _watched_epoch(monitor, model, pieces)
    pieces = [piece for piece in pieces if piece.epoch == epoch]
    chosen = WHOLE if segment is None else segment
    profiles = dict(build(monitor.settings, pieces, segment))
    if chosen not in profiles:
        raise too_few(monitor.settings, _count(pieces, monitor.settings, chosen))
    if monitor.label(model) == OTHER or monitor.watch_of(model, chosen) is None:
        raise AcceptanceError("it is not watched: limits.models or limits.segments is reached")
    configured = monitor.references.get((model, chosen))
    accepted = Accepted(profiles.pop(chosen), configured.id if configured else "")
    accepted.events += _adopt(monitor, model, chosen, accepted.profile)
    if segment is None:
        monitor.watches[model, WHOLE].epochs.current = epoch
        known = {name for of, name in monitor.watches if of == model and name != WHOLE}
        for name in sorted(known & profiles.keys()):
            accepted.events += _adopt(monitor, model, name, profiles[name])
            accepted.segments += 1
        accepted.kept = len(known) - accepted.segments
    return accepted


def build(
    settings: SourceSettings, pieces: Sequence[Columns], segment: str | None = None
) -> Mapping[str, Profile]:
    """Return the profiles of records of one model, by segment; of those with enough records.

    segment: the only segment to build; None for the whole traffic and every segment.
    """
    parts: defaultdict[str, list[Columns]] = defaultdict(list)
    config = settings.config
    for piece in pieces:
        for name, part in settings.split(piece):
            if segment in {None, name}:
                parts[name].append(part)
    return {
        name: builder.build(
            own,
            segment=name,
            window=config.windows.records,
            categories=config.limits.categories,
            scores=config.limits.scores,
        )
        for name, own in parts.items()
        if sum(map(len, own)) >= settings.required_records
    }


def too_few(settings: SourceSettings, records: int) -> AcceptanceError:
    """Return the error for a number of records that does not suffice."""
    return AcceptanceError(
        f"there are {records:,} records in the range, and {settings.required_records:,} are"
        f" required, {REFERENCE_WINDOWS} times {settings.key('windows.records')}"
    )


def reason(profile: Profile, source: Source = Source.LOG) -> str:
    """Return why the alarms of a watch end that adopts an accepted reference.

    source: of the records of the reference.
    """
    period = text_of_period(profile.first_time, profile.last_time)
    return f"{profile.records:,} {records_of(source)}{period} were accepted as the new reference"


def text_of_period(first: float, last: float) -> str:
    """Return " from ... to ... UTC" for event times; "" if one of them is an error in the log."""
    if not all(0 <= time < _YEAR_9999 for time in (first, last)):
        return ""
    start, end = (datetime.fromtimestamp(time, UTC) for time in (first, last))
    form = "%H:%M:%S" if start.date() == end.date() else "%Y-%m-%d %H:%M:%S"
    return f" from {start:%Y-%m-%d %H:%M:%S} to {end.strftime(form)} UTC"


def _adopt(
    monitor: SourceWatches, model: str, segment: str, profile: Profile
) -> Iterable[DriftEvent]:
    """Replace the reference of a watch; return the events of its alarms, which end."""
    watch = monitor.watches[model, segment]
    events = watch.closing_events(reason(profile, watch.source))
    configured = monitor.references.get((model, segment))
    watch.accept(profile, configured.id if configured else "")
    return events


def _watched_epoch(monitor: SourceWatches, model: str, pieces: Sequence[Columns]) -> str:
    """Return the epoch that is watched; that of the newest records if none is."""
    whole = monitor.watches.get((model, WHOLE))
    if whole is not None and whole.epochs.current is not None:
        return whole.epochs.current
    return pieces[-1].epoch if pieces else ""


def _count(pieces: Iterable[Columns], settings: SourceSettings, segment: str) -> int:
    return sum(
        len(part) for piece in pieces for name, part in settings.split(piece) if name == segment
    )
