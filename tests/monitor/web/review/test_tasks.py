"""Tasks: the order, leases, skips, undo, gold items, and the state machine of all of them."""

from __future__ import annotations

import math
import shutil
import tempfile
from pathlib import Path

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from sqlalchemy import func, select

from monitor.database.opening import open_store
from monitor.database.store import Store
from monitor.web.review import erasure, items, labels
from monitor.web.review.answers import InvalidAnswer
from monitor.web.review.model import Answer, Conflict, NotFound, Queue, QueueState
from monitor.web.review.tasks import assigning, submitting
from monitor.web.store.tables import ANNOTATIONS, ASSIGNMENTS, ITEMS, OUTBOX
from tests.long_form import LONG
from tests.monitor.web.reviews import (
    SCHEMAS,
    START,
    add_items,
    add_person,
    add_queue,
    claim,
    claimed,
    new_item,
    rate,
    scores,
    slots,
)


def test_items_are_served_in_the_order_of_xi(sqlite_store: Store) -> None:
    """Each person receives the items by ascending priority, whatever the order of arrival."""
    queue = add_queue(sqlite_store)
    ids = add_items(
        sqlite_store, queue, [new_item(n, estimated=True, difficulty=n % 3 / 2) for n in range(30)]
    )
    ann = add_person(sqlite_store)
    served = [rate(sqlite_store, queue, ann).item for _ in ids]
    with sqlite_store.read() as connection:
        assert served == sorted(ids, key=lambda item: items.find(connection, item).xi)
    assert claim(sqlite_store, queue, ann) is None


def test_a_person_holds_one_task_until_it_is_over(store: Store) -> None:
    """Claiming again returns the same task with a longer lease; another person gets another."""
    queue = add_queue(store, overlap=1)
    add_items(store, queue, [new_item(1), new_item(2)])
    ann, bob = add_person(store), add_person(store, "bob")
    first = claimed(store, queue, ann)
    again = claimed(store, queue, ann, START + 30)
    assert (again.id, again.lease_until) == (first.id, START + 90)
    assert claimed(store, queue, bob).item != first.item
    assert claimed(store, queue, bob, START + 80).item != first.item
    assert claimed(store, queue, bob, START + 200).id == claimed(store, queue, bob, START + 200).id


def test_an_expired_lease_is_given_to_another_person(store: Store) -> None:
    """The first one may still answer while nobody else has the item, and not afterwards."""
    queue = add_queue(store, overlap=1)
    add_items(store, queue, [new_item(1)])
    ann, bob = add_person(store), add_person(store, "bob")
    late = claimed(store, queue, ann)
    assert claim(store, queue, bob, START + 59) is None
    taken = claimed(store, queue, bob, START + 60)
    assert taken.item == late.item
    with (
        pytest.raises(Conflict, match="others have rated"),
        store.write() as connection,
    ):
        submitting.submit(connection, late.id, ann.id, scores(), 1, START + 61)
    with store.write() as connection:
        assigning.expire(connection, queue.name, START + 200)
        submitting.submit(connection, late.id, ann.id, scores(), 1, START + 201)
        assert items.find(connection, late.item).state == "finished"


def test_a_task_of_another_person_is_not_there(sqlite_store: Store) -> None:
    """Neither reading, answering nor skipping works with the task of another person."""
    queue = add_queue(sqlite_store)
    add_items(sqlite_store, queue, [new_item(1)])
    task = claimed(sqlite_store, queue, add_person(sqlite_store))
    bob = add_person(sqlite_store, "bob").id
    with sqlite_store.write() as connection:
        for action in (
            lambda: assigning.find(connection, task.id, bob),
            lambda: submitting.submit(connection, task.id, bob, scores(), 1, START),
            lambda: submitting.skip(connection, task.id, bob, "unclear", 1, START),
        ):
            with pytest.raises(NotFound):
                action()


