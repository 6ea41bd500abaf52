"""Decisions on finished runs: the verdict, its numbers, and what is never a verdict."""

from __future__ import annotations

import msgspec
import numpy as np
import pytest
from scipy.stats import ttest_1samp

from replay.report.sentence import sentence
from replay.report.summary import RunSummary
from replay.results import RunError, TaskScores
from replay.verdict import tango
from replay.verdict.criteria import Criteria
from replay.verdict.decide import decide
from replay.verdict.decision import Decision
from replay.verdict.sequential import look, start
from tests.replay.verdict.scores import binary, first, scores


@pytest.mark.parametrize(
    ("lost", "gained", "verdict", "flags"),
    [
        (60, 20, "regressed", ()),
        (25, 22, "not_regressed", ()),
        (14, 3, "not_regressed", ("small_drop",)),
        (50, 36, "inconclusive", ()),
        (2, 60, "not_regressed", ()),
    ],
)
def test_the_verdict_follows_from_the_interval(
    lost: int, gained: int, verdict: str, flags: tuple[str, ...]
) -> None:
    """500 items, margin 5 points: the bounds are Tango's, and the verdict is where they lie."""
    candidate, baseline = binary(500, lost, gained, wrong=80)
    found = decide([candidate], [baseline])
    task = found.tasks[0]
    lower, upper = tango.interval(lost, gained, 500, 0.05)
    assert (task.lower, task.upper) == pytest.approx((-upper, -lower))
    assert task.difference == pytest.approx((gained - lost) / 500)
    assert task.baseline_mean == pytest.approx(1 - (gained + 80) / 500)
    assert task.mcnemar == tango.mcnemar(lost, gained)
    assert (found.verdict, found.flags) == (verdict, flags)
    assert (task.verdict == "regressed") == (lower > 0 and upper >= 0.05)
    assert (task.verdict == "not_regressed") == (upper < 0.05)
    assert ("small_drop" in flags) == (lower > 0 and upper < 0.05)
    assert (task.required_n is None) == (verdict != "inconclusive")


