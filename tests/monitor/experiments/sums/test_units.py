"""First exposures by Bloom filters: within the stated error, equal in all arms."""

from __future__ import annotations

import numpy as np
import pytest

from monitor.experiments.sums.look import SHARDS
from monitor.experiments.sums.units import SeenUnits, expected_share_missed

ARMS = ("control", "treatment")


def counts(seen: SeenUnits, units: np.ndarray, arms: np.ndarray) -> tuple[list[int], int]:
    """Add exposures in batches; return first exposures by arm, and units in several arms."""
    users, several = np.zeros(2, np.int64), 0
    for start in range(0, len(units), 4_000):
        part = slice(start, start + 4_000)
        first, changed = seen.add(units[part], arms[part], ARMS)
        users += np.bincount(arms[part][first], minlength=2)
        several += len(changed)
    return users.tolist(), several


def test_a_million_users_are_counted_within_one_percent() -> None:
    """Of the users of a shard, with a million in the experiment, the stated share is missed."""
    number = 1_000_000 // SHARDS
    random = np.random.default_rng(1)
    units = random.integers(0, 2**60, number, dtype=np.uint64)
    arms = (units % np.uint64(2)).astype(np.int64)
    seen = SeenUnits()
    users, several = counts(seen, units, arms)
    missed = 1 - np.array(users) / np.bincount(arms)
    assert missed.mean() == pytest.approx(expected_share_missed(1_000_000), abs=0.001)
    assert (missed < 0.01).all()
    assert several < 10
    assert counts(seen, units, arms)[0] == [0, 0]


def test_a_restored_state_continues() -> None:
    """A state from bytes has seen the same units."""
    units = np.arange(1_000, dtype=np.uint64)
    arms = np.zeros(1_000, np.int64)
    seen = SeenUnits()
    assert counts(seen, units, arms) == ([1_000, 0], 0)
    restored = SeenUnits.decode(seen.encode())
    assert counts(restored, units, 1 - arms) == ([0, 0], 1_000)
    assert counts(restored, units, arms) == ([0, 0], 0)


def test_repeats_within_a_batch_count_once() -> None:
    """A unit that is several times in one batch is one user, and in several arms once."""
    units = np.array([1, 1, 2, 1, 2, 1], np.uint64)
    arms = np.array([0, 0, 1, 1, 1, 0])
    assert counts(SeenUnits(), units, arms) == ([1, 1], 1)
