"""What an annotator sees of a task, and what an answer to it means.

The view is blind: it has no model, no request, no reason, no judge, and nobody else's answer.
Responses are in the order in which they are shown, and answers name them by this order. The stored
answer names the candidates of the item.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final, Literal

from sqlalchemy import Connection, func, select

from monitor.web.review import items, queues
from monitor.web.review.answers import InvalidAnswer, decode
from monitor.web.review.model import (
    TIE,
    Answer,
    Assignment,
    Conflict,
    Dimension,
    Message,
    Severity,
    Span,
    TaskType,
)
from monitor.web.review.tasks import assigning
from monitor.web.store.tables import ANNOTATIONS, ASSIGNMENTS

Preference = Literal["first", "second", "tie"]
PREFERENCES: Final[tuple[Preference, ...]] = ("first", "second")


@dataclass(frozen=True, slots=True)
class ShownSpan:
    """A marked error. response: number of the shown response, from 0. end: exclusive."""

    response: int
    start: int
    end: int
    kind: str
    severity: Severity = "major"


@dataclass(frozen=True, slots=True)
class ShownAnswer:
    """An answer in terms of what was shown. Fields that do not belong to the task are None.

    ranking: groups of numbers of shown responses, best first.
    """

    scores: dict[str, int] | None = None
    preferences: dict[str, Preference] | None = None
    ranking: list[list[int]] | None = None
    spans: list[ShownSpan] | None = None
    comment: str = ""


@dataclass(frozen=True, slots=True)
class TaskView:
    """A task of an annotator. answer: an earlier one that was undone, to be corrected.

    submitted_by_me: tasks of this queue that this person has submitted. lease_until: epoch seconds.
    """

    id: str
    queue: str
    task: TaskType
    state: str
    lease_until: float
    rubric: str
    description: str
    dimensions: tuple[Dimension, ...]
    guideline_version: int
    prompt: tuple[Message, ...]
    contexts: tuple[str, ...]
    reference: str
    responses: tuple[str, ...]
    answer: ShownAnswer | None
    submitted_by_me: int


def task_view(connection: Connection, task: Assignment) -> TaskView:
    """Return what the person of an assignment sees. Raises Conflict if the texts were erased."""
    queue = queues.find(connection, task.queue)
    texts = items.texts(connection, task.item)
    if texts is None:
        raise Conflict("the texts of this task were erased")
    return TaskView(
        id=task.id,
        queue=queue.name,
        task=queue.task,
        state=task.state,
        lease_until=task.lease_until,
        rubric=queue.rubric.name,
        description=queue.rubric.description,
        dimensions=queue.rubric.dimensions,
        guideline_version=task.guideline,
        prompt=texts.prompt,
        contexts=texts.contexts,
        reference=texts.reference,
        responses=tuple(texts.responses[position] for position in task.order),
        answer=_last_answer(connection, task, queue.task),
        submitted_by_me=_submitted(connection, task),
    )


@dataclass(frozen=True, slots=True)
class Asked:
    """What an answer to a task depends on. responses: as they are shown. order: of candidates."""

    task: TaskType
    responses: tuple[str, ...]
    order: tuple[int, ...]


def find_asked(connection: Connection, identity: str, person: str) -> Asked:
    """Return what an answer to a task of a person depends on. Raises NotFound and Conflict."""
    held = assigning.find(connection, identity, person)
    texts = items.texts(connection, held.item)
    if texts is None:
        raise Conflict("the texts of this task were erased")
    responses = tuple(texts.responses[position] for position in held.order)
    return Asked(queues.find(connection, held.queue).task, responses, held.order)


def find_task(connection: Connection, identity: str, person: str) -> TaskView:
    """Return a task of a person. Raises NotFound, also for tasks of other people."""
    return task_view(connection, assigning.find(connection, identity, person))


def my_tasks(connection: Connection, person: str, at: float) -> list[Assignment]:
    """Return the tasks that a person holds now, in all queues."""
    query = select(ASSIGNMENTS).where(
        ASSIGNMENTS.c.person == person,
        ASSIGNMENTS.c.state == "leased",
        ASSIGNMENTS.c.lease_until > at,
    )
    return [assigning.assignment_of(row) for row in connection.execute(query)]


def _submitted(connection: Connection, task: Assignment) -> int:
    mine = (
        ASSIGNMENTS.c.person == task.person,
        ASSIGNMENTS.c.queue == task.queue,
        ASSIGNMENTS.c.state == "submitted",
    )
    return connection.execute(select(func.count()).where(*mine)).scalar_one()


def _last_answer(
    connection: Connection, task: Assignment, task_type: TaskType
) -> ShownAnswer | None:
    query = select(ANNOTATIONS.c.content, ANNOTATIONS.c.comment).where(
        ANNOTATIONS.c.assignment == task.id
    )
    row = connection.execute(query.order_by(ANNOTATIONS.c.id.desc()).limit(1)).first()
    return None if row is None else shown(decode(row.content, row.comment), task.order, task_type)


def stored(answer: ShownAnswer, order: Sequence[int]) -> Answer:
    """Return an answer in terms of the candidates. Raises InvalidAnswer for unknown responses."""
    return Answer(
        scores=dict(answer.scores or {}),
        preferences={
            name: TIE if value == "tie" else _candidate(order, PREFERENCES.index(value))
            for name, value in (answer.preferences or {}).items()
        },
        ranking=tuple(
            tuple(sorted(_candidate(order, number) for number in group))
            for group in answer.ranking or ()
        ),
        spans=tuple(
            Span(_candidate(order, each.response), each.start, each.end, each.kind, each.severity)
            for each in answer.spans or ()
        ),
        comment=answer.comment,
    )


def _candidate(order: Sequence[int], number: int) -> int:
    if not 0 <= number < len(order):
        raise InvalidAnswer(f"there is no response {number}")
    return order[number]


def shown(answer: Answer, order: Sequence[int], task: TaskType) -> ShownAnswer:
    """Return a stored answer in terms of what was shown."""
    number = {candidate: index for index, candidate in enumerate(order)}
    empty = ShownAnswer(comment=answer.comment)
    if task == "single":
        return replace(empty, scores=answer.scores)
    if task == "pairwise":
        return replace(
            empty,
            preferences={
                name: "tie" if value == TIE else PREFERENCES[number[value]]
                for name, value in answer.preferences.items()
            },
        )
    if task == "ranking":
        return replace(empty, ranking=[[number[c] for c in group] for group in answer.ranking])
    spans = [
        ShownSpan(number[each.candidate], each.start, each.end, each.kind, each.severity)
        for each in answer.spans
    ]
    return replace(empty, spans=spans)
