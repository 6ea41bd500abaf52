"""Answers, labels and erasure: what is accepted, what is published, and what is gone."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitor.database.store import Store
from monitor.events.evaluations import decode_evaluation, encode_evaluation
from monitor.statistics.review.queue import uniform_number
from monitor.web.review import answers, erasure, items, labels
from monitor.web.review.answers import InvalidAnswer
from monitor.web.review.model import TIE, Answer, Queue, Span, TaskType, Texts
from monitor.web.review.tasks import submitting
from monitor.web.views import tasks
from tests.monitor.web.reviews import (
    PLAIN,
    RUBRIC,
    START,
    add_items,
    add_person,
    add_queue,
    claim,
    claimed,
    new_item,
    rate,
    scores,
)


def a_queue(task: TaskType) -> Queue:
    """Return a queue that is in no database."""
    return Queue("q", task, RUBRIC, "api", "open", "salt", PLAIN, START, START)


TEXTS = Texts(responses=("first", "second", "third"))
WRONG: list[tuple[TaskType, Answer]] = [
    ("single", Answer()),
    ("single", Answer(scores={"accuracy": 3})),
    ("single", Answer(scores={"accuracy": 3, "fluency": 6})),
    ("single", Answer(scores={"accuracy": 3, "fluency": -1})),
    ("single", Answer(scores={"accuracy": 3, "fluency": 3, "other": 1})),
    ("single", Answer(scores={"accuracy": 3, "fluency": 3}, ranking=((0,),))),
    ("single", Answer(scores={"accuracy": 3, "fluency": 3}, comment="x" * 5_000)),
    ("pairwise", Answer(preferences={"accuracy": 0})),
    ("pairwise", Answer(preferences={"overall": 2})),
    ("pairwise", Answer(preferences={"overall": 0, "other": 0})),
    ("ranking", Answer(ranking=((0, 1),))),
    ("ranking", Answer(ranking=((0, 1, 1, 2),))),
    ("ranking", Answer(ranking=((0, 1, 2), ()))),
    ("spans", Answer(spans=(Span(3, 0, 1, "accuracy"),))),
    ("spans", Answer(spans=(Span(0, 0, 6, "accuracy"),))),
    ("spans", Answer(spans=(Span(0, 2, 2, "accuracy"),))),
    ("spans", Answer(spans=(Span(0, 0, 1, "other"),))),
    ("spans", Answer(spans=(Span(0, 0, 1, "accuracy"),) * 201)),
]


@pytest.mark.parametrize(("task", "answer"), WRONG)
def test_an_answer_that_does_not_fit_is_refused(task: TaskType, answer: Answer) -> None:
    """Incomplete answers, unknown dimensions, places outside of the text."""
    with pytest.raises(InvalidAnswer):
        answers.check(a_queue(task), answer, TEXTS)


def test_a_response_without_errors_is_an_answer() -> None:
    """No marked error is a complete answer of a `spans` task."""
    answers.check(a_queue("spans"), Answer(), TEXTS)


@given(st.permutations(range(3)), st.data())
def test_shown_and_stored_answers_are_inverse(order: list[int], data: st.DataObject) -> None:
    """In whatever order responses are shown, an answer means the same candidates."""
    choice = st.sampled_from((0, 1, TIE))
    for task, answer in (
        ("ranking", Answer(ranking=((order[2],), tuple(sorted((order[0], order[1])))))),
        ("spans", Answer(spans=(Span(data.draw(st.integers(0, 2)), 0, 2, "accuracy"),))),
    ):
        shown = tasks.shown(answer, order, task)  # type: ignore[arg-type] # of the literal
        assert tasks.stored(shown, order) == answer
    pair = [each for each in order if each < 2]
    answer = Answer(preferences={"overall": data.draw(choice), "accuracy": data.draw(choice)})
    assert tasks.stored(tasks.shown(answer, pair, "pairwise"), pair) == answer


def test_a_pair_is_shown_in_both_orders(sqlite_store: Store) -> None:
    """The order depends on item and person, so a preference for a place does not bias labels."""
    queue = add_queue(sqlite_store, "pairwise")
    add_items(sqlite_store, queue, [new_item(n, 2) for n in range(20)])
    ann = add_person(sqlite_store)
    answer = Answer(preferences={"overall": 0})
    orders = {rate(sqlite_store, queue, ann, answer).order for _ in range(20)}
    assert orders == {(0, 1), (1, 0)}


def test_a_task_shows_nothing_of_others(sqlite_store: Store) -> None:
    """Model, request, reason, judge and answers of others are in no part of the view."""
    queue = add_queue(sqlite_store)
    add_items(sqlite_store, queue, [new_item(1, reason="drift", judge={"score": 0.123})])
    rate(sqlite_store, queue, add_person(sqlite_store, "bob"), scores(1, 1, "seen by bob"))
    task = claimed(sqlite_store, queue, add_person(sqlite_store))
    with sqlite_store.read() as connection:
        shown = repr(tasks.task_view(connection, task))
    for hidden in ("llama", "r-1-0", "drift", "0.123", "seen by bob", "user-1"):
        assert hidden not in shown


def test_a_label_has_what_an_estimate_needs(sqlite_store: Store) -> None:
    """Mean, votes, the judge's score and the probability; without one if it was not drawn."""
    queue = add_queue(sqlite_store, overlap=2, base=0.5, boost=0.0)
    judge = {"score": 2.5, "version": "v1"}
    drawn: dict[str, Any] = {
        "estimated": True,
        "uniform": True,
        "probability": 0.02,
        "judge": judge,
    }
    add_items(sqlite_store, queue, [new_item(n, **drawn) for n in range(40)])
    add_items(sqlite_store, queue, [new_item(99, judge=judge)])
    for name, answer in (("ann", scores(4, 4)), ("bob", scores(3, 3))):
        person = add_person(sqlite_store, name)
        while claim(sqlite_store, queue, person) is not None:
            rate(sqlite_store, queue, person, answer)
    with sqlite_store.write() as connection:
        due = labels.take_due(connection, START + labels.UNDO_SECONDS)
        assert labels.take_due(connection, START + labels.UNDO_SECONDS) == []
        labels.mark_sent(connection, [each.id for each in due], START)
        assert labels.unsent(connection) == 0
    found = [label for each in due for label in each.evaluations]
    assert len(found) == 41
    for label in found:
        assert decode_evaluation(encode_evaluation(label)) == label
        assert (label.name, label.evaluator, label.score) == ("judge.helpful", "human", 3.5)
        assert (label.judge_score, label.version, label.votes) == (2.5, "v1", (4.0, 3.0))
        assert label.passed is True
        u = uniform_number(queue.salt, label.request_id)
        chosen = label.request_id == "r-99-0" or u > 0.5
        assert label.probability == (0.0 if chosen else 0.01)


