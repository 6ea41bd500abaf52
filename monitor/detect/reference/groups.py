"""Divide the streams of a reference into groups that are watched over the same records.

Most streams have a value in every record and are watched over all records. A sparse stream, such as
a score that a judge gives to one record in a hundred, is watched over the records that have its
value, in windows that count values. Whether it has one at all is a stream of all records.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from detectors import sparse
from detectors.arrays import Bools
from detectors.baseline import Baseline, Stream, ValueStream
from detectors.categorical_stream import CategoricalStream
from detectors.conditional_stream import ConditionalStream
from detectors.dependence import BLOCK_SIZE
from detectors.numeric_stream import NumericStream
from detectors.window_test import MIN_VALUES
from monitor.config.schema import Config
from monitor.config.sections.detection import REFERENCE_WINDOWS, WindowsConfig
from monitor.events.drift_types import MISSING_PREFIX
from monitor.ingest.chunks.columns import Columns

SPARSE_SHARE = 0.2
"""Share of the reference's records without a value from which on a stream is sparse."""
MIN_REFERENCE_VALUES = BLOCK_SIZE
"""Values of the reference required to watch those of a sparse stream: two of its windows."""
STRIDES_PER_WINDOW = 10
"""Strides in a window of values."""


@dataclass(frozen=True, slots=True, eq=False)
class StreamGroup:
    """Streams that are watched over the same records.

    feature: the sparse feature whose values they are; "" for the group of all records.
    windows: length of window and stride in records of the group.
    share: records of the group per record of the model. budget: share of the false-page budget.
    flags: name of the stream that says whether a sparse feature is missing -> the feature.
    too_few: sparse features with too few values in the reference to watch these.
    """

    feature: str
    baseline: Baseline
    windows: WindowsConfig
    share: float = 1.0
    budget: float = 1.0
    flags: tuple[tuple[str, str], ...] = ()
    too_few: tuple[str, ...] = ()

    def config(self, config: Config) -> Config:
        """Return the configuration with windows and budget of the group."""
        if self.windows == config.windows and self.budget == 1:
            return config
        pages = config.alarms.false_pages * self.budget
        alarms = config.alarms.model_copy(update={"false_pages": pages})
        return config.model_copy(update={"windows": self.windows, "alarms": alarms})

    def select(self, columns: Columns) -> tuple[Columns, slice | NDArray[np.signedinteger]]:
        """Return the group's records and features of a chunk, and which records they are."""
        if not self.feature:
            return (_with_flags(columns, self.flags) if self.flags else columns), slice(None)
        (stream,) = self.baseline.streams
        chosen = np.flatnonzero(_present(columns, stream.name))
        return columns.feature(stream.name, chosen), chosen


def divide(baseline: Baseline, windows: WindowsConfig) -> tuple[StreamGroup, ...]:
    """Return the group of all records, and one of each sparse stream.

    The result follows from the reference and the configured windows alone.
    """
    streams = baseline.streams
    plain: tuple[ValueStream, ...] = (
        *baseline.numeric,
        *baseline.categorical,
    )  # no conditional stream is sparse
    sparse_ones = [each for each in plain if sparse.missing_share(each) >= SPARSE_SHARE]
    if not sparse_ones:
        return (StreamGroup("", baseline, windows),)
    flags = [(f"{MISSING_PREFIX}{each.name}", each.name) for each in sparse_ones]
    names = {each.name for each in sparse_ones}
    dense = [each for each in streams if each.name not in names]
    missing = [
        sparse.missing_flag(stream, name, windows.records)
        for stream, (name, _) in zip(sparse_ones, flags, strict=True)
    ]
    main = _baseline(baseline.records, [*dense, *missing])
    watched = [each for each in sparse_ones if each.count >= MIN_REFERENCE_VALUES]
    budget = 1 / (len(main.streams) + len(watched))
    too_few = tuple(s.name for s in sparse_ones if s.count < MIN_REFERENCE_VALUES)
    return (
        StreamGroup("", main, windows, 1.0, len(main.streams) * budget, tuple(flags), too_few),
        *(_group_of_values(baseline, stream, windows, budget) for stream in watched),
    )


def _group_of_values(
    baseline: Baseline, stream: ValueStream, windows: WindowsConfig, budget: float
) -> StreamGroup:
    """Return the group of the values of a sparse stream."""
    windows = _windows_of_values(stream.count, windows)
    own = sparse.values_of(stream, windows.records)
    values = _baseline(stream.count, [own], of_values=True)
    return StreamGroup(stream.name, values, windows, stream.count / baseline.records, budget)


def _windows_of_values(values: int, windows: WindowsConfig) -> WindowsConfig:
    """Return windows of which a reference of `values` values has REFERENCE_WINDOWS or more.

    They hold at least MIN_VALUES values, which the tests require, and are at most as long as
    windows of all records.
    """
    records = max(MIN_VALUES, values // REFERENCE_WINDOWS)
    stride = records // STRIDES_PER_WINDOW
    records = stride * STRIDES_PER_WINDOW
    if records >= windows.records:
        return windows
    # not validated: the limits of the configuration are those of windows of all records
    return WindowsConfig.model_construct(records=records, stride=stride)


def _baseline(records: int, streams: Sequence[Stream], *, of_values: bool = False) -> Baseline:
    return Baseline(
        records,
        tuple(each for each in streams if isinstance(each, NumericStream)),
        tuple(each for each in streams if isinstance(each, CategoricalStream)),
        of_values,
        tuple(each for each in streams if isinstance(each, ConditionalStream)),
    )


def _present(columns: Columns, feature: str) -> Bools:
    """Return which records have a value of a feature, shape (n,)."""
    if feature in columns.numeric or feature in columns.binary:
        return ~np.isnan(columns.row(feature))
    return np.asarray(columns.category(feature).codes >= 0)


def _with_flags(columns: Columns, flags: Sequence[tuple[str, str]]) -> Columns:
    """Return the columns with a binary feature for each flag instead of the sparse features."""
    sparse_ones = {feature for _, feature in flags}
    names = columns.numeric + columns.binary
    kept = [row for row, name in enumerate(names) if name not in sparse_ones]
    missing = [~_present(columns, feature) for _, feature in flags]
    return replace(
        columns,
        numeric=tuple(name for name in columns.numeric if name not in sparse_ones),
        binary=(
            *(name for name in columns.binary if name not in sparse_ones),
            *(name for name, _ in flags),
        ),
        values=np.vstack((columns.values[kept], missing)),
        categories=tuple(each for each in columns.categories if each.name not in sparse_ones),
    )
