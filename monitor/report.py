"""The report that `backtest` and `demo` write: what happened, for programs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec

from monitor.events import DriftEvent


class Replayed(msgspec.Struct, frozen=True):
    """False pages of the self-audit, by the feature and the detector that opened the alarm."""

    feature: str
    detector: str
    pages: int


class Cost(msgspec.Struct, frozen=True):
    """Alarms of a feature that opened in the log, and what that is in `per_days` days."""

    pages: int
    per_period: float


class Budget(msgspec.Struct, frozen=True, kw_only=True):
    """What pages of one model cost: promised, measured by the self-audit, met in the log.

    promised, measured, low, high: false pages in per_days days; low and high are the limits of a
    95 % Poisson interval, all three None where nothing was audited, for which there is a reason.
    records, days: that were audited, and how much traffic that is. features: of the log.
    """

    per_days: float
    promised: float
    measured: float | None = None
    low: float | None = None
    high: float | None = None
    records: int = 0
    days: float = 0.0
    contradicts: bool = False
    reason: str | None = None
    false_pages: list[Replayed] = []
    features: dict[str, Cost] = {}


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """records counts those read, rejected ones not among them; seconds is wall time.

    events: alarms that opened or became critical, in order; resolved: alarms that ended.
    rejections: refused records by reason. experiments: empty where none is configured.
    budget: by model, of those that are past their warm-up. warming_up: the other models that have a
    watch, each with the records that its reference takes: nobody has looked for drift in them.
    """

    records: int
    rejected: int
    rejections: dict[str, int]
    seconds: float
    models: dict[str, dict[str, int]]
    events: list[DriftEvent]
    resolved: list[DriftEvent]
    experiments: dict[str, Any]
    budget: dict[str, Budget] = {}
    warming_up: dict[str, int] = {}


def build(
    *,
    models: Mapping[str, int],
    rejections: Mapping[str, int],
    seconds: float,
    events: Sequence[DriftEvent],
    budget: Mapping[str, Budget] | None = None,
    warming_up: Mapping[str, int] | None = None,
) -> Report:
    """The report of a run from its counts and all its events."""
    return Report(
        records=sum(models.values()),
        rejected=sum(rejections.values()),
        rejections=dict(sorted(rejections.items())),
        seconds=round(seconds, 3),
        models={model: {"records": count} for model, count in sorted(models.items())},
        events=[event for event in events if event.change != "resolved"],
        resolved=[event for event in events if event.change == "resolved"],
        experiments={},
        budget=dict(sorted((budget or {}).items())),
        warming_up=dict(sorted((warming_up or {}).items())),
    )


def encode(report: Report) -> bytes:
    """The report as indented JSON."""
    return msgspec.json.format(msgspec.json.encode(report), indent=2) + b"\n"


def write(report: Report, path: Path) -> None:
    """Write the report to a file."""
    path.write_bytes(encode(report))
