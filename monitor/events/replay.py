"""The replay event: how a replay ended, with its numbers, and its JSON.

It is in the events topic with the type `replay` and the key MODEL. Readers of drift events skip it
and count it.
"""

from __future__ import annotations

import hashlib
from typing import Any, Final, Literal, get_args

import msgspec

from monitor.events.types import Severity

TYPE: Final = "replay"

ReplayVerdict = Literal["regressed", "not_regressed", "inconclusive", "cancelled", "error"]
"""As `replay.results.Verdict`, which this package does not import."""
REPLAY_VERDICTS: Final[tuple[ReplayVerdict, ...]] = get_args(ReplayVerdict)
ReplayTrigger = Literal["drift", "schedule", "manual", "gate", "baseline"]
"""What started a run. `baseline`: new frozen items; such a run has an event
only if it fails."""

REPLAY_SEVERITIES: Final[dict[ReplayVerdict, Severity]] = {
    "regressed": "critical",
    "not_regressed": "info",
    "inconclusive": "info",
    "cancelled": "info",
    "error": "warning",
}
"""Severity by verdict: a regression pages, and a run that fails needs an action of a person."""


class ReplayedTask(msgspec.Struct, frozen=True, kw_only=True):
    """The numbers of one task.

    items: number of items that both answered; of an absolute score, of those answered.
    baseline, candidate: mean scores. delta: candidate minus baseline, turned so that a negative one
    is worse; lower, upper: its interval. None if there is no baseline.
    required: number of items that would decide; None if it is not known or not needed.
    """

    task: str
    metric: str
    items: int
    candidate: float | None = None
    baseline: float | None = None
    delta: float | None = None
    lower: float | None = None
    upper: float | None = None
    p_value: float | None = None
    required: int | None = None


class ReplayEvent(msgspec.Struct, frozen=True, kw_only=True):
    """The end of a run.

    id: deterministic, see `replay_event_id`. run: id of the run in the store.
    alarm: id of the drift alarm that started it, and feature: of this alarm; empty without one.
    reason: of an error, why there is no verdict.
    time: of the end, in epoch seconds, as the store has it.
    flags: of the decision, such as `small_drop`: a drop within the margin is proven.
    task, metric, items, baseline, candidate, delta, lower, upper, required: of the task that
    decided, as in `ReplayedTask`.
    margin: largest acceptable drop. alpha: probability of a false verdict.
    item_set, set_digest: name and version of the frozen items, and their hash.
    tasks: all tasks. absolute: scores of the drifted items, which are never a verdict.
    seconds: from the start to the end. gpu_seconds: GPUs times seconds.
    """

    id: str
    run: str
    model: str
    verdict: ReplayVerdict
    severity: Severity
    time: float
    trigger: ReplayTrigger = "drift"
    alarm: str = ""
    feature: str = ""
    reason: str = ""
    flags: tuple[str, ...] = ()
    task: str = ""
    metric: str = ""
    items: int = 0
    baseline: float | None = None
    candidate: float | None = None
    delta: float | None = None
    lower: float | None = None
    upper: float | None = None
    required: int | None = None
    margin: float | None = None
    alpha: float | None = None
    item_set: str = ""
    set_digest: str = ""
    tasks: tuple[ReplayedTask, ...] = ()
    absolute: tuple[ReplayedTask, ...] = ()
    seconds: float = 0.0
    gpu_seconds: float = 0.0
    type: Literal["replay"] = "replay"


_decoder = msgspec.json.Decoder(ReplayEvent)


def replay_event_id(run: str, verdict: str) -> str:
    """Return a hash of what was found where, the same after a restart.

    run: its id, which is unique by alarm, items and model.
    """
    return hashlib.sha256(msgspec.json.encode((TYPE, run, verdict))).hexdigest()[:16]


def encode_replay(event: ReplayEvent) -> bytes:
    """Return the event as JSON."""
    return msgspec.json.encode(event)


def decode_replay(content: bytes) -> ReplayEvent:
    """Return the replay event of a JSON text. Raises ValueError for all other bytes."""
    try:
        return _decoder.decode(content)
    except RecursionError as error:
        raise ValueError("the event is nested too deeply") from error


def replay_fields(event: ReplayEvent) -> dict[str, Any]:
    """Return the event as plain values, for a log line or a request."""
    plain: dict[str, Any] = msgspec.to_builtins(event)
    return plain
