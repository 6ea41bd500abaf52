"""The report of a review queue, of ratings that were claimed and submitted in a real database."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from monitor.database.opening import open_store
from monitor.database.store import Store
from monitor.statistics.agreement import Estimate, Undefined
from monitor.statistics.paired import Wins
from monitor.statistics.review.queue import QueueEstimate, priority
from monitor.telemetry.counters.web import WebMetrics
from monitor.web.api.queues import agreement
from monitor.web.context import WebContext
from monitor.web.review import items, queues
from monitor.web.review.answers import OVERALL, overall
from monitor.web.review.labels import is_contested, summarize
from monitor.web.review.model import (
    TIE,
    Answer,
    Candidate,
    Dimension,
    Item,
    ItemState,
    NewItem,
    NotFound,
    Queue,
    QueueSettings,
    Rubric,
    Span,
    TaskType,
    Texts,
)
from monitor.web.review.ratings import Rating
from monitor.web.review.tasks import assigning, submitting
from monitor.web.sign_in import people
from monitor.web.sign_in.identity import Identity
from monitor.web.sign_in.roles import PersonRole
from monitor.web.store.schema import SCHEMA
from monitor.web.views.agreement.build import build, queue_report
from monitor.web.views.agreement.reading import Reviewed, read
from monitor.web.views.agreement.report import TrueLabels, to_json

NAMES = ("ann", "ben", "cem")
LEVELS = {level: f"level {level}" for level in range(6)}
RUBRIC = Rubric(
    name="tone",
    version=1,
    digest="d1",
    description="Tone.",
    pass_mark=3.0,
    dimensions=(Dimension("clarity", "Clear?", LEVELS), Dimension("warmth", "Warm?", LEVELS)),
)
Rate = Callable[[np.random.Generator, Item, int, tuple[int, ...]], Answer | None]
"""Returns the answer of an annotator to an item, of which the candidates are shown in an order;
None to skip it."""


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    """Return an empty database of the web application."""
    opened = open_store(f"sqlite:///{tmp_path / 'web.db'}", None, [SCHEMA])
    yield opened
    opened.close()


def queue(task: TaskType) -> Queue:
    """Return the settings of a queue."""
    settings = QueueSettings(overlap=3, base=0.3, boost=0.7)
    return Queue("tone", task, RUBRIC, "api", "open", "salt", settings, 1.0, 1.0)


def item(number: int, rng: np.random.Generator, *, gold: Answer | None) -> Item:
    """Return an open item with its true quality, which the judge sees nearly."""
    true = int(rng.integers(0, 6))
    place = priority("salt", f"r{number}", 0.3, 0.7, float(rng.random()))
    known = None if gold is None else {"scores": gold.scores, "preferences": gold.preferences}
    return Item(
        id=f"{number:032x}",
        queue="tone",
        state="open",
        reason="random",
        request_id=f"r{number}",
        model="a",
        time=1.0,
        difficulty=0.0,
        pi=place.pi if gold is None else None,
        u=place.u,
        xi=place.xi,
        uniform=True,
        probability=0.1,
        slots=0,
        skips=0,
        judge={"score": float(np.clip(true + rng.normal(0, 0.5), 0, 5)), "true": true},
        gold=known,
        label=None,
        ready_at=1.0,
        created_at=1.0,
        finished_at=None,
    )


def review(
    task: TaskType,
    number: int,
    answer: Rate,
    *,
    candidates: tuple[str, ...] = ("a",),
    gold: Answer | None = None,
    done: int = 10_000,
) -> Reviewed:
    """Return the data after all annotators have rated the first `done` items in the order of xi."""
    rng, current = np.random.default_rng(5), queue(task)
    given = [item(i, rng, gold=gold if i % 10 == 0 else None) for i in range(number)]
    ratings: list[Rating] = []
    skips = []
    finished: dict[str, Item] = {each.id: each for each in given}
    for each in sorted(given, key=lambda x: x.xi)[:done]:
        answers = []
        for position, person in enumerate(NAMES):
            order = tuple(int(x) for x in rng.permutation(len(candidates)))
            found = answer(rng, each, position, order)
            if found is None:
                skips.append((each.id, person))
                continue
            answers.append(found)
            mark = overall(current, found)
            ratings.append(Rating(each.id, person, found, mark, None, order, 9_000, 2.0))
        label = summarize(current, answers) if answers else None
        state: ItemState = "contested" if is_contested(current, answers) else "finished"
        if each.gold is None:
            finished[each.id] = replace(each, state=state if answers else "unlabelled", label=label)
    known = {each.id for each in given if each.gold is not None}
    return Reviewed(
        queue=current,
        ratings=[each for each in ratings if each.item not in known],
        gold=[each for each in ratings if each.item in known],
        skips=skips,
        items=finished,
        models={each.id: candidates for each in given},
    )


def scores(rng: np.random.Generator, given: Item, position: int, order: tuple[int, ...]) -> Answer:
    """Rate near the true quality; the third annotator gives a point less."""
    assert given.judge is not None
    true = given.judge["true"] if given.gold is None else 4
    clear = int(np.clip(true + rng.choice([-1, 0, 0, 0, 1]) - (position == 2), 0, 5))
    return Answer(scores={"clarity": clear, "warmth": int(rng.integers(0, 6))})


def value(result: object) -> float:
    """Return the value of an estimate."""
    assert isinstance(result, Estimate)
    return result.value


def test_scores() -> None:
    """Agreement by dimension, annotators by gold and leniency, and the quality of all items."""
    gold = Answer(scores={"clarity": 4, "warmth": 3})
    found = build(review("single", 200, scores, gold=gold))
    assert found.ratings == 180 * 3
    assert value(found.scores["clarity"].alpha) > 0.7
    assert abs(value(found.scores["warmth"].alpha)) < 0.2
    assert found.scores["clarity"].items == 180
    assert found.passed is not None
    assert isinstance(found.true_labels, TrueLabels)
    assert len(found.people) == len(found.annotators) == len(found.true_labels.accuracy) == 3
    strict = min(found.annotators, key=lambda each: value(each.offset))
    assert found.people[strict.annotator] == "cem"
    assert value(strict.offset) < -0.3
    assert all(each.done == 200 for each in found.annotators)
    assert isinstance(found.effective_votes, float)
    everything, model = found.quality
    assert (everything.model, everything.items, model.model) == ("", 180, "a")
    assert isinstance(everything.mean, QueueEstimate)
    assert everything.mean.threshold == np.inf  # all items are finished
    assert everything.mean.labels == 180  # contested ones too


def test_quality_of_a_queue_that_is_half_done() -> None:
    """The estimate is that of the items before the first open one, and covers all items."""
    whole = build(review("single", 600, scores)).quality[0]
    part = build(review("single", 600, scores, done=200)).quality[0]
    for estimate, truth in ((part.mean, whole.mean), (part.pass_rate, whole.pass_rate)):
        assert isinstance(estimate, QueueEstimate)
        assert isinstance(truth, QueueEstimate)
        assert 0 < estimate.threshold < np.inf
        assert estimate.labels == 200
        assert estimate.lower <= truth.value <= estimate.upper


def test_unjudged_items_are_counted() -> None:
    """Items without a score of the judge are left out of the estimate, and reported."""
    reviewed = review("single", 300, scores)
    items = {
        key: replace(each, judge=None) if number % 3 == 0 else each
        for number, (key, each) in enumerate(reviewed.items.items())
    }
    quality = build(replace(reviewed, items=items)).quality[0]
    assert (quality.items, quality.unjudged) == (300, 100)
    assert isinstance(quality.mean, QueueEstimate)
    assert quality.mean.labels == 200


def test_skipped_items_are_reported() -> None:
    """Skips are counted by annotator, and items without a label by their share."""

    def answer(
        rng: np.random.Generator, given: Item, position: int, order: tuple[int, ...]
    ) -> Answer | None:
        return None if int(given.id, 16) % 4 == 0 else scores(rng, given, position, order)

    found = build(review("single", 120, answer))
    assert all(each.skipped == 30 for each in found.annotators)
    assert all(value(each.skip_rate) == 0.25 for each in found.annotators)
    mean = found.quality[0].mean
    assert isinstance(mean, QueueEstimate)
    assert mean.skip_share == pytest.approx(0.25)


def preferring(
    rng: np.random.Generator, given: Item, position: int, order: tuple[int, ...]
) -> Answer:
    """Prefer the first candidate in most items; the third annotator often what is shown first."""
    preferred = int(np.random.default_rng(int(given.id, 16)).random() < 0.3)
    if position == 2 and rng.random() < 0.5:
        preferred = order[0]
    return Answer(preferences={OVERALL: TIE if rng.random() < 0.1 else preferred})


def test_comparisons() -> None:
    """Agreement, position bias, and Bradley-Terry ratings of the compared models."""
    gold = Answer(preferences={OVERALL: 0})
    found = build(review("pairwise", 300, preferring, candidates=("new", "old"), gold=gold))
    assert value(found.preferences[OVERALL].alpha) > 0.4
    assert isinstance(found.first_shown, Wins)
    assert found.first_shown.rate.value > 0.5
    most = max(found.annotators, key=lambda each: value(each.first_shown))
    assert found.people[most.annotator] == "cem"
    assert value(most.first_shown) > 0.6
    assert list(found.models) == ["new", "old"]
    assert found.models["new"] is not None
    assert found.models["old"] is not None
    assert found.models["old"].upper < 0 == found.models["new"].value
    assert isinstance(found.true_labels, TrueLabels)


def ranking(rng: np.random.Generator, given: Item, position: int, order: tuple[int, ...]) -> Answer:
    """Rank the candidates in their order, with noise."""
    seen = np.array([0.0, 1.0, 2.0]) + rng.normal(0, 0.7, 3)
    return Answer(ranking=tuple((int(each),) for each in np.argsort(seen)))


def test_rankings() -> None:
    """Kendall's W, and ratings of the models from all pairs."""
    found = build(review("ranking", 60, ranking, candidates=("a", "b", "c")))
    assert found.ranking is not None
    assert value(found.ranking.concordance) > 0.6
    ratings = [found.models[name] for name in ("a", "b", "c")]
    values = [each.value for each in ratings if each is not None]
    assert values[0] == 0 > values[1] > values[2]
    assert isinstance(found.effective_votes, Undefined)


