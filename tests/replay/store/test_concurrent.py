"""Four writers and four claiming workers at once: no run is lost and none is done twice."""

from __future__ import annotations

from pathlib import Path

from sqlalchemy import text

from replay.store import Store, outbox, queue, results, upgrade
from replay.store.database.opening import SCHEMA
from replay.store.queries.integrity import verify
from tests.replay.store import workers
from tests.replay.store.postgresql import PASSWORD, Postgresql
from tests.replay.store.runs import LEASE_S, claim, done, enqueue, finish, scores

RUNS = 16
WRITERS = WORKERS = 4


def test_no_run_is_done_twice(url: str, store: Store) -> None:
    """Each run is inserted by one writer and done by one worker; each event is there once."""
    output = workers.run(
        [
            *((workers.write, (url, number, RUNS)) for number in range(WRITERS)),
            *((workers.work, (url, f"worker-{number}", RUNS)) for number in range(WORKERS)),
        ]
    )
    done = [run for each in output[WRITERS:] for run in each]
    assert sum(output[:WRITERS]) == RUNS
    assert len(done) == len(set(done)) == RUNS
    with store.read() as connection:
        assert queue.state(connection) == queue.QueueState(0, 0, RUNS, None)
        offsets = queue.load_offsets(connection, "replay")
        assert offsets == {("events", number): RUNS for number in range(WRITERS)}
        assert outbox.waiting(connection)[0] == RUNS
        attempts = connection.execute(text("SELECT DISTINCT attempts FROM runs")).scalars().all()
        assert attempts == [1]
        rows = connection.execute(text("SELECT count(*) FROM item_results")).scalar()
        assert rows == workers.ITEMS * RUNS
        assert verify(connection).broken is None


def test_a_killed_worker_loses_nothing_that_was_committed(url: str, store: Store) -> None:
    """After kill -9 in the middle of writing, the run is claimed again and keeps its items."""
    (run,) = enqueue(store, "a")
    with workers.started([(workers.append_until_killed, (url,))]) as ((victim, sent),):
        while sent.recv() < 5:
            pass
        victim.kill()
        victim.join()
        last = 5
        while sent.poll():
            try:
                last = sent.recv()
            except EOFError:
                break
    assert claim(store, at=LEASE_S - 1) is None
    found = claim(store, at=LEASE_S)
    assert found is not None
    assert (found.run.id, found.lease.attempt) == (run, 2)
    with store.write() as connection:
        kept = done(connection, run)["traffic"]
        assert kept == set(range(len(kept)))
        assert len(kept) in {last, last + 1}  # the kill may have come before the last commit
        results.append(connection, found.lease, [scores(0, 200)])
    finish(store, found.lease)
    with store.read() as connection:
        assert len(results.load(connection, run)[0].scores) >= 200
        assert verify(connection).broken is None


def test_schemas_are_upgraded_once_by_several_processes(
    tmp_path: Path, postgresql: Postgresql
) -> None:
    """Three upgrades at once succeed: one applies the revisions, the others find them applied."""
    for url in (f"sqlite:///{tmp_path / 'new.db'}", postgresql.create_database()):
        output = workers.run([(workers.upgrade_schema, (url,))] * 3)
        assert sorted(output) == [0, 0, len(SCHEMA.revisions)]
        assert upgrade(url, PASSWORD) == ()
