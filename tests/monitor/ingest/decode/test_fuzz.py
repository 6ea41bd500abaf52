"""Mutated messages of every format: only records, skips and rejections come out, in bounded time.

PLUMBLINE_FUZZ_EXAMPLES=100000 makes the test thorough: so many messages of each format.
"""

from __future__ import annotations

import random
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import islice
from typing import Any

import pytest

from monitor.ingest.decode.decoded import Decoded
from monitor.ingest.decode.formats import FORMATS
from monitor.ingest.decode.framing.framing import Framing
from monitor.ingest.decode.framing.parts import PartJoiner
from monitor.ingest.decode.inference import ModelNaming
from monitor.ingest.decode.log_decoder import AUTO, LogDecoder
from monitor.ingest.decode.message import LogMessage, Skipped
from monitor.ingest.decode.native.decoder import NativeDecoder
from monitor.ingest.decode.native.kinds import Needed, fields_of
from monitor.records import ChatMessage, RejectedRecord, WholeRecord
from tests.monitor.ingest.decode.encoders.call import PLAIN_CALL, encoders
from tests.monitor.ingest.decode.mutations import Mutator
from tests.monitor.ingest.decode.payloads import EXAMPLES
from tests.monitor.ingest.decode.test_hostile import check_record, check_rejection

MOST_SECONDS = 2.0
"""Time of the processor for one message, which may include a collection of garbage."""
CALLS = (
    PLAIN_CALL,
    replace(PLAIN_CALL, stream=True, time_to_first_token_ms=250),
    replace(PLAIN_CALL, response=None, tool_calls=True, finish_reason="tool_calls"),
    replace(PLAIN_CALL, response=None, finish_reason=None, error="RateLimitError"),
    replace(PLAIN_CALL, response="", prompt=(ChatMessage("user", 'é\u2028"\\ 😀\n[{'),)),
)
NATIVE = NativeDecoder()


def valid_messages(name: str) -> list[LogMessage]:
    """The messages of some calls in all layouts of a format."""
    return [
        message
        for encoder in encoders()
        if encoder.format == name
        for call in CALLS
        for message in encoder.encode(call)
    ]


def decoder(chosen: str) -> LogDecoder:
    """A decoder that joins parts."""
    return LogDecoder(chosen, NATIVE, FORMATS, ModelNaming(), Framing(parts=PartJoiner(60.0)))


def found_in(log_decoder: LogDecoder, message: LogMessage) -> list[Any]:
    """Everything in a message, checked, in a bounded time."""
    started = time.thread_time()
    found = list(log_decoder.found(message))
    assert time.thread_time() - started < MOST_SECONDS
    for each in found:
        if isinstance(each, WholeRecord):
            check_record(each)
        elif isinstance(each, RejectedRecord):
            check_rejection(each)
        else:
            assert isinstance(each, Skipped)
    return found


@pytest.mark.parametrize("name", FORMATS)
def test_deep_values(name: str) -> None:
    """A value of any depth that can be decoded raises nothing, wherever it is."""
    mutator = Mutator(valid_messages(name), PLAIN_CALL.request_id, random.Random(name))
    decoders = [decoder(AUTO), decoder(name)]
    for _ in range(EXAMPLES // 4):
        message = mutator.deep_message()
        if message is not None:
            for each in decoders:
                found_in(each, message)


def check_batch(decoded: Decoded, messages: Sequence[LogMessage], found: list[list[Any]]) -> None:
    """Check that a batch has what was found in its messages one by one."""
    records: list[list[WholeRecord]] = [[] for _ in messages]
    rejected: list[list[str]] = [[] for _ in messages]
    for place, index in enumerate(decoded.indices.tolist()):
        whole = decoded.wholes.get(place, messages[index].value)
        records[index].append(NATIVE.whole(whole) if isinstance(whole, bytes) else whole)
    expected = fields_of([record for each in records for record in each], Needed())
    assert list(decoded.fields.ids) == list(expected.ids)
    assert decoded.fields.numbers.tobytes() == expected.numbers.tobytes()
    assert decoded.fields.chars.tobytes() == expected.chars.tobytes()
    for index, error in decoded.rejected:
        rejected[index].append(str(error))
    assert records == [[each for each in one if isinstance(each, WholeRecord)] for one in found]
    assert rejected == [
        [str(each) for each in one if isinstance(each, RejectedRecord)] for one in found
    ]
    kinds = [each.kind for one in found for each in one if isinstance(each, Skipped)]
    assert sum(decoded.skipped.values()) == len(kinds)
    assert set(decoded.skipped) == set(kinds)


def in_batches(messages: Iterator[LogMessage], rng: random.Random) -> Iterator[list[LogMessage]]:
    """The messages in batches of different sizes."""
    while batch := list(islice(messages, rng.randint(1, 60))):
        yield batch


@pytest.mark.parametrize("chosen", [AUTO, "by name"])
@pytest.mark.parametrize("name", FORMATS)
def test_mutated_messages(name: str, chosen: str) -> None:
    """A batch gives what its messages give, whatever their bytes; half of them in each mode."""
    rng = random.Random(f"{name} {chosen}")
    mutator = Mutator(valid_messages(name), PLAIN_CALL.request_id, rng)
    messages = (mutator.message() for _ in range(EXAMPLES // 2))
    kind = AUTO if chosen == AUTO else name
    one_by_one, batches = decoder(kind), decoder(kind)
    for batch in in_batches(messages, rng):
        for message in batch:
            assert all(each.recognizes(message) in (True, False) for each in FORMATS.values())
        found = [found_in(one_by_one, message) for message in batch]
        decoded = batches.many([message.value for message in batch], batch.__getitem__)
        check_batch(decoded, batch, found)
