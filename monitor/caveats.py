"""Where a reference cannot support what is asked of it, in words, with what to do."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from scipy.special import ndtri, stdtrit

from detectors.baseline import Baseline
from detectors.calibration import SECONDS_PER_DAY, SMALLEST_LEVEL
from detectors.dependence import MIN_BLOCKS
from detectors.zscore import MIN_BLOCKS as LEAST_FOR_ZSCORE
from monitor.config import Config
from monitor.reference import Profile

FEW_WINDOWS = 50
DEPENDENT = 4.0
"""An inflation from which dependence is worth a word."""
TOLD = 3
"""Features of which that is told, the worst."""
DEAR = 1.3
"""How much a threshold may rise for want of windows before that is worth a word."""


def caveats(config: Config, profile: Profile, levels: Mapping[str, float]) -> Iterator[str]:
    """What there is to say of a reference and of levels (by detector) that it hardly supports."""
    window, baseline = config.windows.records, profile.baseline
    windows, days = profile.records / window, profile.last_time - profile.first_time
    days /= SECONDS_PER_DAY
    if windows < FEW_WINDOWS:
        yield (
            f"the reference holds {windows:.3g} windows: {FEW_WINDOWS} are advised, since its own "
            "noise widens every threshold and is in every comparison"
        )
    if windows < MIN_BLOCKS:
        yield (
            f"how records of a whole window depend on each other is judged from {windows:.3g} "
            f"windows, and {MIN_BLOCKS} are needed for that: a slow cycle may page"
        )
    if days < 1:
        yield (
            f"the reference covers {days * 24:.2g} hours: if traffic has a daily cycle, the rest "
            "of the day is drift to it"
        )
    yield from _zscore(config, baseline, levels.get("zscore"))
    if min(levels.values()) <= SMALLEST_LEVEL:
        yield (
            f"a level of {SMALLEST_LEVEL:g} is the smallest that can be computed with, and the "
            "budget asks for less: raise alarms.false_pages or windows.stride"
        )
    yield from _dependent(baseline, window)


def _dependent(baseline: Baseline, window: int) -> Iterator[str]:
    found = [stream for stream in baseline.streams if stream.inflation >= DEPENDENT]
    for stream in sorted(found, key=lambda stream: -stream.inflation)[:TOLD]:
        yield (
            f"{stream.name}: records depend on each other so much that a window of {window:,} is "
            f"worth {window / stream.inflation:,.0f} independent ones: only large changes are "
            "seen, unless windows.records holds a whole cycle of the traffic"
        )


def _zscore(config: Config, baseline: Baseline, level: float | None) -> Iterator[str]:
    """A standard error from few windows is known so badly that the far tail is far away."""
    if level is None or not baseline.numeric:
        return
    blocks = len(baseline.numeric[0].block_means(config.windows.records))
    if blocks < LEAST_FOR_ZSCORE:
        yield f"the z-score is silent: it needs {LEAST_FOR_ZSCORE} windows, and there are {blocks}"
        return
    needed, best = -stdtrit(blocks - 1, level / 2), -ndtri(level / 2)
    if needed > DEAR * best:
        yield (
            f"the z-score's level of {level:.1g} is hardly supported by {blocks} windows: it must "
            f"reach {needed:.3g}, with ever more windows {best:.3g}"
        )
