"""Samples as JSON, the values of the samples topic."""

from __future__ import annotations

from typing import Final

import msgspec

from monitor.records import Sample

encode_sample: Final = msgspec.json.Encoder().encode

_decode = msgspec.json.Decoder(Sample).decode


def decode_sample(value: bytes) -> Sample:
    """Return the sample of a message. Raises ValueError if it is none."""
    try:
        return _decode(value)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise ValueError(f"not a sample: {type(error).__name__}") from None
