"""Metric families of the web application. Without the web role there are none."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import accumulate

from prometheus_client.core import HistogramMetricFamily, Metric

from monitor.telemetry.counters.web import REQUEST_BUCKETS, WebMetrics
from monitor.telemetry.families.build import (
    by_label,
    by_labels,
    counter,
    gauge,
    single_counter,
    single_gauge,
)
from monitor.telemetry.families.help_texts import HELP


def web_families(m: WebMetrics) -> Iterator[Metric]:
    """Yield all families; their number of series depends on queues and routes."""
    yield counter("web_requests", ["route", "status"], by_labels(m.requests))
    yield counter("web_refusals", ["reason"], by_label(m.refusals))
    yield _seconds(m)
    yield single_gauge("web_event_streams", m.streams)
    yield single_counter("web_store_errors", m.store_errors)
    yield counter("review_ratings", ["queue", "action"], by_labels(m.ratings))
    yield counter("review_inflow", ["outcome"], by_label(m.inflow))
    yield counter("review_labels", ["outcome"], by_label(m.labels))
    yield counter("review_erased", ["reason"], by_label(m.erased))
    if m.review is not None:
        yield gauge("review_items", ["queue", "state"], by_labels(m.review.items))
        yield gauge("review_oldest_seconds", ["queue"], by_label(m.review.oldest))
        yield single_gauge("review_labels_unsent", m.review.unsent)
        yield single_gauge("review_texts", m.review.texts)


def _seconds(m: WebMetrics) -> Metric:
    name = "web_request_seconds"
    family = HistogramMetricFamily(f"plumbline_{name}", HELP[name], labels=())
    bounds = [*map(repr, REQUEST_BUCKETS), "+Inf"]
    buckets = list(zip(bounds, map(float, accumulate(m.durations)), strict=True))
    family.add_metric((), buckets, sum_value=m.seconds)
    return family
