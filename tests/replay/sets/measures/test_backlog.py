from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitor.errors import UserError
from replay.sets.measures.backlog import (
    Failure,
    known_failure,
    read_backlog,
    update,
    with_failures,
    write_backlog,
)
from tests.replay.sets.items import questions


def after(*outcomes: float) -> Failure:
    """Return a failure after runs with these scores, at the times 1, 2, ..."""
    backlog: tuple[Failure, ...] = (Failure(item="a", cause="human"),)
    for number, score in enumerate(outcomes, 1):
        backlog, _ = update(backlog, {"a": score}, f"run {number}", float(number))
    return backlog[0]


@pytest.mark.parametrize(
    ("outcomes", "state", "count"),
    [
        ((), "open", 1),
        ((0,), "open", 2),
        ((1,), "open", 1),
        ((1, 1), "fixed", 1),
        ((1, 0, 1), "open", 2),
        ((1, 1, 0), "regressed", 2),
        ((1, 1, 0, 1), "regressed", 2),
        ((1, 1, 0, 1, 1), "fixed", 2),
        ((1, 1, 1, 0, 0), "regressed", 3),
        ((0.5, 0.5), "fixed", 1),
        ((0.49, 0.6), "open", 2),
    ],
)
def test_states_follow_the_runs(outcomes: tuple[float, ...], state: str, count: int) -> None:
    """Two passes in a row fix a failure; a failure afterwards is a regression."""
    found = after(*outcomes)
    assert (found.state, found.count) == (state, count)


@given(st.lists(st.sampled_from([0.0, 1.0, None]), max_size=8))
def test_a_run_counts_once(outcomes: list[float | None]) -> None:
    """Repeating a run changes nothing, and neither does a run without a score of the item."""
    once: tuple[Failure, ...] = (Failure(item="a", cause="c"), Failure(item="b", cause="c"))
    twice = once
    for number, score in enumerate(outcomes):
        scores = {} if score is None else {"a": score}
        once, _ = update(once, scores, f"r{number}", number)
        for _ in range(2):
            twice, _ = update(twice, scores, f"r{number}", number)
    assert once == twice
    assert once[1] == Failure(item="b", cause="c")


def test_changes_of_state_are_returned() -> None:
    """A report needs what was fixed and what came back."""
    backlog = (after(1), after(1, 1))
    _, changes = update(backlog[:1], {"a": 1.0}, "x", 9.0)
    assert [(each.before, each.after) for each in changes] == [("open", "fixed")]
    (found,), changes = update(backlog[1:], {"a": 0.0}, "x", 9.0)
    assert [(each.before, each.after) for each in changes] == [("fixed", "regressed")]
    assert (found.last_seen, found.first_seen, found.last_run) == (9.0, 0.0, "x")


def test_known_failures_keep_their_entry(tmp_path: Path) -> None:
    """A failure that is reported again keeps its count and state; the file keeps all of it."""
    item, failure = known_failure(questions(1)[0], "disliked by human", 7.0)
    assert item.provenance.origin == "failure"
    assert item.slices["cause"] == "disliked by human"
    assert (failure.item, failure.count, failure.first_seen) == (item.id, 1, 7.0)
    path = tmp_path / "backlog.json"
    assert read_backlog(path) == ()
    fixed = after(1, 1)
    backlog = with_failures([fixed], [failure, Failure(item="a", cause="other")])
    assert fixed in backlog
    write_backlog(path, backlog)
    assert read_backlog(path) == tuple(sorted(backlog, key=lambda each: each.item))
    path.write_text("[{]")
    with pytest.raises(UserError, match="is not a backlog"):
        read_backlog(path)


def test_the_backlog_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """Beyond the bound it is an error, so that nothing is dropped unnoticed."""
    monkeypatch.setattr("replay.sets.measures.backlog.MAX_ENTRIES", 1)
    with pytest.raises(UserError, match="more than 1 failures"):
        with_failures([Failure(item="a", cause="c")], [Failure(item="b", cause="c")])
