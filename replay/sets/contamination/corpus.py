"""The texts of training and few-shot files: JSON lines, CSV, TSV, or plain text; also gzipped."""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any, Final, NamedTuple, cast

import msgspec

from monitor.errors import UserError, os_error_reason
from replay.sets.sources.files import rows

MAX_LINE_BYTES: Final = 64 * 1024 * 1024
MAX_DEPTH: Final = 20
"""Nesting of JSON to which texts are read."""
_TABLES: Final = frozenset({".csv", ".tsv"})


class Document(NamedTuple):
    """A text of a file, and where it is: file and line. fields: the texts that it consists of."""

    text: str
    place: str
    fields: tuple[str, ...] = ()


def documents(path: Path) -> Iterator[Document]:
    """Yield the texts of a file. A row of JSON or a table is one document: its texts by lines.

    A paragraph of a text file is a document. Raises UserError if the file cannot be read.
    """
    try:
        if path.suffix.lower() in _TABLES:
            for number, row in rows(path):
                yield _document(row, f"{path.name}:{number}")
            return
        name = path.name.removesuffix(".gz").lower()
        with _open(path) as file:
            if name.endswith((".jsonl", ".json", ".ndjson")):
                yield from _json_documents(file, path)
            else:
                yield from _paragraphs(file, path)
    except (EOFError, gzip.BadGzipFile, zlib.error):
        raise UserError(f"{path}: is not a whole gzip file") from None
    except OSError as error:
        raise UserError(f"{path}: cannot be read: {os_error_reason(error)}") from None


def _open(path: Path) -> IO[bytes]:
    if path.suffix.lower() == ".gz":
        return cast("IO[bytes]", gzip.open(path, "rb"))
    return path.open("rb")


def _document(value: Any, place: str) -> Document:
    fields = tuple(_texts(value))
    return Document("\n".join(fields), place, fields)


def _json_documents(file: IO[bytes], path: Path) -> Iterator[Document]:
    number = 0
    while line := file.readline(MAX_LINE_BYTES + 1):
        number += 1
        if len(line) > MAX_LINE_BYTES:
            raise UserError(f"{path}:{number}: is longer than {MAX_LINE_BYTES:,} bytes")
        if not line.strip():
            continue
        try:
            value = msgspec.json.decode(line)
        except (msgspec.MsgspecError, ValueError, RecursionError) as error:
            raise UserError(f"{path}:{number}: is not JSON: {error}") from None
        yield _document(value, f"{path.name}:{number}")


def _paragraphs(file: IO[bytes], path: Path) -> Iterator[Document]:
    """Yield the paragraphs of a text: lines between empty lines, up to 1 MB."""
    lines: list[str] = []
    first = size = 0
    for number, line in enumerate(iter(lambda: file.readline(1_000_000), b""), 1):
        text = line.decode("utf-8", "replace")
        if text.strip() and size < 1_000_000:
            first = first if lines else number
            lines.append(text)
            size += len(text)
            continue
        if lines:
            yield Document("".join(lines), f"{path.name}:{first}")
        lines, size = ([text], len(text)) if text.strip() else ([], 0)
        first = number
    if lines:
        yield Document("".join(lines), f"{path.name}:{first}")


def _texts(value: Any, depth: int = 0) -> Iterator[str]:
    """Yield the strings in a value, in order."""
    if isinstance(value, str):
        yield value
    elif depth < MAX_DEPTH and isinstance(value, list | tuple):
        for each in value:
            yield from _texts(each, depth + 1)
    elif depth < MAX_DEPTH and isinstance(value, dict):
        for each in value.values():
            yield from _texts(each, depth + 1)
