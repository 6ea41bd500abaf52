"""References: a model's accepted traffic as a versioned, hashed profile.

A profile keeps what exact tests need (every distinct value of every numeric stream with its count,
the counts of categories, counts by block for long-run variances) and the record rate that turns a
false-page budget into levels. Its id is a hash of its content: the same records give the same id.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import cached_property
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from detectors.base import Floats, Ints, Kind
from detectors.baseline import Baseline
from detectors.streams import (
    CategoricalStream,
    NumericStream,
    categorical_stream,
    numeric_stream,
)
from monitor.columns import Columns
from monitor.events import Summary

VERSION = 2
SHARES = 5
"""How many categories a summary names."""

UNKNOWN_RATE = 100.0
"""Records per second assumed of a reference whose records all have the same time."""


class ProfileError(Exception):
    """Bytes that are no profile of a version that this program reads."""


class _Numeric(msgspec.Struct, array_like=True, frozen=True):
    name: str
    kind: str
    support: bytes
    below: bytes
    missing: int
    edges: bytes
    cuts: bytes
    blocks: bytes
    inflation: float


class _Categorical(msgspec.Struct, array_like=True, frozen=True):
    name: str
    categories: tuple[str, ...]
    counts: bytes
    missing: int
    other: int
    blocks: bytes
    inflation: float


class _Version(msgspec.Struct, array_like=True, frozen=True):
    """What every version of a profile begins with."""

    version: int


class _Profile(msgspec.Struct, array_like=True, frozen=True):
    version: int
    model: str
    segment: str
    records: int
    first_time: float
    last_time: float
    records_per_second: float
    numeric: tuple[_Numeric, ...]
    categorical: tuple[_Categorical, ...]


class Profile:
    """The reference of one model (or of one of its segments).

    records, first_time, last_time, records_per_second: of the traffic that it was built from, times
    in epoch seconds.
    """

    def __init__(self, data: _Profile) -> None:
        self._data = data
        self.model, self.segment = data.model, data.segment
        self.records = data.records
        self.first_time, self.last_time = data.first_time, data.last_time
        self.records_per_second = data.records_per_second

    @cached_property
    def id(self) -> str:
        """A hash of all that it holds."""
        return hashlib.sha256(self.encode()).hexdigest()[:16]

    @cached_property
    def baseline(self) -> Baseline:
        """What detectors compare with."""
        numeric = tuple(_numeric_stream(stream) for stream in self._data.numeric)
        categorical = tuple(_categorical_stream(stream) for stream in self._data.categorical)
        return Baseline(self.records, numeric, categorical)

    def rows(self) -> Iterator[tuple[str, str, Summary]]:
        """(feature, kind, summary) of every stream."""
        for index, stream in enumerate(self.baseline.streams):
            yield stream.name, stream.kind, summary(self.baseline, index)

    def describe(self) -> dict[str, Any]:
        """What it holds, as plain values."""
        return {
            "id": self.id,
            "model": self.model,
            "segment": self.segment,
            "records": self.records,
            "first_time": self.first_time,
            "last_time": self.last_time,
            "features": {
                name: {"kind": kind} | msgspec.to_builtins(row) for name, kind, row in self.rows()
            },
        }

    def encode(self) -> bytes:
        """Its bytes."""
        return msgspec.msgpack.encode(self._data)

    @classmethod
    def decode(cls, payload: bytes) -> Profile:
        """The profile of bytes that `encode` made.

        Raises ProfileError for any others.
        """
        try:
            version = msgspec.msgpack.decode(payload, type=_Version).version
            if version != VERSION:
                raise ProfileError(f"profile of version {version}; this program reads {VERSION}")
            data = msgspec.msgpack.decode(payload, type=_Profile)
        except (msgspec.MsgspecError, UnicodeDecodeError) as error:
            raise ProfileError(f"not a reference profile: {error}") from None
        if not (all(map(_fits, data.numeric)) and all(map(_counts_fit, data.categorical))):
            raise ProfileError("not a reference profile: its columns differ in length")
        return cls(data)


def build(pieces: Sequence[Columns], *, segment: str, window: int, categories: int) -> Profile:
    """The profile of the records in `pieces`, all of one model, in their order.

    window: records of the windows that will be compared with it.
    categories: how many categories of a feature are told apart.
    """
    times = np.concatenate([piece.times for piece in pieces])
    rows = {name: Kind.NUMERIC for piece in pieces for name in piece.numeric}
    rows |= {name: Kind.BINARY for piece in pieces for name in piece.binary}
    # in the order of a chunk, by kind and name: another order of streams would be another id
    numeric = [
        numeric_stream(name, kind, np.concatenate([piece.row(name) for piece in pieces]), window)
        for name, kind in sorted(rows.items(), key=lambda row: (row[1] is Kind.BINARY, row[0]))
    ]
    names = sorted({column.name for piece in pieces for column in piece.categories})
    categorical = [
        categorical_stream(n, *_category_codes(pieces, n), window, most=categories) for n in names
    ]
    return Profile(
        _Profile(
            VERSION,
            pieces[0].model,
            segment,
            len(times),
            float(times.min()),
            float(times.max()),
            _pace(times),
            # a piece may name a feature of which it has no value
            tuple(_numeric(stream) for stream in numeric if stream.count),
            tuple(_categorical(stream) for stream in categorical if stream.count),
        )
    )


def _pace(times: Floats) -> float:
    """Records per second in the middle nine tenths: a few wrong clocks must not move it."""
    early, late = np.quantile(times, [0.05, 0.95]).tolist()
    return 0.9 * len(times) / (late - early) if late > early else UNKNOWN_RATE


def _category_codes(pieces: Sequence[Columns], name: str) -> tuple[tuple[str, ...], Ints]:
    """One vocabulary for all pieces, and the codes of their records in it; -1 where missing."""
    code_of: dict[str, int] = {}
    codes = []
    for piece in pieces:
        column = next((c for c in piece.categories if c.name == name), None)
        if column is None:
            codes.append(np.full(len(piece), -1, np.intp))
            continue
        # code -1, a missing value, finds the last entry
        table = [*(code_of.setdefault(each, len(code_of)) for each in column.vocabulary), -1]
        codes.append(np.array(table, np.intp)[column.codes])
    return tuple(code_of), np.concatenate(codes)


def summary(baseline: Baseline, index: int) -> Summary:
    """The reference side of an event about the baseline's index-th stream."""
    stream = baseline.streams[index]
    missing = stream.missing / baseline.records
    if isinstance(stream, NumericStream):
        return Summary(
            n=stream.count,
            missing=missing,
            mean=known(stream.mean),
            p05=known(stream.quantile(0.05)),
            p50=known(stream.quantile(0.5)),
            p95=known(stream.quantile(0.95)),
            p99=known(stream.quantile(0.99)),
        )
    shares = category_shares(stream, stream.bin_counts())
    top = sorted(shares.items(), key=lambda item: -item[1])[:SHARES]
    return Summary(n=stream.count, missing=missing, shares=dict(top))


