"""The judge event: a judge is down, answers again, or scores the golden set in another way.

It is in the events topic with the type `judge` and the key JUDGE. Readers of drift events skip it
and count it.
"""

from __future__ import annotations

import hashlib
from typing import Any, Final, Literal, get_args

import msgspec

from monitor.events.types import Severity

TYPE: Final = "judge"

JudgeChange = Literal["down", "recovered", "changed"]
"""What happened. `changed`: the scores of the golden set moved by more than chance."""
JUDGE_CHANGES: Final[tuple[JudgeChange, ...]] = get_args(JudgeChange)
JUDGE_SEVERITIES: Final[dict[JudgeChange, Severity]] = {
    "down": "warning",
    "recovered": "info",
    "changed": "warning",
}
"""Severity by change: judged quality is not measured, or not to be trusted; traffic is not hurt."""
ID_SECONDS: Final = 3_600.0
"""Processes that see the same change within this time write the same id."""


class JudgeEvent(msgspec.Struct, frozen=True, kw_only=True):
    """A change of a judge.

    id: deterministic, see `judge_event_id`. judge: name of its model. time: epoch seconds.
    name: of a changed score, such as "judge.answer_quality". mean, lower, upper: difference of the
    golden scores from the first run, with its interval. items: golden records with a score in both.
    calls, failed: of the time that was looked at, if the judge is down.
    """

    id: str
    judge: str
    change: JudgeChange
    severity: Severity
    time: float
    name: str = ""
    mean: float | None = None
    lower: float | None = None
    upper: float | None = None
    items: int = 0
    calls: int = 0
    failed: int = 0
    type: Literal["judge"] = "judge"


_decoder = msgspec.json.Decoder(JudgeEvent)


def judge_event(judge: str, change: JudgeChange, time: float, **fields: Any) -> JudgeEvent:
    """Return an event with its id and severity. fields: others of the event."""
    identity = judge_event_id(judge, change, fields.get("name", ""), time)
    severity = JUDGE_SEVERITIES[change]
    return JudgeEvent(
        id=identity, judge=judge, change=change, severity=severity, time=time, **fields
    )


def judge_event_id(judge: str, change: str, name: str, time: float) -> str:
    """Return a hash of what was found: the same in all processes that find it in the same hour."""
    parts = (TYPE, judge, change, name, int(time // ID_SECONDS))
    return hashlib.sha256(msgspec.json.encode(parts)).hexdigest()[:16]


def encode_judge(event: JudgeEvent) -> bytes:
    """Return the event as JSON."""
    return msgspec.json.encode(event)


def decode_judge(content: bytes) -> JudgeEvent:
    """Return the judge event of a JSON text. Raises ValueError for all other bytes."""
    try:
        return _decoder.decode(content)
    except RecursionError as error:
        raise ValueError("the event is nested too deeply") from error


def judge_fields(event: JudgeEvent) -> dict[str, Any]:
    """Return the event as plain values, for a log line or a request."""
    plain: dict[str, Any] = msgspec.to_builtins(event)
    return plain
