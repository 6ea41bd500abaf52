"""Read usual native records into columns, with the optional C extension `_fields`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import msgspec
import numpy as np
from numpy.typing import NDArray

from monitor.ingest.decode.native.kinds import Needed
from monitor.ingest.fields.fields import NUMBERS, RAW, Coded, Fields, OptionalFields, Scores
from monitor.ingest.fields.ids import Ids
from monitor.ingest.refusals.classifier import HEAD_CHARS, MARKUP, OPENINGS
from monitor.records import MAX_TIMESTAMP

try:
    from monitor.ingest.decode.native import _fields
except ImportError:  # installed without a C compiler: messages are decoded one by one
    READER_BUILT = False
else:
    READER_BUILT = True

_NOT_COMPARED: Final = b"\x80"
"""Stands for the rest of an opening from its first character beyond ASCII on."""
_NULL: Final = b"null"
_decode_texts: Final = msgspec.json.Decoder(list[str]).decode


class UsualReader:
    """Reads the records that have nothing out of the ordinary. Requires READER_BUILT.

    needed: which fields. keep_beginnings: whether to keep the beginning of every response, not only
    of those that may be refusals in a known language. max_bytes: of a payload.
    """

    def __init__(self, needed: Needed, max_bytes: int, *, keep_beginnings: bool) -> None:
        self._needed = needed
        self._keys = tuple([key.encode() for key in needed.keys])
        self._openings = b"" if keep_beginnings else _OPENINGS
        self._max_bytes = max_bytes

    def __call__(self, payloads: Sequence[bytes]) -> tuple[Fields, NDArray[np.int64]]:
        """Return the fields of the usual records among n payloads, and the index of each.

        A payload that is left out may be a record or not. Models may have names that are not valid.
        """
        found = _fields.read(
            payloads,
            self._openings,
            HEAD_CHARS,
            self._max_bytes,
            MAX_TIMESTAMP,
            self._keys,
            self._needed.optional,
        )
        m, indices, numbers, failed, codes, values, ids, raw, kept, scores = found
        rows = np.frombuffer(numbers).reshape(3 + len(NUMBERS), len(payloads))[:, :m]
        by_code = np.frombuffer(codes, np.int32).reshape(len(values), len(payloads))[:, :m]
        columns = [Coded(each, own) for each, own in zip(values, by_code, strict=True)]
        model, finish_reason, experiments, *metadata = columns
        optional = None
        if self._needed.optional:
            raw_fields = dict(zip(RAW, raw, strict=True))
            optional = OptionalFields(_without_null(experiments), raw_fields)
        beginnings = _decode_texts(b"[" + kept[1] + b"]")
        fields = Fields(
            ids=Ids(ids[0], np.frombuffer(ids[1], np.int64)),
            times=rows[0],
            models=_texts(model),
            numbers=rows[1:-2],
            chars=rows[-2:],
            failed=np.frombuffer(failed, np.bool_)[:m],
            finish_reasons=_texts(finish_reason),
            beginnings=dict(
                zip(np.frombuffer(kept[0], np.int64).tolist(), beginnings, strict=True)
            ),
            scores=_scores(*scores, m),
            metadata=dict(zip(self._needed.keys, metadata, strict=True)),
            optional=optional,
        )
        return fields, np.frombuffer(indices, np.int64)[:m]


def _texts(column: Coded[bytes]) -> Coded[str]:
    return Coded(tuple([each.decode() for each in column.vocabulary]), column.codes)


def _without_null(column: Coded[bytes]) -> Coded[bytes]:
    """Return a field whose missing values may be given as null."""
    if _NULL not in column.vocabulary:
        return column
    kept = [code for code, value in enumerate(column.vocabulary) if value != _NULL]
    places = np.full(len(column.vocabulary) + 1, -1, np.int32)
    places[kept] = np.arange(len(kept))
    return Coded(tuple([column.vocabulary[code] for code in kept]), places[column.codes])


def _scores(names: Sequence[bytes], values: bytes, given: bytes, n: int) -> Scores:
    shape = len(names), n
    return Scores(
        tuple([name.decode() for name in names]),
        np.frombuffer(values).reshape(shape),
        np.frombuffer(given, np.bool_).reshape(shape),
    )


def _scanned_openings(openings: Sequence[str]) -> bytes:
    """Return the openings that begin with an ASCII letter as the reader compares them."""
    scanned = set()
    for opening in openings:
        if opening[0].isascii():
            ascii_part = opening.encode("ascii", "replace").partition(b"?")[0]
            scanned.add(ascii_part + (b"" if opening.isascii() else _NOT_COMPARED) + b"\n")
    return b"".join(sorted(scanned))


_OPENINGS = _scanned_openings((*OPENINGS, *MARKUP))
