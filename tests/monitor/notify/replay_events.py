"""Replay events for the tests of their wording and of notifications, valid and hostile."""

from __future__ import annotations

import itertools
from typing import Any

from hypothesis import strategies as st

from monitor.events.replay import (
    REPLAY_SEVERITIES,
    REPLAY_VERDICTS,
    ReplayedTask,
    ReplayEvent,
    ReplayVerdict,
)
from tests.monitor.notify.drift_events import NUMBER, TEXT

_NUMBERS = itertools.count()


def replayed(verdict: ReplayVerdict = "regressed", **other: Any) -> ReplayEvent:
    """Return the event of a run that was started by drift, with a new id."""
    numbers: dict[str, Any] = {
        "task": "frozen",
        "metric": "exact_match",
        "items": 312,
        "baseline": 0.812,
        "candidate": 0.75,
        "delta": -0.062,
        "lower": -0.091,
        "upper": -0.034,
    }
    fields: dict[str, Any] = {
        "id": f"e{next(_NUMBERS):015x}",
        "run": "run-1",
        "model": "llama",
        "verdict": verdict,
        "severity": REPLAY_SEVERITIES[verdict],
        "time": 1_790_000_000.0,
        "alarm": "00000000000000aa",
        "feature": "judge.answer_quality",
        "margin": 0.05,
        "alpha": 0.05,
        "tasks": (ReplayedTask(**numbers),),
        "seconds": 42.0,
        **numbers,
    }
    return ReplayEvent(**(fields | other))


_TASKS = st.lists(
    st.builds(
        ReplayedTask,
        task=TEXT,
        metric=TEXT,
        items=st.integers(0, 2**40),
        candidate=st.none() | NUMBER,
        delta=st.none() | NUMBER,
    ),
    max_size=3,
).map(tuple)
HOSTILE_REPLAYS = st.builds(
    lambda verdict, **other: ReplayEvent(
        verdict=verdict, severity=REPLAY_SEVERITIES[verdict], **other
    ),
    st.sampled_from(REPLAY_VERDICTS),
    id=TEXT,
    run=TEXT,
    model=TEXT,
    time=NUMBER,
    trigger=st.sampled_from(["drift", "schedule", "manual", "baseline"]),
    alarm=TEXT,
    feature=TEXT,
    reason=TEXT,
    flags=st.lists(TEXT, max_size=2).map(tuple),
    task=TEXT,
    metric=TEXT,
    items=st.integers(0, 2**40),
    delta=st.none() | NUMBER,
    lower=st.none() | NUMBER,
    upper=st.none() | NUMBER,
    required=st.none() | st.integers(0, 2**40),
    margin=st.none() | NUMBER,
    tasks=_TASKS,
    absolute=_TASKS,
)
