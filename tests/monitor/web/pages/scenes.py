"""A database with queues of all tasks, people, answers, decisions: something on every page."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from monitor.database.store import Store
from monitor.web.review import items, queues
from monitor.web.review.model import (
    TIE,
    Answer,
    Candidate,
    Message,
    NewItem,
    Queue,
    Span,
    Texts,
)
from monitor.web.review.tasks import assigning, submitting
from monitor.web.sign_in.people import Person
from monitor.web.views import decisions
from monitor.web.views.decisions import NewDecision
from tests.monitor.web.reviews import START, add_person, add_queue

RESPONSES = {"single": 1, "pairwise": 2, "ranking": 3, "spans": 1}
ANSWER = (
    "Water boils at 90 degrees at sea level. It freezes at 0 degrees, and it is densest at about 4"
    " degrees."
)


@dataclass
class Scene:
    """What is in the database. contested: id of an item that annotators disagree about.

    tasks: id of a task that `ann` holds, by type of task.
    """

    people: list[Person] = field(default_factory=list)
    queues: dict[str, Queue] = field(default_factory=dict)
    tasks: dict[str, str] = field(default_factory=dict)
    contested: str = ""


def item(number: int, task: str, text: str = ANSWER, model: str = "llama") -> NewItem:
    """Return an item of a type of task. text: of the prompt and of all responses."""
    count = RESPONSES[task]
    return NewItem(
        candidates=tuple(
            Candidate(f"{task}-{number}-{i}", f"{model}-{i}" if count > 1 else model)
            for i in range(count)
        ),
        texts=Texts(
            prompt=(Message("system", "Be brief."), Message("user", f"{text} {number}?")),
            responses=tuple(f"{text} ({i})" for i in range(count)),
            contexts=(text,),
            reference="100 degrees",
        ),
        time=START,
        judge={"score": 4.5, "version": "1", "secret": "verdict of the judge"},
    )


def answer(task: str, good: bool = True) -> Answer:
    """Return an answer: of somebody who likes the response, or of somebody who does not."""
    if task == "single":
        return Answer(scores={"accuracy": 5 if good else 0, "fluency": 4 if good else 1})
    if task == "pairwise":
        return Answer(preferences={"overall": 0 if good else 1, "accuracy": TIE})
    if task == "ranking":
        return Answer(ranking=((0,), (1, 2)) if good else ((2,), (0, 1)))
    return Answer(spans=() if good else (Span(0, 14, 24, "accuracy"),))


def furnish(store: Store, text: str = ANSWER, name: str = "ann", at: float = START) -> Scene:
    """Fill a database. text: of prompts, responses, comments, reasons. name: of an annotator."""
    scene = Scene(people=[add_person(store, name), add_person(store, "bob")])
    for task in RESPONSES:
        queue = add_queue(store, task, f"{task}-queue", overlap=2, lease_seconds=3_600.0)
        scene.queues[task] = queue
        with store.write() as connection:
            new = [item(number, task, text) for number in range(4)]
            added = items.add(connection, queue, new, at)
            guideline = f"Read twice.\n{text}"
            queues.set_guideline(connection, queue.name, guideline, at, person="test")
        for person, good in zip(scene.people, (True, False), strict=True):
            _rate(store, queue, person, good, at, text)
        with store.write() as connection:
            held = assigning.claim(connection, queue, scene.people[0].id, at)
            assert held is not None
            scene.tasks[task] = held.id
            states = [items.find(connection, each) for each in added]
            if task == "single":
                scene.contested = next(each.id for each in states if each.state == "contested")
    _decide(store, scene.people[0], text, at)
    return scene


def _rate(store: Store, queue: Queue, person: Person, good: bool, at: float, comment: str) -> None:
    with store.write() as connection:
        held = assigning.claim(connection, queue, person.id, at)
        assert held is not None
        given = answer(queue.task, good)
        given = Answer(given.scores, given.preferences, given.ranking, given.spans, comment[:200])
        submitting.submit(connection, held.id, person.id, given, 4_000, at)


def _decide(store: Store, person: Person, text: str, at: float) -> None:
    short = text[:150]
    subjects: Sequence[str] = (f"model/{short}", "experiment/prompt", short)
    with store.write() as connection:
        for number, subject in enumerate(subjects):
            new = NewDecision(subject, "hold", text[:1_000], (short,), (short, "p 0.2"))
            decisions.decide(connection, new, person.id, at - number)
