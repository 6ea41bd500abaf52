"""Exposures in Kafka: their wire format, and that all other bytes raise ExposureError."""

from __future__ import annotations

from dataclasses import fields, replace
from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitor.experiments.exposures.columns import (
    ExposureError,
    Exposures,
    decode_exposures,
    encode_exposures,
    encode_within,
)
from tests.monitor.experiments.any_exposures import any_exposures, steady


def assert_same(one: Exposures, other: Exposures) -> None:
    """Assert that exposures are equal bit for bit."""
    for field in fields(Exposures):
        a, b = getattr(one, field.name), getattr(other, field.name)
        if isinstance(a, np.ndarray):
            assert (a.dtype, a.shape, a.tobytes()) == (b.dtype, b.shape, b.tobytes())
        else:
            assert a == b


@given(any_exposures())
def test_exposures_survive_encoding(exposures: Exposures) -> None:
    """Decoding returns what was encoded."""
    assert_same(decode_exposures(encode_exposures(exposures)), exposures)


def test_messages_are_split_by_size() -> None:
    """Each message is at most as large as allowed, and none of the exposures is lost."""
    exposures = steady(1_000)
    messages = list(encode_within(exposures, 5_000))
    assert max(map(len, messages)) <= 5_000
    parts = [decode_exposures(message) for message in messages]
    assert np.concatenate([part.times for part in parts]).tolist() == exposures.times.tolist()


@given(st.binary(max_size=200))
def test_other_bytes_are_no_exposures(content: bytes) -> None:
    """Bytes without the format raise ExposureError, and nothing else."""
    with pytest.raises(ExposureError):
        decode_exposures(content)


@given(any_exposures(), st.data())
def test_damaged_messages_raise_one_error(exposures: Exposures, data: st.DataObject) -> None:
    """A message with changed bytes is decoded or raises ExposureError."""
    message = bytearray(encode_exposures(exposures))
    for _ in range(data.draw(st.integers(1, 3))):
        message[data.draw(st.integers(0, len(message) - 1))] = data.draw(st.integers(0, 255))
    try:
        decode_exposures(bytes(message))
    except ExposureError:
        return


SMALL = steady(3)
VALUES = np.array([[1.0, 2.0, np.inf], [0.0, 0.0, 0.0]])
BAD: dict[str, dict[str, Any]] = {
    "no such shard": {"shard": 16},
    "unit is of another shard": {"shard": 6},
    "time is out of range": {"times": np.array([0.0, np.nan, 1.0])},
    "columns differ": {"times": np.array([0.0, 1.0, 1.0, 2.0]), "values": np.zeros((2, 4))},
    "code of a variant": {"variants": np.array([0, 1, 2], np.int16)},
    "variant is out of range": {"compared": np.array([0, 1, -3], np.int16)},
    "variants are repeated": {"arms": ("a", "a")},
    "same name": {"features": ("a", "a")},
    "value is out of range": {"values": VALUES},
    "cannot reshape": {"values": np.zeros((3, 3))},
}


@pytest.mark.parametrize("reason", BAD)
def test_inconsistent_columns_are_rejected(reason: str) -> None:
    """Each inconsistency has its message."""
    with pytest.raises(ExposureError, match=reason):
        decode_exposures(encode_exposures(replace(SMALL, **BAD[reason])))


def test_other_versions_are_rejected() -> None:
    """A message of a later version is not read as one of this version."""
    fields_of = msgspec.msgpack.decode(encode_exposures(SMALL))
    with pytest.raises(ExposureError, match="version 2"):
        decode_exposures(msgspec.msgpack.encode([2, *fields_of[1:]]))
