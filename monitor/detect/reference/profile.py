"""The reference profile: the accepted traffic of a model, versioned and hashed.

A profile holds what exact tests need: the distinct values of every numeric stream with their
counts, the counts of categories, and counts by block for long-run variances. It also holds the
record rate, from which levels follow for a false-page budget. Its id is a hash of its content: the
same records give the same id.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from functools import cached_property
from typing import Any

import msgspec
from msgspec import structs

from detectors.arrays import Floats
from detectors.baseline import Baseline
from detectors.categorical_stream import CategoricalStream
from detectors.conditional_stream import ConditionalStream
from detectors.numeric_stream import NumericStream
from monitor.config.sections.detection import WindowsConfig
from monitor.detect.reference.groups import StreamGroup, divide
from monitor.detect.reference.stream_codec import (
    CategoricalData,
    ConditionalData,
    NumericData,
    categorical_fits,
    conditional_fits,
    decode_categorical,
    decode_conditional,
    decode_numeric,
    encode_categorical,
    encode_conditional,
    encode_numeric,
    numeric_fits,
)
from monitor.detect.reference.summary import reference_summary, shown_kind
from monitor.events.types import Summary

VERSION = 2


class ProfileError(Exception):
    """The bytes are not a profile, or one of an unsupported version."""


class _Version(msgspec.Struct, array_like=True, frozen=True):
    """Leading fields of every version of a profile."""

    version: int


class _Profile(msgspec.Struct, array_like=True, frozen=True):
    version: int
    model: str
    segment: str
    records: int
    first_time: float
    last_time: float
    records_per_second: float
    numeric: tuple[NumericData, ...]
    categorical: tuple[CategoricalData, ...]
    conditional: tuple[ConditionalData, ...] = ()


# made at import: msgspec may crash if two threads use a type for the first time at once
_decode_version = msgspec.msgpack.Decoder(_Version).decode
_decode_profile = msgspec.msgpack.Decoder(_Profile).decode


class Profile:
    """The reference of one model or segment.

    records, first_time, last_time (epoch seconds), records_per_second: of the traffic from which
    the profile was built.
    """

    def __init__(self, data: _Profile) -> None:
        self._data = data
        self.model, self.segment = data.model, data.segment
        self.records = data.records
        self.first_time, self.last_time = data.first_time, data.last_time
        self.records_per_second = data.records_per_second

    @classmethod
    def from_streams(
        cls,
        model: str,
        segment: str,
        times: Floats,
        rate: float,
        numeric: Sequence[NumericStream],
        categorical: Sequence[CategoricalStream],
        conditional: Sequence[ConditionalStream] = (),
    ) -> Profile:
        """Return the profile with these streams.

        times: event times of the records, shape (n,). rate: records per second.
        """
        return cls(
            _Profile(
                VERSION,
                model,
                segment,
                len(times),
                float(times.min()),
                float(times.max()),
                rate,
                tuple(map(encode_numeric, numeric)),
                tuple(map(encode_categorical, categorical)),
                tuple(map(encode_conditional, conditional)),
            )
        )

    @cached_property
    def id(self) -> str:
        """Hash of the content, 16 hexadecimal digits."""
        return hashlib.sha256(self.encode()).hexdigest()[:16]

    @cached_property
    def baseline(self) -> Baseline:
        """The baseline for the detectors."""
        numeric = tuple(decode_numeric(stream) for stream in self._data.numeric)
        categorical = tuple(decode_categorical(stream) for stream in self._data.categorical)
        conditional = tuple(decode_conditional(stream) for stream in self._data.conditional)
        return Baseline(self.records, numeric, categorical, conditional=conditional)

    def groups(self, windows: WindowsConfig) -> tuple[StreamGroup, ...]:
        """Return the streams by the records over which they are watched (`groups.divide`)."""
        key = windows.records, windows.stride
        if key not in self._groups:
            self._groups[key] = divide(self.baseline, windows)
        return self._groups[key]

    @cached_property
    def _groups(self) -> dict[tuple[int, int], tuple[StreamGroup, ...]]:
        # a restart, the audit and the forecast use the same ones
        return {}

    def summaries(self) -> Iterator[tuple[str, str, Summary]]:
        """Yield feature, kind and summary of every stream."""
        for index, stream in enumerate(self.baseline.streams):
            yield stream.name, shown_kind(stream), reference_summary(self.baseline, index)

    def describe(self) -> dict[str, Any]:
        """Return the content as JSON-compatible values."""
        return {
            "id": self.id,
            "model": self.model,
            "segment": self.segment,
            "records": self.records,
            "first_time": self.first_time,
            "last_time": self.last_time,
            "features": {
                name: {"kind": kind} | msgspec.to_builtins(summary)
                for name, kind, summary in self.summaries()
            },
        }

    def encode(self) -> bytes:
        """Return the serialised profile.

        The last fields of a profile and of a categorical stream are absent if they are empty, as in
        earlier versions, so that the id of such a profile is the same.
        """
        data = self._data
        categorical = [s if s.rare_cells else structs.astuple(s)[:-1] for s in data.categorical]
        fields = [*structs.astuple(data)[:-2], categorical]
        return msgspec.msgpack.encode([*fields, data.conditional] if data.conditional else fields)

    @classmethod
    def decode(cls, payload: bytes) -> Profile:
        """Return the profile of bytes written by `encode`.

        Raises ProfileError if they are anything else.
        """
        try:
            version = _decode_version(payload).version
            if version != VERSION:
                raise ProfileError(f"profile of version {version}; this program reads {VERSION}")
            data = _decode_profile(payload)
        except (msgspec.MsgspecError, UnicodeDecodeError) as error:
            raise ProfileError(f"not a reference profile: {error}") from None
        if not (
            all(map(numeric_fits, data.numeric))
            and all(map(categorical_fits, data.categorical))
            and all(map(conditional_fits, data.conditional))
        ):
            raise ProfileError("not a reference profile: its columns differ in length")
        return cls(data)