def test_submitting_the_same_answer_again_changes_nothing(store: Store) -> None:
    """A repeated request succeeds; another answer is refused until the first one is undone."""
    queue = add_queue(store)
    add_items(store, queue, [new_item(1)])
    ann = add_person(store)
    task = rate(store, queue, ann, scores(4, 3, "good"))
    with store.write() as connection:
        submitting.submit(connection, task.id, ann.id, scores(4, 3, "good"), 9, START)
        assert connection.execute(select(func.count()).select_from(ANNOTATIONS)).scalar() == 1
    for other in (scores(4, 2, "good"), scores(4, 3, "bad")):
        with pytest.raises(Conflict, match="submitted already"), store.write() as connection:
            submitting.submit(connection, task.id, ann.id, other, 1, START)


def test_undo_returns_the_task_until_its_label_is_sent(store: Store) -> None:
    """The last answer can be corrected for ten minutes; the item is finished again afterwards."""
    queue = add_queue(store, overlap=1)
    (item,) = add_items(store, queue, [new_item(1)])
    ann = add_person(store)
    task = rate(store, queue, ann, scores(1, 1))
    with store.write() as connection:
        assert items.find(connection, item).state == "finished"
        again = submitting.undo(connection, queue, ann.id, START + 10)
        assert (again.id, again.state) == (task.id, "leased")
        assert items.find(connection, item).label is None
        assert labels.take_due(connection, START + 10_000) == []
        submitting.submit(connection, task.id, ann.id, scores(5, 5), 1, START + 20)
        (due,) = labels.take_due(connection, START + 20 + labels.UNDO_SECONDS)
        assert due.evaluations
        assert due.evaluations[0].score == 5
        with pytest.raises(Conflict, match="nothing to undo"):
            submitting.undo(connection, queue, ann.id, START + 21 + labels.UNDO_SECONDS)


def test_a_skipped_item_goes_to_others_and_ends_unlabelled(store: Store) -> None:
    """Skips are counted, and an item that everybody skips blocks nobody."""
    queue = add_queue(store, overlap=1)
    (item,) = add_items(store, queue, [new_item(1)])
    for number in range(3):
        person = add_person(store, f"p{number}")
        task = claimed(store, queue, person)
        with store.write() as connection:
            submitting.skip(connection, task.id, person.id, "language", 5, START)
        assert claim(store, queue, person) is None
    with store.read() as connection:
        found = items.find(connection, item)
        assert (found.state, found.skips, found.slots) == ("unlabelled", 3, 0)


def test_an_item_that_many_skip_ends_with_the_answers_it_has(store: Store) -> None:
    """One answer and many skips make a finished item."""
    queue = add_queue(store, overlap=2)
    (item,) = add_items(store, queue, [new_item(1)])
    rate(store, queue, add_person(store))
    for number in range(4):
        person = add_person(store, f"p{number}")
        task = claimed(store, queue, person)
        with store.write() as connection:
            submitting.skip(connection, task.id, person.id, "unclear", 5, START)
    with store.read() as connection:
        found = items.find(connection, item)
        assert found.state == "finished"
        assert found.label is not None
        assert found.label["raters"] == 1


def test_gold_items_are_a_share_and_are_compared(sqlite_store: Store) -> None:
    """About the configured share of tasks is gold; nobody gets one twice; they have no label."""
    queue = add_queue(sqlite_store, overlap=1, gold_share=0.2)
    gold = {"scores": {"accuracy": 4, "fluency": 0}}
    add_items(sqlite_store, queue, [new_item(n) for n in range(60)])
    known = add_items(sqlite_store, queue, [new_item(n, gold=gold) for n in range(100, 125)])
    ann = add_person(sqlite_store)
    rated = [rate(sqlite_store, queue, ann, scores(5, 5)).item for _ in range(60)]
    assert 3 <= len(set(rated) & set(known)) <= 24
    assert len(set(rated)) == len(rated)
    with sqlite_store.read() as connection:
        agreement = select(ANNOTATIONS.c.gold_score).where(ANNOTATIONS.c.gold_score.is_not(None))
        assert set(connection.execute(agreement).scalars()) == {0.5}
        sent = set(connection.execute(select(OUTBOX.c.item)).scalars())
        assert not sent & set(known)


