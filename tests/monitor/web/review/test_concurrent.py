"""Six processes rate one queue at once; a process that is killed loses no rating."""

from __future__ import annotations

from collections import Counter

from sqlalchemy import func, select

from monitor.database.store import Store
from monitor.web.review.tasks import assigning
from monitor.web.store.tables import ANNOTATIONS, ASSIGNMENTS, ITEMS
from tests.long_form import LONG
from tests.monitor.web import claims
from tests.monitor.web.reviews import (
    START,
    add_items,
    add_person,
    add_queue,
    claimed,
    new_item,
)
from tests.replay.store import workers

PROCESSES = 6
ITEM_COUNT = 400 if LONG else 40
OVERLAP = 3
LONGEST_S = 550


def test_six_processes_give_each_item_to_three_people(url: str, store: Store) -> None:
    """Each item is rated three times, by different people, and no process sees an error."""
    queue = add_queue(store, overlap=OVERLAP)
    add_items(store, queue, [new_item(number) for number in range(ITEM_COUNT)])
    names = [[f"p{process}-{each}" for each in range(2)] for process in range(PROCESSES)]
    for name in (name for each in names for name in each):
        add_person(store, name)
    output = workers.run([(claims.annotate, (url, each)) for each in names], LONGEST_S)
    rated = [pair for each in output for pair in each]
    assert len(set(rated)) == len(rated) == OVERLAP * ITEM_COUNT
    assert set(Counter(item for item, _ in rated).values()) == {OVERLAP}
    with store.read() as connection:
        states = select(ITEMS.c.state, ITEMS.c.slots, func.count()).group_by("state", "slots")
        assert connection.execute(states).all() == [("finished", 0, ITEM_COUNT)]
        counted = connection.execute(select(func.count()).select_from(ANNOTATIONS)).scalar_one()
        assert counted == len(rated)


def test_a_killed_process_loses_no_rating(url: str, store: Store) -> None:
    """After kill -9 all ratings that were confirmed are there, and its task is given to others."""
    queue = add_queue(store, overlap=1)
    add_items(store, queue, [new_item(number) for number in range(300)])
    add_person(store, "victim")
    other = add_person(store, "other")
    with workers.started([(claims.rate_until_killed, (url, "victim"))]) as ((victim, sent),):
        confirmed = [sent.recv() for _ in range(10)]
        victim.kill()
        victim.join()
        while sent.poll():
            try:
                confirmed.append(sent.recv())
            except EOFError:
                break
    with store.read() as connection:
        query = select(ASSIGNMENTS.c.id).join(
            ANNOTATIONS, ANNOTATIONS.c.assignment == ASSIGNMENTS.c.id
        )
        kept = set(connection.execute(query.where(ASSIGNMENTS.c.state == "submitted")).scalars())
    assert set(confirmed) <= kept
    assert len(kept) <= len(confirmed) + 1  # the kill may have come before the confirmation
    with store.write() as connection:
        assigning.expire(connection, queue.name, START + 61)
        waiting = select(func.count()).where(ITEMS.c.slots == 1)
        assert connection.execute(waiting).scalar_one() == 300 - len(kept)
    assert claimed(store, queue, other, START + 61).item
