"""Processes that claim and rate tasks of one queue at once, and one that is killed."""

from __future__ import annotations

import time
from multiprocessing.connection import Connection
from typing import Any

from monitor.database.opening import open_store
from monitor.web.review import items, queues
from monitor.web.review.tasks import assigning, submitting
from monitor.web.sign_in import people
from tests.monitor.web.reviews import SCHEMAS, START, scores
from tests.replay.store.postgresql import PASSWORD
from tests.replay.store.workers import TIMEOUT_S

PAUSE_S = 0.02


def annotate(out: Connection, barrier: Any, url: str, names: list[str]) -> None:
    """Rate as several people in turn until nothing is left; send (item, person) of each rating."""
    rated: list[tuple[str, str]] = []
    with open_store(url, PASSWORD, SCHEMAS) as store:
        with store.read() as connection:
            queue = queues.find(connection, "answers")
            ids = [people.person_id(people.TOKEN, name) for name in names]
        barrier.wait(TIMEOUT_S)
        while True:
            done = 0
            for person in ids:
                with store.write() as connection:
                    task = assigning.claim(connection, queue, person, START)
                if task is None:
                    continue
                with store.write() as connection:
                    submitting.submit(connection, task.id, person, scores(), 1, START)
                rated.append((task.item, person))
                done += 1
            if not done:
                with store.read() as connection:
                    if not items.waiting(connection, queue.name):
                        break
                time.sleep(PAUSE_S)
    out.send(rated)


def rate_until_killed(out: Connection, barrier: Any, url: str, name: str) -> None:
    """Rate one task after another, and send the id of each assignment after its commit."""
    with open_store(url, PASSWORD, SCHEMAS) as store:
        person = people.person_id(people.TOKEN, name)
        with store.read() as connection:
            queue = queues.find(connection, "answers")
        barrier.wait(TIMEOUT_S)
        while True:
            with store.write() as connection:
                task = assigning.claim(connection, queue, person, START)
            assert task is not None
            with store.write() as connection:
                submitting.submit(connection, task.id, person, scores(), 1, START)
            out.send(task.id)
