"""The wire format of the joins topic (PREFIX.joins; partitioned by the hash of the id).

A message is a msgpack array with raw little-endian arrays as columns. Ingest writes keys: what a
record is, by the hash of its id. The role `join` writes values: the feedback that refers to an id.
Both are batches for one partition.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import msgspec
import numpy as np
from numpy.typing import NDArray

from detectors.arrays import Floats

VERSION: Final = 1
MAX_TIME: Final = 1e10
"""Largest event time, epoch seconds: decoders accept none beyond the year 2200."""
MAX_UNITS: Final = 64
"""Experiments that one record may be part of."""


class JoinError(Exception):
    """The bytes are not a message of the joins topic, or one of another version."""


class Arm(msgspec.Struct, array_like=True, frozen=True):
    """The variant of an experiment. variant: None for one that the design does not name."""

    experiment: str
    phase: str
    variant: str | None


class Context(msgspec.Struct, array_like=True, frozen=True):
    """What records have in common: the model, the values of the segment keys, and the variants.

    segments: pairs of key and value. arms: the unit of arms[i] is in column i of the units.
    """

    model: str
    segments: tuple[tuple[str, str], ...] = ()
    arms: tuple[Arm, ...] = ()


@dataclass(frozen=True, slots=True, eq=False)
class Keys:
    """Records by the hash of their id.

    ids: shape (n,). times: shape (n,), event time in epoch seconds.
    contexts: distinct contexts. codes: shape (n,), indices into `contexts`.
    units: shape (n, U), hashes of the units by arm of the context; 0 beyond its arms.
    """

    ids: NDArray[np.uint64]
    times: Floats
    contexts: tuple[Context, ...]
    codes: NDArray[np.uint32]
    units: NDArray[np.uint64]

    def __len__(self) -> int:
        return len(self.ids)

    def take(self, chosen: NDArray[Any]) -> Keys:
        """Return some of the keys, with the contexts that they use."""
        used, codes = np.unique(self.codes[chosen], return_inverse=True)
        contexts = tuple([self.contexts[code] for code in used.tolist()])
        width = max((len(context.arms) for context in contexts), default=0)
        return Keys(
            self.ids[chosen],
            self.times[chosen],
            contexts,
            codes.astype(np.uint32),
            self.units[chosen, :width],
        )


@dataclass(frozen=True, slots=True, eq=False)
class Values:
    """Values that refer to ids.

    ids: shape (n,). times: shape (n,), event time of the feedback in epoch seconds.
    names: distinct names of features. codes: shape (n,), indices into `names`.
    values: shape (n,), finite.
    """

    ids: NDArray[np.uint64]
    times: Floats
    names: tuple[str, ...]
    codes: NDArray[np.uint32]
    values: Floats

    def __len__(self) -> int:
        return len(self.ids)

    def take(self, chosen: NDArray[Any]) -> Values:
        """Return some of the values, with the names that they use."""
        used, codes = np.unique(self.codes[chosen], return_inverse=True)
        return Values(
            self.ids[chosen],
            self.times[chosen],
            tuple([self.names[code] for code in used.tolist()]),
            codes.astype(np.uint32),
            self.values[chosen],
        )


class _Message(msgspec.Struct, array_like=True, forbid_unknown_fields=True):
    """The fields of a message in their order. One of `contexts` and `names` is empty."""

    version: int
    ids: bytes
    times: bytes
    codes: bytes
    contexts: tuple[Context, ...]
    units: bytes
    names: tuple[str, ...]
    values: bytes


_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(_Message).decode


def encode(batch: Keys | Values) -> bytes:
    """Return a batch as the bytes of a message."""
    common = VERSION, batch.ids.tobytes(), batch.times.tobytes(), batch.codes.tobytes()
    if isinstance(batch, Keys):
        return _encode(_Message(*common, batch.contexts, batch.units.tobytes(), (), b""))
    return _encode(_Message(*common, (), b"", batch.names, batch.values.tobytes()))


def decode(payload: bytes) -> Keys | Values:
    """Return the batch of a message. Raises JoinError for all other bytes."""
    try:
        message = _decode(payload)
        if message.version != VERSION:
            raise JoinError(f"version {message.version}; this program reads {VERSION}")
        ids = np.frombuffer(message.ids, np.uint64)
        common = ids, np.frombuffer(message.times, np.float64)
        codes = np.frombuffer(message.codes, np.uint32)
        batch: Keys | Values
        if message.names:
            values = np.frombuffer(message.values, np.float64)
            batch = Values(*common, message.names, codes, values)
        else:
            units = np.frombuffer(message.units, np.uint64).reshape(len(ids), -1 if len(ids) else 0)
            batch = Keys(*common, message.contexts, codes, units)
    except (msgspec.MsgspecError, ValueError, RecursionError) as error:
        raise JoinError(f"not a message of a join: {error}") from None
    _check(batch)
    return batch


def _check(batch: Keys | Values) -> None:
    """Raise JoinError if the columns are inconsistent: later code does not check them again."""
    n = len(batch)
    lengths = {len(batch.times), len(batch.codes)}
    if isinstance(batch, Values):
        known = len(batch.names)
        lengths.add(len(batch.values))
        finite = bool(np.isfinite(batch.values).all())
    else:
        known, finite = len(batch.contexts), True
        width = max((len(context.arms) for context in batch.contexts), default=0)
        if n and not width <= batch.units.shape[1] <= MAX_UNITS:
            raise JoinError("not a message of a join: the units do not fit the contexts")
    if lengths != {n}:
        raise JoinError("not a message of a join: the columns differ in length")
    if n and int(batch.codes.max()) >= known:
        raise JoinError("not a message of a join: a code is out of range")
    in_range = not n or (batch.times.min() >= 0 and batch.times.max() <= MAX_TIME)  # NaN is neither
    if not (finite and in_range):
        raise JoinError("not a message of a join: a number is out of range")
