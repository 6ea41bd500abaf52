"""The whole distribution of a stream at an event, which reports show.

An event has only the bins that changed most: it is a message, and its size is bounded.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from detectors.arrays import Floats
from detectors.baseline import Stream, sum_by_bin
from detectors.window import Windows
from monitor.events.types import DriftEvent


@dataclass(frozen=True, slots=True)
class Distribution:
    """Shares of records by bin, in the reference and among the measured records.

    bins: display names, in order; before, after: shape (B,), each with the sum 1.
    """

    bins: tuple[str, ...]
    before: Floats
    after: Floats


Observer = Callable[[DriftEvent, Distribution], None]
"""Called with each event and the distribution of its stream."""


def distribution(stream: Stream, index: int, sample: Windows) -> Distribution:
    """Return the distribution of a stream.

    index: of the stream in its baseline. sample: the measured records, of which it has some.
    """
    expected = stream.bin_counts()
    counts = sum_by_bin(sample.cell_counts[0, index], stream)
    return Distribution(stream.bin_names(), expected / expected.sum(), counts / counts.sum())
