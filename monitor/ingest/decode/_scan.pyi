from collections.abc import Sequence

def shorten(
    payloads: Sequence[bytes], openings: bytes, head: int, max_bytes: int, /
) -> tuple[bytes, bytes]: ...
