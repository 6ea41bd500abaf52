"""The judge role counts scores and missing scores of uniform samples, once committed."""

from __future__ import annotations

from collections import Counter
from types import SimpleNamespace
from typing import Any

from structlog.testing import capture_logs

from judges.calls import UnscoredReason
from judges.live.partition import Commit, Pending
from monitor.events.evaluations import Evaluation
from monitor.roles.judge_metrics import JudgeCounters
from monitor.telemetry.counters.metrics import Metrics
from tests.monitor.telemetry.scrape import get, samples

MODELS = 3


def evaluation(**fields: Any) -> Evaluation:
    """Return an evaluation of a uniform sample with these fields."""
    known: dict[str, Any] = {
        "name": "judge.tone",
        "request_id": "r",
        "model": "m",
        "time": 1.0,
        "uniform": True,
    }
    return Evaluation(**(known | fields))


def counted(*evaluations: Evaluation) -> dict[tuple[str, frozenset[tuple[str, str]]], float]:
    """Return the samples of a scrape after a commit of these evaluations."""
    metrics = Metrics()
    pending = Pending(0, None, evaluations=list(evaluations))
    JudgeCounters(metrics, "judge", MODELS).count({0: Commit((pending,), 1, {}, frozenset())})
    return samples(metrics)


def test_results_of_uniform_samples_are_counted() -> None:
    """Scores are by rubric, missing scores by reason."""
    found = counted(
        evaluation(score=4.0),
        evaluation(score=1.0, name="ragas.faithfulness"),
        evaluation(unscored="refusal"),
    )
    assert get(found, "judge_score_count", model="m", rubric="tone") == 1
    assert get(found, "judge_score_count", model="m", rubric="ragas.faithfulness") == 1
    assert get(found, "judge_unscored_total", reason="refusal") == 1


def test_models_beyond_the_limit_are_counted_together() -> None:
    """Whoever writes the log names the models, so their number is bounded in memory as well."""
    found = counted(*(evaluation(score=4.0, model=f"m{i}") for i in range(10)))
    assert get(found, "judge_score_count", model="m2", rubric="tone") == 1
    assert get(found, "judge_score_count", model="m3", rubric="tone") is None
    assert get(found, "judge_score_count", model="other", rubric="tone") == 10 - MODELS


def test_boosted_samples_are_counted_neither_as_scores_nor_as_missing_ones() -> None:
    """Errors and refusals fail more often; the share of missing scores is that of the traffic."""
    found = counted(
        evaluation(score=4.0, uniform=False), evaluation(unscored="refusal", uniform=False)
    )
    assert get(found, "judge_score_count", model="m", rubric="tone") is None
    assert get(found, "judge_unscored_total", reason="refusal") == 0


def test_every_reason_exists_from_the_start() -> None:
    """Prometheus sees the first missing score as an increase only if the series was 0 before."""
    found = counted()
    reasons = {get(found, "judge_unscored_total", reason=reason) for reason in UnscoredReason}
    assert reasons == {0}


def test_a_judge_that_does_not_answer_is_logged_once_a_minute() -> None:
    """The log has the status of failed calls, which the metrics do not, and not a line for each."""
    counters = JudgeCounters(Metrics(), "judge", MODELS)
    failed = evaluation(unscored="unavailable", explanation="HTTP 401 authentication_error")
    commit = Commit((Pending(0, None, evaluations=[failed, failed]),), 1, {}, frozenset())
    worker: Any = SimpleNamespace(outcomes=Counter())
    with capture_logs() as lines:
        for second in range(150):
            counters.count({0: commit})
            counters.publish(worker, [], 1000.0 + second)
    assert [line["event"] for line in lines] == ["judge unavailable"] * 3
    assert [line["evaluations"] for line in lines] == [
        {"HTTP 401 authentication_error": count} for count in (2, 120, 120)
    ]
