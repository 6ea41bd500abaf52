"""The whole distribution of a stream at an event, which reports show.

An event has only the bins that changed most: it is a message, and its size is bounded.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from detectors.arrays import Floats
from detectors.parts import Parts
from monitor.events.types import DriftEvent


@dataclass(frozen=True, slots=True)
class Distribution:
    """Shares of records by part, in the reference and among the measured records.

    bins: display names, in order; before, after: shape (P,), each with the sum 1.
    """

    bins: tuple[str, ...]
    before: Floats
    after: Floats


Observer = Callable[[DriftEvent, Distribution], None]
"""Called with each event and the distribution of its stream."""


def distribution(parts: Parts) -> Distribution:
    """Return the distribution of a stream by its parts, which have some records."""
    before, after = parts.expected, parts.counts
    return Distribution(parts.names, before / before.sum(), after / after.sum())
