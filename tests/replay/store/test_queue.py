"""Runs are inserted once, claimed by one worker, and finished once."""

from __future__ import annotations

from contextlib import suppress

import pytest

from replay.store import LeaseLost, Store, outbox, queue
from replay.store.queue import Outcome
from tests.replay.store.runs import (
    LEASE_S,
    append,
    claim,
    claimed,
    enqueue,
    finish,
    request,
    scores,
)


def test_a_run_exists_once_for_alarm_set_and_model(store: Store) -> None:
    """A repeated event inserts nothing, and a difference in any of the three a new run."""
    requests = [request("a"), request("a", set_digest="s2"), request("a", model_digest="m2")]
    with store.write() as connection:
        assert [queue.enqueue(connection, each, 1.0) for each in requests] == [True] * 3
        assert not queue.enqueue(connection, request("a", plan={"tasks": ["other"]}), 2.0)
    with store.read() as connection:
        run = queue.find(connection, request("a").id)
        assert run is not None
        assert (run.state, run.created_at, run.plan) == ("queued", 1.0, {"tasks": ["traffic"]})
        assert queue.state(connection) == queue.QueueState(3, 0, 0, 1.0)
        assert queue.find(connection, "unknown") is None


def test_run_offset_and_event_are_one_transaction(store: Store) -> None:
    """If the transaction fails, neither the run nor the offset is there."""
    with suppress(ZeroDivisionError), store.write() as connection:
        queue.enqueue(connection, request("a"), 1.0)
        queue.save_offsets(connection, "replay", {("events", 0): 5})
        outbox.add(connection, "e1", "k", b"{}", 1.0)
        raise ZeroDivisionError
    with store.read() as connection:
        assert queue.state(connection).queued == 0
        assert queue.load_offsets(connection, "replay") == {}
        assert outbox.pending(connection) == ()


def test_offsets_never_decrease(store: Store) -> None:
    """A consumer that was replaced cannot set the offset back."""
    for offset in (5, 9, 7):
        with store.write() as connection:
            queue.save_offsets(connection, "replay", {("events", 0): offset, ("events", 1): 2})
    with store.read() as connection:
        assert queue.load_offsets(connection, "replay") == {("events", 0): 9, ("events", 1): 2}
        assert queue.load_offsets(connection, "other") == {}


def test_claims_follow_priority_and_age(store: Store) -> None:
    """Urgent runs come first, then the oldest; a worker without a GPU leaves those that need it."""
    (late,) = enqueue(store, "late", at=2.0)
    (early,) = enqueue(store, "early", at=1.0)
    (urgent,) = enqueue(store, "urgent", at=3.0, priority=1, gpu=True)
    order = [claim(store, at=5.0, gpu=gpu) for gpu in (False, True, True)]
    assert [each and each.run.id for each in order] == [early, urgent, late]
    assert claim(store, at=5.0) is None


def test_a_lease_that_expires_is_claimed_again_with_its_items(store: Store) -> None:
    """The first worker then writes nothing more: neither items, nor heartbeats, nor a verdict."""
    first = claimed(store, at=0.0)
    append(store, first, scores(0, 3))
    assert claim(store, "second", at=LEASE_S - 1) is None
    second = claim(store, "second", at=LEASE_S)
    assert second is not None
    assert (second.run.id, second.lease.attempt, second.run.started_at) == (first.run, 2, 0.0)
    with pytest.raises(LeaseLost, match="another worker"):
        append(store, first, scores(3, 6))
    with pytest.raises(LeaseLost), store.write() as connection:
        queue.heartbeat(connection, first, LEASE_S, LEASE_S)
    with pytest.raises(LeaseLost):
        finish(store, first)
    assert append(store, second.lease, scores(0, 6)) == 3
    assert finish(store, second.lease).verdict == "not_regressed"
    with pytest.raises(LeaseLost, match="not running"):
        finish(store, second.lease)


def test_a_heartbeat_extends_the_lease_and_stores_progress(store: Store) -> None:
    """The run stays with its worker as long as heartbeats arrive."""
    lease = claimed(store, at=0.0)
    with store.write() as connection:
        assert queue.heartbeat(connection, lease, 50.0, LEASE_S, (20, 100))
    assert claim(store, "second", at=LEASE_S + 1) is None
    with store.read() as connection:
        run = queue.find(connection, lease.run)
        assert run is not None
        assert (run.done, run.planned, run.lease_until) == (20, 100, 50.0 + LEASE_S)


