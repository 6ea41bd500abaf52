"""What other roles publish, as functions that the role brings."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from monitor.events.evaluations import Evaluation
from monitor.records import Sample
from monitor.telemetry.http.api import (
    ExperimentSource,
    HistorySource,
    QualitySource,
    ReplaySource,
)


@dataclass(frozen=True, slots=True)
class RunScore:
    """The score of a task in a run, with its standard error; None if it cannot be computed."""

    task: str
    metric: str
    n: int
    mean: float | None
    stderr: float | None


@dataclass(frozen=True, slots=True)
class RunSummary:
    """A replay or gate run of the result store. verdict: "" until it is finished."""

    id: str
    model: str
    trigger: str
    state: str
    verdict: str
    reason: str
    set_digest: str
    created_at: float
    finished_at: float | None
    scores: tuple[RunScore, ...] = ()


class RunSource(Protocol):
    """Reads runs from the result store, which this package does not import."""

    def newest(self, model: str | None, limit: int) -> Sequence[RunSummary]:
        """Return the newest runs, newest first, optionally of one model."""

    def run(self, identity: str) -> RunSummary | None:
        """Return a run with its scores."""


@dataclass(frozen=True, slots=True)
class Reviewed:
    """A response that people rated: its texts, and what they said."""

    sample: Sample
    label: Evaluation


@dataclass(frozen=True, slots=True)
class SavedSet:
    """A version of an evaluation set. new: responses that were not in the set before."""

    name: str
    version: int
    digest: str
    items: int
    new: int


class SetTarget(Protocol):
    """Writes evaluation sets, whose package is not imported here. Methods raise ReviewError."""

    def add_failure(self, name: str, failed: Reviewed, by: str, at: float) -> bool:
        """Add a response to the known failures of a set; return False if it was there already."""

    def freeze(self, name: str, reviewed: Sequence[Reviewed], by: str, at: float) -> SavedSet:
        """Add responses to a set, approved by a person, and freeze its next version."""


@dataclass(frozen=True, slots=True)
class Published:
    """What the roles of all processes publish. None: the role is not configured.

    Each raises HistoryUnavailableError while its topic was not read to its end.
    """

    history: HistorySource
    quality: QualitySource | None = None
    experiments: ExperimentSource | None = None
    replays: ReplaySource | None = None


@dataclass(frozen=True, slots=True)
class Sources:
    """What pages show besides review. published, runs: None in tests without them.

    sets: None if no folder of evaluation sets is configured.
    """

    published: Published | None = None
    runs: RunSource | None = None
    sets: SetTarget | None = None
