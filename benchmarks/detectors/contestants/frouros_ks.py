"""The incremental Kolmogorov-Smirnov test of frouros."""

from __future__ import annotations

import math
from collections.abc import Iterator
from importlib.metadata import version
from typing import ClassVar

import numpy as np
from frouros.detectors.data_drift import IncrementalKSTest

from benchmarks.detectors.protocol import Knob, ScoreBased
from benchmarks.detectors.streams import BINARY, NUMERIC, Trial

RECORDS, WIDTH = 5000, 500
STRIDE = 20


class IncrementalKs(ScoreBased):
    """Reference of the newest 5,000 records, window of 500; the knob is the level of its p-value.

    The library tests at every record, which is too slow here. It is evaluated at every 20th record,
    and the records between are put into its queue. This is to its advantage: fewer evaluations give
    fewer false alarms and lower cost. From 10,000 reference records on it would use an approximate
    p-value.
    """

    kinds: ClassVar = frozenset({NUMERIC, BINARY})
    knob: ClassVar = Knob("alpha", 0.05, 0.5, 1e-14)
    memory: ClassVar[int | None] = WIDTH

    def version(self) -> str:
        """Return the version of frouros."""
        return version("frouros")

    def cut(self, knob: float) -> float:
        """Return -ln alpha."""
        return -math.log(knob)

    def scores(self, trial: Trial) -> Iterator[tuple[int, float]]:
        """Yield -ln p at every stride."""
        detector = IncrementalKSTest(window_size=WIDTH)
        detector.fit(X=trial.reference[0, -RECORDS:])
        for position, value in enumerate(trial.live[0].tolist(), start=1):
            if position % STRIDE:
                detector.X_queue.enqueue(value=value)
                detector.num_instances += 1
                continue
            result, _ = detector.update(value=value)
            if result is not None:
                # NaN if the exact p-value is too small to compute
                yield position, -math.log(max(np.nan_to_num(result.p_value), 1e-300))

    def state(self, trial: Trial) -> object:
        """Return reference and window."""
        return trial.reference[0, -RECORDS:].copy(), trial.live[0, :WIDTH].copy()
