"""Build metric families. Names are given without the prefix plumbline_."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric

from monitor.telemetry.families.help_texts import HELP

Series = Mapping[Any, float]
"""Values by label values, which are a tuple of strings."""


def by_label(counts: Mapping[str, float]) -> Series:
    """Return the series of counts by one label."""
    # Copied, because the roles keep counting during a scrape.
    return {(key,): float(count) for key, count in dict(counts).items()}


def by_labels(counts: Series) -> Series:
    """Return the series of counts by several labels."""
    return {key: float(count) for key, count in dict(counts).items()}


def by_column(
    rows: Iterable[tuple[int, str]], table: NDArray[np.float64], columns: Sequence[str]
) -> Series:
    """Return the series by model and column of a table of shape (M, len(columns)).

    rows: row number and model.
    """
    return {
        (model, column): float(table[i, j]) for i, model in rows for j, column in enumerate(columns)
    }


def without_nan(values: Series) -> Series:
    """Return the series whose value is not NaN."""
    return {key: value for key, value in values.items() if not math.isnan(value)}


def gauge(name: str, labels: Sequence[str], values: Series) -> Metric:
    """Return a gauge family."""
    family = GaugeMetricFamily(f"plumbline_{name}", HELP[name], labels=labels)
    for key, value in values.items():
        family.add_metric(key, value)
    return family


def counter(name: str, labels: Sequence[str], values: Series) -> Metric:
    """Return a counter family."""
    family = CounterMetricFamily(f"plumbline_{name}", HELP[name], labels=labels)
    for key, value in values.items():
        family.add_metric(key, value)
    return family


def single_gauge(name: str, value: float) -> Metric:
    """Return a gauge family without labels."""
    return gauge(name, [], {(): value})


def single_counter(name: str, value: float) -> Metric:
    """Return a counter family without labels."""
    return counter(name, [], {(): value})
