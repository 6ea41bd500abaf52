"""Recognize a file that is one binary message, such as OTLP in protobuf, rather than text."""

from __future__ import annotations

import re
from typing import Final

HEAD_BYTES: Final = 64 * 1024
"""Bytes of a file that show whether it may be binary."""
MAX_MESSAGE_BYTES: Final = 64 * 1024 * 1024
"""A larger file is not read as one message."""

_CONTROL: Final = re.compile(rb"[\x00-\x06\x0e-\x1a\x1c-\x1f]")
"""Bytes that text does not have: control characters other than white space, bell and escape."""
_JSON_LINE: Final = re.compile(rb"^[ \t]*[{\[]", re.MULTILINE)
_VARINT, _FIXED64, _LENGTH, _FIXED32 = 0, 1, 2, 5
_MAX_VARINT_BYTES: Final = 10
_MAX_FIELD: Final = (1 << 29) - 1
_SCHEMA_BYTES: Final = 5
"""A zero byte and the four bytes of the identifier of a schema, in front of a message."""


def may_be_binary(head: bytes) -> bool:
    """Return whether the beginning of a file has bytes that no text has."""
    return _CONTROL.search(head) is not None


def is_one_message(content: bytes) -> bool:
    """Return whether the content of a file that may be binary is one message.

    It is unless it has lines that begin like JSON. A protobuf message with such lines, which are
    those of a prompt, is recognized by its structure.
    """
    if _JSON_LINE.search(content, 0, HEAD_BYTES) is None or is_protobuf(content):
        return True
    return content[0] == 0 and len(content) > _SCHEMA_BYTES and any(content[1:_SCHEMA_BYTES])


def is_protobuf(content: bytes) -> bool:
    """Return whether bytes are the fields of a protobuf message from the first to the last byte.

    The fields within fields are not examined. Groups, which are obsolete, are not accepted: their
    marks are those of `{` and `[`.
    """
    position, end = 0, len(content)
    while position < end:
        tag, position = _varint(content, position)
        field, wire_type = tag >> 3, tag & 7
        if position < 0 or not 0 < field <= _MAX_FIELD:
            return False
        if wire_type == _VARINT:
            _, position = _varint(content, position)
            if position < 0:
                return False
        elif wire_type == _LENGTH:
            size, position = _varint(content, position)
            if position < 0:
                return False
            position += size
        elif wire_type == _FIXED64:
            position += 8
        elif wire_type == _FIXED32:
            position += 4
        else:
            return False
    return position == end > 0


def _varint(content: bytes, position: int) -> tuple[int, int]:
    """Return a varint and the position after it; -1 as position if it does not end."""
    value = shift = 0
    for byte in content[position : position + _MAX_VARINT_BYTES]:
        value |= (byte & 0x7F) << shift
        position += 1
        if byte < 0x80:
            return value, position
        shift += 7
    return 0, -1
