"""From the configured false-page budget to the significance level of every detector."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TypeVar

from detectors import registry
from detectors.calibration import allocate_levels, level_per_evaluation
from monitor.config.schema import Config
from monitor.config.sections.detection import DetectorName
from monitor.detect.reference.groups import StreamGroup

T = TypeVar("T")


def alarming_detectors(config: Config) -> tuple[DetectorName, ...]:
    """Return the detectors that raise alarms (not advisory), in the order of the configuration."""
    return tuple(name for name in config.detectors if name not in config.alarms.advisory)


def select_alarming(config: Config, by_detector: Mapping[str, T]) -> dict[str, T]:
    """Return the entries of the detectors that raise alarms."""
    alarming = frozenset[str](alarming_detectors(config))
    return {name: value for name, value in by_detector.items() if name in alarming}


def false_pages_per_day(config: Config, share: float = 1.0) -> float:
    """Return the false pages per day allowed to the whole traffic of one model.

    The segments of one key together have as many evaluations as the whole model, and an equal
    share of the budget.

    share: of the budget, for one source of the model.
    """
    return config.alarms.false_pages * share / config.alarms.per_days / (1 + len(config.segments))


def levels(
    config: Config, streams: Mapping[str, int], records_per_second: float, share: float = 1.0
) -> dict[str, float]:
    """Return by detector the false-alarm probability of one evaluation of one stream.

    streams: number of streams by detector. share: of the budget.
    """
    alarms = config.alarms
    total = level_per_evaluation(
        false_pages=alarms.false_pages * share,
        per_days=alarms.per_days,
        records_per_second=records_per_second,
        stride=config.windows.stride,
        tests=1 + len(config.segments),
    )
    weights = {str(name): weight for name, weight in alarms.weights.items()}
    allowed = allocate_levels(total, select_alarming(config, streams), weights)
    # Advisory detectors take no share from those that raise alarms.
    return {name: allowed.get(name, min(0.5, total / max(1, n))) for name, n in streams.items()}


def group_levels(
    config: Config, groups: Sequence[StreamGroup], records_per_second: float, share: float = 1.0
) -> list[dict[str, float]]:
    """Return the levels by detector of each group of streams of one model.

    Each group has its share of the budget and as many evaluations as its records have strides.

    records_per_second: of the whole model. share: of the budget, for one source of the model.
    """
    return [
        levels(
            group.config(config),
            registry.count_streams(config.detectors, group.baseline),
            records_per_second * group.share,
            share,
        )
        for group in groups
    ]