def test_a_score_of_the_judge_changes_the_priority_only_while_it_settles(
    sqlite_store: Store,
) -> None:
    """Later the item may have been served because of its priority."""
    from dataclasses import replace

    queue = add_queue(sqlite_store)
    inflow = replace(queue.settings.inflow, settle_seconds=300.0)
    queue = replace(queue, settings=replace(queue.settings, inflow=inflow))
    (item,) = add_items(sqlite_store, queue, [new_item(1, estimated=True)])
    ann = add_person(sqlite_store)
    assert claim(sqlite_store, queue, ann, START + 299) is None
    judge = {"score": 3.0}
    with sqlite_store.write() as connection:
        before = items.find(connection, item)
        assert items.judged(connection, queue, "r-1-0", judge, (1.0, "disagreement"), START + 299)
        settled = items.find(connection, item)
        assert (settled.pi, settled.reason, settled.judge) == (1.0, "disagreement", judge)
        assert settled.xi < before.xi
        items.judged(connection, queue, "r-1-0", {"score": 1.0}, (0.0, "uncertain"), START + 301)
        late = items.find(connection, item)
        assert (late.xi, late.judge) == (settled.xi, {"score": 1.0})
        assert not items.judged(connection, queue, "unknown", judge, (1.0, ""), START)
    assert claim(sqlite_store, queue, ann, START + 300) is not None


def test_an_erasure_leaves_no_text(store: Store) -> None:
    """Neither texts nor comments of the user are left; scores are, and open items are closed."""
    queue = add_queue(store, overlap=2)
    secret = "the very private text"
    first = new_item(1)
    texts = Texts(prompt=first.texts.prompt, responses=(secret,), reference=secret)
    from dataclasses import replace

    (item,) = add_items(store, queue, [replace(first, texts=texts)])
    ann, bob = add_person(store), add_person(store, "bob")
    rate(store, queue, ann, scores(comment=f"it says {secret}"))
    held = claimed(store, queue, bob)
    with store.write() as connection:
        assert erasure.erase_user(connection, "user-1", START, person="x") == 1
        assert erasure.erase_user(connection, "user-1", START, person="x") == 0
        assert erasure.texts_stored(connection) == 0
        found = items.find(connection, item)
        assert (found.state, found.slots) == ("erased", 0)
        with pytest.raises(Exception, match=r"cancelled|erased"):
            submitting.submit(connection, held.id, bob.id, scores(), 1, START)
        assert add_again(store, queue, replace(first, texts=texts), connection) == []
    with store.read() as connection:
        for table in ("web_texts", "web_annotations", "web_candidates", "web_audit", "web_items"):
            rows = connection.exec_driver_sql(f"SELECT * FROM {table}").all()
            assert secret not in str(rows)
            assert "user-1" not in str(rows)
        assert labels.answers_of(connection, item)[0].scores["accuracy"] == 4
    assert claim(store, queue, bob) is None


def add_again(store: Store, queue: Queue, item: object, connection: object) -> list[str]:
    """Add an item that was erased, in the same transaction."""
    return items.add(connection, queue, [item], START)  # type: ignore[arg-type, list-item] # as given


def test_texts_are_erased_after_their_retention(sqlite_store: Store) -> None:
    """Each queue keeps them for its own number of days, finished items too."""
    day = 86_400.0
    for name, days in (("short", 1.0), ("long", 3.0)):
        queue = add_queue(sqlite_store, name=name, overlap=1, retention_days=days)
        add_items(sqlite_store, queue, [new_item(n) for n in range(3)])
    with sqlite_store.write() as connection:
        assert erasure.expire_texts(connection, START + day - 1) == 0
        assert erasure.expire_texts(connection, START + day) == 3
        assert erasure.texts_stored(connection) == 3
        assert erasure.expire_texts(connection, START + 3 * day) == 3