def test_spans() -> None:
    """F1 of marked characters, and agreement on each kind of error."""

    def answer(
        rng: np.random.Generator, given: Item, position: int, order: tuple[int, ...]
    ) -> Answer:
        wrong = int(given.id, 16) % 2 == 0
        start = int(rng.integers(0, 4))
        return Answer(spans=(Span(0, start, start + 12, "clarity"),) if wrong else ())

    found = build(review("spans", 80, answer))
    assert found.spans is not None
    assert 0.7 < value(found.spans.f1) < 1
    assert value(found.spans.kinds["clarity"].alpha) == 1
    assert found.quality == []


@pytest.mark.parametrize("task", ["single", "pairwise", "ranking", "spans"])
def test_an_empty_queue_has_a_report(task: TaskType) -> None:
    """Without ratings, every number is undefined with a reason, and the JSON is valid."""
    found = build(review(task, 0, scores))
    text = json.dumps(to_json(found), allow_nan=False)
    assert found.ratings == 0
    assert '"undefined"' in text


def test_the_report_is_json() -> None:
    """Undefined numbers have their reason, bounds that do not exist are null, nothing is NaN."""
    found = to_json(build(review("single", 60, scores)))
    assert json.loads(json.dumps(found, allow_nan=False)) == found
    assert found["quality"][0]["mean"]["threshold"] is None
    assert found["effective_votes"] == {"undefined": "no gold item was rated"}
    assert found["scores"]["clarity"]["advice"]["action"] == "use"


