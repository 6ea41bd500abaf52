"""The numbers behind a detector's verdict."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from detectors.arrays import Floats


@dataclass(frozen=True, slots=True)
class Readings:
    """Statistic, threshold and p-value of one detector on its k streams, each of shape (k,).

    A detector finds a change where statistic >= threshold. NaN in `statistic` means no verdict
    (warm-up, or too little data). NaN in `threshold` or `p_value` means that the detector has none.
    """

    statistic: Floats
    threshold: Floats
    p_value: Floats

    @classmethod
    def without_verdict(cls, streams: int) -> Readings:
        """Return readings without a verdict on any of `streams` streams."""
        nan = np.full(streams, np.nan)
        return cls(nan, nan, nan)
