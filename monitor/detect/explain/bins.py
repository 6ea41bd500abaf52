"""Bins of a stream: counts by bin, the bin of each record, and the bins that changed most."""

from __future__ import annotations

import numpy as np

from detectors.arrays import Floats, Ints
from detectors.baseline import Stream
from detectors.conditional_stream import ConditionalStream
from detectors.numeric_stream import NumericStream
from monitor.ingest.chunks.columns import Columns

MAX_BINS = 3
"""Reported bins that grew, and reported bins that shrank."""
MIN_PSI_SHARE = 0.05
"""Share of the PSI from which on a bin is reported."""


def bins_of(stream: Stream, columns: Columns) -> Ints:
    """Return the bin of each record, shape (n,)."""
    if isinstance(stream, NumericStream):
        return stream.bin_of_cell()[stream.cell_of(columns.row(stream.name))]
    if isinstance(stream, ConditionalStream):
        return stream.bin_of_cell()[stream.cells_of(columns.row, len(columns))]
    column = columns.category(stream.name)
    bins: Ints = stream.bins_by_code(column.vocabulary)[column.codes]
    return bins


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
