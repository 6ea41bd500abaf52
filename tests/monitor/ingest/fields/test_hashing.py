"""The hash of request ids: uniform, independent of everything else, and always the same."""

from __future__ import annotations

import hashlib
import uuid
from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from monitor.ingest.fields.hashing import both_numbers, uniform_numbers
from monitor.ingest.sampling import examples
from monitor.kafka.topics import partition_of

N = 20_000
LEVEL = 1e-4
"""Level of each test. The ids are fixed, so the results are too."""
IDS = {
    "numbers": [str(i) for i in range(N)],
    "padded": [f"req-{i:08d}" for i in range(N)],
    "hexadecimal": [f"{i:x}-chat" for i in range(N)],
    "uuid": [str(uuid.UUID(int=i * 0x9E3779B97F4A7C15F39CC0605CEDC835 % 2**128)) for i in range(N)],
    "long": ["x" * 70 + str(i) for i in range(N)],
    "not ascii": [f"ид{i}🙂" for i in range(N)],
}


def p_of_table(rows: Sequence[int], columns: Sequence[int]) -> float:
    """Return the p-value of the chi-squared test of independence."""
    table = np.zeros((max(rows) + 1, max(columns) + 1))
    np.add.at(table, (np.asarray(rows), np.asarray(columns)), 1)
    return float(stats.chi2_contingency(table).pvalue)


@pytest.mark.parametrize("kind", IDS)
def test_numbers_are_uniform_and_independent(kind: str) -> None:
    """Both numbers of ids of any form are uniform in [0, 1), and independent of each other."""
    uniform, boosted = both_numbers(IDS[kind])
    for numbers in (uniform, boosted):
        assert numbers.min() >= 0
        assert numbers.max() < 1
        counts = np.histogram(numbers, 500, (0, 1))[0]
        assert stats.chisquare(counts).pvalue > LEVEL
        low = np.histogram(numbers[numbers < 0.02], 20, (0, 0.02))[0]  # where rates are
        assert stats.chisquare(low).pvalue > LEVEL
    tenths = (uniform * 10).astype(int).tolist()
    assert p_of_table(tenths, (boosted * 10).astype(int).tolist()) > LEVEL


@pytest.mark.parametrize("kind", IDS)
def test_draw_is_independent_of_partitions_examples_and_assignment(kind: str) -> None:
    """Whether a record is drawn depends on neither its partition, nor whether it is an example, nor
    the variant that a hash of its user assigns.
    """
    drawn = (uniform_numbers(IDS[kind]) < 0.1).astype(int).tolist()
    partitions = [partition_of(each.encode(), 6) for each in IDS[kind]]
    assert p_of_table(drawn, partitions) > LEVEL
    digests = [hashlib.sha256(f"exp:{each}".encode()).digest()[0] % 4 for each in IDS[kind]]
    assert p_of_table(drawn, digests) > LEVEL
    times = 1.7e9 + np.arange(N) / 10
    chosen = np.zeros(N, int)
    chosen[examples.choose(examples.hashes(times, [times % 7]), IDS[kind]).indices] = 1
    assert p_of_table(drawn, chosen.tolist()) > LEVEL


def test_numbers_never_change() -> None:
    """The numbers of some ids are those of the first version: a change would draw other records."""
    ids = ["", "a", "req-1", "x" * 64, "x" * 65, "ü🙂"]
    uniform, boosted = both_numbers(ids)
    assert uniform.tolist() == PINNED[0]
    assert boosted.tolist() == PINNED[1]


PINNED = (
    [
        0.40553630590300505,
        0.38411983635231994,
        0.8849487392993669,
        0.5384743960370405,
        0.43095775673150283,
        0.9141738453020068,
    ],
    [
        0.8024827525059297,
        0.13999959431521403,
        0.20939511170357017,
        0.6169448959820584,
        0.4217739579752826,
        0.12514290472042477,
    ],
)


@given(st.lists(st.text(max_size=80), min_size=1, max_size=20), st.integers(0, 19))
def test_number_depends_on_the_id_alone(ids: list[str], index: int) -> None:
    """The number of an id does not depend on the other ids of its batch."""
    index %= len(ids)
    together, boosted = both_numbers(ids)
    assert uniform_numbers(ids)[index] == together[index] == uniform_numbers([ids[index]])[0]
    assert boosted[index] == both_numbers([ids[index]])[1][0]


def test_no_ids() -> None:
    """An empty batch has no numbers."""
    assert uniform_numbers([]).shape == (0,)
