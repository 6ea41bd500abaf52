"""Examples: which records are chosen, and that their request ids stay with them."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitor.cli.demo.traffic import traffic
from monitor.config.schema import Config
from monitor.ingest import files
from monitor.ingest.chunks.columns import Columns
from monitor.ingest.decode.native.kinds import fields_of
from monitor.ingest.features import join
from monitor.ingest.fields.fields import EMPTY
from monitor.ingest.sampling import examples
from monitor.ingest.sampling.examples import (
    MAX_ID_CHARS,
    SAMPLE_ONE_IN,
    Examples,
    all_valid_ids,
    choose,
    hashes,
    is_valid_id,
)

RECORDS = 3_000
DECODE = files.native_decoder_for(Config())
LOG = [DECODE(line) for line in traffic(RECORDS, change_at=RECORDS, seed=5, rate=50.0, start=1.7e9)]


def chunks(sizes: int, *, joined: bool = False) -> list[Columns]:
    """Return the log as chunks of batches of a size."""
    extractor = files.extractor_for(Config())
    batches = [
        extractor.batch(
            fields_of(LOG[at : at + sizes], DECODE.needed), range(at, min(at + sizes, RECORDS))
        )
        for at in range(0, RECORDS, sizes)
    ]
    return [part for each in ([join(batches)] if joined else batches) for part in each.by_model()]


def examples_of(parts: list[Columns]) -> dict[str, tuple[str, int]]:
    """Return request id -> model and position of its record."""
    return {
        each: (part.model, int(part.positions[place]))
        for part in parts
        for place, each in zip(part.examples.indices, part.examples.ids, strict=True)
    }


WHOLE = examples_of(chunks(RECORDS))


def test_examples_are_a_sample_with_the_right_ids() -> None:
    """About one record in SAMPLE_ONE_IN is chosen, with the id of that record."""
    assert RECORDS / SAMPLE_ONE_IN / 1.4 < len(WHOLE) < RECORDS / SAMPLE_ONE_IN * 1.4
    for request_id, (model, position) in WHOLE.items():
        assert (LOG[position].request_id, LOG[position].model) == (request_id, model)
    assert {model for model, _ in WHOLE.values()} == {record.model for record in LOG}


@pytest.mark.parametrize("size", [1, 7, 1000])
@pytest.mark.parametrize("joined", [False, True])
def test_choice_does_not_depend_on_batches(size: int, joined: bool) -> None:
    """The same records are chosen for every batch size, and after joining batches."""
    assert examples_of(chunks(size, joined=joined)) == WHOLE


def test_choice_does_not_depend_on_a_single_feature() -> None:
    """About one in SAMPLE_ONE_IN is chosen even if only the time or only one feature varies."""
    rng = np.random.default_rng(1)
    ids = [f"id-{i}" for i in range(20_000)]
    same_time = np.full(20_000, 1.7e9)
    tokens = rng.integers(1, 4000, 20_000).astype(float)
    missing = np.full(20_000, np.nan)
    for times, rows in [
        (same_time, (tokens, missing)),
        (same_time + np.arange(20_000), (missing,) * 2),
    ]:
        share = len(choose(hashes(times, rows), ids).ids) / len(ids)
        assert 0.7 / SAMPLE_ONE_IN < share < 1.4 / SAMPLE_ONE_IN


@pytest.mark.parametrize(
    ("request_id", "valid"),
    [
        ("demo-7-00000042", True),
        ("\N{LATIN SMALL LETTER E WITH ACUTE}/:<b>", True),
        ("x" * MAX_ID_CHARS, True),
        ("x" * (MAX_ID_CHARS + 1), False),
        ("", False),
        ("a\nb", False),
        ("\x1b[2J", False),
        ("a\N{RIGHT-TO-LEFT OVERRIDE}b", False),
    ],
)
def test_invalid_ids_are_omitted(request_id: str, valid: bool) -> None:
    """Ids that are empty, too long or not printable are omitted; other examples are kept."""
    assert is_valid_id(request_id) == all_valid_ids(["a", request_id]) == valid
    times = np.full(3, _chosen_time())
    found = choose(hashes(times, ()), ["a", request_id, "c"])
    assert found.ids == (("a", request_id, "c") if valid else ("a", "c"))
    assert found.indices.tolist() == ([0, 1, 2] if valid else [0, 2])


def _chosen_time() -> float:
    """Return an event time whose records are all chosen."""
    return next(
        t for t in np.arange(1.7e9, 1.7e9 + 999) if choose(hashes(np.array([t]), ()), ["x"]).ids
    )


def test_empty_batch_has_no_examples() -> None:
    """A batch in which all messages were rejected has no examples."""
    extractor = files.extractor_for(Config())
    assert extractor.batch(EMPTY, []).examples.ids == ()


@given(st.sets(st.integers(0, 19)), st.integers(0, 20), st.integers(0, 20))
def test_part_equals_take_of_a_slice(indices: set[int], one: int, other: int) -> None:
    """A part has the same examples as taking the same slice of records."""
    start, stop = sorted((one, other))
    whole = Examples(np.array(sorted(indices), np.int32), tuple(map(str, sorted(indices))))
    part, taken = whole.part(start, stop), whole.take(slice(start, stop), 20)
    assert part.indices.tolist() == taken.indices.tolist()
    assert part.ids == taken.ids == tuple(str(p) for p in sorted(indices) if start <= p < stop)


def test_join_without_examples_is_empty() -> None:
    """Joining groups without examples gives no examples."""
    assert examples.join([(examples.NONE, 5), (examples.NONE, 3)]).ids == ()
