"""What the schedule remembers between runs, in the state of samples partition 0."""

from __future__ import annotations

from typing import Final

import msgspec

from monitor.events.findings.judges import JudgeEvent

TRUST: Final = b"trust"


class GoldenRuns(msgspec.Struct):
    """Scores of the golden set by one evaluator: of its first run, and of the newest one."""

    version: str
    baseline: dict[str, float]
    newest: dict[str, float] = {}


class TrustState(msgspec.Struct):
    """golden: by evaluator. golden_due, canaries_due: epoch seconds. canary_runs: so far.

    events: changes of judges that are not known to be in the events topic, oldest first. down:
    judges that do not answer.
    """

    golden: dict[str, GoldenRuns] = {}
    golden_due: float = 0.0
    canaries_due: float = 0.0
    canary_runs: int = 0
    events: list[JudgeEvent] = []
    down: list[str] = []


_decode = msgspec.msgpack.Decoder(TrustState).decode


def encode_trust(state: TrustState) -> bytes:
    """Return a state as msgpack."""
    return msgspec.msgpack.encode(state)


def decode_trust(content: bytes | None) -> TrustState:
    """Return a state; an empty one if there is none or it cannot be read."""
    if content is None:
        return TrustState()
    try:
        return _decode(content)
    except (msgspec.MsgspecError, ValueError):
        return TrustState()
