"""Labels: what the annotators of an item said together, and its way to the evaluations topic.

A label replaces an earlier one of the same response, so an item that is sent again is harmless.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import Connection, delete, func, insert, select, update

from monitor.events.evaluations import Evaluation
from monitor.web.review import items, queues
from monitor.web.review.answers import OVERALL, decode, overall
from monitor.web.review.evaluations import evaluations_of, shares_below
from monitor.web.review.model import TIE, Answer, Item, Queue
from monitor.web.store.tables import ANNOTATIONS, ASSIGNMENTS, ITEMS, OUTBOX

UNDO_SECONDS: Final = 600.0
"""Time in which a person can undo a rating; labels are sent afterwards."""
RETRY_SECONDS: Final = 60.0
KEEP_SECONDS: Final = 30 * 86_400.0
"""Time for which sent rows of the outbox are kept."""


@dataclass(frozen=True, slots=True)
class Due:
    """A label to be sent, one evaluation for each response; none, as after an erasure, is done."""

    id: int
    evaluations: tuple[Evaluation, ...]


def answers_of(connection: Connection, item: str) -> list[Answer]:
    """Return the valid answers of an item, by the time of their submission."""
    query = (
        select(ANNOTATIONS.c.content, ANNOTATIONS.c.comment)
        .join(ASSIGNMENTS, ASSIGNMENTS.c.id == ANNOTATIONS.c.assignment)
        .where(ASSIGNMENTS.c.item == item, ANNOTATIONS.c.withdrawn_at.is_(None))
        .order_by(ANNOTATIONS.c.id)
    )
    return [decode(content, comment) for content, comment in connection.execute(query)]


def summarize(queue: Queue, answers: Sequence[Answer]) -> dict[str, Any]:
    """Return the label of some answers.

    single: mean scores by dimension, overall, and the overall scores as votes. pairwise: the
    preferred candidate of a majority, else a tie; the votes, also by dimension. ranking: mean
    places by candidate, and the share of the others below it, by annotator. spans: the share of
    annotators who marked each kind of error, and which of them marked none.
    """
    number = len(answers)
    label: dict[str, Any] = {"raters": number}
    if queue.task == "single":
        votes = [overall(queue, each) or 0.0 for each in answers]
        names = [each.name for each in queue.rubric.dimensions]
        means = {name: sum(each.scores[name] for each in answers) / number for name in names}
        label |= {"scores": means, "overall": sum(votes) / number, "votes": votes}
    elif queue.task == "pairwise":
        chosen = Counter(each.preferences[OVERALL] for each in answers)
        best, count = chosen.most_common(1)[0]
        label |= {"preference": best if 2 * count > number else TIE}
        label |= {"votes": [each.preferences[OVERALL] for each in answers]}
        label |= {"preferences": _by_dimension(answers)}
    elif queue.task == "ranking":
        places: defaultdict[str, list[int]] = defaultdict(list)
        wins: defaultdict[str, list[float]] = defaultdict(list)
        for each in answers:
            shares = shares_below(each.ranking)
            for place, group in enumerate(each.ranking):
                for position in group:
                    places[str(position)].append(place)
                    wins[str(position)].append(shares[position])
        label |= {"places": {key: sum(found) / number for key, found in sorted(places.items())}}
        label |= {"wins": dict(sorted(wins.items()))}
    else:
        marked = Counter(kind for each in answers for kind in {span.kind for span in each.spans})
        label |= {"kinds": {kind: count / number for kind, count in sorted(marked.items())}}
        label |= {"clean": [float(not each.spans) for each in answers]}
    return label


def _by_dimension(answers: Sequence[Answer]) -> dict[str, list[int]]:
    """Return the preferences of those who gave one, by dimension."""
    found: defaultdict[str, list[int]] = defaultdict(list)
    for answer in answers:
        for name, vote in answer.preferences.items():
            if name != OVERALL:
                found[name].append(vote)
    return dict(sorted(found.items()))


def is_contested(queue: Queue, answers: Sequence[Answer]) -> bool:
    """Return whether annotators disagree so much that an admin has to decide.

    single: the overall scores differ by `contested_from`. pairwise: no majority. ranking: no
    majority for the best response. spans: as many annotators saw an error as saw none.
    """
    number = len(answers)
    if number < 2:
        return False
    if queue.task == "single":
        votes = [overall(queue, each) or 0.0 for each in answers]
        return max(votes) - min(votes) >= queue.settings.contested_from
    if queue.task == "pairwise":
        chosen: Counter[Any] = Counter(each.preferences[OVERALL] for each in answers)
    elif queue.task == "ranking":
        chosen = Counter(tuple(sorted(each.ranking[0])) for each in answers)
    else:
        chosen = Counter(bool(each.spans) for each in answers)
    return 2 * chosen.most_common(1)[0][1] <= number


def finish_if_done(connection: Connection, queue: Queue, item: Item, at: float) -> None:
    """Finish an item, which the caller has locked, if all its answers are there."""
    if item.gold is not None or item.state != "open" or item.slots > 0:
        return
    held = (ASSIGNMENTS.c.item == item.id, ASSIGNMENTS.c.state == "leased")
    if connection.execute(select(func.count()).where(*held)).scalar_one():
        return
    answers = answers_of(connection, item.id)
    if not answers:
        _set(connection, item.id, {"state": "unlabelled", "finished_at": at})
        return
    state = "contested" if is_contested(queue, answers) else "finished"
    label = summarize(queue, answers)
    _set(connection, item.id, {"state": state, "label": label, "finished_at": at})
    if state == "finished":
        send(connection, item.id, at + UNDO_SECONDS, at)


def settle(connection: Connection, queue: Queue, item: Item, answer: Answer, at: float) -> None:
    """Make the answer of an admin the label of an item, which the caller has locked."""
    label = summarize(queue, [answer]) | {"adjudicated": True}
    _set(connection, item.id, {"state": "settled", "label": label, "slots": 0, "finished_at": at})
    send(connection, item.id, at, at)


def reopen(connection: Connection, item: str) -> None:
    """Open a finished item again, because an answer was undone."""
    _set(connection, item, {"state": "open", "label": None, "finished_at": None})
    unsend(connection, item)


def _set(connection: Connection, item: str, values: dict[str, Any]) -> None:
    connection.execute(update(ITEMS).where(ITEMS.c.id == item).values(values))


def send(connection: Connection, item: str, not_before: float, at: float) -> None:
    """Send the label of an item later. A row of the item that was not sent is replaced."""
    unsend(connection, item)
    number = connection.execute(select(func.count()).where(OUTBOX.c.item == item)).scalar_one()
    row = {"event_id": f"{item}-{number + 1}", "item": item}
    connection.execute(insert(OUTBOX).values(row | {"not_before": not_before, "created_at": at}))


def unsend(connection: Connection, item: str) -> None:
    """Do not send the label of an item."""
    waiting = (OUTBOX.c.item == item, OUTBOX.c.sent_at.is_(None))
    connection.execute(delete(OUTBOX).where(*waiting))


def is_sent(connection: Connection, item: str) -> bool:
    """Return whether a label of an item was sent."""
    sent = (OUTBOX.c.item == item, OUTBOX.c.sent_at.is_not(None))
    return connection.execute(select(OUTBOX.c.id).where(*sent)).first() is not None


def take_due(connection: Connection, at: float, limit: int = 200) -> list[Due]:
    """Return the labels that are to be sent now, oldest first.

    Nobody else takes them for a minute. One that was not marked as sent is taken again then.
    """
    query = (
        select(OUTBOX.c.id.label("number"), ITEMS)
        .join(ITEMS, ITEMS.c.id == OUTBOX.c.item)
        .where(OUTBOX.c.sent_at.is_(None), OUTBOX.c.not_before <= at)
        .order_by(OUTBOX.c.id)
        .limit(limit)
        .with_for_update(skip_locked=True, of=OUTBOX)
    )
    known = {queue.name: queue for queue in queues.listed(connection)}
    found = []
    for row in connection.execute(query).all():
        fields = dict(row._mapping)
        number = fields.pop("number")
        item = Item(**fields)
        responses = items.candidates(connection, item.id)
        found.append(Due(number, evaluations_of(known[item.queue], item, responses)))
    taken = update(OUTBOX).where(OUTBOX.c.id.in_([each.id for each in found]))
    connection.execute(taken.values(not_before=at + RETRY_SECONDS))
    return found


def mark_sent(connection: Connection, ids: Sequence[int], at: float) -> None:
    """Record that Kafka has these labels, and forget old rows."""
    connection.execute(update(OUTBOX).where(OUTBOX.c.id.in_(ids)).values(sent_at=at))
    connection.execute(delete(OUTBOX).where(OUTBOX.c.sent_at < at - KEEP_SECONDS))


def unsent(connection: Connection) -> int:
    """Return the number of labels that wait."""
    query = select(func.count()).where(OUTBOX.c.sent_at.is_(None))
    return connection.execute(query).scalar_one()
