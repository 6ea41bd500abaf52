"""The state machine of runs against a model in memory, over random sequences of calls."""

from __future__ import annotations

import tempfile
from functools import cache
from pathlib import Path
from random import Random

from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from replay.store import LeaseLost, Store, open_store, queue, results
from replay.store.database.leases import Lease
from replay.store.queries.integrity import verify
from replay.store.queue import MAX_ATTEMPTS, Outcome
from tests.replay.store.runs import done, request, scores

ALARMS = tuple("abcdefgh")
LEASE_S = 10.0
CALLS = 80


@cache
def empty_store() -> bytes:
    """Return the content of a file with the current schema."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "empty.db"
        open_store(f"sqlite:///{file}").close()
        return file.read_bytes()


class ModelRun:
    """What a run must be, by the words of the documentation."""

    def __init__(self) -> None:
        self.state = "queued"
        self.attempts = 0
        self.until = 0.0
        self.due = 0.0
        self.cancelled = False
        self.items: set[int] = set()
        self.verdict = ""


class Leases:
    """Writers, workers that die, heartbeats that come late, cancellations and releases."""

    def __init__(self, random: Random) -> None:
        self.random = random
        self.folder = tempfile.TemporaryDirectory()
        file = Path(self.folder.name) / "store.db"
        file.write_bytes(empty_store())
        self.store: Store = open_store(f"sqlite:///{file}")
        self.model: dict[str, ModelRun] = {}
        self.leases: list[Lease] = []
        self.now = 0.0

    def step(self) -> None:
        """Let some time pass, make a random call, and compare all runs with the model."""
        self.now += self.random.choice((0.0, 0.0, 4.0, 11.0))
        calls = [self.enqueue, self.claim, self.claim, self.expire]
        calls += [self.use_lease] * (4 if self.leases else 0)
        calls += [self.cancel] if self.random.random() < 0.3 else []
        self.random.choice(calls)()
        self.compare()

    def close(self) -> None:
        """Close the store."""
        self.store.close()
        self.folder.cleanup()

    def enqueue(self) -> None:
        """A run is new once."""
        wanted = request(self.random.choice(ALARMS))
        with self.store.write() as connection:
            new = queue.enqueue(connection, wanted, self.now)
        assert new == (wanted.id not in self.model)
        if new:
            self.model[wanted.id] = ModelRun()

    def claim(self) -> None:
        """A run is claimed if one may be, and then it is one of those."""
        with self.store.write() as connection:
            found = queue.claim(connection, self.random.choice("xy"), self.now, LEASE_S)
        free = {
            key
            for key, run in self.model.items()
            if not run.cancelled
            and run.attempts < MAX_ATTEMPTS
            and (
                (run.state == "queued" and run.due <= self.now)
                or (run.state == "running" and run.until <= self.now)
            )
        }
        assert (found is not None) == bool(free)
        if found is not None:
            assert found.run.id in free
            run = self.model[found.run.id]
            run.state, run.until, run.attempts = "running", self.now + LEASE_S, run.attempts + 1
            assert found.lease.attempt == run.attempts
            self.leases.append(found.lease)

    def _holds(self, lease: Lease) -> bool:
        run = self.model[lease.run]
        newest = [each for each in self.leases if each.run == lease.run][-1]
        return run.state == "running" and newest is lease

    def use_lease(self) -> None:
        """A worker acts: it succeeds with the newest lease of a running run, and only then."""
        lease = self.random.choice(self.leases[-4:])
        action = self.random.choice(("append", "heartbeat", "release", "finish"))
        holds, run = self._holds(lease), self.model[lease.run]
        first = self.random.randrange(7)
        failed = Outcome(verdict="error", reason="endpoint_unavailable")
        try:
            with self.store.write() as connection:
                if action == "append":
                    results.append(connection, lease, [scores(first, first + 3)])
                elif action == "heartbeat":
                    goes_on = queue.heartbeat(connection, lease, self.now, LEASE_S)
                    assert goes_on == (not run.cancelled)
                elif action == "release":
                    queue.release(connection, lease, self.now, 5.0, failed)
                else:
                    queue.finish(connection, lease, Outcome(verdict="regressed"), self.now)
        except LeaseLost:
            assert not holds
            return
        assert holds
        if action == "append":
            run.items |= set(range(first, first + 3))
        elif action == "heartbeat":
            run.until = self.now + LEASE_S
        elif action == "release":
            run.state, run.due = "queued", self.now + 5.0
        else:
            run.state, run.verdict = "finished", "regressed"

    def cancel(self) -> None:
        """A queued run ends at once, a running one is marked."""
        alarm = self.random.choice(ALARMS)
        with self.store.write() as connection:
            ended = {run.id for run in queue.cancel(connection, alarm, self.now)}
        key = request(alarm).id
        run = self.model.get(key)
        if run is None or run.state == "finished":
            assert ended == set()
            return
        assert ended == ({key} if run.state == "queued" else set())
        run.cancelled = True
        if run.state == "queued":
            run.state, run.verdict = "finished", "cancelled"

    def expire(self) -> None:
        """Runs that no worker claims again end, with the verdict that their history implies."""
        with self.store.write() as connection:
            ended = {run.id: run.verdict for run in queue.expire(connection, self.now)}
        expected = {}
        for key, run in self.model.items():
            stopped = run.state == "queued" or (run.state == "running" and run.until <= self.now)
            if stopped and (run.cancelled or run.attempts >= MAX_ATTEMPTS):
                expected[key] = run.verdict = "cancelled" if run.cancelled else "error"
                run.state = "finished"
        assert ended == expected

    def compare(self) -> None:
        """States, attempts, verdicts and items are those of the model."""
        with self.store.read() as connection:
            for key, run in self.model.items():
                found = queue.find(connection, key)
                assert found is not None
                assert (found.state, found.attempts, found.verdict) == (
                    *(run.state, run.attempts, run.verdict),
                )
                assert done(connection, key).get("traffic", set()) == run.items


@settings(max_examples=6, phases=[Phase.explicit, Phase.generate])
@given(seed=st.integers(0, 2**32 - 1))
def test_states_are_those_of_the_model(seed: int) -> None:
    """After each of 80 random calls. A seed explores more evenly than drawn rules."""
    machine = Leases(Random(seed))
    try:
        for _ in range(CALLS):
            machine.step()
        with machine.store.read() as connection:
            assert verify(connection).broken is None
    finally:
        machine.close()
