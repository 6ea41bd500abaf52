"""Write records as native records, one JSON object per line."""

from __future__ import annotations

import msgspec

from monitor.records import WholeRecord

_encode = msgspec.json.Encoder().encode


def native_line(record: WholeRecord) -> bytes:
    """Return a record as a line of JSON, without the fields that are missing."""
    names = record.__struct_fields__
    values = ((name, getattr(record, name)) for name in names)
    return _encode({name: value for name, value in values if value is not None}) + b"\n"
