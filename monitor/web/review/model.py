"""Queues, items, assignments and answers, as they are stored."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

from monitor.errors import UserError

TaskType = Literal["single", "pairwise", "ranking", "spans"]
QueueState = Literal["open", "paused", "closed"]
ItemState = Literal["open", "finished", "contested", "settled", "unlabelled", "erased"]
AssignmentState = Literal["leased", "submitted", "skipped", "expired", "cancelled"]
Severity = Literal["minor", "major"]
HIGHEST = 5
"""Highest score of a dimension; 0 is the lowest."""
TIE = -1
"""In place of a candidate: both are equally good."""


class ReviewError(UserError):
    """What was asked is not possible. Its message says why."""


class NotFound(ReviewError):
    """There is no such queue, item or assignment, or it belongs to another person."""


class Conflict(ReviewError):
    """The state of an item or assignment does not allow it, for example after its lease ended."""


@dataclass(frozen=True, slots=True)
class Dimension:
    """A criterion of a rubric, scored from 0 to 5. levels: score -> description."""

    name: str
    question: str
    levels: dict[int, str]
    weight: float = 1.0


@dataclass(frozen=True, slots=True)
class Rubric:
    """A version of a rubric, as judges use it. digest: hash of its content."""

    name: str
    version: int
    digest: str
    description: str
    pass_mark: float
    dimensions: tuple[Dimension, ...]

    def overall(self, scores: dict[str, float]) -> float:
        """Return the weighted mean of the scores of all dimensions, 0 to 5."""
        total = sum(each.weight for each in self.dimensions)
        return round(sum(e.weight / total * scores[e.name] for e in self.dimensions), 9)


@dataclass(frozen=True, slots=True)
class Inflow:
    """Which samples enter a queue by themselves: none unless `enabled`.

    models: empty for all. boosted: whether samples enter that were drawn for a reason.
    settle_seconds: time in which the judge may change the difficulty. limit: items that wait.
    """

    enabled: bool = False
    models: tuple[str, ...] = ()
    boosted: bool = True
    settle_seconds: float = 0.0
    limit: int = 100_000


@dataclass(frozen=True, slots=True)
class QueueSettings:
    """What can be chosen for a queue; the keys of `web.queues` in the guide."""

    overlap: int = 3
    lease_seconds: float = 900.0
    base: float = 0.1
    boost: float = 0.9
    gold_share: float = 0.05
    contested_from: float = 2.0
    retention_days: float = 90.0
    inflow: Inflow = field(default_factory=Inflow)


@dataclass(frozen=True, slots=True)
class Queue:
    """A review queue. source: "config" or "api", where it was created."""

    name: str
    task: TaskType
    rubric: Rubric
    source: str
    state: QueueState
    salt: str
    settings: QueueSettings
    created_at: float
    updated_at: float


@dataclass(frozen=True, slots=True)
class Candidate:
    """A response of an item. user_hash: of its user, or "". variant: of an experiment, or ""."""

    request_id: str
    model: str = ""
    variant: str = ""
    user_hash: str = ""


@dataclass(frozen=True, slots=True)
class Message:
    """A message of a prompt."""

    role: str
    content: str


@dataclass(frozen=True, slots=True)
class Texts:
    """What annotators read. responses: one for each candidate, in the order of the candidates."""

    prompt: tuple[Message, ...] = ()
    responses: tuple[str, ...] = ()
    contexts: tuple[str, ...] = ()
    reference: str = ""


@dataclass(frozen=True, slots=True)
class NewItem:
    """An item to be added to a queue.

    reason: why it is reviewed, such as "random", "drift", "disagreement", "feedback", "chosen".
    difficulty: 0 to 1. estimated: whether it represents the traffic; chosen items do not.
    uniform, probability: of the sample, as in `monitor.records.Inclusion`.
    gold: the answer that is known, as content of an answer.
    """

    candidates: tuple[Candidate, ...]
    texts: Texts
    time: float
    reason: str = "chosen"
    difficulty: float = 0.0
    estimated: bool = False
    uniform: bool = False
    probability: float = 0.0
    judge: dict[str, Any] | None = None
    gold: dict[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class Item:
    """An item as stored, without its texts. label: what the annotators said together."""

    id: str
    queue: str
    state: ItemState
    reason: str
    request_id: str
    model: str
    time: float
    difficulty: float
    pi: float | None
    u: float
    xi: float
    uniform: bool
    probability: float
    slots: int
    skips: int
    judge: dict[str, Any] | None
    gold: dict[str, Any] | None
    label: dict[str, Any] | None
    ready_at: float
    created_at: float
    finished_at: float | None


@dataclass(frozen=True, slots=True)
class Assignment:
    """An item that a person rates. order: positions of the candidates, as they are shown."""

    id: str
    queue: str
    item: str
    person: str
    state: AssignmentState
    order: tuple[int, ...]
    guideline: int
    leased_at: float
    lease_until: float
    ended_at: float | None
    active_ms: int
    skip_reason: str


@dataclass(frozen=True, slots=True)
class Span:
    """A marked error: code points `start` to `end`, exclusive, of a response.

    candidate: position of the response. kind: a dimension of the rubric.
    """

    candidate: int
    start: int
    end: int
    kind: str
    severity: Severity = "major"


@dataclass(frozen=True, slots=True)
class Answer:
    """The answer of a person. Which fields are set follows from the type of the task.

    scores: of `single`, by dimension, 0 to 5. preferences: of `pairwise`, the better candidate or
    TIE, by dimension, and "overall". ranking: of `ranking`, groups of candidates, best first;
    those of one group are equally good. spans: of `spans`. Candidates are positions of the item,
    not of the order in which they were shown.
    """

    scores: dict[str, int] = field(default_factory=dict)
    preferences: dict[str, int] = field(default_factory=dict)
    ranking: tuple[tuple[int, ...], ...] = ()
    spans: tuple[Span, ...] = ()
    comment: str = ""