@pytest.mark.parametrize(("lost", "gained", "decided"), [(12, 12, 0.8), (12, 9, 0.99)])
def test_an_inconclusive_run_says_what_it_would_take(
    lost: int, gained: int, decided: float
) -> None:
    """With that many items at the same rates, at least 80 % of 2,000 simulated runs decide.

    In the middle between 0 and the margin, all do.
    """
    candidate, baseline = binary(150, lost, gained, wrong=20)
    n = decide([candidate], [baseline]).tasks[0].required_n
    assert n is not None
    assert n > 150
    rates = [lost / 150, gained / 150, 1 - (lost + gained) / 150]
    counts = np.random.default_rng(1).multinomial(n, rates, 2_000)
    within = tango.score(counts[:, 0], counts[:, 1], n, 0.05) < -1.645
    worse = tango.score(counts[:, 0], counts[:, 1], n, 0.0) > 1.645
    assert decided - 0.03 < (within | worse).mean()
    fewer = np.random.default_rng(1).multinomial(n // 2, rates, 2_000)
    within = tango.score(fewer[:, 0], fewer[:, 1], n // 2, 0.05) < -1.645
    worse = tango.score(fewer[:, 0], fewer[:, 1], n // 2, 0.0) > 1.645
    assert (within | worse).mean() < 0.8  # half as many are too few


def test_few_items_are_inconclusive() -> None:
    """29 lost of 29 are below the minimum; 30 are not."""
    for n, verdict in ((29, "inconclusive"), (30, "regressed")):
        found = decide([scores(np.zeros(n))], [scores(np.ones(n))])
        assert found.verdict == verdict
        assert ("few_items" in found.flags) == (n < 30)
    assert decide([scores(np.zeros(29))], [scores(np.ones(29))]).tasks[0].required_n == 30


def test_graded_scores_are_compared_by_t() -> None:
    """The method is named; with many items the p-value is that of scipy's paired t test."""
    generator = np.random.default_rng(4)
    before = generator.uniform(0.2, 0.9, 2_000)
    after = before - generator.normal(0.005, 0.1, 2_000).clip(-0.1, 0.2)
    found = decide([scores(after, binary=False)], [scores(before, binary=False)]).tasks[0]
    assert found.method == "paired_t"
    assert found.mcnemar is None
    expected = ttest_1samp(before - after, 0, alternative="greater").pvalue
    assert found.p_value == pytest.approx(expected, rel=0.15)


def test_lower_is_better_is_honoured() -> None:
    """A rise of a metric of which less is better is a regression, with its own sign."""
    options = {"metric": "toxicity", "binary": False, "higher_is_better": False}
    before = np.full(100, 0.2)
    after = before + np.tile([0.1, 0.2], 50)
    found = decide([scores(after, **options)], [scores(before, **options)])
    task = found.tasks[0]
    assert found.verdict == "regressed"
    assert task.difference == pytest.approx(0.15)
    assert task.lower is not None
    assert task.upper is not None
    assert 0 < task.lower < 0.15 < task.upper
    assert task.flips[0].loss == pytest.approx(0.2)
    assert decide([scores(before, **options)], [scores(after, **options)]).verdict == (
        "not_regressed"
    )


def test_items_of_a_cluster_are_not_independent() -> None:
    """Ten questions in ten wordings each are not 100 items: the verdict is on 10 clusters."""
    clusters = [f"c{index % 10}" for index in range(100)]
    before, after = np.ones(100), np.ones(100)
    after[[index for index in range(100) if index % 10 == 0]] = 0
    alone = decide([scores(after)], [scores(before)])
    found = decide([scores(after, clusters=clusters)], [scores(before, clusters=clusters)])
    assert alone.verdict == "regressed"
    assert found.verdict == "inconclusive"
    assert found.tasks[0].method == "cluster_t"
    assert (found.tasks[0].n, found.tasks[0].clusters) == (100, 10)


def test_several_tasks_are_corrected_by_holm() -> None:
    """A task that regressed alone is inconclusive among five; a clear one makes the run."""
    slight = binary(300, 30, 16, wrong=40)
    clear = binary(300, 60, 10, wrong=40)
    same = binary(300, 8, 8, wrong=40)

    def named(pair: tuple[TaskScores, TaskScores], name: str) -> list[TaskScores]:
        return [msgspec.structs.replace(side, task=name) for side in pair]

    def decided(tasks: list[list[TaskScores]]) -> Decision:
        return decide([candidate for candidate, _ in tasks], [baseline for _, baseline in tasks])

    alone = decided([[*slight]])
    assert alone.tasks[0].p_value < 0.05
    tasks = [named(slight, "slight"), *(named(same, f"same {n}") for n in range(4))]
    found = decided(tasks)
    assert found.tasks[0].p_adjusted == pytest.approx(5 * found.tasks[0].p_value)
    assert [task.verdict for task in found.tasks] == ["inconclusive", *["not_regressed"] * 4]
    assert found.verdict == "inconclusive"
    tasks[1] = named(clear, "clear")
    found = decided(tasks)
    assert found.verdict == "regressed"
    assert found.tasks[0].p_adjusted == pytest.approx(4 * found.tasks[0].p_value)


def test_margins_may_differ_by_task() -> None:
    """A task with a margin of its own is decided by it."""
    candidate, baseline = binary(400, 14, 10, wrong=40)
    assert decide([candidate], [baseline]).verdict == "not_regressed"
    found = decide([candidate], [baseline], Criteria(margins={"qa": 0.02}))
    assert (found.verdict, found.tasks[0].margin) == ("inconclusive", 0.02)


def test_unusable_answers_are_an_error_or_left_out() -> None:
    """Above the share there is no verdict; below it a flag says that items were left out."""
    baseline = scores(np.ones(100))
    with pytest.raises(RunError, match="6 of 100 answers of the candidate are unusable"):
        decide([scores(np.zeros(100), failed=set(range(6)))], [baseline])
    found = decide([scores(np.ones(100), failed=set(range(5)))], [baseline])
    assert (found.tasks[0].n, found.tasks[0].failed) == (95, 5)
    assert found.flags == ("failed_answers",)
    with pytest.raises(RunError, match="invalid_responses"):
        decide([scores([1], failed={0})], [scores([1])])
    with pytest.raises(RunError, match="no_items"):
        decide([scores([])], [baseline])


def test_looks_spend_half_of_alpha() -> None:
    """At the planned end of a run with looks the interval is that of alpha / 2, or narrower."""
    candidate, baseline = binary(100, 9, 5, wrong=10)
    process = start([baseline], Criteria())
    for end in (50, 100):
        process = look(process, [first(candidate, end)], [baseline])
    task = decide([candidate], [baseline], process=process).tasks[0]
    lower, upper = tango.interval(9, 5, 100, 0.025)
    assert (task.lower, task.upper) == pytest.approx((-upper, -lower))
    assert task.p_value > decide([candidate], [baseline]).tasks[0].p_value
    assert task.e_regressed is not None


def test_an_early_stop_has_the_interval_of_the_looks() -> None:
    """Before the planned end only the bounds that hold at all looks count."""
    candidate, baseline = binary(400, 90, 5)
    process = start([baseline], Criteria())
    for end in (25, 50, 75):
        process = look(process, [first(candidate, end)], [baseline])
    assert process.outcome == "regressed"
    task = decide([first(candidate, 75)], [baseline], process=process).tasks[0]
    evidence = process.tasks["qa"]
    assert (task.lower, task.upper) == (-evidence.upper, -evidence.lower)
    assert task.flags == ("stopped_early",)
    assert (task.n, task.planned) == (75, 400)
    # stopped by hand, without a verdict of the looks: no test at the end
    cut = decide([first(candidate, 25)], [baseline], process=start([baseline], Criteria()))
    assert cut.verdict == "inconclusive"


def test_a_task_that_has_not_run_leaves_the_run_open() -> None:
    """Of two planned tasks one harmless is not enough, and one regressed is."""
    for lost, verdict in ((0, "inconclusive"), (40, "regressed")):
        candidate, baseline = binary(200, lost, 0)
        other = msgspec.structs.replace(baseline, task="other")
        process = look(start([baseline, other], Criteria()), [candidate], [baseline, other])
        found = decide([candidate], [baseline, other], process=process)
        assert (found.verdict, found.flags) == (verdict, ("stopped_early",))
        assert sentence(RunSummary(run_id="", model="", verdict=found.verdict), found)


def test_a_decision_survives_json() -> None:
    """A decision without scores of a task, and one of unbounded scores, can be stored."""
    options = {"metric": "perplexity", "binary": False, "higher_is_better": False}
    for sides in (binary(100, 9, 5), (scores([3], **options), scores([4], **options))):
        found = decide([sides[0]], [sides[1]])
        assert msgspec.json.decode(msgspec.json.encode(found), type=Decision) == found
