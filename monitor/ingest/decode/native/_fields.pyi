from collections.abc import Sequence

def read(
    payloads: Sequence[bytes],
    openings: bytes,
    head: int,
    max_bytes: int,
    max_time: float,
    keys: tuple[bytes, ...],
    optional: bool,
    /,
) -> tuple[
    int,
    bytes,
    bytes,
    bytes,
    bytes,
    tuple[tuple[bytes, ...], ...],
    tuple[bytes, bytes],
    tuple[bytes, ...],
    tuple[bytes, bytes],
    tuple[tuple[bytes, ...], bytes, bytes],
]: ...
