"""Rejected records of files: counts by reason, and where the first one of each reason is."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Set
from dataclasses import dataclass, field
from typing import Final

import msgspec

from monitor.records import RejectedRecord, RejectReason

EXPECTED: Final = (
    "expected are JSON objects, one per line, with at least request_id, timestamp and model, such "
    'as {"request_id": "r1", "timestamp": 1760000000.0, "model": "chat", "latency_ms": 812.5}'
)

_MAGIC: Final = {
    b"PAR1": "a Parquet file",
    b"Obj\x01": "an Avro file",
    b"PK\x03\x04": "a zip archive",
    b"BZh": "compressed with bzip2",
    b"\xfd7zXZ\x00": "compressed with xz",
    b"\x04\x22\x4d\x18": "compressed with lz4",
    b"\x89HDF": "an HDF5 file",
    b"ARROW1": "an Arrow file",
    b"<": "XML",
    b"---": "YAML",
}
"""First bytes of a file -> what it is."""
_OF_BINARY: Final = frozenset(
    {RejectReason.NOT_PROTOBUF, RejectReason.NOT_DECOMPRESSIBLE, RejectReason.UNKNOWN_SCHEMA}
)
"""Reasons of messages that are in no form of JSON."""
_OTLP: Final = b"\n"
"""First byte of OTLP in protobuf; no line begins with it."""
_TABLE: Final = re.compile(rb"\s*[^{\[\s][^{}\[\]]*?(?P<separator>[,;\t|])[^{}\[\]]*\s*")
"""A line with separated fields and no brackets."""
_NAME: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,49}")
"""A key that is repeated in an error message."""
_WRAPPED: Final = re.compile(rb'\s*+\{\s*+"([^"\\]{1,50})"\s*+:\s*+\[\s*+\{\s*+"([^"\\]{1,50})"')
"""The beginning of an object with an array of objects: its first key, and that of the first one."""
_OF_RECORDS: Final = frozenset({"request_id", "timestamp", "model"})
"""Keys that show that an object is a record."""


class FirstRejection(msgspec.Struct, frozen=True):
    """The first rejected record of a reason: its file, its line (from 1), and what is wrong."""

    file: str
    line: int
    detail: str


class Rejection(msgspec.Struct, frozen=True):
    """The rejected records of one reason. first: None if the records do not come from files."""

    reason: str
    count: int
    first: FirstRejection | None = None


@dataclass(frozen=True, slots=True)
class Place:
    """Where a record is: file, line in which it begins, number if the lines are not the records."""

    file: str
    line: int
    number: int | None = None


@dataclass(slots=True)
class Rejections:
    """Counts rejected records by reason and keeps the first of each.

    skipped: number of things that are no inference, by kind.
    """

    counts: dict[str, int] = field(default_factory=dict)
    first: dict[str, FirstRejection] = field(default_factory=dict)
    skipped: Counter[str] = field(default_factory=Counter)

    @property
    def total(self) -> int:
        """Number of rejected records."""
        return sum(self.counts.values())

    def add(self, error: RejectedRecord, payload: bytes, place: Place) -> None:
        """Count a rejected record."""
        reason = str(error.reason)
        self.counts[reason] = self.counts.get(reason, 0) + 1
        if reason not in self.first:
            detail = _detail(error, payload, place)
            self.first[reason] = FirstRejection(place.file, place.line, detail)

    def by_reason(self) -> list[Rejection]:
        """Return the rejections, the most frequent reason first."""
        order = sorted(self.counts, key=lambda reason: (-self.counts[reason], reason))
        return [Rejection(each, self.counts[each], self.first.get(each)) for each in order]


def text(rejection: Rejection) -> str:
    """Return count, reason, and the place and detail of the first rejected record."""
    line = f"{rejection.count:,} {rejection.reason}"
    if rejection.first is None:
        return line
    first = rejection.first
    return f"{line}, first in {first.file} line {first.line:,}: {first.detail}"


def _detail(error: RejectedRecord, payload: bytes, place: Place) -> str:
    """Return what is wrong, with the model, or with the format of the file if that is wrong."""
    detail = error.detail
    unreadable = error.reason in {RejectReason.NOT_JSON, RejectReason.NOT_UTF8}
    readable = payload.startswith(_OTLP) or payload.lstrip()[:1] in (b"{", b"")
    known = error.reason in _OF_BINARY or readable
    if unreadable or not known:
        kind = _kind(payload) if place.line == 1 and place.number in {None, 1} else None
        detail += f"; the file looks like {kind}; {EXPECTED}" if kind else f"; {EXPECTED}"
    elif model := _model(payload):
        detail = f"model {model}: {detail}"
    if name := _array_of_records(payload):
        detail += (
            f"; the records are in its array `{name}`: extract them, as in jq -c '.{name}[]' FILE"
        )
    if place.number is None:
        return detail
    size = f", {len(payload):,} bytes" if unreadable else ""
    return f"record {place.number:,}{size}: {detail}"


def _kind(line: bytes) -> str | None:
    """Return what a file with this first line is, if it is known and not JSON."""
    for magic, kind in _MAGIC.items():
        if line.startswith(magic):
            return kind
    table = _TABLE.fullmatch(line)
    if table is None:
        return None
    return {b"\t": "TSV", b",": "CSV"}.get(table["separator"], "CSV with another separator")


def _array_of_records(payload: bytes) -> str | None:
    """Return the key of an array of records in an object that is none; None if there is no such."""
    try:
        items = msgspec.json.decode(payload, type=dict[str, msgspec.Raw])
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        match = _WRAPPED.match(payload)  # it may be cut
        parts = [part.decode(errors="replace") for part in match.groups()] if match else []
        found: dict[str, Set[str]] = {parts[0]: {parts[1]}} if parts else {}
    else:
        arrays = [(key, bytes(value)) for key, value in items.items()]
        found = {key: _keys_of_first(value) for key, value in arrays if value.startswith(b"[")}
    names = [key for key, keys in found.items() if keys & _OF_RECORDS and _NAME.fullmatch(key)]
    return names[0] if len(names) == 1 else None


def _keys_of_first(array: bytes) -> Set[str]:
    """Return the keys of the first object of an array, none if that is no object."""
    try:
        [first, *_] = msgspec.json.decode(array, type=list[msgspec.Raw])
        return msgspec.json.decode(first, type=dict[str, msgspec.Raw]).keys()
    except (ValueError, msgspec.MsgspecError, RecursionError):
        return frozenset()


class _Model(msgspec.Struct):
    model: str


def _model(payload: bytes) -> str | None:
    """Return the model of a rejected record, None if it has no valid one."""
    try:
        model = msgspec.json.decode(payload, type=_Model).model
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return None
    return model if len(model) <= 200 and model.isprintable() else None
