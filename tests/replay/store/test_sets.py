"""Item sets are immutable versions; baselines name the run that counts."""

from __future__ import annotations

import pytest

from replay.sets.item_set import HoldOut, ItemSet, make_set
from replay.store import Store, StoreError, baselines, sets
from replay.store.queries.integrity import verify
from tests.replay.store.runs import append, claimed, finish, item, scores


def item_set(count: int = 3, version: int = 1, **changes: object) -> ItemSet:
    """Return a set of `count` items."""
    held = HoldOut(share=0.5, period=1)
    found = [item(f"What is {n} + {n}?", target=str(2 * n), **changes) for n in range(count)]
    return make_set("support", version, found, created=5.0, hold_out=held)


def test_a_version_is_read_back(store: Store) -> None:
    """Its items, hold-out and digest are the same; it is stored once."""
    wanted = item_set()
    with store.write() as connection:
        assert sets.save(connection, wanted, 1.0)
        assert not sets.save(connection, wanted, 2.0)
        sets.save(connection, item_set(4, 2), 3.0)
    with store.read() as connection:
        assert sets.load(connection, wanted.digest) == wanted
        assert [(each.version, each.items) for each in sets.versions(connection)] == [
            (1, 3),
            (2, 4),
        ]
        newest, first = sets.find(connection, "support"), sets.find(connection, "support", 1)
        assert (newest and newest.version, first and first.digest) == (2, wanted.digest)
        assert sets.find(connection, "support", 3) is None
        assert sets.versions(connection, "other") == ()
        with pytest.raises(StoreError, match="is not in the store"):
            sets.load(connection, "unknown")


def test_a_version_cannot_be_replaced(store: Store) -> None:
    """Other items under the same number are refused, and nothing is changed."""
    with store.write() as connection:
        sets.save(connection, item_set(), 1.0)
    with pytest.raises(StoreError, match="immutable"), store.write() as connection:
        sets.save(connection, item_set(4), 2.0)
    with store.read() as connection:
        assert len(sets.versions(connection)) == 1


def test_erased_texts_leave_the_version_verifiable(store: Store) -> None:
    """The text is gone from all versions; the ledger is intact; loading says what is missing."""
    wanted = item_set()
    with store.write() as connection:
        sets.save(connection, wanted, 1.0)
        assert sets.erase_texts(connection, [wanted.items[0].id, "unknown"]) == 1
    with store.read() as connection:
        with pytest.raises(StoreError, match="texts of 1 of its items were erased"):
            sets.load(connection, wanted.digest)
        assert verify(connection).broken is None


def test_the_newest_baseline_counts(store: Store) -> None:
    """It is found by model, and by model and set; accepting it again changes nothing."""
    first, second = (claimed(store, alarm) for alarm in ("a", "b"))
    for lease in (first, second):
        append(store, lease, scores(0, 2))
        finish(store, lease)
    with store.write() as connection:
        assert baselines.find(connection, "support-bot") is None
        for run in (second.run, first.run, first.run):
            baselines.accept(connection, run, 20.0)
        found = baselines.find(connection, "support-bot")
        assert found is not None
        assert (found.run, found.set_digest, found.created_at) == (first.run, "set", 20.0)
        assert baselines.find(connection, "support-bot", "other") is None


def test_only_a_run_with_results_can_be_a_baseline(store: Store) -> None:
    """Errors, and runs that are not finished, are refused by name."""
    lease = claimed(store)
    with store.write() as connection:
        for run, reason in (("unknown", "not in the store"), (lease.run, "is running")):
            with pytest.raises(StoreError, match=reason):
                baselines.accept(connection, run, 1.0)
    finish(store, lease, verdict="error", reason="deadline")
    with store.write() as connection, pytest.raises(StoreError, match="is error"):
        baselines.accept(connection, lease.run, 1.0)
