from collections.abc import Sequence

def shorten(
    payloads: Sequence[bytes], openings: bytes, head: int, most: int, /
) -> tuple[bytes, bytes]: ...
