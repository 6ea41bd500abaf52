"""Queues, people and items for tests of the web application."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from sqlalchemy import Connection

from monitor.database.store import Store
from monitor.web.review import items, queues
from monitor.web.review.model import (
    Answer,
    Assignment,
    Candidate,
    Dimension,
    Message,
    NewItem,
    Queue,
    QueueSettings,
    Rubric,
    Texts,
)
from monitor.web.review.queues import NewQueue
from monitor.web.review.tasks import assigning, submitting
from monitor.web.sign_in import people
from monitor.web.sign_in.people import Person
from monitor.web.sign_in.roles import PersonRole
from monitor.web.store.schema import SCHEMA
from replay.store.database.opening import SCHEMA as RESULTS

SCHEMAS = (RESULTS, SCHEMA)
NAMES = ("accuracy", "fluency")
LEVELS = {score: f"level {score}" for score in range(6)}
RUBRIC = Rubric(
    name="helpful",
    version=1,
    digest="0123456789abcdef",
    description="How good a response is.",
    pass_mark=3.0,
    dimensions=(
        Dimension("accuracy", "Is it true?", LEVELS, 2.0),
        Dimension("fluency", "Does it read well?", LEVELS, 1.0),
    ),
)
PLAIN = QueueSettings(overlap=3, lease_seconds=60.0, gold_share=0.0)
START = 1_000_000.0


@dataclass(slots=True)
class Clock:
    """Seconds since the epoch, which a test moves."""

    now: float = START

    def __call__(self) -> float:
        """Return the time."""
        return self.now


def add_queue(store: Store, task: str = "single", name: str = "answers", **settings: Any) -> Queue:
    """Create a queue."""
    with store.write() as connection:
        queues.add_rubrics(connection, [RUBRIC], START)
        new = NewQueue(name, task, RUBRIC, replace(PLAIN, **settings))
        return queues.create(connection, new, START, person="test")


def add_person(store: Store, name: str = "ann", role: PersonRole = PersonRole.ANNOTATOR) -> Person:
    """Add a person for tokens."""
    with store.write() as connection:
        return people.add(connection, people.TOKEN, name, name, role, START)


def new_item(number: int, responses: int = 1, **fields: Any) -> NewItem:
    """Return an item whose request ids are r-NUMBER-POSITION."""
    candidates = tuple(
        Candidate(f"r-{number}-{position}", "llama", user_hash=f"user-{number}")
        for position in range(responses)
    )
    texts = Texts(
        prompt=(Message("user", f"question {number}"),),
        responses=tuple(f"response {number} {position}" for position in range(responses)),
    )
    return NewItem(candidates=candidates, texts=texts, time=START, **fields)


def add_items(store: Store, queue: Queue, new: Sequence[NewItem], at: float = START) -> list[str]:
    """Add items and return the ids of the new ones."""
    with store.write() as connection:
        return items.add(connection, queue, new, at)


def scores(accuracy: int = 4, fluency: int = 4, comment: str = "") -> Answer:
    """Return an answer to a `single` task."""
    return Answer(scores={"accuracy": accuracy, "fluency": fluency}, comment=comment)


def claim(store: Store, queue: Queue, person: Person, at: float = START) -> Assignment | None:
    """Claim the next task."""
    with store.write() as connection:
        return assigning.claim(connection, queue, person.id, at)


def claimed(store: Store, queue: Queue, person: Person, at: float = START) -> Assignment:
    """Claim a task that is there."""
    found = claim(store, queue, person, at)
    assert found is not None
    return found


def rate(
    store: Store, queue: Queue, person: Person, answer: Answer | None = None, at: float = START
) -> Assignment:
    """Claim a task and submit an answer to it."""
    task = claimed(store, queue, person, at)
    with store.write() as connection:
        given = scores() if answer is None else answer
        return submitting.submit(connection, task.id, person.id, given, 1_000, at)


def slots(connection: Connection, item: str) -> int:
    """Return how often an item can still be given out."""
    return items.find(connection, item).slots
