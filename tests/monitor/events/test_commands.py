"""Commands and answers as JSON."""

from __future__ import annotations

import json
from contextlib import suppress
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitor.events.commands import (
    MAX_REFERENCE_RECORDS,
    AcceptReference,
    AcceptSourceReference,
    Answer,
    CommandError,
    command_id,
    decode_command,
    encode_command,
    source_of,
)
from monitor.records import Source
from tests.monitor.synthetic import SLOW_PROPERTY

COMMAND: dict[str, Any] = {
    "type": "accept_reference",
    "id": "0123456789abcdef",
    "model": "chat",
    "first": 10,
    "last": 20,
    "records": 5_000,
    "at": 20,
}
NAMES = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=100)
OFFSETS = st.integers(0, 2**63 - 1)


@SLOW_PROPERTY
@given(st.binary())
def test_any_bytes_are_a_command_or_an_error(content: bytes) -> None:
    """Bytes of any kind raise nothing but CommandError."""
    with suppress(CommandError):
        decode_command(content)


@SLOW_PROPERTY
@given(
    st.dictionaries(
        st.sampled_from([*COMMAND, "segment", "outcome", "command"]),
        st.none() | st.integers() | st.floats() | st.text(max_size=5) | st.lists(st.integers()),
    )
)
def test_any_fields_are_a_command_or_an_error(fields: dict[str, Any]) -> None:
    """A field with a value of any type raises nothing but CommandError."""
    with suppress(CommandError):
        decode_command(json.dumps(COMMAND | fields).encode(errors="replace"))


@SLOW_PROPERTY
@given(model=NAMES, segment=st.none() | st.text(st.characters(exclude_categories=["Cs"])),
       offsets=st.sets(OFFSETS, min_size=2, max_size=3), records=st.integers(1, 10**6))  # fmt: skip
def test_a_command_is_decoded_as_it_was_encoded(
    model: str, segment: str | None, offsets: set[int], records: int
) -> None:
    """Every command that can be built is read back unchanged."""
    first, last, *at = sorted(offsets)
    command = AcceptReference(
        id=command_id(model, first, last, "n"),
        model=model,
        segment=segment,
        first=first,
        last=last,
        records=records,
        at=at[0] if at else last,
    )
    assert decode_command(encode_command(command)) == command


def test_an_answer_is_decoded_as_it_was_encoded() -> None:
    """An answer is read back unchanged."""
    answer = Answer(command="0123456789abcdef", model="m", outcome="refused", reason="x", at=3)
    assert decode_command(encode_command(answer)) == answer


@pytest.mark.parametrize(
    "wrong",
    [
        {"first": 20},
        {"last": 21},
        {"first": -1},
        {"at": 2**63},
        {"records": 0},
        {"records": MAX_REFERENCE_RECORDS + 1},
        {"model": ""},
        {"model": "m" * 1_001},
        {"id": "../../etc"},
        {"type": "restart"},
        {"type": None},
    ],
)
def test_impossible_commands_are_rejected(wrong: dict[str, Any]) -> None:
    """A range that is empty or ends after the command, sizes and types that cannot be used."""
    assert decode_command(json.dumps(COMMAND).encode())
    with pytest.raises(CommandError):
        decode_command(json.dumps(COMMAND | wrong).encode())


def test_equal_commands_have_different_ids() -> None:
    """The same range, accepted twice, gives two commands."""
    assert command_id("m", 1, 2, "a") != command_id("m", 1, 2, "b")


@pytest.mark.parametrize("source", [Source.JUDGE, Source.FEEDBACK])
def test_a_command_of_another_source_is_skipped_by_older_versions(source: Source) -> None:
    """A version that knows only the log must not replace the reference of the log instead."""
    fields = {name: value for name, value in COMMAND.items() if name != "type"}
    command = AcceptSourceReference(**fields, source=source)
    content = encode_command(command)
    assert decode_command(content) == command
    assert source_of(command) is source
    with pytest.raises(msgspec.ValidationError):
        msgspec.json.decode(content, type=AcceptReference | Answer)


def test_a_command_of_the_log_names_no_source() -> None:
    """It is the same as before."""
    command = decode_command(json.dumps(COMMAND).encode())
    assert isinstance(command, AcceptReference)
    assert source_of(command) is Source.LOG
    assert json.loads(encode_command(command)) == COMMAND | {"segment": None}


def test_an_unknown_source_is_rejected() -> None:
    """A command that a later version understands changes nothing here."""
    with pytest.raises(CommandError):
        decode_command(json.dumps(COMMAND | {"type": "accept_source", "source": "x"}).encode())
