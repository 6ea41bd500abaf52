"""What a person does with a task: submit, skip, undo; and what an admin decides about an item."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Final

from sqlalchemy import Connection, func, insert, select, update

from monitor.web.review import answers, items, labels, queues
from monitor.web.review.model import Answer, Assignment, Conflict, Item, Queue
from monitor.web.review.tasks import assigning
from monitor.web.store.tables import ANNOTATIONS, ASSIGNMENTS, AUDIT, ITEMS, SPANS, VERDICTS

SKIPS_BEYOND_OVERLAP: Final = 2
"""So many more people than the overlap may skip an item; then it ends with the answers it has."""
SKIP_REASONS: Final = ("unclear", "language", "expertise", "private", "broken", "other")
MAX_ACTIVE_MS: Final = 3_600_000
MAX_REASON_CHARS: Final = 4_000


def submit(
    connection: Connection, assignment: str, person: str, answer: Answer, active_ms: int, at: float
) -> Assignment:
    """Store an answer. Submitting the same answer again changes nothing.

    An answer after the end of the lease counts as long as no other annotator got the item. Raises
    NotFound, Conflict, and InvalidAnswer.
    """
    held = assigning.locked(connection, assignment, person)
    queue = queues.find(connection, held.queue)
    if held.state == "submitted":
        if _stored(connection, held.id) == (answers.encode(queue, answer), answer.comment):
            return held
        raise Conflict("this task was submitted already; undo it to change the answer")
    item = _usable(connection, held)
    texts = items.texts(connection, held.item)
    if texts is None:
        raise Conflict("the texts of this task were erased")
    answers.check(queue, answer, texts)
    _insert(connection, queue, item, held, answer, at)
    values: dict[str, Any] = {"state": "submitted", "ended_at": at}
    values |= {"active_ms": max(0, min(active_ms, MAX_ACTIVE_MS))}
    assigning.change(connection, held.id, values)
    if held.state == "expired" and item.gold is None:
        assigning.add_slots(connection, item.id, -1)
        item = replace(item, slots=item.slots - 1)
    labels.finish_if_done(connection, queue, item, at)
    return replace(held, **values)


def _usable(connection: Connection, held: Assignment) -> Item:
    """Return the item of a task, locked. Raises Conflict if an answer can no longer count."""
    if held.state not in {"leased", "expired"}:
        raise Conflict(f"this task is {held.state}")
    item = items.locked(connection, held.item)
    if item.state != "open":
        raise Conflict("this task is no longer needed: the item is done or erased")
    if held.state == "expired" and item.gold is None and item.slots < 1:
        raise Conflict("the time for this task is over, and others have rated the item")
    return item


def _stored(connection: Connection, assignment: str) -> tuple[Any, str] | None:
    valid = (ANNOTATIONS.c.assignment == assignment, ANNOTATIONS.c.withdrawn_at.is_(None))
    row = connection.execute(select(ANNOTATIONS).where(*valid)).first()
    return None if row is None else (row.content, row.comment)


def _insert(
    connection: Connection, queue: Queue, item: Item, held: Assignment, answer: Answer, at: float
) -> None:
    gold = None if item.gold is None else answers.gold_agreement(queue, answer, item.gold)
    row = {
        "assignment": held.id,
        "content": answers.encode(queue, answer),
        "overall": answers.overall(queue, answer),
        "comment": answer.comment,
        "gold_score": gold,
        "created_at": at,
    }
    number = connection.execute(insert(ANNOTATIONS).values(row)).inserted_primary_key
    assert number is not None
    spans = [
        {
            "annotation": number[0],
            "number": index,
            "candidate": span.candidate,
            "first": span.start,
            "end": span.end,
            "kind": span.kind,
            "severity": span.severity,
        }
        for index, span in enumerate(answer.spans)
    ]
    if spans:
        connection.execute(insert(SPANS), spans)


def skip(
    connection: Connection, assignment: str, person: str, reason: str, active_ms: int, at: float
) -> None:
    """Leave an item to others, with the reason. Raises NotFound and Conflict.

    An item that many people skip ends with the answers it has, or unlabelled, and is counted.
    """
    held = assigning.locked(connection, assignment, person)
    if held.state == "skipped":
        return
    if held.state not in {"leased", "expired"}:
        raise Conflict(f"this task is {held.state}")
    values = {"state": "skipped", "skip_reason": reason, "ended_at": at}
    ended = values | {"active_ms": max(0, min(active_ms, MAX_ACTIVE_MS))}
    assigning.change(connection, held.id, ended)
    item = items.locked(connection, held.item)
    if item.gold is not None or item.state != "open":
        return
    slots = item.slots + (held.state == "leased")
    counted = (ASSIGNMENTS.c.item == item.id, ASSIGNMENTS.c.state.in_(("leased", "submitted")))
    overlap = slots + connection.execute(select(func.count()).where(*counted)).scalar_one()
    if item.skips + 1 >= overlap + SKIPS_BEYOND_OVERLAP:
        slots = 0
    statement = update(ITEMS).where(ITEMS.c.id == item.id)
    connection.execute(statement.values(skips=item.skips + 1, slots=slots))
    queue = queues.find(connection, held.queue)
    labels.finish_if_done(connection, queue, items.find(connection, item.id), at)


def undo(connection: Connection, queue: Queue, person: str, at: float) -> Assignment:
    """Take back the last answer or skip of a person in a queue, and lease the item again.

    Raises Conflict if there is none, if it is too long ago, or if its label was sent or decided.
    """
    assigning.lock_person(connection, person)
    last = _last(connection, queue.name, person)
    if last is None or (last.ended_at or 0.0) < at - labels.UNDO_SECONDS:
        raise Conflict("there is nothing to undo: only the last task of ten minutes can be undone")
    held = assigning.current(connection, queue.name, person, at)
    for identity in sorted({last.item, last.item if held is None else held.item}):
        items.locked(connection, identity)
    if held is not None:
        assigning.release(connection, held, at)
    item = items.find(connection, last.item)
    if item.state in {"settled", "erased"} or labels.is_sent(connection, item.id):
        raise Conflict("this answer was used already and can no longer be undone")
    if last.state == "skipped" and (item.state != "open" or (item.gold is None and item.slots < 1)):
        raise Conflict("others have rated the item that you skipped")
    if last.state == "submitted":
        valid = (ANNOTATIONS.c.assignment == last.id, ANNOTATIONS.c.withdrawn_at.is_(None))
        connection.execute(update(ANNOTATIONS).where(*valid).values(withdrawn_at=at))
        if item.state != "open":
            labels.reopen(connection, item.id)
    elif item.gold is None:
        statement = update(ITEMS).where(ITEMS.c.id == item.id)
        connection.execute(statement.values(slots=ITEMS.c.slots - 1, skips=ITEMS.c.skips - 1))
    values = {"state": "leased", "ended_at": None, "skip_reason": "", "leased_at": at}
    until = at + queue.settings.lease_seconds
    assigning.change(connection, last.id, values | {"lease_until": until})
    return assigning.find(connection, last.id, person)


def _last(connection: Connection, queue: str, person: str) -> Assignment | None:
    query = select(ASSIGNMENTS).where(
        ASSIGNMENTS.c.person == person,
        ASSIGNMENTS.c.queue == queue,
        ASSIGNMENTS.c.state.in_(("submitted", "skipped")),
    )
    row = connection.execute(query.order_by(ASSIGNMENTS.c.ended_at.desc()).limit(1)).first()
    return None if row is None else assigning.assignment_of(row)


def adjudicate(
    connection: Connection, item: str, person: str, answer: Answer, reason: str, at: float
) -> Item:
    """Decide about an item. The answer becomes its label, and the decision is in the audit trail.

    Raises NotFound, InvalidAnswer, and Conflict if annotators still rate it or its texts are gone.
    """
    found = items.locked(connection, item)
    queue = queues.find(connection, found.queue)
    if found.state not in {"finished", "contested", "settled"}:
        raise Conflict(f"this item is {found.state}; only rated items are decided")
    texts = items.texts(connection, item)
    if texts is None:
        raise Conflict("the texts of this item were erased")
    answers.check(queue, answer, texts)
    content = answers.encode(queue, answer)
    row = {
        "item": item,
        "person": person,
        "content": content,
        "overall": answers.overall(queue, answer),
        "reason": reason[:MAX_REASON_CHARS],
        "created_at": at,
    }
    connection.execute(insert(VERDICTS).values(row))
    labels.settle(connection, queue, found, answer, at)
    AUDIT.append(connection, "verdict", item, {"person": person, "content": content}, at)
    return items.find(connection, item)
