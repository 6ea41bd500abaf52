"""Protobuf messages for tests, written without a library."""

from __future__ import annotations

from hypothesis import strategies as st


def varint(value: int) -> bytes:
    """Return a number as a varint."""
    found = bytearray()
    while value > 0x7F:
        found.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*found, value])


def field_bytes(number: int, content: bytes) -> bytes:
    """Return a field of bytes, a text or a message."""
    return varint(number << 3 | 2) + varint(len(content)) + content


def fields() -> st.SearchStrategy[bytes]:
    """Draw the fields of a message, of all wire types but groups."""
    numbers = st.integers(1, (1 << 29) - 1)
    tags = st.tuples(numbers, st.integers(0, (1 << 64) - 1))
    field = st.one_of(
        tags.map(lambda each: varint(each[0] << 3) + varint(each[1])),
        st.tuples(numbers, st.binary(min_size=8, max_size=8)).map(
            lambda each: varint(each[0] << 3 | 1) + each[1]
        ),
        st.tuples(numbers, st.binary(max_size=200)).map(lambda each: field_bytes(*each)),
        st.tuples(numbers, st.binary(min_size=4, max_size=4)).map(
            lambda each: varint(each[0] << 3 | 5) + each[1]
        ),
    )
    return st.lists(field, max_size=6).map(b"".join)