def test_the_data_are_those_of_the_database(store: Store) -> None:
    """Claimed, submitted and skipped tasks of a real database are read as they were given."""
    rng, admin = np.random.default_rng(3), Identity("admin", "admin", PersonRole.ADMIN, "local")
    given = [
        NewItem(
            candidates=(Candidate(f"r{i}-x", "new"), Candidate(f"r{i}-y", "old", "short")),
            texts=Texts(responses=("one", "two")),
            time=1.0,
            gold={"preferences": {OVERALL: 0}} if i < 2 else None,
        )
        for i in range(12)
    ]
    with store.write() as connection:
        queues.add_rubrics(connection, [RUBRIC], 1.0)
        settings = QueueSettings(gold_share=0.5)
        new = queues.NewQueue("tone", "pairwise", RUBRIC, settings)
        current = queues.create(connection, new, 1.0, person="admin")
        items.add(connection, current, given, 1.0)
        expected = {}
        for name in NAMES:
            person = people.add(connection, "test", name, name, PersonRole.ANNOTATOR, 1.0)
            while task := assigning.claim(connection, current, person.id, 1_000.0):
                found = preferring(rng, items.find(connection, task.item), 0, task.order)
                expected[task.item, person.id] = found
                if len(expected) % 7 == 0:
                    submitting.skip(connection, task.id, person.id, "unclear", 0, 1_000.0)
                    expected[task.item, person.id] = Answer()
                else:
                    submitting.submit(connection, task.id, person.id, found, 900, 1_000.0)
        reviewed = read(connection, "tone")
        report = queue_report(connection, "tone")
    got = {(r.item, r.person): r.answer for r in (*reviewed.ratings, *reviewed.gold)}
    assert got | dict.fromkeys(reviewed.skips, Answer()) == expected
    assert {len({r.item for r in reviewed.gold}), len(reviewed.items)} == {2, 12}
    assert set(reviewed.models.values()) == {("new", "old / short")}
    assert list(report.models) == ["new", "old / short"]
    assert sum(each.skipped for each in report.annotators) == len(reviewed.skips) > 0
    context = WebContext(store, WebMetrics())
    assert agreement(context, admin, "tone") == to_json(report)
    with store.read() as connection, pytest.raises(NotFound):
        queue_report(connection, "another")