@pytest.mark.parametrize("state", ["paused", "closed"])
def test_only_open_queues_give_out_tasks(sqlite_store: Store, state: QueueState) -> None:
    """A paused or closed queue gives out nothing new, and the task that a person holds counts."""
    from monitor.web.review import queues

    queue = add_queue(sqlite_store)
    add_items(sqlite_store, queue, [new_item(1), new_item(2)])
    ann = add_person(sqlite_store)
    task = claimed(sqlite_store, queue, ann)
    with sqlite_store.write() as connection:
        queue = queues.change(connection, queue.name, START, person="x", state=state)
    assert claim(sqlite_store, queue, add_person(sqlite_store, "bob")) is None
    assert claimed(sqlite_store, queue, ann).id == task.id


def test_an_admin_decides_a_contested_item(store: Store) -> None:
    """Raters who differ by two points contest an item; the verdict becomes its label."""
    queue = add_queue(store, overlap=2)
    (item,) = add_items(store, queue, [new_item(1)])
    rate(store, queue, add_person(store), scores(5, 5))
    rate(store, queue, add_person(store, "bob"), scores(1, 1))
    admin = add_person(store, "admin")
    with store.write() as connection:
        assert items.find(connection, item).state == "contested"
        assert labels.take_due(connection, START + 10_000) == []
        with pytest.raises(InvalidAnswer):
            submitting.adjudicate(connection, item, admin.id, Answer(), "", START)
        submitting.adjudicate(connection, item, admin.id, scores(2, 2), "wrong fact", START)
        (due,) = labels.take_due(connection, START)
        assert due.evaluations
        assert due.evaluations[0].score == 2
        assert not due.evaluations[0].passed


