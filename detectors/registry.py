"""The detectors by name. To add one: a file, and a line here."""

from __future__ import annotations

from collections.abc import Sequence

from detectors.adwin import Adwin
from detectors.base import Detector
from detectors.baseline import Baseline
from detectors.chi2 import ChiSquared
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


def create(
    names: Sequence[str], baseline: Baseline, window: Window, level: float
) -> list[Detector]:
    """The named detectors, in that order, each allowed `level` false alarms per evaluation.

    Raises KeyError for a name that is not in DETECTORS.
    """
    return [DETECTORS[name](baseline, window, level) for name in names]


def tests(names: Sequence[str], baseline: Baseline) -> int:
    """How many (stream, detector) pairs the named detectors watch."""
    return sum(len(baseline.streams_of(DETECTORS[name].kinds)) for name in names)
