from collections.abc import Sequence

_Node = tuple[tuple[str, ...], tuple[int, ...], int, int, int, tuple[str, ...], bool]
_Field = tuple[int, str, tuple[int, ...], tuple[str, ...], int]

def plan(
    nodes: tuple[_Node, ...],
    fields: tuple[_Field, ...],
    reasons: tuple[tuple[str, ...], tuple[str, ...]],
    most: int,
    several: bool,
    /,
) -> object: ...
def read(
    plan: object, messages: Sequence[bytes], /
) -> list[bytes | list[bytes | tuple[int, int]] | None]: ...
