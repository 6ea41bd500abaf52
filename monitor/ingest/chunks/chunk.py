"""The wire format of columns in the feature topic (PREFIX.features; key: the model).

A chunk is a msgpack array with raw little-endian arrays as columns, so the time to decode it hardly
depends on the number of records. Numbers are float64, so detection on the topic gives the same
results as detection on the log.

A chunk of the source `log` has version 1. A chunk of another source has version 2 and names its
source and its epoch, so that a program that reads version 1 only rejects it instead of mixing it
with the log.
"""

from __future__ import annotations

from collections.abc import Iterator

import msgspec
import numpy as np
from msgspec import structs

from monitor.ingest.chunks.columns import CategoryColumn, Columns
from monitor.ingest.fields.limits import LEGACY_OTHER, OTHER
from monitor.ingest.sampling import examples
from monitor.ingest.sampling.examples import Examples
from monitor.records import Source

LOG_VERSION = 1
"""Version of a chunk of the log, which names no source."""
SOURCE_VERSION = 2
"""Version of a chunk of another source."""
MAX_VOCABULARY = 32_000
"""Names of categories in a chunk: codes are int16."""


_WIRE_NAME = {OTHER: LEGACY_OTHER, LEGACY_OTHER: f"\n{LEGACY_OTHER}"}
"""Names of models in a chunk. Earlier versions wrote OTHER as "other", and no model has a "\n"."""
_MODEL_ON_WIRE = {name: model for model, name in _WIRE_NAME.items()}


class ChunkError(Exception):
    """The bytes are not a chunk, or a chunk of another version."""


class _Category(msgspec.Struct, array_like=True):
    name: str
    vocabulary: tuple[str, ...]
    codes: bytes


class _Chunk(msgspec.Struct, array_like=True):
    """The fields of a chunk in their order. Fields added later have defaults, for older chunks.

    source, epoch: the last fields; absent in version 1.
    """

    version: int
    model: str
    positions: bytes
    times: bytes
    numeric: tuple[str, ...]
    binary: tuple[str, ...]
    values: bytes
    categories: list[_Category]
    indices: bytes = b""
    ids: tuple[str, ...] = ()
    source: str = Source.LOG
    epoch: str = ""


_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(_Chunk).decode


def encode_chunk(columns: Columns) -> bytes:
    """Return the columns as the bytes of a chunk. Vocabularies must fit into the codes (int16)."""
    of_log = columns.source is Source.LOG
    chunk = _Chunk(
        LOG_VERSION if of_log else SOURCE_VERSION,
        _WIRE_NAME.get(columns.model, columns.model),
        columns.positions.tobytes(),
        columns.times.tobytes(),
        columns.numeric,
        columns.binary,
        columns.values.tobytes(),
        [
            _Category(c.name, c.vocabulary, c.codes.astype(np.int16).tobytes())
            for c in columns.categories
        ],
        columns.examples.indices.tobytes(),
        columns.examples.ids,
        columns.source,
        columns.epoch,
    )
    return _encode(structs.astuple(chunk)[:-2] if of_log else chunk)


def encode_chunks(columns: Columns, max_bytes: int) -> Iterator[bytes]:
    """Yield chunks of at most `max_bytes` bytes each. A single record is not split."""
    if all(len(column.vocabulary) <= MAX_VOCABULARY for column in columns.categories):
        payload = encode_chunk(columns)
        if len(payload) <= max_bytes or len(columns) == 1:
            yield payload
            return
    half = len(columns) // 2
    yield from encode_chunks(columns.take(slice(0, half)).compact(), max_bytes)
    yield from encode_chunks(columns.take(slice(half, None)).compact(), max_bytes)


def decode_chunk(payload: bytes) -> Columns:
    """Return the columns of a chunk. Raises ChunkError for all other bytes."""
    try:
        chunk = _decode(payload)
        source = _source(chunk)
        times = np.frombuffer(chunk.times, np.float64)
        rows = len(chunk.numeric) + len(chunk.binary)
        columns = Columns(
            _MODEL_ON_WIRE.get(chunk.model, chunk.model),
            np.frombuffer(chunk.positions, np.int64),
            times,
            chunk.numeric,
            chunk.binary,
            np.frombuffer(chunk.values, np.float64).reshape(rows, len(times)),
            tuple(
                CategoryColumn(
                    c.name, c.vocabulary, np.frombuffer(c.codes, np.int16).astype(np.int32)
                )
                for c in chunk.categories
            ),
            Examples(np.frombuffer(chunk.indices, np.int32), chunk.ids),
            source,
            "" if source is Source.LOG else chunk.epoch,
        )
    except (msgspec.MsgspecError, ValueError, RecursionError) as error:
        raise ChunkError(f"not a chunk: {error}") from None
    _check(columns)
    return columns


def _source(chunk: _Chunk) -> Source:
    """Return the source of a chunk. Raises ChunkError for an unknown version or source."""
    if chunk.version == LOG_VERSION:
        return Source.LOG
    if chunk.version != SOURCE_VERSION:
        raise ChunkError(
            f"chunk of version {chunk.version}; this program reads {LOG_VERSION} and"
            f" {SOURCE_VERSION}"
        )
    if chunk.source == Source.LOG or chunk.source not in set(Source):
        raise ChunkError(f"chunk of version {SOURCE_VERSION} without a known source")
    return Source(chunk.source)


def _check(columns: Columns) -> None:
    """Raise ChunkError if the columns are inconsistent: later code does not check them again."""
    if np.isinf(columns.values).any() or not np.isfinite(columns.times).all():
        raise ChunkError("not a chunk: a number is not finite")
    if len({*columns.numeric, *columns.binary}) < len(columns.values):
        raise ChunkError("not a chunk: two columns have the same name")
    sizes = {
        len(columns.positions),
        len(columns.times),
        *(len(c.codes) for c in columns.categories),
    }
    if sizes != {len(columns.times)}:
        raise ChunkError("not a chunk: its columns differ in length")
    for column in columns.categories:
        codes = column.codes
        if len(codes) and not (codes.min() >= -1 and codes.max() < len(column.vocabulary)):
            raise ChunkError("not a chunk: the code of a category is out of range")
    _check_examples(columns.examples, len(columns))


def _check_examples(chunk_examples: Examples, records: int) -> None:
    indices, ids = chunk_examples.indices, chunk_examples.ids
    if len(indices) != len(ids) or not examples.all_valid_ids(ids):
        raise ChunkError("not a chunk: its examples are not valid request ids")
    if len(indices) and not (
        indices[0] >= 0 and indices[-1] < records and (indices[1:] > indices[:-1]).all()
    ):
        raise ChunkError("not a chunk: its examples are not in the order of its records")
