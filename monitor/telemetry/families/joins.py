"""Metric families of feedback and its join."""

from __future__ import annotations

from collections.abc import Iterator

from prometheus_client.core import Metric

from monitor.telemetry.counters.joins import JoinMetrics
from monitor.telemetry.families.build import by_label, counter, single_counter, single_gauge


def join_families(m: JoinMetrics) -> Iterator[Metric]:
    """Yield the counters and gauges of the join role."""
    yield counter("feedback_messages", ["format"], by_label(m.messages))
    yield counter("feedback_skipped", ["kind"], by_label(m.skipped))
    yield counter("feedback_rejected", ["reason"], by_label(m.rejected))
    yield counter("feedback_values", ["outcome"], by_label(m.values))
    yield counter("feedback_values_without_unit", ["experiment"], by_label(m.without_unit))
    yield single_gauge("join_ids", m.keys)
    yield single_gauge("join_waiting_values", m.waiting)
    yield single_gauge("join_state_bytes", m.state_bytes)
    yield single_counter("join_ids_dropped", m.keys_dropped)
    yield single_counter("join_messages_unreadable", m.unreadable)
    yield single_counter("join_messages_lost", m.lost)
