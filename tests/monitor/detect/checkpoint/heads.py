"""Compare the saved state of watches field by field."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import msgspec

from monitor.detect.checkpoint import watch_state
from monitor.detect.watch import Watch


def differences(watch: Watch, truth: Watch) -> list[str]:
    """Return where the encoded heads of two watches differ, as names of fields with both values.

    Empty if they are equal byte for byte.
    """
    one, other = (_encoded(each) for each in (watch, truth))
    if one == other:
        return []
    head, expected = (msgspec.msgpack.decode(each, type=watch_state._Head) for each in (one, other))
    return [*_compared(head, expected, "head")] or ["head: the order of bytes only"]


def _encoded(watch: Watch) -> bytes:
    return next(i for i in watch_state.items(watch) if i.name == watch_state.HEAD).encode()


def _compared(one: Any, other: Any, name: str) -> Iterator[str]:
    """Yield the parts of two values that differ."""
    if isinstance(one, msgspec.Struct) and type(one) is type(other):
        for field in one.__struct_fields__:
            yield from _compared(getattr(one, field), getattr(other, field), f"{name}.{field}")
    elif isinstance(one, Mapping) and isinstance(other, Mapping):
        if [*one] != [*other]:
            yield f"{name} has the keys {[*one]}, expected {[*other]}"
        for key in one.keys() & other.keys():
            yield from _compared(one[key], other[key], f"{name}[{key!r}]")
    elif isinstance(one, Sequence) and isinstance(other, Sequence) and _is_list(one):
        if len(one) != len(other):
            yield f"{name} has {len(one)} entries, expected {len(other)}"
        for index, (here, there) in enumerate(zip(one, other, strict=False)):
            yield from _compared(here, there, f"{name}[{index}]")
    elif repr(one) != repr(other):  # unlike ==, equal for NaN
        yield f"{name} is {_short(one)}, expected {_short(other)}"


def _is_list(value: object) -> bool:
    return not isinstance(value, str | bytes)


def _short(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 200 else f"{text[:200]}... of {len(text)} characters"
