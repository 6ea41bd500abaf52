"""From the configured false-page budget to the level of every detector."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeVar

from detectors.calibration import allocate, level_per_evaluation
from monitor.config import Config, DetectorName

T = TypeVar("T")


def voting(config: Config) -> tuple[DetectorName, ...]:
    """The detectors whose findings raise alarms, in the order of the configuration."""
    return tuple(name for name in config.detectors if name not in config.alarms.advisory)


def of_voting(config: Config, each: Mapping[str, T]) -> dict[str, T]:
    """What stands for those detectors, of what stands for any."""
    taking_part = frozenset[str](voting(config))
    return {name: value for name, value in each.items() if name in taking_part}


def per_day(config: Config) -> float:
    """False pages a day that the whole traffic of one model is allowed.

    The segments of one key together are evaluated as often as the whole model, and have as much.
    """
    return config.alarms.false_pages / config.alarms.per_days / (1 + len(config.segments))


def levels(
    config: Config, streams: Mapping[str, int], records_per_second: float
) -> dict[str, float]:
    """Detector -> the false-alarm probability of one evaluation of one of its streams.

    streams: detector -> how many streams it watches.
    """
    alarms = config.alarms
    total = level_per_evaluation(
        false_pages=alarms.false_pages,
        per_days=alarms.per_days,
        records_per_second=records_per_second,
        stride=config.windows.stride,
        tests=1 + len(config.segments),
    )
    weights = {str(name): weight for name, weight in alarms.weights.items()}
    allowed = allocate(total, of_voting(config, streams), weights)
    # what raises no alarm takes nothing from those that do
    return {name: allowed.get(name, min(0.5, total / max(1, n))) for name, n in streams.items()}
