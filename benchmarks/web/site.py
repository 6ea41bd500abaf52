"""A database with a long queue, answers and people, and the server of the application over it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from sqlalchemy import insert, select, update

from monitor.config.sections.process.web import WebConfig
from monitor.database.opening import open_store, upgrade
from monitor.database.store import Store
from monitor.telemetry.counters.web import WebMetrics
from monitor.web.application import make_application
from monitor.web.context import WebContext
from monitor.web.review import items, queues
from monitor.web.review.model import (
    Candidate,
    Dimension,
    Message,
    NewItem,
    QueueSettings,
    Rubric,
    Texts,
)
from monitor.web.review.queues import NewQueue
from monitor.web.server.server import WebServer
from monitor.web.sign_in import people, tokens
from monitor.web.sign_in.roles import PersonRole
from monitor.web.store.schema import SCHEMA
from monitor.web.store.tables import ANNOTATIONS, ASSIGNMENTS, ITEMS

QUEUE: Final = "answers"
CHUNK: Final = 5_000
OVERLAP: Final = 3
TEXT: Final = "The train leaves at nine and arrives at noon, unless it snows. " * 20
NAMES: Final = ("accuracy", "fluency")
RUBRIC: Final = Rubric(
    name="answer_quality",
    version=1,
    digest="benchmark",
    description="How good a response is.",
    pass_mark=3.0,
    dimensions=tuple(
        Dimension(name, f"How good is the {name}?", {s: f"level {s}" for s in range(6)})
        for name in NAMES
    ),
)


@dataclass(frozen=True, slots=True)
class Size:
    """Items of the queue; those among them that are done; annotators, who have done them."""

    items: int
    done: int
    annotators: int


def fill(store: Store, size: Size, at: float) -> list[str]:
    """Add a queue, items, people and answers; return the tokens of annotators, last of an admin."""
    with store.write() as connection:
        queues.add_rubrics(connection, [RUBRIC], at)
        new = NewQueue(QUEUE, "single", RUBRIC, QueueSettings(gold_share=0.0))
        queue = queues.create(connection, new, at, person="benchmark")
    for first in range(0, size.items, CHUNK):
        with store.write() as connection:
            chunk = [_item(n, at) for n in range(first, min(first + CHUNK, size.items))]
            items.add(connection, queue, chunk, at)
    roles = [PersonRole.ANNOTATOR] * size.annotators + [PersonRole.ADMIN]
    made = [_token(store, f"person-{n}", role, at) for n, role in enumerate(roles)]
    _answer(store, size, [person for person, _ in made[:-1]], at - 86_400.0)
    return [secret for _, secret in made]


def _answer(store: Store, size: Size, people: Sequence[str], at: float) -> None:
    """Store answers to the first items of the order, as if they had been given in turn.

    Most annotators are within a point of the true score of an item.
    """
    random = np.random.default_rng(1)
    with store.read() as connection:
        query = select(ITEMS.c.id).order_by(ITEMS.c.xi, ITEMS.c.id).limit(size.done)
        done = list(connection.execute(query).scalars())
    for first in range(0, len(done), CHUNK):
        chosen = done[first : first + CHUNK]
        true = random.choice(6, size=(len(chosen), 1, 1), p=(0.05, 0.05, 0.1, 0.2, 0.3, 0.3))
        noise = random.normal(0.0, 0.7, size=(len(chosen), OVERLAP, len(NAMES)))
        scores = np.clip(np.rint(true + noise), 0, 5).astype(int)
        states = ["contested" if spread > 2 else "finished" for spread in np.ptp(scores.mean(2), 1)]
        with store.write() as connection:
            rows = [
                (item, people[(first + n + m) % len(people)], scores[n, m].tolist())
                for n, item in enumerate(chosen)
                for m in range(OVERLAP)
            ]
            connection.execute(insert(ASSIGNMENTS), [_assignment(*row[:2], at) for row in rows])
            connection.execute(insert(ANNOTATIONS), [_annotation(*row, at) for row in rows])
            for state in ("contested", "finished"):
                mine = [item for item, each in zip(chosen, states, strict=True) if each == state]
                done_now = update(ITEMS).where(ITEMS.c.id.in_(mine))
                connection.execute(done_now.values(state=state, slots=0, finished_at=at))


def _assignment(item: str, person: str, at: float) -> dict[str, Any]:
    return {
        "id": f"{item}-{person}",
        "queue": QUEUE,
        "item": item,
        "person": person,
        "state": "submitted",
        "order": [0],
        "guideline": 0,
        "leased_at": at,
        "lease_until": at + 900.0,
        "ended_at": at + 30.0,
        "active_ms": 30_000,
        "skip_reason": "",
    }


def _annotation(item: str, person: str, scores: list[int], at: float) -> dict[str, Any]:
    return {
        "assignment": f"{item}-{person}",
        "content": {"scores": dict(zip(NAMES, scores, strict=True))},
        "overall": sum(scores) / len(scores),
        "comment": "",
        "created_at": at + 30.0,
    }


def _item(number: int, at: float) -> NewItem:
    return NewItem(
        candidates=(Candidate(f"request-{number}", f"model-{number % 5}"),),
        texts=Texts((Message("user", TEXT),), (TEXT,)),
        time=at,
        reason="random",
        estimated=True,
        uniform=True,
        probability=0.01,
    )


def _token(store: Store, name: str, role: PersonRole, at: float) -> tuple[str, str]:
    with store.write() as connection:
        person = people.add(connection, people.TOKEN, name, name, role, at)
        new = tokens.NewToken(person, "benchmark", role, 1.0)
        return person.id, tokens.create(connection, new, at, by="benchmark")[1]


@contextmanager
def served(
    url: str, password: str | None, size: Size, at: float
) -> Iterator[tuple[int, list[str]]]:
    """Yield the port and the tokens of an application over an empty database."""
    upgrade(url, password, (SCHEMA,))
    with open_store(url, password, (SCHEMA,)) as store:
        secrets = fill(store, size, at)
        context = WebContext(store, WebMetrics())
        config = WebConfig(host="127.0.0.1", sign_in="required")
        application = make_application(context, config)
        with WebServer(application, "127.0.0.1", 0, context.stopping) as server:
            yield server.port, secrets
