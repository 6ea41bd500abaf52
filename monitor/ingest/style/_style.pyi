"""Types of the C extension `_style.c`."""

from collections.abc import Sequence

def scan(texts: Sequence[bytes], table: bytes, groups: int, /) -> bytes: ...
