"""Keys of records for the join, and the messages of the joins topic."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from monitor.experiments.exposures import fields
from monitor.experiments.exposures.extract import BatchExposures
from monitor.ingest.decode.feedback.event import span_id
from monitor.ingest.features import Batch
from monitor.ingest.fields.fields import Fields
from monitor.ingest.joins.contexts import Contexts
from monitor.ingest.joins.hashes import are_indexed, id_hashes, partitions_of
from monitor.ingest.joins.messages import MAX_UNITS, Arm, Context, Keys, Values, encode

MESSAGE_ROWS: Final = 12_000
"""Rows of a message of the joins topic at most: below the default size limit of a broker."""
_NO_ARM: Final = -3
"""Code of a record that is not part of an experiment."""


def keys_of(
    records: Fields,
    batch: Batch,
    exposures: Sequence[BatchExposures],
    segments: Sequence[str],
    rate: float,
) -> Keys:
    """Return the keys of records: by their request id, and where they have them by their trace id
    and by both ids of their span.

    records: with the fields of joins. batch: their features. exposures: of them.
    segments: keys by which traffic is divided. rate: share of the ids to keep.
    """
    rows, ids = _ids(records)
    hashes = id_hashes(ids)
    kept = are_indexed(hashes, rate)
    rows, hashes = rows[kept], hashes[kept]
    exposures = exposures[:MAX_UNITS]
    codes, contexts = _contexts(batch, exposures, segments)
    units = _units(len(records), exposures)
    return Keys(hashes, batch.times[rows], contexts, codes[rows], units[rows])


def _ids(records: Fields) -> tuple[NDArray[np.int64], Sequence[str]]:
    """Return the ids of all records, and the record of each."""
    raw = records.optional.raw if records.optional is not None else {}
    traces = fields.texts(raw["trace_id"])
    if not any(traces) and len(records.ids) and np.diff(records.ids.starts).all():
        return np.arange(len(records)), records.ids
    requests = list(records.ids)
    rows, ids = list(range(len(records))), list(requests)
    if any(traces):
        spans = fields.texts(raw["span_id"])
        for row, (trace, span) in enumerate(zip(traces, spans, strict=True)):
            if trace is None:
                continue
            others = [trace] if span is None else [trace, span_id(trace, span)]
            named = [each for each in others if each != requests[row]]
            rows += [row] * len(named)
            ids += named
    if "" in requests:
        places = [place for place, each in enumerate(ids) if each]
        rows, ids = [rows[place] for place in places], [ids[place] for place in places]
    return np.array(rows, np.int64), ids


def _contexts(
    batch: Batch, exposures: Sequence[BatchExposures], segments: Sequence[str]
) -> tuple[NDArray[np.uint32], tuple[Context, ...]]:
    """Return the contexts of n records, and the code of each record, shape (n,)."""
    columns = [batch.codes.astype(np.int64)]
    categories = [column for column in batch.categories if column.name in segments]
    columns += [column.codes.astype(np.int64) for column in categories]
    columns += [_arms(each, len(batch.codes)) for each in exposures]
    combined = np.zeros(len(batch.codes), np.int64)
    for column in columns:  # one number for each combination of values
        _, codes = np.unique(column, return_inverse=True)
        _, combined = np.unique(combined * (codes.max(initial=0) + 1) + codes, return_inverse=True)
    first = np.unique(combined, return_index=True)[1]
    contexts = []
    for row in first.tolist():
        pairs = [(c.name, c.vocabulary[c.codes[row]]) for c in categories if c.codes[row] >= 0]
        arms = [
            _arm(each, int(code))
            for each, code in zip(
                exposures, (column[row] for column in columns[1 + len(categories) :]), strict=True
            )
            if code != _NO_ARM
        ]
        contexts.append(Context(batch.models[batch.codes[row]], tuple(pairs), tuple(arms)))
    return combined.astype(np.uint32), tuple(contexts)


def _arms(exposures: BatchExposures, n: int) -> NDArray[np.int64]:
    """Return the code of the variant of each of n records; _NO_ARM outside of the experiment."""
    codes = np.full(n, _NO_ARM, np.int64)
    codes[exposures.rows] = exposures.variants
    return codes


def _arm(exposures: BatchExposures, code: int) -> Arm:
    design = exposures.design
    variant = design.variants[code] if code >= 0 else None
    return Arm(design.name, design.phase, variant)


def _units(n: int, exposures: Sequence[BatchExposures]) -> NDArray[np.uint64]:
    """Return the units of n records, shape (n, U): those of a record's experiments, in order."""
    counts = np.zeros(n, np.int64)
    for each in exposures:
        counts[each.rows] += 1
    units = np.zeros((n, int(counts.max(initial=0))), np.uint64)
    places = np.zeros(n, np.int64)
    for each in exposures:
        units[each.rows, places[each.rows]] = each.units
        places[each.rows] += 1
    return units


def join_keys(pieces: Sequence[Keys]) -> Keys:
    """Concatenate keys."""
    contexts = Contexts()
    codes = [contexts.codes(piece.contexts)[piece.codes] for piece in pieces if len(piece)]
    pieces = [piece for piece in pieces if len(piece)]
    width = max((piece.units.shape[1] for piece in pieces), default=0)
    units = [np.pad(p.units, ((0, 0), (0, width - p.units.shape[1]))) for p in pieces]
    all_codes = np.concatenate([*codes, np.zeros(0, np.uint32)])
    used = np.unique(all_codes)
    return Keys(
        np.concatenate([*(piece.ids for piece in pieces), np.zeros(0, np.uint64)]),
        np.concatenate([*(piece.times for piece in pieces), np.zeros(0)]),
        tuple(contexts.of(used)),
        np.searchsorted(used, all_codes).astype(np.uint32),
        np.concatenate([*units, np.zeros((0, width), np.uint64)]),
    )


def messages_of(batch: Keys | Values, partitions: int) -> Iterator[tuple[int, bytes]]:
    """Yield the partition and the value of the messages of a batch, in the order of its rows.

    partitions: number of partitions of the joins topic.
    """
    numbers = partitions_of(batch.ids, partitions)
    order = np.argsort(numbers, kind="stable")
    bounds = np.searchsorted(numbers[order], np.arange(partitions + 1))
    for number in range(partitions):
        rows = order[bounds[number] : bounds[number + 1]]
        for start in range(0, len(rows), MESSAGE_ROWS):
            yield number, encode(batch.take(rows[start : start + MESSAGE_ROWS]))
