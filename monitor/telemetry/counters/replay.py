"""Numbers of the replay role: runs, scores, progress, the queue and what runs cost."""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from dataclasses import dataclass, field
from typing import Final

from monitor.events.replay import REPLAY_VERDICTS, ReplayEvent

RUN_BUCKETS: Final = (10.0, 30.0, 60.0, 120.0, 300.0, 600.0, 1_200.0, 1_800.0, 3_600.0, 7_200.0)
"""Upper bounds of the duration of a run, in seconds."""
MAX_MODELS: Final = 500
"""Models with numbers of their own; the first ones that ran."""
OUTCOMES: Final = (
    "queued",
    "duplicate",
    "cooldown",
    "filtered",
    "cancelled",
    "baseline",
    "too_few_items",
    "other_type",
    "own",
    "unreadable",
)
"""What becomes of an event that the role reads."""
REASONS: Final = (
    "endpoint_unavailable",
    "request_rejected",
    "unauthorized",
    "rate_limited",
    "deadline",
    "invalid_responses",
    "missing_task",
    "broken_task",
    "disk_full",
    "out_of_memory",
    "gpu_absent",
    "no_items",
    "no_baseline",
    "mismatched_items",
    "budget",
    "judge_unavailable",
    "killed",
    "failed",
)
"""As `replay.results.ErrorReason`, which this package does not import."""

TaskKey = tuple[str, str, str]
"""Model, task and metric."""


@dataclass(frozen=True, slots=True)
class Delta:
    """Difference from the baseline with its interval; negative is worse."""

    value: float
    lower: float
    upper: float


@dataclass(frozen=True, slots=True)
class QueueState:
    """State of the queue in the store, which all processes share.

    runs: by state, `queued` and `running`. oldest: age of the oldest queued run, in seconds.
    unsent: events that wait in the outbox. gpu_seconds_left: of the budget of the day; None without
    a limit.
    """

    runs: dict[str, int]
    oldest: float = 0.0
    unsent: int = 0
    gpu_seconds_left: float | None = None


@dataclass(slots=True)
class ReplayMetrics:
    """Counters and gauges of the replay role. The caller holds the lock of `Metrics`.

    events: messages read, by outcome. runs: by model and verdict. errors: by reason.
    scores: last score by model, task and metric. deltas: the same with a baseline.
    durations: number of runs by bucket, the last one without a bound; seconds: their sum.
    progress: share of the items that a running run has scored, 0 to 1, by model and task.
    judge_nanodollars: cost of the judges that scored answers in this process.
    actions: webhooks by action and outcome. store_errors: operations of the store that failed.
    queue: None until the store was read.
    """

    events: Counter[str] = field(default_factory=lambda: Counter(dict.fromkeys(OUTCOMES, 0)))
    runs: Counter[tuple[str, str]] = field(default_factory=Counter)
    errors: Counter[str] = field(default_factory=lambda: Counter(dict.fromkeys(REASONS, 0)))
    scores: dict[TaskKey, float] = field(default_factory=dict)
    deltas: dict[TaskKey, Delta] = field(default_factory=dict)
    durations: list[int] = field(default_factory=lambda: [0] * (len(RUN_BUCKETS) + 1))
    seconds: float = 0.0
    gpu_seconds: float = 0.0
    judge_nanodollars: int = 0
    progress: dict[tuple[str, str], float] = field(default_factory=dict)
    actions: Counter[tuple[str, str]] = field(default_factory=Counter)
    store_errors: int = 0
    queue: QueueState | None = None

    def count_run(self, event: ReplayEvent) -> None:
        """Count a run that ended, and keep its numbers."""
        self.durations[bisect_left(RUN_BUCKETS, event.seconds)] += 1
        self.seconds += max(0.0, event.seconds)
        self.gpu_seconds += max(0.0, event.gpu_seconds)
        if event.verdict == "error":
            self.errors[event.reason if event.reason in REASONS else "failed"] += 1
        if not self._has_room(event.model):
            return
        self.start(event.model)
        self.runs[event.model, event.verdict] += 1
        self.keep_scores(event)

    def keep_scores(self, event: ReplayEvent) -> None:
        """Keep the scores of a run, which may be a baseline."""
        if not self._has_room(event.model):
            return
        for task in (*event.tasks, *event.absolute):
            key = event.model, task.task, task.metric
            if task.candidate is not None:
                self.scores[key] = task.candidate
            if task.delta is not None and task.lower is not None and task.upper is not None:
                self.deltas[key] = Delta(task.delta, task.lower, task.upper)

    def start(self, model: str) -> None:
        """Create the counters of a model: an increase from nothing is not seen."""
        if self._has_room(model):
            for verdict in REPLAY_VERDICTS:
                self.runs[model, verdict] += 0

    def report_progress(self, model: str, task: str, share: float) -> None:
        """Keep the progress of a run."""
        if self._has_room(model):
            self.progress[model, task] = share

    def end_progress(self, model: str) -> None:
        """Remove the progress of a run that ended."""
        for key in [key for key in self.progress if key[0] == model]:
            del self.progress[key]

    def _has_room(self, model: str) -> bool:
        models = {name for name, _ in self.runs}
        return model in models or len(models) < MAX_MODELS
