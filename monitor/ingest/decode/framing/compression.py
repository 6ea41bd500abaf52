"""Decompress payloads with gzip and zstd, within a bound."""

from __future__ import annotations

import sys
import zlib
from collections.abc import Callable
from typing import Final, Protocol

from monitor.records import RejectedRecord, RejectReason

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

MAX_BYTES: Final = 64 * 1024 * 1024
"""Size of a message after decompression. Formats have smaller limits for one record."""
MAX_LAYERS: Final = 2
"""A payload that is compressed more often than this is rejected."""
MAX_FRAMES: Final = 256
"""Members of a gzip payload, or frames of a zstd one. Usually there is one."""
_GZIP: Final = b"\x1f\x8b\x08"
_ZSTD: Final = b"\x28\xb5\x2f\xfd"
_SKIPPABLE: Final = tuple(bytes([0x50 + n]) + b"\x2a\x4d\x18" for n in range(16))
"""First bytes of a zstd frame that holds no content; parallel compressors write one first."""
_GZIP_WINDOW: Final = 16 + zlib.MAX_WBITS
_FIRST_BYTES: Final = frozenset({0x1F, 0x28, *(0x50 + n for n in range(16))})


def decompressed(value: bytes) -> bytes:
    """Return a payload without its compression; the same object if it has none.

    Raises RejectedRecord if it is damaged, incomplete, or larger than MAX_BYTES.
    """
    if not value or value[0] not in _FIRST_BYTES:
        return value
    for _ in range(MAX_LAYERS):
        if value.startswith(_GZIP):
            value = _gunzip(value)
        elif value.startswith((_ZSTD, *_SKIPPABLE)):
            value = _unzstd(value)
        else:
            return value
    if value.startswith((_GZIP, _ZSTD)):
        raise _rejected(f"compressed more than {MAX_LAYERS} times")
    return value


def _gunzip(value: bytes) -> bytes:
    return _all_frames(value, lambda: zlib.decompressobj(_GZIP_WINDOW))


def _unzstd(value: bytes) -> bytes:
    return _all_frames(value, zstd.ZstdDecompressor)


class _Decompressor(Protocol):
    """What zlib and zstd have in common."""

    @property
    def eof(self) -> bool: ...

    @property
    def unused_data(self) -> bytes: ...

    def decompress(self, data: bytes, max_length: int, /) -> bytes: ...


def _all_frames(value: bytes, decompressor: Callable[[], _Decompressor]) -> bytes:
    """Decompress all frames of a payload. Each copies the rest, hence the limit of their number."""
    content: list[bytes] = []
    size = 0
    for _ in range(MAX_FRAMES):
        decoder = decompressor()
        try:
            part = decoder.decompress(value, MAX_BYTES + 1 - size)
        except (zlib.error, zstd.ZstdError, MemoryError):
            raise _rejected("the compressed payload is damaged") from None
        content.append(part)
        size += len(part)
        if size > MAX_BYTES:
            raise _too_large()
        if not decoder.eof:
            raise _rejected("the compressed payload is incomplete")
        value = decoder.unused_data
        if not value.strip(b"\0"):  # padding of blocks
            return content[0] if len(content) == 1 else b"".join(content)
    raise _rejected(f"the compressed payload has more than {MAX_FRAMES} frames")


def _too_large() -> RejectedRecord:
    return RejectedRecord(
        RejectReason.TOO_LARGE, f"more than {MAX_BYTES} bytes after decompression"
    )


def _rejected(detail: str) -> RejectedRecord:
    return RejectedRecord(RejectReason.NOT_DECOMPRESSIBLE, detail)
