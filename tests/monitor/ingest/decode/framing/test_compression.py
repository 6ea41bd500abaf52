"""Payloads are decompressed within a bound."""

from __future__ import annotations

import gzip
import sys
import tracemalloc
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitor.ingest.decode.framing.compression import MAX_BYTES, MAX_FRAMES, decompressed
from monitor.records import RejectedRecord, RejectReason
from tests.monitor.ingest.decode.payloads import fuzz, payload

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

Compress = Callable[[bytes], bytes]
SKIPPABLE = b"\x52\x2a\x4d\x18\x04\x00\x00\x00abcd"
COMPRESSIONS: dict[str, Compress] = {
    "gzip": gzip.compress,
    "zstd": zstd.compress,
    "two members": lambda value: gzip.compress(value[:5]) + gzip.compress(value[5:]),
    "two frames": lambda value: zstd.compress(value[:5]) + zstd.compress(value[5:]),
    "a skippable frame": lambda value: SKIPPABLE + zstd.compress(value),
    "padding": lambda value: gzip.compress(value) + b"\0" * 100,
    "gzip in zstd": lambda value: zstd.compress(gzip.compress(value)),
    "gzip twice": lambda value: gzip.compress(gzip.compress(value)),
}
each_compression = pytest.mark.parametrize("compress", COMPRESSIONS.values(), ids=COMPRESSIONS)


def reason(value: bytes) -> RejectReason:
    """Why a payload is rejected."""
    with pytest.raises(RejectedRecord) as caught:
        decompressed(value)
    return caught.value.reason


def outcome(value: bytes) -> bytes | RejectReason:
    """The content of a payload, or why it is rejected."""
    try:
        return decompressed(value)
    except RejectedRecord as error:
        return error.reason


@each_compression
def test_every_compression_is_undone(compress: Compress) -> None:
    """The payload is the one that was compressed."""
    assert decompressed(compress(payload())) == payload()


@each_compression
def test_an_incomplete_payload_is_rejected(compress: Compress) -> None:
    """A payload without its last bytes is rejected by name, wherever it is cut."""
    whole = compress(payload(prompt="abc" * 50)).rstrip(b"\0")
    for size in range(12, len(whole), 7):
        found = outcome(whole[:size])
        if isinstance(found, bytes):  # of a payload of several members, the first ones
            assert len(found) < len(payload(prompt="abc" * 50))
        else:
            assert found is RejectReason.NOT_DECOMPRESSIBLE


@pytest.mark.parametrize("compress", [gzip.compress, zstd.compress], ids=["gzip", "zstd"])
def test_a_bomb_is_rejected_within_bounded_memory(compress: Compress) -> None:
    """A payload that grows a thousandfold is rejected, and its content is never in memory."""
    bomb = compress(bytes(4 * MAX_BYTES))
    tracemalloc.start()
    try:
        assert reason(bomb) is RejectReason.TOO_LARGE
        assert tracemalloc.get_traced_memory()[1] < 3 * MAX_BYTES
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("compress", [gzip.compress, zstd.compress], ids=["gzip", "zstd"])
def test_many_frames_are_rejected(compress: Compress) -> None:
    """The number of frames is limited, because each of them copies the rest."""
    assert decompressed(compress(b"x") * MAX_FRAMES) == b"x" * MAX_FRAMES
    assert reason(compress(b"") * (MAX_FRAMES + 1)) is RejectReason.NOT_DECOMPRESSIBLE


def test_a_payload_is_not_unpacked_without_end() -> None:
    """A payload that was compressed three times is rejected."""
    assert reason(gzip.compress(zstd.compress(gzip.compress(b"x")))) is (
        RejectReason.NOT_DECOMPRESSIBLE
    )


def test_other_payloads_are_untouched() -> None:
    """A payload without compression is the same object."""
    for value in (payload(), b"", b"(text)", b"Plain", b"\n\x0aprotobuf"):
        assert decompressed(value) is value


@fuzz
@given(start=st.sampled_from([b"\x1f\x8b\x08", b"\x28\xb5\x2f\xfd", SKIPPABLE]), rest=st.binary())
def test_arbitrary_bytes_are_rejected_by_name(start: bytes, rest: bytes) -> None:
    """Bytes that begin like a compressed payload raise nothing but a rejection."""
    found = outcome(start + rest)
    assert isinstance(found, bytes) or found in (
        RejectReason.NOT_DECOMPRESSIBLE,
        RejectReason.TOO_LARGE,
    )
