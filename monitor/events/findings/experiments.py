"""The experiment event: a verdict, a sample ratio mismatch or a breached guardrail, and its JSON.

It is in the events topic with the type `experiment` and the key NAME of the experiment. Readers of
drift events skip it and count it.
"""

from __future__ import annotations

import hashlib
from typing import Any, Final, Literal

import msgspec

from monitor.events.types import Severity

TYPE: Final = "experiment"

ExperimentKind = Literal["verdict", "srm", "guardrail"]
ExperimentOutcome = Literal["better", "worse", "no_difference", "warn", "block", "harm"]

SEVERITIES: Final[dict[ExperimentOutcome, Severity]] = {
    "better": "info",
    "worse": "info",
    "no_difference": "info",
    "warn": "info",
    "block": "warning",
    "harm": "warning",
}
"""Severity by outcome: what needs an action of a person is a warning."""


class ExperimentEvent(msgspec.Struct, frozen=True, kw_only=True):
    """A transition of an experiment that is found once in a phase.

    id: deterministic, see `experiment_event_id`. phase: of the design.
    outcome: of a verdict `better`, `worse` or `no_difference`; of a sample ratio mismatch `warn` or
    `block`; of a guardrail `harm`.
    time: event time of the look that found it.
    control, variant, metric: the arm that was compared with the control, and by what; empty for a
    sample ratio mismatch.
    mean, control_mean: in the unit of the metric. effect, lower, upper: relative to the control,
    with the interval at this level; None if there is none.
    mde: smallest relative effect that matters; the margin of a guardrail.
    p_value: always valid. users: units by variant. expected: their planned shares.
    """

    id: str
    experiment: str
    phase: str
    kind: ExperimentKind
    outcome: ExperimentOutcome
    severity: Severity
    time: float
    control: str = ""
    variant: str = ""
    metric: str = ""
    mean: float | None = None
    control_mean: float | None = None
    effect: float | None = None
    lower: float | None = None
    upper: float | None = None
    level: float | None = None
    mde: float | None = None
    p_value: float | None = None
    users: dict[str, int] = {}
    expected: dict[str, float] = {}
    type: Literal["experiment"] = "experiment"


_decoder = msgspec.json.Decoder(ExperimentEvent)


def experiment_event_id(
    experiment: str, phase: str, kind: str, outcome: str, variant: str, metric: str, time: float
) -> str:
    """Return a hash of what was found where, the same after a restart.

    time: event time of the look, because a mismatch can be found again after a change of weights.
    """
    content = msgspec.json.encode((experiment, phase, kind, outcome, variant, metric, time))
    return hashlib.sha256(content).hexdigest()[:16]


def encode_experiment(event: ExperimentEvent) -> bytes:
    """Return the event as JSON."""
    return msgspec.json.encode(event)


def decode_experiment(content: bytes) -> ExperimentEvent:
    """Return the experiment event of a JSON text. Raises ValueError for all other bytes."""
    try:
        return _decoder.decode(content)
    except RecursionError as error:
        raise ValueError("the event is nested too deeply") from error


def experiment_fields(event: ExperimentEvent) -> dict[str, Any]:
    """Return the event as plain values, for a log line or a request."""
    plain: dict[str, Any] = msgspec.to_builtins(event)
    return plain
