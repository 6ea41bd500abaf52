"""alibi-detect's online Cramer-von Mises detector."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from importlib.metadata import version
from typing import Any, ClassVar

import numpy as np
from alibi_detect.cd import CVMDriftOnline

from benchmarks.detectors.protocol import Knob, Scored
from benchmarks.detectors.streams import BINARY, NUMERIC, Floats, Trial

RECORDS, WIDTH = 1000, 100
RUN_TIME, BOOTSTRAPS = 1000, 10_000


class CvmOnline(Scored):
    """Reference of 1,000 (the newest), window of 100, expected run time of 1,000.

    An expected run time wants ten times as many bootstraps, each of them (reference + window)^2
    in memory and time: one of 100,000 records or more, which a page needs, cannot be configured.
    So the knob multiplies the thresholds that were configured for 1,000; the score is the statistic
    over its threshold. The thresholds depend on the sizes alone and are configured once. Its lists
    of all past records are cut to the window, which is all it reads of them.
    """

    kinds: ClassVar = frozenset({NUMERIC, BINARY})
    knob: ClassVar = Knob("threshold factor", 1.0, 0.2, 50.0, exponential=True)
    memory: ClassVar[int | None] = 2 * WIDTH

    def version(self) -> str:
        """Of alibi-detect."""
        return version("alibi-detect")

    def scores(self, trial: Trial) -> Iterator[tuple[int, float]]:
        """The statistic over its threshold, from the first full window on."""
        detector = configured(trial.reference[0, -RECORDS:])
        for position, value in enumerate(trial.live[0], start=1):
            statistic = detector.score(value)
            detector.xs = detector.xs[-WIDTH:]
            if position >= WIDTH:
                yield position, float(statistic.max() / detector.get_threshold(position - 1)[0])

    def state(self, trial: Trial) -> object:
        """All arrays of a detector that has read the trial, cut as above."""
        detector = configured(trial.reference[0, -RECORDS:])
        for value in trial.live[0, : 2 * WIDTH]:
            detector.score(value)
            detector.xs = detector.xs[-WIDTH:]
        return {k: v for k, v in vars(detector).items() if isinstance(v, np.ndarray)}


@cache
def _detector() -> Any:
    reference = np.random.default_rng(0).standard_normal(RECORDS)
    np.random.seed(1)  # its bootstraps draw from numpy's global generator
    return CVMDriftOnline(reference, RUN_TIME, [WIDTH], n_bootstraps=BOOTSTRAPS, verbose=False)


def configured(reference: Floats) -> Any:
    """The detector, its thresholds configured, with another reference and no past."""
    detector = _detector()
    detector.x_ref = reference[:, None]
    detector._configure_ref()
    detector.reset_state()
    return detector
