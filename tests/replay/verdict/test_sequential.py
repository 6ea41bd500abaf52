"""Looks after each chunk: when they stop, that they repeat exactly, and their false verdicts."""

from __future__ import annotations

from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from replay.results import RunError, TaskScores
from replay.verdict.criteria import Criteria
from replay.verdict.decide import decide
from replay.verdict.sequential import EProcess, look, start
from tests.replay.verdict.scores import first, scores

CRITERIA = Criteria()


def run(candidate: TaskScores, baseline: TaskScores, step: int = 25, **options: Any) -> EProcess:
    """Return the state at the stop, or at the end."""
    process = start([baseline], Criteria(**options))
    for end in range(step, len(candidate.scores) + step, step):
        process = look(process, [first(candidate, end)], [baseline])
        if process.outcome:
            break
    return process


def drawn(drop: float, n: int = 1_000, seed: int = 1) -> tuple[TaskScores, TaskScores]:
    """Return candidate and baseline; 6 % of items are gained, 6 % and the drop are lost."""
    generator = np.random.default_rng(seed)
    kind = generator.choice(3, n, p=[0.06, 0.06 + drop, 0.88 - drop])
    return scores(np.where(kind == 1, 0, 1)), scores(np.where(kind == 0, 0, 1))


def test_a_large_drop_stops_early() -> None:
    """A drop of 20 points is proven before 100 of 1,000 items."""
    found = run(*drawn(0.2))
    assert found.outcome == "regressed"
    assert found.tasks["qa"].n < 100
    assert found.tasks["qa"].lower > 0


def test_no_drop_stops_early() -> None:
    """Without a drop "not regressed" is proven before the planned end."""
    found = run(*drawn(0.0))
    assert found.outcome == "not_regressed"
    assert found.tasks["qa"].n < 1_000
    assert found.tasks["qa"].upper < CRITERIA.margin


def test_a_small_proven_drop_does_not_stop_the_run() -> None:
    """A drop of 3 points with a margin of 5 is proven on the way, and then found to be small."""
    candidate, baseline = drawn(0.03, 8_000)
    found = run(candidate, baseline, 500)
    evidence = found.tasks["qa"]
    assert found.outcome == "not_regressed"
    assert evidence.lower > 0
    decision = decide([first(candidate, evidence.n)], [baseline], process=found)
    assert decision.verdict == "not_regressed"
    assert "small_drop" in decision.flags


def test_a_few_items_do_not_stop_the_run() -> None:
    """Below the minimum number of items nothing is decided, whatever the evidence."""
    all_lost = scores(np.zeros(60)), scores(np.ones(60))
    assert run(*all_lost, 10).tasks["qa"].n == 30
    assert run(*all_lost, 10, min_items=50).tasks["qa"].n == 50


def test_a_restart_continues_identically() -> None:
    """The state survives JSON after each look; looks at equal scores add nothing."""
    candidate, baseline = drawn(0.05, 300)
    straight = restarted = start([baseline], CRITERIA)
    for end in range(25, 325, 25):
        straight = look(straight, [first(candidate, end)], [baseline])
        restarted = msgspec.json.decode(msgspec.json.encode(restarted), type=EProcess)
        restarted = look(restarted, [first(candidate, end)], [baseline])
    assert restarted == straight
    again = look(straight, [candidate], [baseline])
    assert again == msgspec.structs.replace(straight, looks=straight.looks + 1)


@settings(max_examples=20)
@given(st.permutations(range(40)))
def test_the_order_within_a_look_does_not_matter(order: list[int]) -> None:
    """The evidence depends on the set of items that were answered."""
    candidate, baseline = drawn(0.1, 40)
    shuffled = TaskScores(
        task="qa",
        metric="exact_match",
        binary=True,
        scores=tuple(candidate.scores[index] for index in order),
    )
    process = start([baseline], CRITERIA)
    assert look(process, [shuffled], [baseline]) == look(process, [candidate], [baseline])


def test_several_chunks_are_one_run() -> None:
    """Increments of the runner can be passed as they are."""
    candidate, baseline = drawn(0.1, 100)
    chunks = [
        TaskScores(
            task="qa",
            metric="exact_match",
            binary=True,
            scores=candidate.scores[begin : begin + 25],
        )
        for begin in range(0, 100, 25)
    ]
    process = start([baseline], CRITERIA)
    assert look(process, chunks, [baseline]) == look(process, [candidate], [baseline])


def test_evidence_that_was_reached_is_kept() -> None:
    """The largest evidence counts, and the bounds never widen."""
    baseline = scores(np.ones(100))
    candidate = scores([0] * 12 + [1] * 88)
    process = start([baseline], Criteria(min_items=50))
    for end in (12, 25, 50, 100):
        before, process = process, look(process, [first(candidate, end)], [baseline])
        known, now = before.tasks["qa"], process.tasks["qa"]
        assert now.log_regressed >= known.log_regressed
        assert now.lower >= known.lower
        assert now.upper <= known.upper


def test_failures_that_exceed_the_share_of_the_plan_end_the_run() -> None:
    """5 of 25 planned 200 may be followed by good ones; 11 of 200 are too many already."""
    baseline = scores(np.ones(200))
    process = start([baseline], CRITERIA)
    look(process, [first(scores(np.ones(200), failed=set(range(10))), 25)], [baseline])
    with pytest.raises(RunError, match="invalid_responses"):
        look(process, [first(scores(np.ones(200), failed=set(range(11))), 25)], [baseline])


def test_scores_without_bounds_never_stop_the_run() -> None:
    """Perplexity is not from 0 to 1: there are no bets, and the test at the end remains."""
    options = {"metric": "perplexity", "binary": False, "higher_is_better": False}
    noise = np.random.default_rng(2).normal(0, 0.1, (2, 100))
    baseline, candidate = (scores(9 + each, **options) for each in noise)
    worse = scores(12 + noise[0], **options)
    for task, verdict in ((candidate, "not_regressed"), (worse, "regressed")):
        process = run(task, baseline, 25, margin=1.0)
        assert process.outcome is None
        assert decide([task], [baseline], process=process).verdict == verdict


def test_all_tasks_must_be_harmless_and_one_harmful_is_enough() -> None:
    """Not regressed needs each task; a regressed one stops the run by Holm's correction."""
    candidate, baseline = drawn(0.0)
    worse, before = drawn(0.2, seed=2)
    harmful, harmless = (
        TaskScores(task="b", metric="exact_match", binary=True, scores=task.scores)
        for task in (worse, before)
    )
    process = start([baseline, harmless], CRITERIA)
    process = look(process, [candidate], [baseline, harmless])
    assert process.outcome is None  # task b has not run yet
    same = look(process, [candidate, harmless], [baseline, harmless])
    assert same.outcome == "not_regressed"
    process = look(process, [candidate, harmful], [baseline, harmless])
    assert process.outcome == "regressed"


def test_clusters_wait_until_they_are_complete() -> None:
    """The bets are on whole clusters: half of each is no evidence."""
    clusters = [f"c{index // 2}" for index in range(200)]
    baseline = scores(np.ones(200), clusters=clusters)
    candidate = scores(np.zeros(200), clusters=clusters)
    halves = TaskScores(task="qa", metric="exact_match", binary=True, scores=candidate.scores[::2])
    process = look(start([baseline], CRITERIA), [halves], [baseline])
    assert process.tasks["qa"].log_regressed == pytest.approx(0)
    assert look(process, [candidate], [baseline]).outcome == "regressed"
