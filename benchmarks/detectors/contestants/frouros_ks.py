"""frouros' incremental Kolmogorov-Smirnov test."""

from __future__ import annotations

import math
from collections.abc import Iterator
from importlib.metadata import version
from typing import ClassVar

import numpy as np
from frouros.detectors.data_drift import IncrementalKSTest

from benchmarks.detectors.protocol import Knob, Scored
from benchmarks.detectors.streams import BINARY, NUMERIC, Trial

RECORDS, WIDTH = 5000, 500
STRIDE = 20


class IncrementalKs(Scored):
    """Reference of 5,000 (the newest), window of 500; the knob is the level of its p-value.

    It tests at every record, which takes a thousand times as long as the record is worth. It is
    asked at every twentieth only, the records between are put into its queue: to its advantage, for
    fewer looks make fewer false alarms, and its cost is measured likewise. From 10,000 reference
    records on it would take an approximation of p instead.
    """

    kinds: ClassVar = frozenset({NUMERIC, BINARY})
    knob: ClassVar = Knob("alpha", 0.05, 0.5, 1e-14)
    memory: ClassVar[int | None] = WIDTH

    def version(self) -> str:
        """Of frouros."""
        return version("frouros")

    def cut(self, knob: float) -> float:
        """-ln alpha."""
        return -math.log(knob)

    def scores(self, trial: Trial) -> Iterator[tuple[int, float]]:
        """-ln p at every stride."""
        detector = IncrementalKSTest(window_size=WIDTH)
        detector.fit(X=trial.reference[0, -RECORDS:])
        for position, value in enumerate(trial.live[0].tolist(), start=1):
            if position % STRIDE:
                detector.X_queue.enqueue(value=value)
                detector.num_instances += 1
                continue
            result, _ = detector.update(value=value)
            if result is not None:
                # NaN where its exact p-value fails: too small for it
                yield position, -math.log(max(np.nan_to_num(result.p_value), 1e-300))

    def state(self, trial: Trial) -> object:
        """Its reference and its window."""
        return trial.reference[0, -RECORDS:].copy(), trial.live[0, :WIDTH].copy()
