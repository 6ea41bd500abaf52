"""Processes that use one store at once: writers, workers, upgrades, and one that is killed.

They are forked from a server that has imported everything, so that they start in no time.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from multiprocessing.connection import Connection
from multiprocessing.context import ForkServerProcess
from typing import Any

from replay.store import open_store, outbox, queue, results, upgrade
from replay.store.queue import Outcome
from tests.forked import CONTEXT
from tests.replay.store.postgresql import PASSWORD
from tests.replay.store.runs import LEASE_S, request, scores

TIMEOUT_S = 120
ITEMS = 10
Program = Callable[..., None]
"""Called with a connection to send results, a barrier to pass, and its arguments."""


@contextmanager
def started(
    programs: Sequence[tuple[Program, tuple[Any, ...]]],
) -> Iterator[list[tuple[ForkServerProcess, Connection]]]:
    """Start processes that begin together. All have ended with the block."""
    barrier = CONTEXT.Barrier(len(programs))
    found = []
    for program, arguments in programs:
        receiver, sender = CONTEXT.Pipe(duplex=False)
        process = CONTEXT.Process(target=program, args=(sender, barrier, *arguments))
        process.start()
        sender.close()
        found.append((process, receiver))
    try:
        yield found
    finally:
        for process, receiver in found:
            process.kill()
            process.join()
            receiver.close()


def run(
    programs: Sequence[tuple[Program, tuple[Any, ...]]], timeout_s: float = TIMEOUT_S
) -> list[Any]:
    """Run processes at once and return what each sent; an exception in one of them is raised."""
    with started(programs) as found:
        output = []
        for process, receiver in found:
            assert receiver.poll(timeout_s)
            output.append(receiver.recv())
            process.join(TIMEOUT_S)
            assert process.exitcode == 0
        return output


def write(out: Connection, barrier: Any, url: str, name: int, runs: int) -> None:
    """Insert all runs, with offsets, in an order of its own; send the number of new ones."""
    new = 0
    with open_store(url, PASSWORD) as store:
        barrier.wait(TIMEOUT_S)
        for number in range(runs):
            with store.write() as connection:
                alarm = f"alarm-{(number + name * 7) % runs}"
                new += queue.enqueue(connection, request(alarm), float(number))
                queue.save_offsets(connection, "replay", {("events", name): number + 1})
    out.send(new)


def work(out: Connection, barrier: Any, url: str, name: str, runs: int) -> None:
    """Claim and do runs until all are finished; send the ids of those that it did."""
    done = []
    with open_store(url, PASSWORD) as store:
        barrier.wait(TIMEOUT_S)
        while True:
            with store.write() as connection:
                claim = queue.claim(connection, name, 100.0, 1000.0)
            if claim is None:
                with store.read() as connection:
                    if queue.state(connection).finished == runs:
                        break
                time.sleep(0.02)
                continue
            for first in range(0, ITEMS, ITEMS // 2):
                with store.write() as connection:
                    results.append(connection, claim.lease, [scores(first, first + ITEMS // 2)])
                    queue.heartbeat(connection, claim.lease, 100.0, 1000.0, (first, ITEMS))
            with store.write() as connection:
                queue.finish(connection, claim.lease, Outcome(verdict="inconclusive"), 200.0)
                outbox.add(connection, f"event-{claim.run.id}", "m", b"{}", 200.0)
            done.append(claim.run.id)
    out.send(done)


def append_until_killed(out: Connection, barrier: Any, url: str) -> None:
    """Claim a run and append one item at a time, and send each number before its commit."""
    with open_store(url, PASSWORD) as store:
        barrier.wait(TIMEOUT_S)
        with store.write() as connection:
            claim = queue.claim(connection, "victim", 0.0, LEASE_S)
        assert claim is not None
        for number in range(100_000):
            with store.write() as connection:
                results.append(connection, claim.lease, [scores(number, number + 1)])
                out.send(number)


def upgrade_schema(out: Connection, barrier: Any, url: str) -> None:
    """Upgrade the schema; send the number of revisions that this process has applied."""
    barrier.wait(TIMEOUT_S)
    out.send(len(upgrade(url, PASSWORD)))
