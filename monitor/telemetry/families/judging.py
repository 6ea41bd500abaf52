"""Metric families of judged quality. Without the judge role there are none."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import accumulate

from prometheus_client.core import HistogramMetricFamily, Metric

from monitor.telemetry.counters.judging import SCORE_BUCKETS, JudgeMetrics
from monitor.telemetry.families.build import (
    by_label,
    by_labels,
    counter,
    gauge,
    single_gauge,
)
from monitor.telemetry.families.help_texts import HELP

_RUBRIC = ("model", "rubric")


def judge_families(m: JudgeMetrics) -> Iterator[Metric]:
    """Yield the families whose number of series depends on the configuration only."""
    yield counter("judge_samples", ["outcome"], by_label(m.samples))
    yield single_gauge("judge_in_flight", m.in_flight)
    yield counter("judge_calls", ["judge", "outcome"], by_labels(m.calls))
    yield counter("judge_cost_usd", ["judge"], by_label(m.cost))
    yield counter("judge_unscored", ["reason"], by_label(m.unscored))
    if m.remaining is not None:
        yield single_gauge("judge_budget_remaining_usd", m.remaining)
    yield gauge("judge_agreement", ["rubric"], by_label(m.agreement))
    yield gauge("judge_repeat_deviation", ["rubric"], by_label(m.deviation))
    yield gauge("judge_golden_shift", ["rubric"], by_label(m.golden))
    yield gauge("judge_canary_success_ratio", ["judge"], by_label(m.canaries))


def judge_quality(m: JudgeMetrics) -> Iterator[Metric]:
    """Yield the quality and the pass rate by model and rubric, with their intervals."""
    for name, estimates in (("judge_quality", m.quality), ("judge_pass_ratio", m.passing)):
        found = dict(estimates)
        yield gauge(name, _RUBRIC, {key: each.value for key, each in found.items()})
        yield gauge(f"{name}_lower", _RUBRIC, {key: each.lower for key, each in found.items()})
        yield gauge(f"{name}_upper", _RUBRIC, {key: each.upper for key, each in found.items()})


def judge_scores(m: JudgeMetrics) -> Iterator[Metric]:
    """Yield the histogram of scores by model and rubric."""
    family = HistogramMetricFamily("plumbline_judge_score", HELP["judge_score"], labels=_RUBRIC)
    bounds = [*(repr(bound) for bound in SCORE_BUCKETS), "+Inf"]
    for key, counts in dict(m.scores).items():
        buckets = [float(count) for count in accumulate(counts.buckets)]
        family.add_metric(key, list(zip(bounds, buckets, strict=True)), sum_value=counts.total)
    yield family
