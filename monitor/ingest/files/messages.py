"""Read the messages of a file: one per line, one per JSON value, or one that is the whole file."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from monitor.ingest.files.splitting.binary import (
    HEAD_BYTES,
    MAX_MESSAGE_BYTES,
    is_one_message,
    may_be_binary,
)
from monitor.ingest.files.splitting.envelope import opened
from monitor.ingest.files.splitting.framing import Pieces, split
from monitor.ingest.files.streams import joined, open_stream


def read_messages(path: Path, *, enveloped: bool = False) -> Iterator[Pieces]:
    """Yield the messages of a file in batches.

    enveloped: whether each line holds a message with its key and headers (`envelope`).
    Raises OSError if the file cannot be read.
    """
    with open_stream(path) as stream:
        if enveloped:
            yield from opened(split(stream))
            return
        head = stream.read(HEAD_BYTES)
        if may_be_binary(head):
            head += stream.read(MAX_MESSAGE_BYTES)
            if len(head) <= MAX_MESSAGE_BYTES and is_one_message(head):
                yield Pieces([head], [1], range(1, 2), len(head))
                return
        yield from split(joined(head, stream))
