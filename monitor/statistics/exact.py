"""Sums of float64 values that do not depend on the order of the values, bit for bit.

A value is converted to a fixed-point number with the quantum 2^-40, as three limbs of 32 bits with
the weights 2^24, 2^-8 and 2^-40. The first two are exact, the last one is rounded, for each value
alone. The limbs are integers, whose sums are exact: any order, any division into batches and any
tree of merges give the same bytes. A sum of n values differs from the true one by at most
n * 2^-41.

`logarithm` consists of operations that IEEE 754 rounds correctly, so that it is the same on every
machine. That of numpy depends on the instructions of the processor.
"""

from __future__ import annotations

from math import log
from typing import Final

import numpy as np
from numpy.typing import NDArray

from detectors.arrays import Floats

QUANTUM: Final = 2.0**-40
"""Values are rounded to multiples of this."""
MAX_MAGNITUDE: Final = 1e15
"""Largest absolute value."""
BATCH: Final = 1 << 20
"""Values added at a time: sums of so many limbs, each at most 2^32, are exact in float64."""

_LIMBS: Final = 3
_BITS: Final = 32
_MASK: Final = (1 << _BITS) - 1
_HIGH: Final = 2.0**24
_MIDDLE: Final = 2.0**-8

Counts = NDArray[np.int64]


class ExactSums:
    """Sums of values by cell.

    limbs: shape (3, cells), most significant first. The last two are in [0, 2^32), the first has
    the sign: equal sums have equal limbs.
    """

    __slots__ = ("limbs",)

    def __init__(self, cells: int) -> None:
        self.limbs: Counts = np.zeros((_LIMBS, cells), np.int64)

    def add(self, cells: NDArray[np.signedinteger], values: Floats) -> None:
        """Add n values, each to the cell of its index.

        cells, values: shape (n,). The values are finite and at most MAX_MAGNITUDE.
        """
        for start in range(0, len(values), BATCH):
            part = slice(start, start + BATCH)
            self._add(cells[part], values[part])

    def _add(self, cells: NDArray[np.signedinteger], values: Floats) -> None:
        number = self.limbs.shape[1]
        if max(-values.min(), values.max()) >= _HIGH:
            high = np.trunc(values * (1 / _HIGH))
            self.limbs[0] += np.bincount(cells, high, number).astype(np.int64)
            values = values - high * _HIGH
        middle = np.trunc(values * (1 / _MIDDLE))
        low = np.rint((values - middle * _MIDDLE) * (1 / QUANTUM))
        self.limbs[1] += np.bincount(cells, middle, number).astype(np.int64)
        self.limbs[2] += np.bincount(cells, low, number).astype(np.int64)
        _carry(self.limbs)

    def merge(self, other: ExactSums) -> None:
        """Add the sums of another object with as many cells."""
        self.limbs += other.limbs
        _carry(self.limbs)

    def floats(self) -> Floats:
        """Return the sums, shape (cells,), within two units in the last place."""
        negative = self.limbs[0] < 0
        limbs = np.where(negative, -self.limbs, self.limbs)
        _carry(limbs)
        high, middle, low = limbs.astype(np.float64)
        sums = high * _HIGH + (middle * _MIDDLE + low * QUANTUM)
        signed: Floats = np.where(negative, -sums, sums)
        return signed

    def encode(self) -> bytes:
        """Return the sums as bytes: the first limbs as int64, the others as uint32."""
        high, lower = self.limbs[0].astype("<i8"), self.limbs[1:].astype("<u4")
        return bytes(high.tobytes() + lower.tobytes())

    @classmethod
    def decode(cls, content: bytes, cells: int) -> ExactSums:
        """Return the sums of `encode`. Raises ValueError if the bytes have another length."""
        if len(content) != 16 * cells:
            raise ValueError(f"{len(content)} bytes are not {cells} sums")
        sums = cls(cells)
        sums.limbs[0] = np.frombuffer(content, "<i8", cells)
        sums.limbs[1:] = np.frombuffer(content, "<u4", 2 * cells, 8 * cells).reshape(2, cells)
        return sums


def _carry(limbs: Counts) -> None:
    """Bring limbs into their canonical form."""
    for lower in (2, 1):
        limbs[lower - 1] += limbs[lower] >> _BITS
        limbs[lower] &= _MASK


_LN2_HIGH: Final = 0.6931471803691238
"""ln 2 in 33 bits, so that its product with an exponent is exact."""
_LN2_LOW: Final = 1.9082149292705877e-10
_SQRT_HALF: Final = 0.7071067811865476
_COEFFICIENTS: Final = tuple(2.0 / (2 * k + 1) for k in range(10))
"""Of the series log((1 + s) / (1 - s)) = 2 s + 2 s^3 / 3 + ..., for |s| < .1716."""
assert abs(_LN2_HIGH + _LN2_LOW - log(2)) < 1e-16


def logarithm(values: Floats) -> Floats:
    """Return the natural logarithm of n positive, finite values; the same bits on every machine.

    Its error is below 1e-15, or two units in the last place where the result exceeds 4.
    """
    mantissa, exponent = np.frexp(values)
    small = mantissa < _SQRT_HALF
    mantissa = np.where(small, mantissa + mantissa, mantissa)
    exponents = (exponent - small).astype(np.float64)
    ratio = (mantissa - 1.0) / (mantissa + 1.0)
    square = ratio * ratio
    series = np.full_like(square, _COEFFICIENTS[-1])
    for coefficient in reversed(_COEFFICIENTS[:-1]):
        series *= square
        series += coefficient
    return exponents * _LN2_HIGH + (exponents * _LN2_LOW + ratio * series)
