"""What a join transaction writes of joined values: feature chunks and exposures."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np

from monitor.experiments.exposures.columns import encode_within, key_of
from monitor.ingest.chunks.chunk import encode_chunks
from monitor.ingest.chunks.columns import CategoryColumn, Columns
from monitor.ingest.decode.feedback.event import PLAIN
from monitor.ingest.joins.messages import Context
from monitor.ingest.joins.state import Joined
from monitor.kafka.topics import Topics
from monitor.records import Source, UnitExposure
from monitor.roles.ingest_transaction import Outgoing
from monitor.roles.late_exposures import late_exposures

CHUNK_BYTES = 900_000
"""Maximum size of a chunk; below the default message size limit of a broker."""


@dataclass(slots=True)
class _Rated:
    """A record with the values of one event.

    position: offset of the event plus one. time: of the event, epoch seconds. record_time: of the
    record. values: by feature.
    """

    position: int
    time: float
    record_time: float
    context: Context
    units: list[int]
    values: dict[str, float] = field(default_factory=dict)

    @property
    def exposures(self) -> dict[str, UnitExposure]:
        """The exposures of the record by experiment."""
        arms = zip(self.context.arms, self.units, strict=False)
        return {a.experiment: UnitExposure(a.phase, unit, a.variant) for a, unit in arms}


def messages(
    topics: Topics, joined: Joined, segments: Sequence[str], experiments: Collection[str]
) -> Iterator[Outgoing]:
    """Yield the messages of joined values.

    segments: keys by which traffic is divided. experiments: names of those that are configured.
    """
    records = _rated(joined)
    by_model: dict[str, list[_Rated]] = defaultdict(list)
    for record in records:
        by_model[record.context.model].append(record)
    for model, rows in by_model.items():
        for payload in encode_chunks(_columns(model, rows, segments), CHUNK_BYTES):
            yield Outgoing(topics.features, model.encode(), payload)
    valued = ((record.exposures, record.record_time, record.values) for record in records)
    for exposures in late_exposures(valued, experiments, Source.FEEDBACK):
        key = key_of(exposures.experiment, exposures.shard)
        for payload in encode_within(exposures, CHUNK_BYTES):
            yield Outgoing(topics.exposures, key, payload)


def feature_of(name: str) -> str:
    """Return the feature of a value: `feedback.NAME`, or `feedback` for one without a name."""
    return "feedback" if name == PLAIN else f"feedback.{name}"


def _rated(joined: Joined) -> list[_Rated]:
    """Return the records, in the order of the values; those of one event are one record."""
    found: dict[tuple[int, int], _Rated] = {}
    rows = zip(
        joined.ids.tolist(),
        joined.offsets.tolist(),
        joined.times.tolist(),
        joined.values.tolist(),
        joined.record_times.tolist(),
        joined.names,
        joined.contexts,
        joined.units.tolist(),
        strict=True,
    )
    for hashed, offset, time, value, record_time, name, context, units in rows:
        record = found.get((hashed, offset))
        if record is None:
            record = _Rated(offset + 1, time, record_time, context, units)
            found[hashed, offset] = record
        record.time = max(record.time, time)
        record.values[feature_of(name)] = value
    return list(found.values())


def _columns(model: str, rows: Sequence[_Rated], segments: Sequence[str]) -> Columns:
    names = tuple(sorted({name for row in rows for name in row.values}))
    return Columns(
        model,
        np.array([row.position for row in rows], np.int64),
        np.array([row.time for row in rows], np.float64),
        names,
        (),
        np.array([[row.values.get(name, np.nan) for row in rows] for name in names]),
        tuple(_category(key, rows) for key in segments),
        source=Source.FEEDBACK,
    )


def _category(key: str, rows: Sequence[_Rated]) -> CategoryColumn:
    """Return a field by which traffic is divided, as the record had it."""
    texts = [dict(row.context.segments).get(key) for row in rows]
    vocabulary = tuple(dict.fromkeys(text for text in texts if text is not None))
    index = {text: code for code, text in enumerate(vocabulary)}
    codes = [-1 if text is None else index[text] for text in texts]
    return CategoryColumn(key, vocabulary, np.array(codes, np.int32))
