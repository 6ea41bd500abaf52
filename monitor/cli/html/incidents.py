"""Group the events of a report by alarm, feature and model."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from monitor.cli.report import Report
from monitor.events.types import DriftEvent, Severity, rank
from monitor.ingest.fields.limits import model_label


@dataclass(frozen=True, slots=True)
class Incident:
    """The events of one alarm, in the order of the log; the first one opened it."""

    events: tuple[DriftEvent, ...]

    @property
    def severity(self) -> Severity:
        """The highest severity of the alarm."""
        return max((event.severity for event in self.events), key=rank)

    @property
    def resolved(self) -> DriftEvent | None:
        """The event that ended the alarm, if there is one."""
        last = self.events[-1]
        return last if last.change == "resolved" else None

    @property
    def shown(self) -> DriftEvent:
        """The newest event that states a size."""
        return next((e for e in reversed(self.events) if e.change != "resolved"), self.events[-1])


@dataclass(frozen=True, slots=True)
class DriftedFeature:
    """A feature of a model or segment with its alarms, oldest first."""

    name: str
    segment: str
    incidents: tuple[Incident, ...]

    @property
    def severity(self) -> Severity:
        """The highest severity of its alarms."""
        return max((incident.severity for incident in self.incidents), key=rank)

    @property
    def title(self) -> str:
        """Name of the feature and of the segment."""
        return f"{self.name} [{self.segment}]" if self.segment else self.name


def by_model(report: Report) -> dict[str, list[DriftedFeature]]:
    """Return the drifted features of each model, those with the highest severity first.

    Models are named as in the report; those without an event are left out.
    """
    events = sorted(
        [*report.events, *report.updated, *report.resolved], key=lambda event: event.position
    )
    alarms: dict[tuple[str, str, str], dict[str, list[DriftEvent]]] = {}
    for event in events:
        key = model_label(event.model), event.segment, event.feature
        alarms.setdefault(key, {}).setdefault(event.alarm, []).append(event)
    models: dict[str, list[DriftedFeature]] = {}
    for (model, segment, feature), by_alarm in alarms.items():
        found = tuple(Incident(tuple(each)) for each in by_alarm.values())
        models.setdefault(model, []).append(DriftedFeature(feature, segment, found))
    for features in models.values():
        features.sort(key=lambda feature: (-rank(feature.severity), feature.segment != ""))
    return dict(sorted(models.items(), key=lambda item: _order(item[0], item[1])))


def _order(model: str, features: Sequence[DriftedFeature]) -> tuple[int, str]:
    return -max(rank(feature.severity) for feature in features), model
