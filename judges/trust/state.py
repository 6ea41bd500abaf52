"""What the schedule remembers between runs, in the state of samples partition 0."""

from __future__ import annotations

from typing import Final

import msgspec

from monitor.events.findings.judges import JudgeEvent

TRUST: Final = b"trust"


class GoldenRuns(msgspec.Struct):
    """Scores of a golden set by one evaluator.

    baseline: the first score of each item. newest: of the newest run. added: items whose first
    score is of the newest run. content: hash of the set; empty in a state of an older version.
    """

    version: str
    baseline: dict[str, float] = {}
    newest: dict[str, float] = {}
    added: list[str] = []
    content: str = ""

    def add(self, scores: dict[str, float]) -> None:
        """Add a run. An item that earlier runs have not scored begins its own baseline."""
        self.added = [item for item in scores if item not in self.baseline]
        self.baseline = scores | self.baseline
        self.newest = scores

    @property
    def earlier(self) -> dict[str, float]:
        """The baseline of the items that were scored before the newest run."""
        added = {*self.added}
        return {item: score for item, score in self.baseline.items() if item not in added}


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
