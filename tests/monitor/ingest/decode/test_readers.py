"""Readers of batches find in messages what the decoders in Python find.

PLUMBLINE_FUZZ_EXAMPLES=100000 makes the fuzz test thorough.
"""

from __future__ import annotations

import random
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import islice
from types import SimpleNamespace
from typing import Any, cast

import pytest
from hypothesis import given

from monitor.ingest.decode.formats import FORMATS
from monitor.ingest.decode.inference import Inference, ModelNaming, inference_of, whole_record
from monitor.ingest.decode.log_decoder import LogDecoder
from monitor.ingest.decode.message import (
    BatchFormat,
    BatchReader,
    Format,
    Found,
    LogMessage,
    NativeRecord,
)
from monitor.ingest.decode.native.decoder import NativeDecoder
from monitor.ingest.decode.native.plans.plan import PLANS_BUILT
from monitor.records import RejectedRecord
from tests.extensions import require_extension
from tests.long_form import LONG
from tests.monitor.ingest.decode import hostile
from tests.monitor.ingest.decode.alike import NEEDED, outcome
from tests.monitor.ingest.decode.encoders.call import PLAIN_CALL, Call, Encoder, calls, encoders
from tests.monitor.ingest.decode.payloads import EXAMPLES, fuzz

READERS: dict[str, BatchReader] = {
    name: each.reader
    for name, each in FORMATS.items()
    if isinstance(each, BatchFormat) and each.reader is not None
}
ENCODERS = [each for each in encoders() if each.format in READERS]
STRIDE = 1 if LONG else 11
every_encoder = pytest.mark.parametrize("encoder", ENCODERS, ids=lambda each: each.name)
CALLS = (
    replace(PLAIN_CALL, stream=True, time_to_first_token_ms=250),
    replace(PLAIN_CALL, response=None, tool_calls=True, finish_reason="tool_calls"),
    replace(PLAIN_CALL, response=None, finish_reason=None, error="RateLimitError"),
)


def test_the_extension_is_built() -> None:
    """With CI=true, a missing compiler is an error."""
    require_extension("_plan.c", built=PLANS_BUILT)
    assert READERS


def results(found: Iterable[Found]) -> list[Any]:
    """What a format found, as records, kinds and reasons of rejection."""
    listed = []
    try:
        for each in found:
            listed.append(_result(each))
    except RejectedRecord as error:
        listed.append(str(error))
    return listed


def _result(found: Found) -> Any:
    if isinstance(found, NativeRecord):
        found = inference_of(found)
    if isinstance(found, Inference):
        try:
            return whole_record(found, ModelNaming(responded=True)), found.model
        except RejectedRecord as error:
            return str(error)
    return str(found) if isinstance(found, RejectedRecord) else found


def check(name: str, messages: Sequence[LogMessage]) -> int:
    """Check that the reader of a format gives what its decoder gives; return how often it read."""
    found = READERS[name].read([each.value for each in messages])
    for message, read in zip(messages, found, strict=True):
        if read is not None:
            assert FORMATS[name].recognizes(message)
            assert results(read) == results(FORMATS[name].decode(message))
    return sum(read is not None for read in found)


def in_batches(messages: Iterator[LogMessage]) -> Iterator[list[LogMessage]]:
    """The messages in batches, of different sizes."""
    for size in range(1, 1_000_000):
        if not (batch := list(islice(messages, 1 + size % 50))):
            return
        yield batch


@every_encoder
def test_the_usual_call_is_read(encoder: Encoder) -> None:
    """Calls of all kinds are read, or left to the decoder; the plain chat call is read."""
    for call in (PLAIN_CALL, *CALLS):
        messages = encoder.encode(call)
        count = check(encoder.format, messages)
        if call is PLAIN_CALL:
            assert count == len(messages)


@every_encoder
@fuzz
@given(call=calls())
def test_any_call(encoder: Encoder, call: Call) -> None:
    """Calls with any texts, numbers and endings."""
    check(encoder.format, encoder.encode(call))


@every_encoder
def test_hostile_variants(encoder: Encoder) -> None:
    """Other values in each place, repeated keys, and messages that end anywhere."""
    for message in encoder.encode(CALLS[0]) + encoder.encode(CALLS[1]):
        for variants in (hostile.with_other_values, hostile.with_repeated_keys, hostile.truncated):
            changed = islice(variants(message.value), 0, None, STRIDE)
            for batch in in_batches(replace(message, value=value) for value in changed):
                check(encoder.format, batch)


@every_encoder
def test_damaged_messages(encoder: Encoder) -> None:
    """Bytes may be removed, inserted or changed anywhere."""
    rng = random.Random(encoder.name)
    messages = [each for call in (PLAIN_CALL, *CALLS) for each in encoder.encode(call)]

    def damaged() -> Iterator[LogMessage]:
        for _ in range(EXAMPLES):
            message = rng.choice(messages)
            yield replace(message, value=hostile.damaged(message.value, rng))

    for batch in in_batches(damaged()):
        check(encoder.format, batch)


def decoder(formats: dict[str, Format], name: str, *, metadata: bool) -> LogDecoder:
    """A decoder of one format."""
    return LogDecoder(name, NativeDecoder(NEEDED[metadata]), formats, ModelNaming())


@every_encoder
@pytest.mark.parametrize("metadata", [False, True])
def test_features_are_the_same(encoder: Encoder, metadata: bool) -> None:
    """A batch gives the same features with and without the reader, bit for bit."""
    rng = random.Random(encoder.name)
    messages = [each for call in (PLAIN_CALL, *CALLS) for each in encoder.encode(call)]
    values = [each.value for each in messages]
    values += [hostile.damaged(rng.choice(values), rng) for _ in range(100)]
    slow = cast(Format, SimpleNamespace(**_functions(FORMATS[encoder.format])))
    both = [
        decoder({encoder.format: each}, encoder.format, metadata=metadata).many(values)
        for each in (FORMATS[encoder.format], slow)
    ]
    fast, expected = (outcome(each, metadata) for each in both)
    assert fast == expected
    assert both[0].formats == both[1].formats
    assert both[0].skipped == both[1].skipped


def _functions(found: Format) -> dict[str, Any]:
    """The functions of a format, without its reader."""
    return {"recognizes": found.recognizes, "decode": found.decode}
