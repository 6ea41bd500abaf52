"""The detectors by name. A new detector needs a file and an entry in DETECTORS."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from detectors.adwin import Adwin
from detectors.baseline import Baseline
from detectors.chi2 import ChiSquared
from detectors.detector import Detector
from detectors.e_detector import EDetector
from detectors.ks import KolmogorovSmirnov
from detectors.page_hinkley import PageHinkley
from detectors.psi import Psi
from detectors.window import Window
from detectors.zscore import ZScore

DETECTORS: dict[str, type[Detector]] = {
    detector.name: detector
    for detector in (Psi, KolmogorovSmirnov, ZScore, ChiSquared, EDetector, Adwin, PageHinkley)
}


def prepare() -> None:
    """Import what detectors import when they are created. It takes a second or more."""
    Adwin.prepare()


def create(levels: Mapping[str, float], baseline: Baseline, window: Window) -> list[Detector]:
    """Return a detector for each name in `levels`, in that order.

    levels: detector -> false-alarm probability of one evaluation of one stream.
    Raises KeyError for a name that is not in DETECTORS.
    """
    return [DETECTORS[name](baseline, window, level) for name, level in levels.items()]


def count_streams(names: Sequence[str], baseline: Baseline) -> dict[str, int]:
    """Return the number of the baseline's streams that each named detector watches."""
    return {name: len(baseline.stream_indices(DETECTORS[name].kinds)) for name in names}
