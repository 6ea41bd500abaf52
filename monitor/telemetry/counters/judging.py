"""Numbers of the judge role: scores, calls, costs, the budget and the quality of models."""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter, defaultdict
from dataclasses import dataclass, field

SCORE_BUCKETS = (0.2, 0.4, 0.6, 0.8, 1.0, 1.5, 2.0, 2.5, 3.0, 3.5, 4.0, 4.5, 5.0)
"""Upper bounds: scores of RAGAS are in 0 to 1, those of rubrics in 0 to 5."""


@dataclass(slots=True)
class ScoreCounts:
    """Scores of one model by one rubric.

    buckets: counts by bucket, the last one without a bound.
    """

    buckets: list[int] = field(default_factory=lambda: [0] * (len(SCORE_BUCKETS) + 1))
    total: float = 0.0

    def add(self, score: float) -> None:
        """Count a score."""
        self.buckets[bisect_left(SCORE_BUCKETS, score)] += 1
        self.total += score


@dataclass(frozen=True, slots=True)
class Quality:
    """Mean score of the traffic, or the share that passes, with its confidence interval."""

    value: float
    lower: float
    upper: float


@dataclass(slots=True)
class JudgeMetrics:
    """Counters and gauges of the judge role.

    A rubric is named as in its file, a metric of RAGAS as "ragas.METRIC".
    scores: by model and rubric, uniform samples only. calls: by judge and outcome.
    An outcome is "answered", or the reason why there is no answer.
    cost: US dollars by judge. samples: by outcome (judged, paced, repeated, unreadable).
    unscored: results of uniform samples without a score, by reason, so that their share of all
    results is that of the traffic.
    remaining: US dollars left of the budget of the day, for the partitions of this process.
    agreement: Krippendorff's alpha by rubric. quality: by model and rubric.
    passing: share that passes by model and rubric, where labels determine it.
    canaries: share of attacks that changed the verdict, by judge.
    golden: shift of the scores of the golden set, by rubric. deviation: standard deviation of
    repeated calls, by rubric.
    """

    scores: dict[tuple[str, str], ScoreCounts] = field(default_factory=dict)
    calls: Counter[tuple[str, str]] = field(default_factory=Counter)
    cost: defaultdict[str, float] = field(default_factory=lambda: defaultdict(float))
    unscored: Counter[str] = field(default_factory=Counter)
    samples: Counter[str] = field(
        default_factory=lambda: Counter(judged=0, paced=0, repeated=0, unreadable=0)
    )
    in_flight: int = 0
    remaining: float | None = None
    agreement: dict[str, float] = field(default_factory=dict)
    quality: dict[tuple[str, str], Quality] = field(default_factory=dict)
    passing: dict[tuple[str, str], Quality] = field(default_factory=dict)
    canaries: dict[str, float] = field(default_factory=dict)
    golden: dict[str, float] = field(default_factory=dict)
    deviation: dict[str, float] = field(default_factory=dict)

    def count_score(self, model: str, rubric: str, score: float) -> None:
        """Count the score of a uniform sample."""
        self.scores.setdefault((model, rubric), ScoreCounts()).add(score)
