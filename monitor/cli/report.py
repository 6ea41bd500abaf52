"""The JSON report of `plumbline backtest` and `plumbline demo`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec

from monitor.detect.audit.page_costs import PageCosts
from monitor.events.types import DriftEvent
from monitor.ingest.fields import limits
from monitor.ingest.fields.limits import model_label
from monitor.ingest.files import Rejection


class Dropped(msgspec.Struct, frozen=True, kw_only=True):
    """What the limits cut off, by name; at most 1,000 names of a kind.

    models: number of models that are not watched; model_names: the first of them.
    scores: names. categories: records of the reference by category and feature, of the categories
    that are counted together. segments: KEY=VALUE of segments that are not watched.
    """

    models: int = 0
    model_names: list[str] = []
    scores: list[str] = []
    categories: dict[str, dict[str, int]] = {}
    segments: list[str] = []


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """The result of a run.

    records: decoded records, without rejected ones. rejections: rejected records by
    reason, the most frequent first. skipped: what is no inference, by kind. damaged: compressed
    files that could not be read to their end -> number of records read.
    seconds: wall time. events: alarms that opened or became more severe, in order; those
    of severity `info` are significant changes that are too small to page.
    updated: alarms whose size was corrected. resolved: alarms that ended. experiments: by
    name, of those with exposures. budget: by model, for models past their warm-up. warming_up: the
    size of the reference in records, for models that are still in their warm-up and have not been
    watched.
    models: "other" has the records of models that are not watched, "other (named)" those of a model
    of this name.
    """

    records: int
    rejected: int
    rejections: list[Rejection]
    seconds: float
    models: dict[str, dict[str, int]]
    events: list[DriftEvent]
    resolved: list[DriftEvent]
    skipped: dict[str, int] = {}
    damaged: dict[str, int] = {}
    updated: list[DriftEvent] = []
    experiments: dict[str, Any]
    budget: dict[str, PageCosts] = {}
    warming_up: dict[str, int] = {}
    dropped: Dropped = Dropped()


def build(
    *,
    models: Mapping[str, int],
    rejections: Sequence[Rejection],
    seconds: float,
    events: Sequence[DriftEvent],
    budget: Mapping[str, PageCosts] | None = None,
    warming_up: Mapping[str, int] | None = None,
    dropped: limits.Dropped | None = None,
) -> Report:
    """Build a report. models: records by model. events: all events, resolutions included."""
    return Report(
        records=sum(models.values()),
        rejected=sum(rejection.count for rejection in rejections),
        rejections=list(rejections),
        seconds=round(seconds, 3),
        models={model_label(m): {"records": count} for m, count in sorted(models.items())},
        events=[event for event in events if event.change in {"opened", "escalated"}],
        updated=[event for event in events if event.change == "updated"],
        resolved=[event for event in events if event.change == "resolved"],
        experiments={},
        budget={model_label(m): costs for m, costs in sorted((budget or {}).items())},
        warming_up={model_label(m): n for m, n in sorted((warming_up or {}).items())},
        dropped=dropped_names(dropped or limits.Dropped()),
    )


def dropped_names(names: limits.Dropped) -> Dropped:
    """Return the names that limits cut off, as in a report."""
    return Dropped(
        models=names.models.count,
        model_names=list(names.models.first),
        scores=sorted(names.scores.first),
        categories={name: each.first for name, each in sorted(names.categories.items())},
        segments=list(names.segments.first),
    )


def encode(report: Report) -> bytes:
    """Encode a report as indented JSON."""
    return msgspec.json.format(msgspec.json.encode(report), indent=2) + b"\n"


def write(report: Report, path: Path) -> None:
    """Write the report to a file."""
    path.write_bytes(encode(report))
