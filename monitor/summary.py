"""Both sides of an event: the reference and the window, in the feature's own unit."""

from __future__ import annotations

import math

import numpy as np
from msgspec import structs

from detectors.base import Floats
from detectors.baseline import Baseline
from detectors.streams import CategoricalStream
from detectors.window import Windows
from monitor import reference
from monitor.events import Summary
from monitor.reference import SHARES, category_shares, known


def sides(baseline: Baseline, index: int, window: Windows) -> tuple[Summary, Summary]:
    """Reference and window of the index-th stream, for the first of the windows, which is full."""
    stream = baseline.streams[index]
    before = reference.summary(baseline, index)
    if isinstance(stream, CategoricalStream):
        return _shares(stream, before, window.cell_counts[0, index, : stream.bins])
    values = window.values(index)
    present = np.sort(values[~np.isnan(values)])
    missing = 1 - len(present) / len(values)
    if not len(present):
        return before, Summary(n=0, missing=missing)
    finite = present[np.isfinite(present)]
    # divided before it is summed, so that huge values do not overflow
    mean = float((finite / len(finite)).sum()) if len(finite) else np.nan
    p05, p50, p95, p99 = (
        known(float(present[math.ceil(q * len(present)) - 1])) for q in (0.05, 0.5, 0.95, 0.99)
    )
    return before, Summary(
        n=len(present), missing=missing, mean=known(mean), p05=p05, p50=p50, p95=p95, p99=p99
    )


def _shares(stream: CategoricalStream, before: Summary, counts: Floats) -> tuple[Summary, Summary]:
    """Both sides for a categorical stream: the categories that moved most, on both the same."""
    then, now = category_shares(stream, stream.bin_counts()), category_shares(stream, counts)
    moved = sorted(now, key=lambda name: -abs(now[name] - then.get(name, 0.0)))[:SHARES]
    missing, records = int(counts[-1]), int(counts.sum())
    return (
        structs.replace(before, shares={name: then.get(name, 0.0) for name in moved}),
        Summary(
            n=records - missing,
            missing=missing / records,
            shares={name: now[name] for name in moved},
        ),
    )
