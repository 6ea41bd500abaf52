"""The families of judged quality: their numbers, and that they exist with the judge role only."""

from __future__ import annotations

import pytest

from monitor.ingest.fields.limits import OTHER
from monitor.telemetry.counters.judging import SCORE_BUCKETS, JudgeMetrics, Quality
from monitor.telemetry.counters.metrics import Metrics
from monitor.telemetry.exporter import MetricsCollector
from tests.monitor.telemetry.scrape import everything, get, samples

pytestmark = pytest.mark.filterwarnings("error")

RUBRIC = {"rubric": "answer_quality"}


def test_a_process_without_the_role_has_no_families_of_judges() -> None:
    """An empty family would look like a judge that is idle."""
    names = {family.name for family in MetricsCollector(Metrics()).collect()}
    assert not any("judge" in name for name in names)


def test_a_new_judge_exports_zeros_and_no_unknown_values() -> None:
    """Counts of samples are 0; quality, budget and agreement have no value until they have one."""
    found = samples(Metrics(judging=JudgeMetrics()))
    judged = {key: value for key, value in found.items() if key[0].startswith("plumbline_judge_")}
    names = {name.removeprefix("plumbline_") for name, _ in judged}
    assert names == {"judge_in_flight", "judge_samples_total"}
    assert set(judged.values()) == {0}


def test_numbers_of_judges_are_exported() -> None:
    """These are samples, calls, cost, unscored results, and the trust in the judge."""
    found = samples(everything())
    assert get(found, "judge_samples_total", outcome="judged") == 5
    assert get(found, "judge_samples_total", outcome="paced") == 4
    assert get(found, "judge_samples_total", outcome="repeated") == 3
    assert get(found, "judge_samples_total", outcome="unreadable") == 2
    assert get(found, "judge_in_flight") == 12
    assert get(found, "judge_calls_total", judge="claude", outcome="answered") == 9
    assert get(found, "judge_calls_total", judge="claude", outcome="timeout") == 1
    assert get(found, "judge_cost_usd_total", judge="claude") == 0.125
    assert get(found, "judge_budget_remaining_usd") == 7.25
    assert get(found, "judge_unscored_total", reason="no_budget") == 6
    assert get(found, "judge_agreement", **RUBRIC) == 0.71
    assert get(found, "judge_repeat_deviation", **RUBRIC) == 0.3
    assert get(found, "judge_golden_shift", **RUBRIC) == -0.4
    assert get(found, "judge_canary_success_ratio", judge="claude") == 0.02


def test_quality_has_an_interval() -> None:
    """Estimate and both ends are gauges by model and rubric."""
    found = samples(everything())
    labels = {"model": "m", **RUBRIC}
    assert get(found, "judge_quality", **labels) == 3.8
    assert get(found, "judge_quality_lower", **labels) == 3.6
    assert get(found, "judge_quality_upper", **labels) == 4.0
    assert get(found, "judge_pass_ratio", **labels) == 0.8
    assert get(found, "judge_pass_ratio_lower", **labels) == 0.7
    assert get(found, "judge_pass_ratio_upper", **labels) == 0.9


def test_the_histogram_counts_each_score_once() -> None:
    """Every bucket has the scores up to its bound, for scores on, between and beyond bounds."""
    scores = [0.0, 0.2, 0.21, 1.0, 2.75, 5.0, 5.0, 5.5, *SCORE_BUCKETS]
    metrics = Metrics(judging=JudgeMetrics())
    assert metrics.judging
    for score in scores:
        metrics.judging.count_score("m", "answer_quality", score)
    found = samples(metrics)
    labels = {"model": "m", **RUBRIC}
    for bound in SCORE_BUCKETS:
        expected = sum(score <= bound for score in scores)
        assert get(found, "judge_score_bucket", le=repr(bound), **labels) == expected
    assert get(found, "judge_score_bucket", le="+Inf", **labels) == len(scores)
    assert get(found, "judge_score_count", **labels) == len(scores)
    assert get(found, "judge_score_sum", **labels) == pytest.approx(sum(scores))


def test_unwatched_models_have_a_label_of_their_own() -> None:
    """A judged model named other is apart from all models beyond the limit."""
    metrics = Metrics(judging=JudgeMetrics())
    assert metrics.judging
    metrics.judging.quality |= {
        ("other", "tone"): Quality(3.0, 2.0, 4.0),
        (OTHER, "tone"): Quality(1.0, 0.0, 2.0),
    }
    found = samples(metrics)
    assert get(found, "judge_quality", model="other (named)", rubric="tone") == 3.0
    assert get(found, "judge_quality", model="other", rubric="tone") == 1.0


def test_alarms_are_kept_where_judges_have_many_models() -> None:
    """Quality and scores are cut off before the alarms, and quality after the scores."""
    metrics = everything()
    assert metrics.judging
    for i in range(1_000):
        metrics.judging.quality[f"m{i}", "tone"] = Quality(3.0, 2.0, 4.0)
        metrics.judging.count_score(f"m{i}", "tone", 3.0)
    found = samples(metrics)
    names = [name.removeprefix("plumbline_") for name, _ in found]
    dropped = get(found, "metric_series_dropped")
    assert dropped is not None
    assert dropped > 0
    assert names.count("drift_active") == 1
    assert names.count("judge_calls_total") == 2
    assert names.count("judge_quality") == names.count("judge_quality_upper") == 1_001
    assert 0 < names.count("judge_score_count") < 1_001
