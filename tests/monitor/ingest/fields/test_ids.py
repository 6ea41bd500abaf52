"""Ids in one buffer: a sequence of texts, and their hashes."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitor.ingest.fields.hashing import both_numbers
from monitor.ingest.fields.ids import ids_of, join
from monitor.ingest.joins.hashes import id_hashes

lists = st.lists(st.text(max_size=4) | st.text("abc-0123", max_size=70), max_size=8)


@given(lists)
def test_ids_are_a_sequence(texts: list[str]) -> None:
    """They are iterated, indexed from both ends, and sliced as a list is."""
    ids = ids_of(texts)
    assert list(ids) == texts
    assert [ids[place - len(texts)] for place in range(len(texts))] == texts
    assert ids[1:3] == texts[1:3]
    with pytest.raises(IndexError):
        ids[len(texts)]


@given(lists, lists, st.data())
def test_joined_and_taken_ids(some: list[str], others: list[str], data: st.DataObject) -> None:
    """Joined ids follow each other; taken ones are in the order in which they are asked for."""
    both = some + others
    assert list(join([ids_of(some), ids_of(others)])) == both
    chosen = data.draw(st.lists(st.integers(0, max(len(both) - 1, 0)), max_size=5 if both else 0))
    assert list(ids_of(both).take(np.array(chosen, np.int64))) == [both[place] for place in chosen]


@given(lists)
def test_hashes_are_those_of_a_list(texts: list[str]) -> None:
    """Samples and joins are the same whether ids are objects or in one buffer."""
    assert np.array_equal(both_numbers(ids_of(texts)), both_numbers(texts))
    assert np.array_equal(id_hashes(ids_of(texts)), id_hashes(texts))
