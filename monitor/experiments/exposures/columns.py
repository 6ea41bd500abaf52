"""The wire format of exposures (PREFIX.exposures; key: EXPERIMENT/SHARD).

A message is a msgpack array with raw little-endian arrays as columns. It holds exposures of one
experiment, phase, shard and source.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import msgspec
import numpy as np
from numpy.typing import NDArray

from detectors.arrays import Floats
from monitor.records import Source
from monitor.statistics.exact import MAX_MAGNITUDE

VERSION: Final = 1
MAX_TIME: Final = 1e10
"""Largest event time, epoch seconds: the decoder of records accepts none beyond the year 2200."""
UNNAMED: Final = -1
"""Code of a variant that the design does not name."""
NOT_COMPARED: Final = -2
MAX_ARMS: Final = 1_000
SHARD_BITS: Final = 4
"""The shard of a unit is this many leading bits of its hash."""
SHARDS: Final = 1 << SHARD_BITS

Units = NDArray[np.uint64]
Codes = NDArray[np.int16]


class ExposureError(Exception):
    """The bytes are not exposures, or exposures of another version."""


@dataclass(frozen=True, slots=True, eq=False)
class Exposures:
    """Exposures of one shard of an experiment, in the order of the log.

    phase: of the design by which they were made.
    times: shape (n,), event time in epoch seconds. units: shape (n,), hashes of the units.
    arms: names of the variants of the design.
    variants: shape (n,), indices into `arms`; UNNAMED for a variant that the design does not name.
    compared: shape (n,), the variant by the other source: by the hash where variants are checked,
    by the log where they are computed; UNNAMED if it is none of `arms`, NOT_COMPARED without one.
    features: names. values: shape (F, n), NaN if missing.
    source: of the values. Only exposures of the source `log` are requests; the others add values to
    requests that were counted before.
    """

    experiment: str
    phase: str
    shard: int
    times: Floats
    units: Units
    arms: tuple[str, ...]
    variants: Codes
    compared: Codes
    features: tuple[str, ...]
    values: Floats
    source: Source = Source.LOG

    def __len__(self) -> int:
        return len(self.times)

    def take(self, chosen: slice | NDArray[np.bool_] | NDArray[np.signedinteger]) -> Exposures:
        """Return some of the exposures."""
        return Exposures(
            self.experiment,
            self.phase,
            self.shard,
            self.times[chosen],
            self.units[chosen],
            self.arms,
            self.variants[chosen],
            self.compared[chosen],
            self.features,
            self.values[:, chosen],
            self.source,
        )


class _Message(msgspec.Struct, array_like=True, forbid_unknown_fields=True):
    """The fields of a message in their order."""

    version: int
    source: Source
    experiment: str
    phase: str
    shard: int
    times: bytes
    units: bytes
    arms: tuple[str, ...]
    variants: bytes
    compared: bytes
    features: tuple[str, ...]
    values: bytes


_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(_Message).decode


def key_of(experiment: str, shard: int) -> bytes:
    """Return the key of the messages of a shard."""
    return f"{experiment}/{shard}".encode()


def encode_exposures(exposures: Exposures) -> bytes:
    """Return exposures as the bytes of a message."""
    return _encode(
        _Message(
            VERSION,
            exposures.source,
            exposures.experiment,
            exposures.phase,
            exposures.shard,
            exposures.times.tobytes(),
            exposures.units.tobytes(),
            exposures.arms,
            exposures.variants.tobytes(),
            exposures.compared.tobytes(),
            exposures.features,
            exposures.values.tobytes(),
        )
    )


def encode_within(exposures: Exposures, max_bytes: int) -> Iterator[bytes]:
    """Yield messages of at most `max_bytes` bytes each. A single exposure is not split."""
    payload = encode_exposures(exposures)
    if len(payload) <= max_bytes or len(exposures) <= 1:
        yield payload
        return
    half = len(exposures) // 2
    yield from encode_within(exposures.take(slice(0, half)), max_bytes)
    yield from encode_within(exposures.take(slice(half, None)), max_bytes)


def decode_exposures(payload: bytes) -> Exposures:
    """Return the exposures of a message. Raises ExposureError for all other bytes."""
    try:
        message = _decode(payload)
        if message.version != VERSION:
            raise ExposureError(
                f"exposures of version {message.version}; this program reads {VERSION}"
            )
        times = np.frombuffer(message.times, np.float64)
        exposures = Exposures(
            message.experiment,
            message.phase,
            message.shard,
            times,
            np.frombuffer(message.units, np.uint64),
            message.arms,
            np.frombuffer(message.variants, np.int16),
            np.frombuffer(message.compared, np.int16),
            message.features,
            np.frombuffer(message.values, np.float64).reshape(len(message.features), len(times)),
            message.source,
        )
    except (msgspec.MsgspecError, ValueError, RecursionError) as error:
        raise ExposureError(f"not exposures: {error}") from None
    _check(exposures)
    return exposures


def _check(exposures: Exposures) -> None:
    """Raise ExposureError if the columns are inconsistent: later code does not check them again."""
    n = len(exposures)
    if {len(exposures.units), len(exposures.variants), len(exposures.compared)} != {n}:
        raise ExposureError("not exposures: the columns differ in length")
    if not 0 <= exposures.shard < SHARDS:
        raise ExposureError("not exposures: no such shard")
    if len(set(exposures.arms)) < len(exposures.arms) or len(exposures.arms) > MAX_ARMS:
        raise ExposureError("not exposures: variants are repeated, or too many")
    if len(set(exposures.features)) < len(exposures.features):
        raise ExposureError("not exposures: two columns have the same name")
    if not n:
        return
    if (exposures.units >> np.uint64(64 - SHARD_BITS) != exposures.shard).any():
        raise ExposureError("not exposures: a unit is of another shard")
    if not (exposures.times.min() >= 0 and exposures.times.max() <= MAX_TIME):  # NaN is neither
        raise ExposureError("not exposures: a time is out of range")
    lowest = exposures.variants.min() < UNNAMED or exposures.compared.min() < NOT_COMPARED
    if lowest or max(exposures.variants.max(), exposures.compared.max()) >= len(exposures.arms):
        raise ExposureError("not exposures: the code of a variant is out of range")
    if (np.abs(exposures.values) > MAX_MAGNITUDE).any():
        raise ExposureError("not exposures: a value is out of range")
