"""Files are decompressed and transcoded by their content, whatever their names."""

from __future__ import annotations

import codecs
import gzip
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

from monitor.ingest.files.streams import DamagedFileError, open_stream, plain_size

TEXT = "".join(f'{{"n": {n}, "text": "Größe \N{GRINNING FACE}"}}\n' for n in range(30_000))
PLAIN = TEXT.encode()
SKIPPABLE = b"\x5e\x2a\x4d\x18" + (5).to_bytes(4, "little") + b"index"
CONTENTS: dict[str, Callable[[], bytes]] = {
    "plain": lambda: PLAIN,
    "gzip": lambda: gzip.compress(PLAIN),
    "gzip_members": lambda: gzip.compress(PLAIN[:1000]) + gzip.compress(PLAIN[1000:]),
    "zstd": lambda: zstd.compress(PLAIN),
    "zstd_level_19": lambda: zstd.compress(PLAIN, 19),
    "zstd_frames": lambda: zstd.compress(PLAIN[:9]) + SKIPPABLE + zstd.compress(PLAIN[9:]),
    "zstd_skippable_first": lambda: SKIPPABLE + zstd.compress(PLAIN),
    "gzip_of_zstd": lambda: gzip.compress(zstd.compress(PLAIN)),
    "bom": lambda: codecs.BOM_UTF8 + PLAIN,
    "gzip_of_bom": lambda: gzip.compress(codecs.BOM_UTF8 + PLAIN),
    "utf16_little": lambda: codecs.BOM_UTF16_LE + TEXT.encode("utf-16-le"),
    "utf16_big": lambda: codecs.BOM_UTF16_BE + TEXT.encode("utf-16-be"),
}


def read(path: Path) -> bytes:
    """Return the content of a file as a stream gives it."""
    with open_stream(path) as stream:
        return stream.read()


@pytest.mark.parametrize("kind", CONTENTS)
@pytest.mark.parametrize("name", ["log.jsonl", "log.gz", "log.zst", "log"])
def test_content_is_independent_of_the_name(tmp_path: Path, kind: str, name: str) -> None:
    """Every compression and encoding gives the same bytes under every name."""
    path = tmp_path / name
    path.write_bytes(CONTENTS[kind]())
    assert read(path) == PLAIN


@pytest.mark.parametrize("kind", CONTENTS)
def test_standard_input_is_decompressed(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A pipe, which cannot be rewound and gives few bytes at a time, has the same content."""

    class Pipe:
        def __init__(self, content: bytes) -> None:
            self.rest = content

        def read(self, size: int) -> bytes:
            head, self.rest = self.rest[: min(size, 4097)], self.rest[min(size, 4097) :]
            return head

        read1 = read

    monkeypatch.setattr(sys, "stdin", type("In", (), {"buffer": Pipe(CONTENTS[kind]())}))
    assert read(Path("-")) == PLAIN


@pytest.mark.parametrize("content", [b"", b"{", b"\x1f", b"\xef\xbb", b"ab\n", b"\xff"])
def test_short_files_are_unchanged(tmp_path: Path, content: bytes) -> None:
    """Files shorter than the signature of a format are read as they are."""
    path = tmp_path / "log"
    path.write_bytes(content)
    assert read(path) == content


@pytest.mark.parametrize("kind", ["gzip", "zstd", "gzip_of_zstd"])
def test_truncated_file_names_itself(tmp_path: Path, kind: str) -> None:
    """The error of a truncated file has its path."""
    path = tmp_path / "log"
    path.write_bytes(CONTENTS[kind]()[:-20])
    with pytest.raises(OSError, match="damaged") as caught:
        read(path)
    assert caught.value.filename == str(path)


@pytest.mark.parametrize("kind", ["gzip", "zstd", "gzip_of_zstd", "gzip_of_bom"])
@pytest.mark.parametrize("size", [300, 30_000])
def test_what_is_before_a_damage_is_read(tmp_path: Path, kind: str, size: int) -> None:
    """The blocks before the damage are read, then the error is raised."""
    path = tmp_path / "log"
    content = CONTENTS[kind]()
    path.write_bytes(content[: -len(content) // 10])
    parts = list[bytes]()

    def read_parts() -> None:
        with open_stream(path) as stream:
            parts.extend(iter(lambda: stream.read(size), b""))

    with pytest.raises(DamagedFileError):
        read_parts()
    found = b"".join(parts)
    assert PLAIN.startswith(found)
    assert len(found) > len(PLAIN) / 5  # blocks of 128 KiB are whole or missing


def test_size_is_known_for_plain_files_only(tmp_path: Path) -> None:
    """The size of a compressed file does not tell how many bytes will be read."""
    for kind, content in CONTENTS.items():
        path = tmp_path / kind
        path.write_bytes(content())
        assert (plain_size(path) is None) == ("gzip" in kind or "zstd" in kind)
    assert plain_size(Path("-")) is None
    assert plain_size(tmp_path) is None
