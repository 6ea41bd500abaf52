"""Exposures of values that arrive after their records: scores of judges, and feedback."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping

import numpy as np

from monitor.experiments.exposures.columns import (
    MAX_TIME,
    NOT_COMPARED,
    SHARD_BITS,
    UNNAMED,
    Exposures,
)
from monitor.records import Source, UnitExposure

Valued = tuple[Mapping[str, UnitExposure], float, Mapping[str, float]]
"""Exposures of a record by experiment, its event time, and its values by feature."""


def late_exposures(
    records: Iterable[Valued], experiments: Collection[str], source: Source
) -> list[Exposures]:
    """Return the values as exposures, by experiment, phase and shard.

    A metric has its own number of requests, so the values need no join with the exposures of the
    log. Records without a value are left out. experiments: names of those that are configured.
    """
    groups: dict[tuple[str, str, int], list[_Row]] = defaultdict(list)
    for exposures, time, values in records:
        if not values or not 0 <= time <= MAX_TIME:
            continue
        for experiment, each in exposures.items():
            if experiment in experiments and 0 <= each.unit < 1 << 64:
                shard = each.unit >> 64 - SHARD_BITS
                groups[experiment, each.phase, shard].append((each, time, values))
    return [_exposures(*group, rows, source) for group, rows in groups.items()]


_Row = tuple[UnitExposure, float, Mapping[str, float]]


def _exposures(
    experiment: str, phase: str, shard: int, rows: list[_Row], source: Source
) -> Exposures:
    arms = tuple(sorted({each.variant for each, _, _ in rows if each.variant is not None}))
    names = tuple(sorted({name for _, _, values in rows for name in values}))
    codes = [UNNAMED if e.variant is None else arms.index(e.variant) for e, _, _ in rows]
    return Exposures(
        experiment,
        phase,
        shard,
        np.array([time for _, time, _ in rows], np.float64),
        np.array([each.unit for each, _, _ in rows], np.uint64),
        arms,
        np.array(codes, np.int16),
        np.full(len(rows), NOT_COMPARED, np.int16),
        names,
        np.array([[values.get(name, np.nan) for _, _, values in rows] for name in names]),
        source,
    )
