"""Parts of a stream: the part of each record, and the parts that changed most."""

from __future__ import annotations

import numpy as np

from detectors.arrays import Floats, Ints
from detectors.baseline import Stream
from detectors.conditional_stream import ConditionalStream
from detectors.numeric_stream import NumericStream
from detectors.parts import Parts
from monitor.ingest.chunks.columns import Columns

MAX_BINS = 3
"""Reported bins that grew, and reported bins that shrank."""
MIN_PSI_SHARE = 0.05
"""Share of the PSI from which on a bin is reported."""


def parts_of_records(stream: Stream, parts: Parts, columns: Columns) -> Ints:
    """Return the part of each record, shape (n,). parts: those of the stream."""
    if isinstance(stream, NumericStream):
        return stream.bin_of_cell()[stream.cell_of(columns.row(stream.name))]
    if isinstance(stream, ConditionalStream):
        return stream.bin_of_cell()[stream.cells_of(columns.row, len(columns))]
    column = columns.category(stream.name)
    found: Ints = parts.of_code(stream, column.vocabulary)[column.codes]
    return found


def changed_bins(expected: Floats, counts: Floats) -> tuple[Ints, Ints]:
    """Return the bins that grew and those that shrank, by descending part of the PSI.

    There is at least one bin that grew. expected, counts: records by bin in the reference and in
    the window, shape (B,).
    """
    p = np.maximum(expected, 0.5) / expected.sum()
    q = np.maximum(counts, 0.5) / counts.sum()
    part = (q - p) * np.log(q / p)
    order = np.argsort(-part, kind="stable")
    reported = order[part[order] > MIN_PSI_SHARE * part.sum()]
    grew, shrank = reported[q[reported] > p[reported]], reported[q[reported] < p[reported]]
    if not len(grew):  # many bins may each have grown by a little
        grew = np.argsort(p - q, kind="stable")[:1]
    return grew[:MAX_BINS], shrank[:MAX_BINS]
