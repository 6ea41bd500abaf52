"""JSON records without the bulk of their texts, by `_scan`, which is C and may be missing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from monitor import declines

try:
    from monitor.decode import _scan
except ImportError:  # the install found no compiler: all goes on without
    BUILT = False
else:
    BUILT = True

_OPENINGS = "".join(sorted(filter(str.isascii, declines.OPENINGS))).encode()


@dataclass(frozen=True, slots=True, eq=False)
class Shortened:
    """The n plain ones among some payloads, without their prompts and most of their responses.

    joined: a JSON list of them; parts: shape (n, 2), from where to where each is in it.
    plain: shape (n,), which payloads they are.
    counted: shape (2, n), characters of prompts and responses; -1 where that is no text.
    """

    joined: bytes
    parts: NDArray[np.int64]
    plain: NDArray[np.int64]
    counted: NDArray[np.int64]


def shorten(payloads: Sequence[bytes], most: int) -> Shortened:
    """What is plain among payloads of at most so many bytes; nothing here is known to be a record.

    Of a response there remains what tells whether it declines and whether it is blank: nothing, if
    it clearly does neither. Where a shortened payload is a record, so is the whole one, with other
    texts; what is not plain is still to be seen. Needs BUILT.
    """
    joined, table = _scan.shorten(payloads, _OPENINGS, declines.HEAD, most)
    rows = np.frombuffer(table, np.int64).reshape(-1, 4)
    plain = rows[:, 1].nonzero()[0]
    if len(plain) < len(rows):
        rows = rows[plain]
    return Shortened(joined, rows[:, :2], plain, rows[:, 2:].T)
