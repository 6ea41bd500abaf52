"""The state of an experiment between two looks, and its bytes.

It has what the sums do not determine: what was frozen, latched or archived, and running extremes.
All of it is keyed by the names of variants and metrics, so that variants can be added.
"""

from __future__ import annotations

import msgspec

from monitor.experiments.decisions.result import Criteria, Decision, Phase, Point
from monitor.experiments.design import Direction

VERSION = 1


class StateError(ValueError):
    """The bytes are not a state, or one of a version that is not known."""


class Track(msgspec.Struct, frozen=True, kw_only=True):
    """One metric of one arm over the looks.

    tau: standard deviation of the mixture, frozen when the burn-in ended; None before.
    p_value: running minimum. log_evidence: natural logarithm of the largest e-value so far.
    harm_p, safe_p: running minima of a guardrail. harm, safe: event times at which they were found.
    points: earlier looks, thinned.
    """

    tau: float | None = None
    p_value: float = 1.0
    log_evidence: float | None = None
    harm_p: float = 1.0
    safe_p: float = 1.0
    harm: float | None = None
    safe: float | None = None
    points: tuple[Point, ...] = ()


class Declared(msgspec.Struct, frozen=True, array_like=True):
    """What a phase declared of a metric when it began, beside what its sums depend on."""

    direction: Direction
    mde: float


class Epoch(msgspec.Struct, frozen=True, kw_only=True):
    """A time with the same planned shares, for the sample ratio.

    expected: planned share by variant that gets users. start: users by variant when it began.
    """

    expected: dict[str, float]
    start: dict[str, int]


class SrmState(msgspec.Struct, frozen=True, kw_only=True):
    """The sample ratio over the epochs.

    closed: logarithm of the product of the e-values of the closed epochs. epochs: their number and
    the current one. p_value: running minimum. warned, blocked: whether the event was found.
    """

    epoch: Epoch
    closed: float = 0.0
    epochs: int = 1
    p_value: float = 1.0
    warned: bool = False
    blocked: bool = False


class State(msgspec.Struct, frozen=True, kw_only=True):
    """All that the next look needs besides its sums.

    time: of the last look. started: event time by variant of its first look.
    users: by variant at the last look. tracks: by metric and variant.
    decisions: verdicts that stay, by variant. final: variants whose fixed test at the planned end
    is done. criteria, metrics: declared when the phase began; metrics by name, empty in states of
    versions that did not keep them. archive: earlier phases, the newest last.
    event_ids: of the last events, oldest first.
    """

    experiment: str
    phase: str
    time: float
    first_time: float | None
    criteria: Criteria
    srm: SrmState
    metrics: dict[str, Declared] = {}
    started: dict[str, float] = {}
    users: dict[str, int] = {}
    tracks: dict[str, dict[str, Track]] = {}
    decisions: dict[str, Decision] = {}
    final: frozenset[str] = frozenset()
    archive: tuple[Phase, ...] = ()
    event_ids: tuple[str, ...] = ()
    version: int = VERSION


class _Version(msgspec.Struct):
    version: int


_header = msgspec.msgpack.Decoder(_Version)
_decoder = msgspec.msgpack.Decoder(State)
_encoder = msgspec.msgpack.Encoder(order="sorted")


def encode_state(state: State) -> bytes:
    """Return the state as msgpack: equal states have equal bytes."""
    return _encoder.encode(state)


def decode_state(content: bytes) -> State:
    """Return the state of these bytes. Raises StateError for all other bytes."""
    try:
        version = _header.decode(content).version
        if version != VERSION:
            raise StateError(f"state of version {version}, which is not known")
        return _decoder.decode(content)
    except StateError:
        raise
    except (ValueError, RecursionError) as error:
        raise StateError(f"not the state of an experiment: {error}") from None
