"""Results are written once, read as they were, and survive hostile texts and NaN."""

from __future__ import annotations

import math

import msgspec
import pytest

from replay.results import RunError
from replay.store import Store, queue, results
from tests.replay.store.runs import append, claimed, done, finish, scores


def test_chunks_are_idempotent_and_read_back(store: Store) -> None:
    """A repeated chunk adds what is new; what was written stays as it is."""
    lease = claimed(store)
    assert append(store, lease, scores(0, 3), scores(0, 2, task="chat")) == 5
    assert append(store, lease, scores(1, 5, value=0.0)) == 2
    with store.read() as connection:
        chat, traffic = results.load(connection, lease.run)
        assert chat == scores(0, 2, task="chat")
        assert traffic.scores == scores(0, 3).scores + scores(3, 5, value=0.0).scores
        assert done(connection, lease.run) == {"chat": {0, 1}, "traffic": {0, 1, 2, 3, 4}}


def test_a_task_that_changed_is_refused(store: Store) -> None:
    """Scores of two versions of a task are not mixed after a restart."""
    lease = claimed(store)
    append(store, lease, scores(0, 1))
    changed = msgspec.structs.replace(scores(1, 2), task_digest="other")
    with pytest.raises(RunError, match=r"mismatched_items.*task_digest"):
        append(store, lease, changed)
    with store.read() as connection:
        assert done(connection, lease.run) == {"traffic": {0}}


@pytest.mark.parametrize("order", [(1.0, 0.5), (0.5, 1.0)])
def test_a_task_is_binary_if_all_of_its_chunks_are(
    store: Store, order: tuple[float, float]
) -> None:
    """A chunk of graded scores may hold 0 and 1 only, whichever comes first."""
    lease = claimed(store)
    for number, value in enumerate(order):
        chunk = scores(number, number + 1, value=value)
        append(store, lease, msgspec.structs.replace(chunk, binary=value == 1.0))
        with store.read() as connection:
            (task,) = results.load(connection, lease.run)
            assert task.binary == all(value == 1.0 for value in order[: number + 1])
    with store.read() as connection:
        assert len(results.load(connection, lease.run)[0].scores) == 2


def test_hostile_texts_and_missing_scores_are_stored(store: Store) -> None:
    """NUL and lone surrogates become U+FFFD; everything else stays. NaN stays missing."""
    lease = claimed(store)
    task = scores(0, 1)
    hostile = msgspec.structs.replace(
        task.scores[0],
        response="\0 \ud800 \x1b[2J <b> ' ; DROP TABLE runs; -- \U0001f600",
        slices={"a\0": "\udfff"},
        metrics={"exact_match": math.nan, "f1": 0.5},
        failed="em\0pty",
    )
    append(store, lease, msgspec.structs.replace(task, scores=(hostile,)))
    with store.read() as connection:
        (found,) = results.load(connection, lease.run)[0].scores
    assert found.response == "\ufffd \ufffd \x1b[2J <b> ' ; DROP TABLE runs; -- \U0001f600"
    assert found.failed == "em\ufffdpty"
    assert set(found.slices.values()) <= {"\ufffd"}
    assert math.isnan(found.metrics["exact_match"])
    assert found.metrics["f1"] == 0.5


def test_the_score_of_a_task_is_stored_when_its_run_finishes(store: Store) -> None:
    """Failed answers are counted and do not enter the mean; without answers there is no mean."""
    lease = claimed(store)
    good = (*scores(0, 3).scores, *scores(3, 4, value=0.0).scores)
    failed = tuple(
        msgspec.structs.replace(score, failed="empty", metrics={"exact_match": 0.0})
        for score in scores(4, 6).scores
    )
    append(store, lease, msgspec.structs.replace(scores(0, 0), scores=good + failed))
    append(store, lease, msgspec.structs.replace(scores(0, 0, task="void"), scores=failed))
    finish(store, lease)
    with store.read() as connection:
        mean, void = results.means(connection, lease.run)
    assert (mean.n, mean.failed, mean.mean) == (4, 2, 0.75)
    assert mean.stderr == pytest.approx(math.sqrt(0.75 * 0.25 / 3))
    assert (void.n, void.failed) == (0, 2)
    assert math.isnan(void.mean)


def test_responses_can_be_erased(store: Store) -> None:
    """Old texts go; the scores and their digest stay."""
    lease = claimed(store)
    append(store, lease, scores(0, 2))
    with store.write() as connection:
        before = results.digest(connection, lease.run)
        assert results.erase_responses(connection, 100.0) == 0
    finish(store, lease, at=50.0)
    with store.write() as connection:
        assert results.erase_responses(connection, 50.0) == 0
        assert results.erase_responses(connection, 51.0) == 2
        (task,) = results.load(connection, lease.run)
        assert [score.response for score in task.scores] == ["", ""]
        assert results.digest(connection, lease.run) == before
        assert queue.state(connection).finished == 1
