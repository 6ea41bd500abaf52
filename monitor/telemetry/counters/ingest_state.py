"""The numbers of an ingest that runs in a process of its own, for the metrics of its parent."""

from __future__ import annotations

import copy
from collections import Counter
from dataclasses import dataclass
from typing import Any, Final

from monitor.telemetry.counters.metrics import Metrics

OWN: Final = (
    "consumed",
    "rejected",
    "decoding",
    "samples",
    "scores_dropped",
    "records_ahead",
    "newest_event_time",
    "traffic",
    "exposures_without_unit",
    "join_keys_written",
)
"""Fields of `Metrics` that no other role writes."""
SHARED: Final = ("lag", "expired", "rebalances", "transactions_aborted")
"""Fields of `Metrics` in which each role has keys of its own."""
ADDED: Final = ("dead_letters_incomplete",)
"""Counters of `Metrics` to which other roles add."""


@dataclass(frozen=True, slots=True)
class IngestState:
    """State of the child process.

    own, shared, added: values of these fields of its metrics. age: seconds since the heartbeat of
    its loop. ready: whether it has joined its group.
    """

    own: dict[str, Any]
    shared: dict[str, dict[Any, int]]
    added: dict[str, Counter[str]]
    age: float
    ready: bool


def read_state(metrics: Metrics, role: str) -> IngestState:
    """Return the state of the present process, as a copy."""
    with metrics.lock:
        return IngestState(
            own={name: copy.deepcopy(getattr(metrics, name)) for name in OWN},
            shared={name: dict(getattr(metrics, name)) for name in SHARED},
            added={name: Counter(getattr(metrics, name)) for name in ADDED},
            age=metrics.health.ages().get(role, 0.0),
            ready=role not in metrics.health.not_ready,
        )


def apply_state(metrics: Metrics, role: str, state: IngestState, last: IngestState | None) -> None:
    """Show the state of the child in the metrics and the health of the parent.

    last: the state before. Its keys end if the child no longer has them (lag of a partition).
    """
    with metrics.lock:
        for name, value in state.own.items():
            setattr(metrics, name, value)
        for name, values in state.shared.items():
            ended = last.shared[name].keys() - values.keys() if last else set()
            target: dict[Any, int] | Counter[Any] = getattr(metrics, name)
            for key in ended:
                target.pop(key, None)
            for key, number in values.items():
                target[key] = number
        for name, numbers in state.added.items():
            counter: Counter[str] = getattr(metrics, name)
            counter.update(numbers)
            if last:
                counter.subtract(last.added[name])
    metrics.health.beats[role] = metrics.health.clock() - state.age
    if state.ready:
        metrics.health.mark_ready(role)
