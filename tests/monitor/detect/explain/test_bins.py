"""Bins of a stream: the bin of each record, and the bins that are reported as changed."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from detectors.baseline import sum_by_bin
from detectors.categorical_stream import build_categorical_stream
from detectors.kinds import Kind
from detectors.numeric_stream import build_numeric_stream
from detectors.parts import parts_of
from monitor.detect.explain.bins import changed_bins, parts_of_records
from tests.monitor import synthetic
from tests.monitor.synthetic import WINDOW


def test_bins_with_a_small_change_are_left_out() -> None:
    """Only bins with a part of the PSI are reported, and always one bin that grew."""
    before = np.array([100.0, 100.0, 100.0, 100.0, 100.0, 100.0])
    grew, shrank = changed_bins(before, np.array([60.0, 101.0, 99.0, 102.0, 98.0, 140.0]))
    assert (grew.tolist(), shrank.tolist()) == ([5], [0])
    wide = np.full(50, 100.0)
    after = np.append(np.full(49, 101.9), 6.9)
    grew, shrank = changed_bins(wide, after)
    assert len(grew) == 1
    assert shrank.tolist() == [49]


def test_bins_of_records_agree_with_the_counts() -> None:
    """Single records and counts use the same bins; a record without a value is in the last."""
    columns = synthetic.stream(500, seed=3)
    values = columns.values[0]
    numeric = build_numeric_stream("latency_ms", Kind.NUMERIC, values, WINDOW)
    parts = parts_of(numeric, numeric.cell_counts())
    counts = np.bincount(parts_of_records(numeric, parts, columns), minlength=len(parts.names))
    assert counts.tolist() == numeric.bin_counts().tolist()
    assert sum_by_bin(numeric.cell_counts(), numeric).tolist() == numeric.bin_counts().tolist()
    category = columns.categories[0]
    stream = build_categorical_stream(
        category.name, category.vocabulary, category.codes.astype(np.intp), WINDOW
    )
    whole = parts_of(stream, stream.cell_counts())
    counts = np.bincount(parts_of_records(stream, whole, columns), minlength=stream.bins)
    assert counts.tolist() == stream.bin_counts().tolist()
    bare = replace(columns, numeric=(), binary=(), values=columns.values[:0], categories=())
    assert set(parts_of_records(numeric, parts, bare).tolist()) == {len(numeric.bin_counts()) - 1}
    assert set(parts_of_records(stream, whole, bare).tolist()) == {stream.bins - 1}
