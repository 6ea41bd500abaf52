"""Labels of all kinds of tasks as evaluations: names, scores, and who reads them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from judges.live.quality import QualityHistory
from monitor.database.store import Store
from monitor.events.evaluations import Evaluation, decode_evaluation, encode_evaluation
from monitor.records import Inclusion, Sample
from monitor.web.review import items, labels
from monitor.web.review.evaluations import evaluation_of, evaluations_of, shares_below
from monitor.web.review.model import TIE, Answer, Item, Queue, Span
from monitor.web.review.tasks import submitting
from monitor.web.sign_in.roles import PersonRole
from replay.sets.sources.opinions import Opinions
from tests.monitor.web.reviews import START, add_items, add_person, add_queue, new_item, rate


def labelled(
    store: Store, task: str, answers: Sequence[Answer], responses: int, **fields: Any
) -> tuple[Queue, Item, list[Evaluation]]:
    """Let people answer a task; return its item, and what is sent of it."""
    queue = add_queue(store, task, overlap=len(answers))
    (identity,) = add_items(store, queue, [new_item(1, responses, **fields)])
    for number, answer in enumerate(answers):
        rate(store, queue, add_person(store, f"person-{number}"), answer)
    with store.write() as connection:
        due = labels.take_due(connection, START + labels.UNDO_SECONDS)
        item = items.find(connection, identity)
    sent = [label for each in due for label in each.evaluations]
    assert [decode_evaluation(encode_evaluation(each)) for each in sent] == sent
    return queue, item, sent


def prefer(overall: int, **dimensions: int) -> Answer:
    """Return a preference, also by dimension."""
    return Answer(preferences={"overall": overall, **dimensions})


def mark(*kinds: str) -> Answer:
    """Return an answer that marks these kinds of errors."""
    return Answer(spans=tuple(Span(0, 0, 2, kind) for kind in kinds))


def test_a_pair_becomes_an_evaluation_of_each_response(sqlite_store: Store) -> None:
    """Scores are shares of preferences, a tie is a half; both have the same comparison."""
    given = [prefer(0, accuracy=0), prefer(0, accuracy=TIE), prefer(TIE)]
    _, item, sent = labelled(sqlite_store, "pairwise", given, 2)
    first, second = sent
    assert (first.request_id, second.request_id) == ("r-1-0", "r-1-1")
    assert {each.name for each in sent} == {"pairwise.helpful"}
    assert {each.comparison for each in sent} == {item.id}
    assert (first.score, second.score) == pytest.approx((2.5 / 3, 0.5 / 3))
    assert (first.votes, second.votes) == ((1.0, 1.0, 0.5), (0.0, 0.0, 0.5))
    assert (first.dimensions, second.dimensions) == ({"accuracy": 0.75}, {"accuracy": 0.25})
    assert {(each.passed, each.probability, each.evaluator) for each in sent} == {
        (None, 0.0, "human")
    }


def test_a_ranking_becomes_an_evaluation_of_each_response(sqlite_store: Store) -> None:
    """A score is the mean share of the others below a response."""
    rankings = [((2,), (0,), (1,)), ((2, 0), (1,)), ((2,), (0, 1))]
    given = [Answer(ranking=ranking) for ranking in rankings]
    _, item, sent = labelled(sqlite_store, "ranking", given, 3)
    assert [each.name for each in sent] == ["ranking.helpful"] * 3
    assert {each.comparison for each in sent} == {item.id}
    assert [each.score for each in sent] == pytest.approx([0.5, 0.25 / 3, 2.75 / 3])
    assert sent[2].votes == (1.0, 0.75, 1.0)


@given(st.permutations(range(5)), st.lists(st.integers(1, 4), max_size=4, unique=True))
def test_scores_of_a_ranking_sum_to_those_of_its_pairs(order: list[int], cuts: list[int]) -> None:
    """Each pair gives one point, whatever is tied, and a better group has a higher score."""
    ends = [0, *sorted(cuts), 5]
    ranking = [order[a:b] for a, b in pairwise(ends)]
    shares = shares_below(ranking)
    assert sum(shares.values()) == pytest.approx(5 / 2)
    levels = [{shares[position] for position in group} for group in ranking]
    assert all(len(each) == 1 for each in levels)
    values = [each.pop() for each in levels]
    assert values == sorted(values, reverse=True)
    assert len(set(values)) == len(values)


def test_two_ranked_responses_score_as_a_pair() -> None:
    """A ranking of two is a comparison of two."""
    assert shares_below([[1], [0]]) == {1: 1.0, 0: 0.0}
    assert shares_below([[0, 1]]) == {0: 0.5, 1: 0.5}


def test_marked_errors_become_an_evaluation(sqlite_store: Store) -> None:
    """The score is the share that found no error, also by kind; drawn items have a probability."""
    drawn: dict[str, Any] = {"estimated": True, "uniform": True, "probability": 0.02}
    given = [mark("accuracy", "accuracy"), mark(), mark("accuracy", "fluency")]
    judge = {"score": 4.5, "version": "v1"}
    _, item, (sent,) = labelled(sqlite_store, "spans", given, 1, judge=judge, **drawn)
    assert (sent.name, sent.request_id, sent.passed) == ("spans.helpful", "r-1-0", False)
    assert sent.score == pytest.approx(1 / 3)
    assert sent.votes == (0.0, 1.0, 0.0)
    assert sent.dimensions == pytest.approx({"accuracy": 1 / 3, "fluency": 2 / 3})
    assert item.pi is not None
    assert sent.probability == (0.02 * item.pi if item.xi <= 1 else 0.0)
    assert sent.judge_score is None  # the judge's scale is another


@pytest.mark.parametrize(
    ("task", "answer", "responses"),
    [
        ("pairwise", prefer(1), 2),
        ("ranking", Answer(ranking=((1,), (0,))), 2),
        ("spans", mark(), 1),
    ],
)
def test_a_verdict_replaces_the_votes(
    sqlite_store: Store, task: str, answer: Answer, responses: int
) -> None:
    """After an adjudication the verdict alone is sent, without votes."""
    opposite = {
        "pairwise": prefer(0),
        "ranking": Answer(ranking=((0,), (1,))),
        "spans": mark("accuracy"),
    }[task]
    _, item, sent = labelled(sqlite_store, task, [opposite, answer], responses)
    assert (item.state, sent) == ("contested", [])
    root = add_person(sqlite_store, "root", PersonRole.ADMIN)
    with sqlite_store.write() as connection:
        submitting.adjudicate(connection, item.id, root.id, answer, "it is better", START)
        (due,) = labels.take_due(connection, START)
    best = due.evaluations[-1]
    assert (best.score, best.votes, len(due.evaluations)) == (1.0, (), responses)


def test_labels_without_a_scale_of_the_judge_do_not_correct_it(sqlite_store: Store) -> None:
    """Comparisons and errors are neither labels of the judged quality nor votes of a panel."""
    history = QualityHistory()
    for task, answer, responses in (("pairwise", prefer(0), 2), ("spans", mark(), 1)):
        given = [answer, answer, answer]
        for each in labelled_once(sqlite_store, task, given, responses):
            history.add(each)
    assert (history.estimates(), history.agreement()) == ([], {})


def labelled_once(
    store: Store, task: str, answers: Sequence[Answer], responses: int
) -> list[Evaluation]:
    """Return what is sent of a task of a queue of its own."""
    queue = add_queue(store, task, name=task, overlap=len(answers))
    (identity,) = add_items(store, queue, [new_item(1, responses)])
    for number, answer in enumerate(answers):
        person = add_person(store, f"{task}-{number}")
        rate(store, queue, person, answer)
    with store.read() as connection:
        item = items.find(connection, identity)
        return list(evaluations_of(queue, item, items.candidates(connection, identity)))


def test_votes_of_people_are_no_panel_of_judges() -> None:
    """Human labels under the name of the judge do not enter the agreement of judges."""
    history = QualityHistory()
    for number in range(20):
        votes = (1.0, 5.0) if number % 2 else (5.0, 1.0)
        common: dict[str, Any] = {"name": "judge.tone", "model": "m", "time": 1.0, "score": 3.0}
        request = f"r-{number}"
        history.add(Evaluation(request_id=request, evaluator="human", votes=votes, **common))
        agreed = (float(number % 5),) * 2
        history.add(Evaluation(request_id=request, evaluator="judge", votes=agreed, **common))
    assert history.agreement() == {"judge.tone": 1.0}


def test_marked_errors_decide_whether_a_response_is_accepted(sqlite_store: Store) -> None:
    """A response with errors for most people is disliked; comparisons say nothing."""
    sample = Sample(
        request_id="r-1-0", timestamp=START, model="llama", inclusion=Inclusion(True, 1.0)
    )
    opinions = Opinions()
    opinions.add_all(labelled_once(sqlite_store, "pairwise", [prefer(0)], 2))
    assert (opinions.accepted_by(sample), opinions.disliked_by(sample)) == ("", "")
    opinions.add_all(labelled_once(sqlite_store, "spans", [mark("fluency")], 1))
    assert (opinions.accepted_by(sample), opinions.disliked_by(sample)) == ("", "human")


@pytest.mark.parametrize(
    ("task", "label"),
    [("spans", {"raters": 1, "kinds": {}}), ("ranking", {"raters": 1, "places": {"0": 0.0}})],
)
def test_a_label_of_an_earlier_version_is_not_sent(
    sqlite_store: Store, task: str, label: dict[str, Any]
) -> None:
    """What it lacks is not guessed."""
    answer, responses = (mark(), 1) if task == "spans" else (Answer(ranking=((0,), (1,))), 2)
    queue, item, _ = labelled(sqlite_store, task, [answer], responses)
    old = replace(item, label=label)
    with sqlite_store.read() as connection:
        candidates = items.candidates(connection, item.id)
    assert evaluations_of(queue, old, candidates) == ()
    assert evaluation_of(queue, old) is None