def category_shares(stream: CategoricalStream, counts: Floats) -> dict[str, float]:
    """The share of each category among the records that have one.

    counts: records by bin of the stream, shape (bins,). "rare" and "other" are the bins of known
    but rare and of unknown categories; they are left out where they are empty on both sides.
    """
    total = max(1.0, float(counts[:-1].sum()))
    shares: dict[str, float] = {}
    for name, count, before in zip(
        stream.bin_names()[:-1],
        counts[:-1].tolist(),
        stream.bin_counts()[:-1].tolist(),
        strict=True,
    ):
        if count or before:  # a category may itself be called "other"
            shares[name] = shares.get(name, 0.0) + count / total
    return shares


def known(number: float) -> float | None:
    """None instead of what is no number: JSON has neither NaN nor infinity."""
    return number if np.isfinite(number) else None


def _fits(s: _Numeric) -> bool:
    sizes = [len(b) for b in (s.support, s.below, s.edges, s.cuts)]
    return (
        s.kind in set(Kind)
        and not any(size % 8 for size in sizes)
        and sizes[1] == sizes[0] + 8
        and sizes[3] > 0
        and len(s.blocks) % (sizes[3] // 8 + 2) == 0
    )


def _counts_fit(s: _Categorical) -> bool:
    return len(s.counts) == 8 * len(s.categories) and len(s.blocks) % _bare(s).bins == 0


def _numeric(s: NumericStream) -> _Numeric:
    return _Numeric(
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


def _numeric_stream(s: _Numeric) -> NumericStream:
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


def _categorical(s: CategoricalStream) -> _Categorical:
    return _Categorical(
        s.name,
        s.categories,
        s.counts.tobytes(),
        s.missing,
        s.other,
        s.blocks.tobytes(),
        s.inflation,
    )


def _categorical_stream(s: _Categorical) -> CategoricalStream:
    stream = _bare(s)
    return replace(stream, blocks=np.frombuffer(s.blocks, np.uint8).reshape(-1, stream.bins))


def _bare(s: _Categorical) -> CategoricalStream:
    """The stream without its blocks."""
    return CategoricalStream(
        name=s.name,
        categories=s.categories,
        counts=_integers(s.counts),
        missing=s.missing,
        other=s.other,
        blocks=np.zeros((0, 0), np.uint8),
        inflation=s.inflation,
    )


def _integers(data: bytes) -> NDArray[np.int64]:
    return np.frombuffer(data, np.int64)
