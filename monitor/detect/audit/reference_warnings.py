"""Warnings about a reference that is too small or too dependent for the configuration."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from scipy.special import ndtri, stdtrit

from detectors.baseline import Baseline
from detectors.calibration import MIN_LEVEL, SECONDS_PER_DAY
from detectors.dependence import MIN_BLOCKS
from detectors.zscore import MIN_BLOCKS as MIN_ZSCORE_WINDOWS
from monitor.config.schema import Config
from monitor.detect.reference.groups import MIN_REFERENCE_VALUES
from monitor.detect.reference.profile import Profile

RECOMMENDED_WINDOWS = 50
MIN_INFLATION = 4.0
"""Variance inflation from which on dependence is reported."""
MAX_FEATURES = 3
"""Features reported, worst first."""
MAX_THRESHOLD_RATIO = 1.3
"""Largest ratio to the threshold of an infinite reference that is not reported."""


def warnings_of(config: Config, profile: Profile, levels: Mapping[str, float]) -> Iterator[str]:
    """Yield the warnings about a reference. levels: level by detector."""
    window, baseline = config.windows.records, profile.baseline
    windows, days = profile.records / window, profile.last_time - profile.first_time
    days /= SECONDS_PER_DAY
    if windows < RECOMMENDED_WINDOWS:
        yield (
            f"the reference has {windows:.3g} windows, {RECOMMENDED_WINDOWS} are recommended: its "
            "noise widens every threshold"
        )
    if windows < MIN_BLOCKS:
        yield (
            f"dependence over a whole window cannot be estimated from {windows:.3g} windows, "
            f"{MIN_BLOCKS} are needed: slow cycles of the traffic may page"
        )
    if days < 1:
        yield (
            f"the reference covers {days * 24:.2g} hours: if the traffic has a daily cycle, the "
            "rest of the day is reported as drift"
        )
    yield from _zscore(config, baseline, levels.get("zscore"))
    if min(levels.values()) <= MIN_LEVEL:
        yield (
            f"the budget requires a level below the supported minimum of {MIN_LEVEL:g}: raise "
            "alarms.false_pages or windows.stride"
        )
    yield from _dependence(baseline, window)
    yield from _too_few_values(config, profile)


def _too_few_values(config: Config, profile: Profile) -> Iterator[str]:
    """Yield a warning for sparse features of whose values the reference has too few."""
    too_few = profile.groups(config.windows)[0].too_few
    counts = {stream.name: stream.count for stream in profile.baseline.streams}
    for name in sorted(too_few, key=lambda name: counts[name])[:MAX_FEATURES]:
        yield (
            f"{name}: the reference has too few values, {counts[name]} of {MIN_REFERENCE_VALUES}: "
            "only the share of records with a value is watched"
        )
    if len(too_few) > MAX_FEATURES:
        yield f"{len(too_few) - MAX_FEATURES} more features have too few values in the reference"


def _dependence(baseline: Baseline, window: int) -> Iterator[str]:
    dependent = [stream for stream in baseline.streams if stream.inflation >= MIN_INFLATION]
    for stream in sorted(dependent, key=lambda stream: -stream.inflation)[:MAX_FEATURES]:
        yield (
            f"{stream.name}: records are dependent, a window of {window:,} is worth "
            f"{window / stream.inflation:,.0f} independent records: only large changes are "
            "detected unless windows.records covers a whole cycle of the traffic"
        )


def _zscore(config: Config, baseline: Baseline, level: float | None) -> Iterator[str]:
    """Yield a warning if the windows are too few for the z-score's standard error.

    Its t distribution has one degree of freedom less than there are windows, and heavy tails.
    """
    if level is None or not baseline.numeric:
        return
    blocks = len(baseline.numeric[0].block_means(config.windows.records))
    if blocks < MIN_ZSCORE_WINDOWS:
        yield f"the z-score is inactive: it needs {MIN_ZSCORE_WINDOWS} windows, there are {blocks}"
        return
    required, limit = -stdtrit(blocks - 1, level / 2), -ndtri(level / 2)
    if required > MAX_THRESHOLD_RATIO * limit:
        yield (
            f"the z-score's threshold is {required:.3g} with {blocks} windows and would be "
            f"{limit:.3g} with many: its level is {level:.1g}"
        )
