"""Build summaries and drift events for tests."""

from __future__ import annotations

from typing import Any

from monitor.events.types import BinShift, ChangePoint, DriftEvent, Explanation, Summary


def numbers(
    p50: float | None = 50.0,
    p95: float | None = 200.0,
    mean: float | None = 80.0,
    *,
    n: int = 1000,
    missing: float = 0.0,
    p05: float | None = 10.0,
    p99: float | None = 400.0,
) -> Summary:
    """Return a summary of a numeric feature."""
    return Summary(n=n, missing=missing, mean=mean, p05=p05, p50=p50, p95=p95, p99=p99)


def shares(missing: float = 0.0, /, **named: float) -> Summary:
    """Return a summary of a categorical feature."""
    return Summary(n=1000, missing=missing, shares=named)


def event(before: Summary, after: Summary, **other: Any) -> DriftEvent:
    """Return an event with these two summaries."""
    defaults: dict[str, Any] = {
        "id": "e",
        "alarm": "a",
        "change": "opened",
        "model": "chat",
        "segment": "",
        "feature": "latency_ms",
        "detector": "psi",
        "found_by": ("psi", "ks"),
        "severity": "critical",
        "position": 17,
        "record": 17,
        "time": 1.7e9,
        "statistic": 0.3,
        "threshold": 0.1,
        "p_value": 1e-9,
        "psi": 0.3,
        "reference_id": "r",
        "reference": before,
        "current": after,
    }
    return DriftEvent(**defaults | other)


EXPLANATION = Explanation(
    since=ChangePoint(record=601, time=1.7e9 - 8),
    bins=(
        BinShift(bin="10 to 20", before=0.1, after=0.3),
        BinShift(bin="40 to 50", before=0.1, after=0.0),
        BinShift(bin="50 to 60", before=0.1, after=0.09),
    ),
    together={"output_tokens": 0.4, "cost_usd": 0.3},
)
"""Context of a change of latency."""