def test_a_run_whose_workers_die_ends_as_killed(store: Store) -> None:
    """After the last attempt it is an error, not a run that blocks the queue."""
    enqueue(store, "a")
    for attempt in (1, 2, 3):
        found = claim(store, at=attempt * LEASE_S)
        assert found is not None
        assert found.lease.attempt == attempt
    assert claim(store, at=9 * LEASE_S) is None
    with store.write() as connection:
        assert queue.expire(connection, 4 * LEASE_S - 1) == ()
        (run,) = queue.expire(connection, 4 * LEASE_S)
    assert (run.state, run.verdict, run.reason) == ("finished", "error", "killed")
    assert "3 times" in run.detail


def test_a_released_run_waits_and_keeps_its_reason(store: Store) -> None:
    """A dead endpoint is tried again later; the last reason becomes the result."""
    enqueue(store, "a", at=100.0)
    dead = Outcome(verdict="error", reason="endpoint_unavailable", detail="no answer")
    for attempt in (1, 2, 3):
        assert claim(store, at=attempt * 100.0 - 1) is None
        found = claim(store, at=attempt * 100.0)
        assert found is not None
        with store.write() as connection:
            queue.release(connection, found.lease, attempt * 100.0, 100.0, dead)
        with pytest.raises(LeaseLost):
            append(store, found.lease, scores(0, 1))
    with store.write() as connection:
        (run,) = queue.expire(connection, 301.0)
    assert (run.verdict, run.reason, run.detail) == ("error", "endpoint_unavailable", "no answer")


def test_cancelling_ends_queued_runs_and_stops_running_ones(store: Store) -> None:
    """The worker of a running one learns it from the heartbeat; a dead worker's run is ended."""
    lease = claimed(store, "a", at=0.0)
    (queued,) = enqueue(store, "a", set_digest="s2")
    (other,) = enqueue(store, "b")
    with store.write() as connection:
        assert [run.id for run in queue.cancel(connection, "a", 5.0)] == [queued]
        assert queue.cancel(connection, "a", 6.0) == ()
        assert not queue.heartbeat(connection, lease, 7.0, LEASE_S)
    found = claim(store, at=500.0)
    assert found is not None
    assert found.run.id == other
    with store.write() as connection:
        (run,) = queue.expire(connection, 500.0)
    assert (run.id, run.verdict, run.cancel_at) == (lease.run, "cancelled", 5.0)


def test_the_newest_run_is_found_for_the_cooldown(store: Store) -> None:
    """It counts by model, time and trigger; cancelled runs do not start a cooldown."""
    (first,) = enqueue(store, "a", at=10.0)
    enqueue(store, "b", at=20.0, model="other")
    enqueue(store, "c", at=30.0)
    with store.write() as connection:
        queue.cancel(connection, "c", 31.0)
    with store.read() as connection:
        found = queue.latest(connection, "support-bot", 10.0)
        assert found is not None
        assert found.id == first
        assert queue.latest(connection, "support-bot", 11.0) is None
        assert queue.latest(connection, "support-bot", 0.0, "manual") is None


def test_events_leave_the_outbox_once_they_are_acknowledged(store: Store) -> None:
    """They keep their order; one that was added twice is there once."""
    with store.write() as connection:
        assert outbox.add(connection, "e1", "m", b"\x00\xff", 1.0)
        assert outbox.add(connection, "e2", "m", b"{}", 2.0)
        assert not outbox.add(connection, "e1", "m", b"other", 3.0)
    with store.write() as connection:
        first, second = outbox.pending(connection)
        assert (first.event_id, first.payload, second.event_id) == ("e1", b"\x00\xff", "e2")
        outbox.mark_sent(connection, [first.id], 4.0)
        assert outbox.waiting(connection) == (1, 2.0)
    with store.write() as connection:
        assert [event.event_id for event in outbox.pending(connection)] == ["e2"]
        assert outbox.prune(connection, 4.5) == 1
