"""The online Cramer-von Mises detector of alibi-detect."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from importlib.metadata import version
from typing import Any, ClassVar

import numpy as np
from alibi_detect.cd import CVMDriftOnline

from benchmarks.detectors.protocol import Knob, ScoreBased
from benchmarks.detectors.streams import BINARY, NUMERIC, Floats, Trial

RECORDS, WIDTH = 1000, 100
RUN_TIME, BOOTSTRAPS = 1000, 10_000


class CvmOnline(ScoreBased):
    """Reference of the newest 1,000 records, window of 100, expected run time of 1,000.

    An expected run time needs ten times as many bootstraps, each (reference + window)^2 in memory
    and time, so that 100,000 records or more, as a page requires, cannot be configured. Therefore
    the knob multiplies the thresholds configured for 1,000, and the score is the statistic divided
    by its threshold. The thresholds depend on the sizes only and are configured once. Its lists of
    past records are truncated to the window, since it reads no more of them.
    """

    kinds: ClassVar = frozenset({NUMERIC, BINARY})
    knob: ClassVar = Knob("threshold factor", 1.0, 0.2, 50.0, exponential=True)
    memory: ClassVar[int | None] = 2 * WIDTH

    def version(self) -> str:
        """Return the version of alibi-detect."""
        return version("alibi-detect")

    def scores(self, trial: Trial) -> Iterator[tuple[int, float]]:
        """Yield the statistic divided by its threshold, from the first full window on."""
        detector = configured(trial.reference[0, -RECORDS:])
        for position, value in enumerate(trial.live[0], start=1):
            statistic = detector.score(value)
            detector.xs = detector.xs[-WIDTH:]
            if position >= WIDTH:
                yield position, float(statistic.max() / detector.get_threshold(position - 1)[0])

    def state(self, trial: Trial) -> object:
        """Return all arrays of a detector that has read the trial, truncated as above."""
        detector = configured(trial.reference[0, -RECORDS:])
        for value in trial.live[0, : 2 * WIDTH]:
            detector.score(value)
            detector.xs = detector.xs[-WIDTH:]
        return {k: v for k, v in vars(detector).items() if isinstance(v, np.ndarray)}


@cache
def _detector() -> Any:
    reference = np.random.default_rng(0).standard_normal(RECORDS)
    np.random.seed(1)  # the bootstraps use numpy's global generator
    return CVMDriftOnline(reference, RUN_TIME, [WIDTH], n_bootstraps=BOOTSTRAPS, verbose=False)


def configured(reference: Floats) -> Any:
    """Return the detector with configured thresholds, a new reference and no past records."""
    detector = _detector()
    detector.x_ref = reference[:, None]
    detector._configure_ref()
    detector.reset_state()
    return detector
