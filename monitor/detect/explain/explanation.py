"""The explanation of an event: changed bins, effect, example requests, other changed features.

An explanation depends on the records of the stream and their order only, so that a back-test and a
restarted daemon give the same one.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from itertools import islice

import numpy as np
from scipy.special import chdtrc

from detectors.arrays import Floats, Ints
from detectors.baseline import Baseline, Stream, sum_by_bin
from detectors.conditional_stream import ConditionalStream
from detectors.intervals import PAGE_LEVEL, QUANTILES, moved_shares
from detectors.kinds import Kind
from detectors.numeric_stream import NumericStream
from detectors.parts import Parts
from detectors.psi import MIN_EXPECTED, drift_size, expected_noise, filled_bins, psi_by_stream
from detectors.window import Windows
from monitor.detect.explain.bins import MAX_BINS, changed_bins, parts_of_records
from monitor.events.drift_types import MISSING_PREFIX
from monitor.events.types import BinShift, Effect, Explanation, Moved, Summary
from monitor.events.wording.comparison import (
    common_statistics,
    differs,
    relative_gap,
    tail_length,
    unit_of,
)
from monitor.ingest.chunks.columns import Columns
from monitor.ingest.style.names import ANSWER_PREFIX, label

MAX_EXAMPLES = 5
MAX_FEATURES = 5
MAX_MARKERS = 20
MARKERS = 100
"""Markers of style that are compared, about."""


def explain(
    stream: Stream,
    parts: Parts,
    reference: Summary,
    current: Summary,
    moves: Mapping[str, float],
    examples: Iterable[Columns],
) -> Explanation:
    """Return bins, effect and examples of the change of one stream.

    parts: of the stream, for the measured records. reference, current: summaries of the event.
    moves: the least certain move of every statistic (`stated_summaries`).
    examples: records of the window since the change with request ids, newest piece first.
    """
    expected, counts = parts.expected, parts.counts
    grew, shrank = changed_bins(expected, counts)
    moved = moved_shares(expected, counts, stream.inflation, 2 * MAX_BINS)
    grew, shrank = grew[moved[grew]] if moved[grew].any() else grew[:1], shrank[moved[shrank]]
    before, after = expected / expected.sum(), counts / counts.sum()
    names = parts.names
    shifts = [
        BinShift(bin=names[b], before=float(before[b]), after=float(after[b]))
        for b in [*grew.tolist(), *shrank.tolist()]
    ]
    return Explanation(
        effect=_effect(stream, shifts, reference, current, moves),
        bins=tuple(shifts),
        unmoved=tuple(name for name, move in moves.items() if not move),
        uncertain=_uncertain(stream, moves),
        examples=tuple(islice(_request_ids(examples, stream, parts, grew), MAX_EXAMPLES)),
    )


def _uncertain(stream: Stream, moves: Mapping[str, float]) -> tuple[str, ...]:
    """Return the quantiles and the mean that may have moved or not."""
    if stream.kind is not Kind.NUMERIC:
        return ()
    return tuple(name for name in (*QUANTILES, "mean") if name not in moves)


def changed_together(
    baseline: Baseline, index: int, sample: Windows, min_psi: float, found: Collection[int] = ()
) -> dict[str, float]:
    """Return the PSI of the other features that certainly changed too, largest first.

    It reaches min_psi without the PSI that chance gives. And a detector has found the change, or
    PSI's test rejects at PAGE_LEVEL divided by the number of other features.

    index: the stream that the event is about. sample: the measured records. found: streams in which
    a detector found a change at the end of these records.
    """
    psi = drift_size(baseline, sample, usual_noise=0).first.psi
    (bounded,) = psi_by_stream(baseline, sample, min_records=MIN_EXPECTED)
    scale = expected_noise(baseline, sample.records)
    level = PAGE_LEVEL / max(1, len(psi) - 1)
    certain = chdtrc(filled_bins(baseline), bounded / scale) <= level
    certain[list(found)] = True
    changed = (psi >= min_psi) & certain
    changed[index] = False
    others = [i for i in np.argsort(-psi, kind="stable").tolist() if changed[i]]
    return {baseline.streams[i].name: float(psi[i]) for i in others[:MAX_FEATURES]}


def moved_markers(
    baseline: Baseline, index: int, sample: Windows, min_psi: float, found: Collection[int]
) -> tuple[Moved, ...]:
    """Return the markers that certainly moved: that of the event first, then by size.

    Their PSI reaches min_psi. And the e-detector has found the change, or a share has moved with a
    certainty of PAGE_LEVEL divided by MARKERS. None if the event is not about style.

    index: the stream of the event. sample: the measured records. found: streams with a finding.
    """
    if not baseline.streams[index].name.startswith(ANSWER_PREFIX):
        return ()
    psi = drift_size(baseline, sample, usual_noise=0).first.psi
    moved = []
    for other, stream in enumerate(baseline.streams):
        if not (isinstance(stream, ConditionalStream) and stream.name.startswith(ANSWER_PREFIX)):
            continue
        counts = sum_by_bin(sample.cell_counts[0, other], stream)
        certain = other in found or _has_moved(stream, counts)
        if other == index or (psi[other] >= min_psi and certain):
            moved.append((other != index, -float(psi[other]), _moved(stream, counts)))
    return tuple(marker for *_, marker in sorted(moved, key=lambda row: row[:2])[:MAX_MARKERS])


def _has_moved(stream: ConditionalStream, counts: Floats) -> bool:
    return bool(moved_shares(stream.bin_counts(), counts, stream.inflation, MARKERS).any())


def _moved(stream: ConditionalStream, counts: Floats) -> Moved:
    """Return the share of 1 of a binary marker, of another one the bin that changed most."""
    expected = stream.bin_counts()[:-1]
    before, after = expected / expected.sum(), counts[:-1] / max(1e-9, float(counts[:-1].sum()))
    name = label(stream.name)
    if stream.of is Kind.BINARY:
        return Moved(marker=name, before=float(before[1]), after=float(after[1]))
    largest = int(np.abs(after - before).argmax())
    shown = f"{name} ({stream.bin_names()[largest]})"
    return Moved(marker=shown, before=float(before[largest]), after=float(after[largest]))


def _effect(
    stream: Stream,
    shifts: Sequence[BinShift],
    before: Summary,
    after: Summary,
    moves: Mapping[str, float],
) -> Effect | None:
    """Return the statistic that moved most, or the bin where none certainly moved.

    It is the first one, in the order of `common_statistics`, that no other exceeds with certainty.

    A bin is returned for categorical features, for a feature without values in the window, and
    where the share of missing values changed most.
    """
    largest = max(shifts, key=lambda shift: abs(shift.after - shift.before))
    missing = stream.bin_names()[-1]
    binary = isinstance(stream, ConditionalStream) and stream.of is Kind.BINARY
    if binary and largest.bin != missing:
        return Effect(of="share", before=before.mean or 0.0, after=after.mean or 0.0)
    if after.n == 0 or not isinstance(stream, NumericStream) or largest.bin == missing:
        return Effect(of=largest.bin, before=largest.before, after=largest.after)
    if stream.kind is Kind.BINARY:
        of = "missing" if stream.name.startswith(MISSING_PREFIX) else "share"
        return Effect(of=of, before=before.mean or 0.0, after=after.mean or 0.0)
    common, tail = common_statistics(before, after), tail_length(before)
    changed = [name for name, pair in common.items() if differs(*pair, tail)] or [*common]
    certain = max((moves.get(name, 0.0) for name in changed), default=0.0)
    apparent = {name: relative_gap(*common[name]) for name in changed if moves.get(name)}
    name = next((name for name, gap in apparent.items() if gap >= certain), "")
    if not name:
        return Effect(of=largest.bin, before=largest.before, after=largest.after)
    return Effect(of=name, before=common[name][0], after=common[name][1], unit=unit_of(stream.name))


def _request_ids(
    pieces: Iterable[Columns], stream: Stream, parts: Parts, chosen: Ints
) -> Iterator[str]:
    """Yield the request ids of the examples in one of the chosen parts, newest first."""
    for piece in pieces:
        inside = np.isin(parts_of_records(stream, parts, piece), chosen)
        yield from (piece.examples.ids[i] for i in np.flatnonzero(inside)[::-1].tolist())