class Reviewing(RuleBasedStateMachine):
    """Four people and two queues do anything in any order."""

    people = ("a", "b", "c", "d")
    template: Path | None = None

    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp(prefix="plumbline-reviewing-"))
        cls = type(self)
        if cls.template is None:
            cls.template = Path(tempfile.mkdtemp(prefix="plumbline-template-")) / "web.db"
            open_store(f"sqlite:///{cls.template}", None, SCHEMAS).close()
        shutil.copy(cls.template, self.folder / "web.db")
        self.store = open_store(f"sqlite:///{self.folder / 'web.db'}", None, SCHEMAS)
        self.at = START
        self.numbers = 0

    @initialize(overlap=st.integers(1, 3))
    def begin(self, overlap: int) -> None:
        """Create the queue and the people."""
        self.overlap = overlap
        self.queue: Queue = add_queue(self.store, overlap=overlap)
        self.persons = [add_person(self.store, name) for name in self.people]

    @rule(number=st.integers(1, 3))
    def arrive(self, number: int) -> None:
        """Items enter."""
        new = [new_item(self.numbers + n, estimated=True) for n in range(number)]
        add_items(self.store, self.queue, new, self.at)
        self.numbers += number

    @rule(who=st.integers(0, 3))
    def take(self, who: int) -> None:
        """A person claims."""
        claim(self.store, self.queue, self.persons[who], self.at)

    @rule(who=st.integers(0, 3), score=st.integers(0, 5), late=st.booleans())
    def submit(self, who: int, score: int, late: bool) -> None:
        """A person answers the newest task, perhaps after its lease."""
        task = self._newest(who, "expired" if late else "leased")
        if task is not None:
            try:
                with self.store.write() as connection:
                    person = self.persons[who].id
                    submitting.submit(connection, task, person, scores(score, score), 1, self.at)
            except Conflict:
                assert late

    @rule(who=st.integers(0, 3))
    def skip(self, who: int) -> None:
        """A person skips."""
        task = self._newest(who, "leased")
        if task is not None:
            with self.store.write() as connection:
                submitting.skip(connection, task, self.persons[who].id, "other", 1, self.at)

    @rule(who=st.integers(0, 3))
    def undo(self, who: int) -> None:
        """A person takes the last answer back."""
        try:
            with self.store.write() as connection:
                submitting.undo(connection, self.queue, self.persons[who].id, self.at)
        except Conflict:
            return

    @rule(seconds=st.sampled_from((1.0, 30.0, 70.0, 700.0)))
    def pass_time(self, seconds: float) -> None:
        """Time passes, and leases end."""
        self.at += seconds
        with self.store.write() as connection:
            assigning.expire(connection, self.queue.name, self.at)

    @precondition(lambda self: self.numbers)
    @rule(data=st.data())
    def erase(self, data: st.DataObject) -> None:
        """The texts of a user are erased."""
        number = data.draw(st.integers(0, self.numbers - 1))
        with self.store.write() as connection:
            erasure.erase_user(connection, f"user-{number}", self.at, person="x")

    def _newest(self, who: int, state: str) -> str | None:
        query = select(ASSIGNMENTS.c.id).where(
            ASSIGNMENTS.c.person == self.persons[who].id, ASSIGNMENTS.c.state == state
        )
        with self.store.read() as connection:
            newest = query.order_by(ASSIGNMENTS.c.leased_at.desc()).limit(1)
            return connection.execute(newest).scalar()

    @invariant()
    def no_item_is_given_out_too_often(self) -> None:
        """Slots, leases and answers of an open item are its overlap; a done one has no lease."""
        if not self.numbers:
            return
        with self.store.read() as connection:
            for item in connection.execute(select(ITEMS)):
                counted = select(ASSIGNMENTS.c.state, func.count()).group_by(ASSIGNMENTS.c.state)
                rows = connection.execute(counted.where(ASSIGNMENTS.c.item == item.id))
                states = {str(state): int(number) for state, number in rows}
                held, done = states.get("leased", 0), states.get("submitted", 0)
                assert item.slots >= 0
                assert item.slots + held + done <= self.overlap
                if item.state == "open":
                    assert item.slots + held > 0
                    if item.skips < self.overlap + submitting.SKIPS_BEYOND_OVERLAP:
                        assert item.slots + held + done == self.overlap
                else:
                    assert (item.slots, held) == (0, 0)
                    assert (item.label is not None) == (
                        item.state in {"finished", "contested"}
                    ) or (item.state == "erased")
                assert slots(connection, item.id) == item.slots

    @invariant()
    def the_frontier_is_the_first_item_that_is_not_done(self) -> None:
        """Whether it waits, is rated, or is contested."""
        if not self.numbers:
            return
        not_done = ITEMS.c.state.in_(("open", "contested"))
        with self.store.read() as connection:
            first = connection.execute(select(func.min(ITEMS.c.xi)).where(not_done)).scalar()
            found = items.frontier(connection, self.queue.name)
        assert found == (math.inf if first is None else first)

    @invariant()
    def every_answer_belongs_to_a_submitted_task(self) -> None:
        """Each submitted task has one valid answer, and no other task has one."""
        valid = (ANNOTATIONS.c.assignment == ASSIGNMENTS.c.id) & ANNOTATIONS.c.withdrawn_at.is_(
            None
        )
        query = select(ASSIGNMENTS.c.state, ANNOTATIONS.c.id).join(ANNOTATIONS, valid, isouter=True)
        with self.store.read() as connection:
            for state, annotation in connection.execute(query):
                assert (annotation is not None) == (state == "submitted")

    def teardown(self) -> None:
        """Remove the database."""
        self.store.close()
        shutil.rmtree(self.folder)


Reviewing.TestCase.settings = settings(
    max_examples=200 if LONG else 10, stateful_step_count=25, deadline=None
)
TestReviewing = Reviewing.TestCase
