"""Judge events for the tests of their wording and of notifications, valid and hostile."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

from monitor.events.findings.judges import (
    JUDGE_CHANGES,
    JUDGE_SEVERITIES,
    JudgeChange,
    JudgeEvent,
    judge_event,
)
from tests.monitor.notify.drift_events import NUMBER, TEXT

NOW = 1_790_000_000.0


def changed(change: JudgeChange = "changed", judge: str = "claude", **other: Any) -> JudgeEvent:
    """Return an event of a judge."""
    fields: dict[str, Any] = {"calls": 40, "failed": 38}
    if change == "changed":
        fields = {
            "name": "judge.answer_quality",
            "mean": -0.42,
            "lower": -0.6,
            "upper": -0.24,
            "items": 50,
        }
    return judge_event(judge, change, other.pop("time", NOW), **(fields | other))


HOSTILE_JUDGES = st.builds(
    lambda change, **fields: JudgeEvent(change=change, severity=JUDGE_SEVERITIES[change], **fields),
    change=st.sampled_from(JUDGE_CHANGES),
    id=TEXT,
    judge=TEXT,
    time=NUMBER,
    name=TEXT,
    mean=st.none() | NUMBER,
    lower=st.none() | NUMBER,
    upper=st.none() | NUMBER,
    items=st.integers(-(2**63), 2**63 - 1),
    calls=st.integers(-(2**63), 2**63 - 1),
    failed=st.integers(-(2**63), 2**63 - 1),
)
