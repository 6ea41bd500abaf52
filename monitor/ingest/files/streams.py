"""Open files as streams of UTF-8 bytes, whatever their compression and Unicode encoding.

Compression and encoding are recognized by the first bytes, not by the name of the file.
"""

from __future__ import annotations

import codecs
import errno
import gzip
import io
import sys
import zlib
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from itertools import chain
from pathlib import Path
from typing import IO, Final, cast

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

STDIN = Path("-")
BUFFER_BYTES = 1024 * 1024
MAX_LAYERS = 3
"""A file that is compressed more often than this is not unpacked further."""

_ZSTD_MAGIC: Final = (
    b"\x28\xb5\x2f\xfd",
    *(bytes([0x50 + n]) + b"\x2a\x4d\x18" for n in range(16)),
)
"""First bytes of a frame, and of a skippable frame, which parallel compressors write first."""
_MAGIC_BYTES: Final = 4
_OPENERS: Final[dict[bytes, Callable[[IO[bytes]], IO[bytes]]]] = {
    b"\x1f\x8b": lambda stream: cast("IO[bytes]", gzip.GzipFile(fileobj=stream)),
    **dict.fromkeys(_ZSTD_MAGIC, lambda stream: cast("IO[bytes]", zstd.ZstdFile(stream))),
}
_DAMAGED: Final = (EOFError, gzip.BadGzipFile, zlib.error, zstd.ZstdError)
_UTF16: Final = {codecs.BOM_UTF16_LE: "utf-16-le", codecs.BOM_UTF16_BE: "utf-16-be"}


class DamagedFileError(OSError):
    """A compressed file is damaged or incomplete. What is before the damage was read."""


@contextmanager
def open_stream(path: Path) -> Iterator[io.BufferedReader]:
    """Open a file, or standard input for `-`, as decompressed UTF-8 bytes without a BOM.

    Raises OSError, here and while the stream is read, if the file cannot be read. The stream of a
    damaged compressed file ends at the damage; DamagedFileError is raised after it was read.
    """
    damage = list[DamagedFileError]()
    if path == STDIN:
        yield _convert(sys.stdin.buffer, path, damage)
    else:
        with path.open("rb") as file:
            yield _convert(file, path, damage)
    if damage:
        raise damage[0]


def plain_size(path: Path) -> int | None:
    """Return the size of an uncompressed file in bytes; None if it is compressed or no file."""
    if not path.is_file():
        return None
    with path.open("rb") as file:
        compressed = _opener(file.read(_MAGIC_BYTES)) is not None
    return None if compressed else path.stat().st_size


def joined(head: bytes, rest: IO[bytes]) -> io.BufferedReader:
    """Return a stream of the bytes that were read already and of the rest."""
    return io.BufferedReader(_ChunkStream(chain([head], _chunks(rest))), BUFFER_BYTES)


def _chunks(stream: IO[bytes]) -> Iterator[bytes]:
    """Yield the bytes of a stream; those before an error are yielded before it is raised."""
    buffered = cast("io.BufferedReader", stream)
    return iter(lambda: buffered.read1(BUFFER_BYTES), b"")


def _convert(source: IO[bytes], path: Path, damage: list[DamagedFileError]) -> io.BufferedReader:
    """Return the stream decompressed, as UTF-8, without a BOM. damage: receives that found."""
    try:
        head = source.read(_MAGIC_BYTES)
        for _ in range(MAX_LAYERS):
            opener = _opener(head)
            if opener is None:
                break
            source = opener(joined(head, source))
            head = source.read(_MAGIC_BYTES)
    except _DAMAGED:
        raise _damaged(path) from None
    chunks = _undamaged(chain([head], _chunks(source)), path, damage)
    if head[:2] in _UTF16:
        chunks = _transcoded(chunks, _UTF16[head[:2]])
    elif head.startswith(codecs.BOM_UTF8):
        next(chunks)
        chunks = chain([head.removeprefix(codecs.BOM_UTF8)], chunks)
    return io.BufferedReader(_ChunkStream(chunks), BUFFER_BYTES)


def _opener(head: bytes) -> Callable[[IO[bytes]], IO[bytes]] | None:
    return next((each for magic, each in _OPENERS.items() if head.startswith(magic)), None)


def _transcoded(chunks: Iterable[bytes], encoding: str) -> Iterator[bytes]:
    """Yield text with a byte order mark as UTF-8. PowerShell writes such files with `>`."""
    decoder = codecs.getincrementaldecoder(encoding)(errors="replace")
    texts = (decoder.decode(chunk) for chunk in chunks)
    yield next(texts, "").removeprefix("\N{ZERO WIDTH NO-BREAK SPACE}").encode()
    for text in texts:
        yield text.encode()
    yield decoder.decode(b"", final=True).encode()


def _undamaged(
    chunks: Iterable[bytes], path: Path, damage: list[DamagedFileError]
) -> Iterator[bytes]:
    """Yield the chunks before a damage, and add it to `damage`."""
    try:
        yield from chunks
    except _DAMAGED:
        damage.append(_damaged(path))


def _damaged(path: Path) -> DamagedFileError:
    return DamagedFileError(errno.EIO, "Incomplete or damaged compressed file", str(path))


class _ChunkStream(io.RawIOBase):
    """A stream of the bytes in an iterable of chunks."""

    def __init__(self, chunks: Iterable[bytes]) -> None:
        self._chunks = filter(None, chunks)
        self._rest = memoryview(b"")

    def readable(self) -> bool:
        """Return True."""
        return True

    def readinto(self, buffer: object) -> int:
        """Fill the buffer as far as the current chunk reaches; 0 is the end."""
        target = memoryview(buffer)  # type: ignore[arg-type]  # the buffer of a BufferedReader
        if not self._rest:
            self._rest = memoryview(next(self._chunks, b""))
        size = min(len(target), len(self._rest))
        target[:size] = self._rest[:size]
        self._rest = self._rest[size:]
        return size
