"""Remove most of the text from JSON records, with the optional C extension `_scan`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from monitor.ingest.refusals.classifier import HEAD_CHARS, OPENINGS

try:
    from monitor.ingest.decode import _scan
except ImportError:  # installed without a C compiler: messages are decoded whole
    SCANNER_BUILT = False
else:
    SCANNER_BUILT = True

_NOT_COMPARED = b"\x80"
"""Stands for the rest of an opening from its first character beyond ASCII on."""


@dataclass(frozen=True, slots=True, eq=False)
class Shortened:
    """The n payloads of a batch that could be shortened, without prompts and most of responses.

    joined: JSON list of the shortened payloads.
    spans: shape (n, 2), start and stop of each payload in `joined`.
    indices: shape (n,), index of each payload in the batch.
    char_counts: shape (2, n), characters of prompts and of responses; -1 if it is not a text.
    """

    joined: bytes
    spans: NDArray[np.int64]
    indices: NDArray[np.int64]
    char_counts: NDArray[np.int64]


def shorten(
    payloads: Sequence[bytes], max_bytes: int, *, keep_beginnings: bool = False
) -> Shortened:
    """Shorten the payloads of a batch that are at most `max_bytes` long and have the usual form.

    The result is not validated: decoding a shortened payload accepts or rejects it exactly as
    decoding the whole payload would. Of a response, a closed part of reasoning and the beginning
    after it are kept if it may be a refusal or blank, otherwise nothing.
    keep_beginnings: keep the beginning of every response. Requires SCANNER_BUILT.
    """
    openings = b"" if keep_beginnings else _OPENINGS
    joined, table = _scan.shorten(payloads, openings, HEAD_CHARS, max_bytes)
    rows = np.frombuffer(table, np.int64).reshape(-1, 4)
    indices = rows[:, 1].nonzero()[0]
    if len(indices) < len(rows):
        rows = rows[indices]
    return Shortened(joined, rows[:, :2], indices, rows[:, 2:].T)


def _scanned_openings(openings: Sequence[str]) -> bytes:
    """Return the openings that begin with an ASCII letter as the scanner reads them."""
    scanned = set()
    for opening in openings:
        if opening[0].isascii():
            ascii_part = opening.encode("ascii", "replace").partition(b"?")[0]
            scanned.add(ascii_part + (b"" if opening.isascii() else _NOT_COMPARED) + b"\n")
    return b"".join(sorted(scanned))


_OPENINGS = _scanned_openings(OPENINGS)
