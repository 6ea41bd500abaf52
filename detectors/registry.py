"""The detectors by name. To add one: a file, and a line here."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

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


def create(levels: Mapping[str, float], baseline: Baseline, window: Window) -> list[Detector]:
    """A detector for each name, each allowed its level of false alarms per evaluation and stream.

    Raises KeyError for a name that is not in DETECTORS.
    """
    return [DETECTORS[name](baseline, window, level) for name, level in levels.items()]


def streams_watched(names: Sequence[str], baseline: Baseline) -> dict[str, int]:
    """How many of the baseline's streams each of the named detectors watches."""
    return {name: len(baseline.streams_of(DETECTORS[name].kinds)) for name in names}
