"""Serialisation of reference streams as msgpack structs with raw arrays."""

from __future__ import annotations

from dataclasses import replace

import msgspec
import numpy as np
from numpy.typing import NDArray

from detectors.categorical_stream import CategoricalStream
from detectors.conditional_stream import ConditionalStream
from detectors.dependence import BLOCK_SIZE
from detectors.kinds import VALUE_KINDS, Kind
from detectors.numeric_stream import NumericStream
from detectors.strata import Split


class NumericData(msgspec.Struct, array_like=True, frozen=True):
    """A numeric or binary stream; arrays are little-endian bytes."""

    name: str
    kind: str
    support: bytes
    below: bytes
    missing: int
    edges: bytes
    cuts: bytes
    blocks: bytes
    inflation: float


class CategoricalData(msgspec.Struct, array_like=True, frozen=True):
    """A categorical stream; arrays are little-endian bytes.

    rare_cells: absent in earlier versions, and if rare categories share one cell.
    """

    name: str
    categories: tuple[str, ...]
    counts: bytes
    missing: int
    other: int
    blocks: bytes
    inflation: float
    rare_cells: bytes = b""


class ConditionalData(msgspec.Struct, array_like=True, frozen=True):
    """A conditional stream; arrays are little-endian bytes. splits: stratum, feature, cut."""

    name: str
    of: str
    cuts: bytes
    splits: tuple[tuple[int, str, float], ...]
    counts: bytes
    missing: int
    blocks: bytes
    inflation: float


def conditional_fits(s: ConditionalData) -> bool:
    """Return whether the lengths of the arrays are consistent, and each split has its stratum."""
    cells = (len(s.splits) + 1) * (len(s.cuts) // 8 + 1)
    return (
        s.of in {Kind.BINARY, Kind.NUMERIC}
        and len(s.cuts) % 8 == 0
        and len(s.counts) == 8 * cells
        and len(s.blocks) % (cells + 1) == 0
        and all(0 <= stratum <= number for number, (stratum, _, _) in enumerate(s.splits))
    )


def encode_conditional(s: ConditionalStream) -> ConditionalData:
    """Return the serialised form of a conditional stream."""
    return ConditionalData(
        s.name,
        s.of,
        s.cuts.tobytes(),
        tuple((each.stratum, each.feature, each.cut) for each in s.splits),
        s.counts.tobytes(),
        s.missing,
        s.blocks.tobytes(),
        s.inflation,
    )


def decode_conditional(s: ConditionalData) -> ConditionalStream:
    """Return the stream from its serialised form."""
    cuts = np.frombuffer(s.cuts, np.float64)
    counts = _integers(s.counts).reshape(len(s.splits) + 1, len(cuts) + 1)
    return ConditionalStream(
        name=s.name,
        of=Kind(s.of),
        cuts=cuts,
        splits=tuple(Split(*each) for each in s.splits),
        counts=counts,
        missing=s.missing,
        blocks=np.frombuffer(s.blocks, np.uint8).reshape(-1, counts.size + 1),
        inflation=s.inflation,
    )


def numeric_fits(s: NumericData) -> bool:
    """Return whether the lengths of the arrays are consistent."""
    sizes = [len(b) for b in (s.support, s.below, s.edges, s.cuts)]
    return (
        s.kind in VALUE_KINDS
        and not any(size % 8 for size in sizes)
        and sizes[1] == sizes[0] + 8
        and sizes[3] > 0
        and len(s.blocks) % (sizes[3] // 8 + 2) == 0
    )


def categorical_fits(s: CategoricalData) -> bool:
    """Return whether the lengths of the arrays are consistent."""
    if len(s.counts) != 8 * len(s.categories):
        return False
    stream, cells, blocks = _without_blocks(s), _cells(s), _blocks(s)
    if len(s.rare_cells) not in {0, len(s.categories) - stream.frequent}:
        return False
    least = stream.cells - stream.frequent
    most = stream.cells if s.rare_cells else len(s.categories) + least
    return len(s.blocks) == blocks * cells and least <= cells <= most


def encode_numeric(s: NumericStream) -> NumericData:
    """Return the serialised form of a numeric or binary stream."""
    return NumericData(
        s.name,
        s.kind,
        s.support.tobytes(),
        s.below.tobytes(),
        s.missing,
        s.edges.tobytes(),
        s.cuts.tobytes(),
        s.blocks.tobytes(),
        s.inflation,
    )


def decode_numeric(s: NumericData) -> NumericStream:
    """Return the stream from its serialised form."""
    return NumericStream(
        name=s.name,
        kind=Kind(s.kind),
        support=np.frombuffer(s.support, np.float64),
        below=_integers(s.below),
        missing=s.missing,
        edges=np.frombuffer(s.edges, np.float64),
        cuts=np.frombuffer(s.cuts, np.float64),
        blocks=np.frombuffer(s.blocks, np.uint8).reshape(-1, len(s.cuts) // 8 + 2),
        inflation=s.inflation,
    )


def encode_categorical(s: CategoricalStream) -> CategoricalData:
    """Return the serialised form of a categorical stream."""
    return CategoricalData(
        s.name,
        s.categories,
        s.counts.tobytes(),
        s.missing,
        s.other,
        s.blocks.tobytes(),
        s.inflation,
        s.rare_cells.tobytes(),
    )


def decode_categorical(s: CategoricalData) -> CategoricalStream:
    """Return the stream from its serialised form."""
    stream = _without_blocks(s)
    return replace(stream, blocks=np.frombuffer(s.blocks, np.uint8).reshape(-1, _cells(s)))


def _blocks(s: CategoricalData) -> int:
    """Return the number of blocks of the reference."""
    stream = _without_blocks(s)
    return (stream.count + stream.missing) // BLOCK_SIZE


def _cells(s: CategoricalData) -> int:
    """Return the number of cells: that of the blocks, which may be of an earlier version."""
    blocks = _blocks(s)
    return len(s.blocks) // blocks if blocks else _without_blocks(s).cells


def _without_blocks(s: CategoricalData) -> CategoricalStream:
    """Return the stream without its blocks."""
    return CategoricalStream(
        name=s.name,
        categories=s.categories,
        counts=_integers(s.counts),
        missing=s.missing,
        other=s.other,
        blocks=np.zeros((0, 0), np.uint8),
        inflation=s.inflation,
        rare_cells=np.frombuffer(s.rare_cells, np.uint8),
    )


def _integers(data: bytes) -> NDArray[np.int64]:
    return np.frombuffer(data, np.int64)
