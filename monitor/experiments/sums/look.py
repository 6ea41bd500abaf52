"""The sums of an experiment up to a look: what the sequential tests compute from."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from detectors.arrays import Floats

BUCKETS = 1_024
"""Buckets of users for sums. The bucket of a unit is the top ten bits of its hash."""
HISTOGRAM_BUCKETS = 256
"""Buckets of users for histograms: the top eight bits."""
SHARDS = 16
"""Parts of an experiment: the top four bits."""
GAMMA = 1.02
BINS = 640
"""Bins of a histogram: bin i > 0 has values in [GAMMA^(i-1), GAMMA^i) times `smallest`. Smaller
values are in bin 0, values beyond the last bin in the last bin."""


def smallest(feature: str) -> float:
    """Return the lower end of bin 1: 1, and a millionth for costs, in the unit of the feature."""
    return 1e-6 if feature == "cost_usd" else 1.0


@dataclass(frozen=True, slots=True)
class MetricSums:
    """Sums of one metric, by arm and bucket of users.

    x: shape (A, BUCKETS), sum of the values of the metric, in its scale.
    n: shape (A, BUCKETS), number of requests that have a value.
    """

    x: Floats
    n: Floats


@dataclass(frozen=True, slots=True)
class LookData:
    """All that a look at an experiment uses. Arms are in the order of the design's variants.

    time: event time of the look, epoch seconds: exposures before it are included.
    first_time: event time of the first exposure; None without one.
    users: units by arm of their first exposure. requests: exposures by arm.
    in_several_arms: units that were seen in more than one arm.
    largest_bucket: largest share of requests that one bucket has, by arm.
    disagreements: exposures whose logged variant is not the one of the hash.
    other_variants: exposures with a variant that the design does not name.
    late: exposures that arrived after the look of their time, and are in a later one.
    weekdays: days of the week with exposures, 0 is Monday; by arm.
    sums: by metric name, for the scales that are means. before: the same, over the pre-period, by
    the arm to which the hash assigns the unit; for CUPED.
    histograms: by metric name, shape (A, HISTOGRAM_BUCKETS, BINS), counts; for quantiles.
    """

    time: float
    first_time: float | None
    users: tuple[int, ...]
    requests: tuple[int, ...]
    in_several_arms: int = 0
    largest_bucket: tuple[float, ...] = ()
    disagreements: int = 0
    other_variants: int = 0
    late: int = 0
    weekdays: tuple[frozenset[int], ...] = ()
    sums: dict[str, MetricSums] = field(default_factory=dict)
    before: dict[str, MetricSums] = field(default_factory=dict)
    histograms: dict[str, NDArray[np.int64]] = field(default_factory=dict)
