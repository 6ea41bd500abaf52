"""Hostile messages of every format are records, skipped or rejected by name; nothing else happens.

PLUMBLINE_FUZZ_EXAMPLES=100000 makes the fuzz test thorough.
"""

from __future__ import annotations

import math
import random
import re
import tracemalloc
from collections.abc import Iterable
from dataclasses import replace
from itertools import islice

import msgspec
import pytest

from monitor.ingest.decode.formats import FORMATS
from monitor.ingest.decode.inference import ModelNaming
from monitor.ingest.decode.log_decoder import AUTO, LogDecoder
from monitor.ingest.decode.message import LogMessage, Skipped
from monitor.ingest.decode.native.decoder import NativeDecoder
from monitor.records import MAX_TIMESTAMP, ChatMessage, RejectedRecord, WholeRecord, is_valid_model
from tests.long_form import LONG, long_only
from tests.monitor.ingest.decode import hostile
from tests.monitor.ingest.decode.encoders.call import PLAIN_CALL, Encoder, encoders
from tests.monitor.ingest.decode.payloads import EXAMPLES

ENCODERS = encoders()
NATIVE = NativeDecoder()
SECRET = "hunter2"
CALL = replace(
    PLAIN_CALL,
    prompt=(ChatMessage("user", f"My password is {SECRET}."),),
    response=f"I will remember {SECRET}.",
    user_id=SECRET,
    stream=True,
    time_to_first_token_ms=250,
)
STRIDE = 1 if LONG else 23
"""Of how many variants one is tried. It has no divisor in common with the number of values."""
MAX_KINDS = 40
HUGE = 50 * 1024 * 1024
every_encoder = pytest.mark.parametrize("encoder", ENCODERS, ids=lambda each: each.name)


def check(format_name: str, messages: Iterable[LogMessage]) -> None:
    """Decode messages by the format and by `format: auto`; check all that comes out."""
    kinds: set[str] = set()
    decoders = [LogDecoder(each, NATIVE, FORMATS, ModelNaming()) for each in (format_name, AUTO)]
    for message in messages:
        assert all(each.recognizes(message) in (True, False) for each in FORMATS.values())
        for decoder in decoders:
            for found in decoder.found(message):
                if isinstance(found, WholeRecord):
                    check_record(found)
                elif isinstance(found, Skipped):
                    kinds.add(found.kind)
                else:
                    check_rejection(found)
    assert len(kinds) <= MAX_KINDS
    assert [kind for kind in kinds if not re.fullmatch("[a-z][a-z0-9_.]{1,39}", kind)] == []


def check_record(record: WholeRecord) -> None:
    """Check that a record has what every record has, and only values that features can have."""
    assert msgspec.json.decode(msgspec.json.encode(record), type=WholeRecord) == record
    assert record.request_id
    assert is_valid_model(record.model)
    assert 0 <= record.timestamp <= MAX_TIMESTAMP
    for name in ("latency_ms", "time_to_first_token_ms", "input_tokens", "cost_usd"):
        value = getattr(record, name)
        assert value is None or (value >= 0 and math.isfinite(value))


def check_rejection(error: RejectedRecord) -> None:
    """Check that a rejection says where the problem is, without content."""
    assert error.detail
    assert SECRET not in error.detail


def some(payloads: Iterable[bytes]) -> Iterable[bytes]:
    """Return some of the variants of a message, all of them in the long form."""
    return islice(payloads, 0, None, STRIDE)


def variants(encoder: Encoder) -> list[LogMessage]:
    """The messages of a call in a format."""
    return encoder.encode(CALL)


@every_encoder
def test_truncated_messages(encoder: Encoder) -> None:
    """A message may end anywhere."""
    for message in variants(encoder):
        check(
            encoder.format,
            (replace(message, value=value) for value in some(hostile.truncated(message.value))),
        )


@every_encoder
def test_wrong_values(encoder: Encoder) -> None:
    """Every value may be of another type, absurd, invalid or deeply nested."""
    for message in variants(encoder):
        check(
            encoder.format,
            (
                replace(message, value=value)
                for value in some(hostile.with_other_values(message.value))
            ),
        )


@every_encoder
def test_repeated_keys(encoder: Encoder) -> None:
    """Every key may be repeated, with another value."""
    for message in variants(encoder):
        check(
            encoder.format,
            (
                replace(message, value=value)
                for value in some(hostile.with_repeated_keys(message.value))
            ),
        )


@every_encoder
def test_damaged_messages(encoder: Encoder) -> None:
    """Bytes may be removed, inserted or changed anywhere, in values and headers."""
    rng = random.Random(encoder.name)
    messages = variants(encoder)

    def damaged() -> Iterable[LogMessage]:
        for _ in range(EXAMPLES):
            message = rng.choice(messages)
            headers = message.headers
            if headers and rng.random() < 0.3:
                name = rng.choice(sorted(headers))
                headers = {**headers, name: hostile.damaged(headers[name], rng)}
            yield LogMessage(hostile.damaged(message.value, rng), headers)

    check(encoder.format, damaged())


@pytest.mark.parametrize("name", FORMATS)
def test_arbitrary_bytes(name: str) -> None:
    """Any bytes at all may arrive, with and without headers."""
    rng = random.Random(name)
    payloads = [rng.randbytes(rng.randint(0, 64)) for _ in range(EXAMPLES)]
    payloads += [
        b"",
        b"null",
        b"1",
        b'"x"',
        b"[]",
        b"{}",
        b"\n",
        b"[{}]",
        b"{}\n{}",
        b"\xef\xbb\xbf{}",
    ]
    nested = [b"[" * hostile.DEPTH, b'{"a":' * hostile.DEPTH, b'[{"a":' * hostile.DEPTH]
    check(name, map(LogMessage, payloads + nested))


@long_only
@every_encoder
def test_huge_messages(encoder: Encoder) -> None:
    """A message of 50 MB needs memory in proportion to its size."""
    for message in variants(encoder):
        huge = [
            message.value.replace(SECRET.encode(), b"x" * HUGE, 1),
            message.value + b" " * HUGE,
            message.value + b"[" * HUGE,
            b"\x00" * HUGE,
            b"\n" * HUGE,
            b"{}\n" * (HUGE // 3),
            b"[" + b"{}," * (HUGE // 3) + b"{}]",
        ]
        for value in huge:
            tracemalloc.start()
            check(encoder.format, [replace(message, value=value)])
            _, peak = tracemalloc.get_traced_memory()
            tracemalloc.stop()
            assert peak < 12 * HUGE
