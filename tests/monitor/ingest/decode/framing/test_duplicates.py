"""Records that repeat a request id are found, and found again after a rollback."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitor.ingest.decode.framing.duplicates import DuplicateFilter
from monitor.ingest.decode.framing.framing import Framing
from monitor.ingest.decode.inference import ModelNaming
from monitor.ingest.decode.log_decoder import NATIVE, LogDecoder
from monitor.ingest.decode.native.decoder import NativeDecoder
from tests.monitor.ingest.decode.payloads import fuzz, payload


def decoder(*, drop: bool) -> LogDecoder:
    """A decoder that finds duplicates."""
    framing = Framing(duplicates=DuplicateFilter(undoable=True), drop=drop)
    return LogDecoder(NATIVE, NativeDecoder(), {}, ModelNaming(), framing)


@fuzz
@given(ids=st.lists(st.text(max_size=80), max_size=40), cut=st.integers(0, 40))
def test_an_id_is_repeated_if_it_occurred_before(ids: list[str], cut: int) -> None:
    """The first occurrence of an id is new, and every other one is repeated, in any batches."""
    found = DuplicateFilter()
    repeated = [*found.seen(ids[:cut]).tolist(), *found.seen(ids[cut:]).tolist()]
    assert repeated == [each in ids[:place] for place, each in enumerate(ids)]


def test_recent_ids_are_remembered() -> None:
    """Almost all of the last 200,000 ids are known, in constant memory, and no others."""
    found = DuplicateFilter()
    numbers = range(400_000)
    for start in range(0, len(numbers), 10_000):
        fresh = found.seen([f"request-{n:09}" for n in numbers[start : start + 10_000]])
        assert not fresh.any()
    assert found.seen([f"request-{n:09}" for n in range(200_000, 210_000)]).mean() > 0.99
    assert not found.seen([f"other-{n:09}" for n in range(10_000)]).any()


@fuzz
@given(batches=st.lists(st.lists(st.integers(0, 50).map(str), max_size=10), max_size=10))
def test_a_rollback_forgets_what_is_read_again(batches: list[list[str]]) -> None:
    """A batch that is read again after a rollback gives the same result as before."""
    undone, plain = DuplicateFilter(undoable=True), DuplicateFilter()
    for batch in batches:
        first = undone.seen(batch)
        undone.roll_back()
        again = undone.seen(batch)
        undone.commit()
        assert first.tolist() == again.tolist() == plain.seen(batch).tolist()


@pytest.mark.parametrize("drop", [False, True])
def test_repeated_records_are_counted_and_dropped_where_asked(drop: bool) -> None:
    """The records that stay keep their places in the batch."""
    log_decoder = decoder(drop=drop)
    ids = ["a", "b", "a", "c", "b"]
    decoded = log_decoder.many([payload(request_id=each, prompt="p" * 50) for each in ids])
    assert decoded.duplicates == 2
    kept = [0, 1, 3] if drop else [0, 1, 2, 3, 4]
    assert decoded.indices.tolist() == kept
    assert list(decoded.fields.ids) == [ids[place] for place in kept]
    assert decoded.fields.chars[0].tolist() == [50.0] * len(kept)


def test_a_rejected_message_is_no_duplicate() -> None:
    """A message that gives no record is neither counted nor remembered."""
    log_decoder = decoder(drop=True)
    decoded = log_decoder.many([b"{", payload(request_id="a"), b"{"])
    assert (decoded.duplicates, len(decoded.fields), len(decoded.rejected)) == (0, 1, 2)
