"""Samples as JSON."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitor.ingest.sampling.codec import decode_sample, encode_sample
from monitor.records import Sample
from tests.monitor.ingest.sampling.any_samples import SAMPLES


@given(SAMPLES)
def test_a_sample_is_read_as_it_was_written(sample: Sample) -> None:
    """Decoding returns the encoded sample; the value is JSON in UTF-8."""
    value = encode_sample(sample)
    assert decode_sample(value) == sample
    assert json.loads(value.decode())["request_id"] == sample.request_id


@given(st.binary(max_size=200) | st.just(b"[" * 100_000) | st.just(b'{"request_id": 1}'))
def test_other_bytes_are_no_sample(value: bytes) -> None:
    """Any other value raises ValueError, and the error repeats nothing of it."""
    with pytest.raises(ValueError, match=r"not a sample: \w+$"):
        decode_sample(value)


def test_unknown_fields_of_a_later_version_are_ignored() -> None:
    """A reader accepts samples with fields that it does not know."""
    value = {"request_id": "a", "timestamp": 1.0, "model": "m", "new": [1]}
    value["inclusion"] = {"uniform": True, "probability": 0.5, "new": 1}
    assert decode_sample(json.dumps(value).encode()).inclusion.probability == 0.5
