"""Experiment events for the tests of their wording and of notifications, valid and hostile."""

from __future__ import annotations

import itertools
from typing import Any

from hypothesis import strategies as st

from monitor.events.findings.experiments import ExperimentEvent
from monitor.notify.findings.finding import FindingNotice
from tests.monitor.notify.drift_events import NUMBER, TEXT

_NUMBERS = itertools.count()


def verdict(**other: Any) -> ExperimentEvent:
    """Return the event of a better arm, with a new id."""
    fields: dict[str, Any] = {
        "id": f"{next(_NUMBERS):016x}",
        "experiment": "prompt-v2",
        "phase": "p1",
        "kind": "verdict",
        "outcome": "better",
        "severity": "info",
        "time": 1_790_000_000.0,
        "control": "control",
        "variant": "treatment",
        "metric": "score.quality",
        "mean": 3.9,
        "control_mean": 3.75,
        "effect": 0.04,
        "lower": 0.012,
        "upper": 0.068,
        "level": 0.05,
        "mde": 0.05,
        "p_value": 0.0031,
        "users": {"control": 12_400, "treatment": 12_380},
    }
    return ExperimentEvent(**(fields | other))


def mismatch(outcome: str = "block", **other: Any) -> ExperimentEvent:
    """Return the event of a sample ratio mismatch."""
    return verdict(
        kind="srm",
        outcome=outcome,
        severity="warning" if outcome == "block" else "info",
        variant="",
        metric="",
        p_value=0.00004,
        users={"control": 5_300, "treatment": 4_700},
        expected={"control": 0.5, "treatment": 0.5},
        **other,
    )


def breach(**other: Any) -> ExperimentEvent:
    """Return the event of a breached guardrail."""
    numbers = {"effect": 0.12, "lower": 0.08, "upper": 0.16}
    fields = {"kind": "guardrail", "outcome": "harm", "severity": "warning"}
    return verdict(**({"metric": "latency_ms"} | fields | numbers | other))


KINDS = st.sampled_from(
    [
        ("verdict", "better", "info"),
        ("verdict", "no_difference", "info"),
        ("srm", "warn", "info"),
        ("srm", "block", "warning"),
        ("guardrail", "harm", "warning"),
    ]
)
COUNTS = st.dictionaries(TEXT, st.integers(0, 2**40), max_size=2)
HOSTILE = st.builds(
    lambda kind, **other: ExperimentEvent(kind=kind[0], outcome=kind[1], severity=kind[2], **other),
    KINDS,
    id=TEXT,
    experiment=TEXT,
    phase=TEXT,
    time=NUMBER,
    control=TEXT,
    variant=TEXT,
    metric=TEXT,
    mean=st.none() | NUMBER,
    effect=st.none() | NUMBER,
    lower=st.none() | NUMBER,
    upper=st.none() | NUMBER,
    mde=st.none() | NUMBER,
    p_value=st.none() | NUMBER,
    users=COUNTS,
    expected=st.dictionaries(TEXT, st.floats(0, 1), max_size=2),
)
NOTICES = st.builds(FindingNotice, HOSTILE, partition=st.integers(0, 3))
