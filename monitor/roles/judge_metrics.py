"""Counters of the judge role: what its transactions committed, and what its calls cost."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping

import structlog

from judges.budget.caps import Purpose
from judges.budget.metered import Meter
from judges.budget.prices import NANODOLLARS
from judges.calls import UnscoredReason
from judges.live.partition import Commit
from judges.live.worker import Assigned, Worker
from judges.trust.schedule import Trust, TrustResults
from monitor.events.evaluations import Evaluation
from monitor.ingest.fields.limits import OTHER
from monitor.roles.names import JUDGE as ROLE
from monitor.telemetry.counters.judging import JudgeMetrics
from monitor.telemetry.counters.metrics import Metrics

log = structlog.get_logger(__name__)

REPORT_SECONDS = 60.0
"""Time between two log lines about a judge that does not answer."""


class JudgeCounters:
    """Writes `Metrics.judging`.

    judge: name of the pinned judge. models: highest number of models that are counted by
    themselves; all others are counted together. meter: counts the requests of all sessions of the
    role.
    """

    def __init__(self, metrics: Metrics, judge: str, models: int) -> None:
        self.meter = Meter()
        self._judge = judge
        self._models: set[str] = set()
        self._most_models = models
        self._metrics = metrics
        # All reasons from the start: Prometheus sees no increase in a series that begins at 1.
        reasons = Counter(dict.fromkeys(map(str, UnscoredReason), 0))
        self._failures: Counter[str] = Counter()
        self._report_due = 0.0
        self._judging = metrics.judging = JudgeMetrics(unscored=reasons)

    def count(self, commits: Mapping[int, Commit]) -> None:
        """Count the evaluations of a committed transaction."""
        with self._metrics.lock:
            for commit in commits.values():
                for pending in commit.finished:
                    for evaluation in pending.evaluations:
                        self._count(evaluation)

    def _count(self, evaluation: Evaluation) -> None:
        if evaluation.unscored == UnscoredReason.UNAVAILABLE:
            self._failures[evaluation.explanation] += 1
        # Scores and missing scores of the same samples, so that their share is that of the traffic.
        if not evaluation.uniform:
            return
        if evaluation.score is None:
            self._judging.unscored[evaluation.unscored] += 1
        else:
            rubric = rubric_label(evaluation.name)
            self._judging.count_score(self._label(evaluation.model), rubric, evaluation.score)

    def _label(self, model: str) -> str:
        """Return the model, or the name of all models beyond the limit."""
        if model not in self._models and len(self._models) >= self._most_models:
            return OTHER
        self._models.add(model)
        return model

    def publish(self, worker: Worker, assigned: Iterable[Assigned], now: float) -> None:
        """Publish the gauges, and the counters of the calls."""
        self._report_failures(now)
        partitions = list(assigned)
        remaining = sum(
            each.funds.ledger.remaining(purpose, now)
            for each in partitions
            for purpose in (Purpose.LIVE, Purpose.CRITICAL, Purpose.BOOSTED)
        )
        with self._metrics.lock:
            judging = self._judging
            judging.calls.update(self.meter.requests - judging.calls)
            for judge, nanodollars in self.meter.nanodollars.items():
                judging.cost[judge] = nanodollars / NANODOLLARS
            judging.samples.update(worker.outcomes)
            worker.outcomes.clear()
            judging.in_flight = sum(len(each.running) for each in partitions)
            judging.remaining = remaining / NANODOLLARS if partitions else None
            for each in partitions:
                if isinstance(each.scheduled, Trust):
                    self._publish_trust(each.scheduled.results)

    def _report_failures(self, now: float) -> None:
        """Log why the judge did not answer, such as the status, by number of evaluations."""
        if self._failures and now >= self._report_due:
            self._report_due = now + REPORT_SECONDS
            log.warning("judge unavailable", role=ROLE, evaluations=dict(self._failures))
            self._failures.clear()

    def _publish_trust(self, results: TrustResults) -> None:
        for name, shift in results.shifts.items():
            rubric = rubric_label(name)
            # a shift that may be chance is no shift: the alert rule compares the size only
            self._judging.golden[rubric] = shift.mean if shift.moved else 0.0
            self._judging.deviation[rubric] = shift.deviation
        if results.canaries is not None:
            share = len(results.canaries.succeeded) / results.canaries.attacks
            self._judging.canaries[self._judge] = share


def rubric_label(name: str) -> str:
    """Return the value of the label `rubric`: a rubric's own name, or ragas.METRIC."""
    return name.removeprefix("judge.")
