from typing import Any

def wanted(
    names: tuple[str, ...],
    prefixes: tuple[str, ...],
    events: tuple[str, ...],
    reasons: tuple[tuple[str, ...], tuple[str, ...]],
    natives: bool,
    /,
) -> object: ...
def read(
    wanted: object, payload: bytes, logs: bool, most: int, /
) -> list[tuple[Any, ...]] | None: ...
def read_json(
    wanted: object, payload: bytes, most: int, /
) -> list[bytes | tuple[Any, ...]] | None: ...
