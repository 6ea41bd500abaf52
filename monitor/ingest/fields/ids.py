"""Ids of many records in one buffer, without an object for each."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import overload

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True, eq=False)
class Ids(Sequence[str]):
    """n ids as UTF-8, one after the other.

    starts: shape (n + 1,), where each id begins in `data`, and where the last one ends.
    """

    data: bytes
    starts: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.starts) - 1

    @overload
    def __getitem__(self, index: int) -> str: ...
    @overload
    def __getitem__(self, index: slice) -> list[str]: ...
    def __getitem__(self, index: int | slice) -> str | list[str]:
        if isinstance(index, slice):
            return [self[each] for each in range(*index.indices(len(self)))]
        if index < 0:
            index += len(self)
        if not 0 <= index < len(self):
            raise IndexError(index)
        return _text(self.data[self.starts[index] : self.starts[index + 1]])

    def __iter__(self) -> Iterator[str]:
        bounds = self.starts.tolist()
        return (_text(self.data[a:b]) for a, b in pairwise(bounds))

    def take(self, chosen: NDArray[np.integer]) -> Ids:
        """Return some of the ids, by their indices."""
        return ids_of([self[index] for index in chosen.tolist()])

    def matrix(self, width: int) -> NDArray[np.uint8] | None:
        """Return the bytes of the ids, shape (n, L), padded by zeros.

        None if an id is longer than `width`, or is not ASCII.
        """
        lengths = np.diff(self.starts)
        longest = int(lengths.max(initial=0))
        if longest > width or not self.data.isascii():
            return None
        data = np.frombuffer(self.data, np.uint8)
        if len(data) == longest * len(lengths):  # all have the same length
            return data.reshape(len(lengths), longest)
        padded = np.zeros((len(lengths), longest), np.uint8)
        padded[np.arange(longest) < lengths[:, None]] = data
        return padded


def ids_of(texts: Sequence[str]) -> Ids:
    """Return ids in one buffer."""
    encoded = [text.encode("utf-8", "surrogatepass") for text in texts]
    starts = np.zeros(len(encoded) + 1, np.int64)
    np.cumsum(np.fromiter(map(len, encoded), np.int64, len(encoded)), out=starts[1:])
    return Ids(b"".join(encoded), starts)


def join(pieces: Sequence[Ids]) -> Ids:
    """Concatenate ids."""
    if len(pieces) == 1:
        return pieces[0]
    ends = np.cumsum([0, *(len(piece.data) for piece in pieces)])
    starts = [piece.starts[:-1] + end for piece, end in zip(pieces, ends, strict=False)]
    bounds = np.concatenate([*starts, ends[-1:]], dtype=np.int64)
    return Ids(b"".join(piece.data for piece in pieces), bounds)


def _text(encoded: bytes) -> str:
    return encoded.decode("utf-8", "surrogatepass")
