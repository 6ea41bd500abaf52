"""Live quality covers the truth once there are labels, and keeps versions apart."""

from __future__ import annotations

import numpy as np
import pytest

from judges.live.quality import (
    LEAST_SCORES,
    MAX_LABELS,
    MAX_SCORES,
    MAX_SERIES,
    QualityHistory,
)
from monitor.events.evaluations import HUMAN, Evaluation
from monitor.statistics.corrected import Corrected, Floats, Moments, corrected_mean


def judged(number: int, score: float | None, **changed: object) -> Evaluation:
    """Return the evaluation of a uniform sample."""
    fields: dict[str, object] = {
        "name": "judge.tone",
        "request_id": f"r{number}",
        "model": "m",
        "time": float(number),
        "score": score,
        "evaluator": "j",
        "version": "1",
        "uniform": True,
        "probability": 0.01,
    }
    return Evaluation(**(fields | changed))  # type: ignore[arg-type]  # fields of any type


def label(number: int, score: float, judge: float, **changed: object) -> Evaluation:
    """Return a human label."""
    return judged(
        number, score, **({"evaluator": HUMAN, "uniform": False, "judge_score": judge} | changed)
    )


def simulated(history: QualityHistory, seed: int, labels: int) -> None:
    """Add 2,000 scores of a judge that is half a point too kind, and labels of some of them."""
    rng = np.random.default_rng(seed)
    for number in range(2_000):
        truth = float(rng.integers(0, 5))  # mean 2
        score = truth + float(rng.random() < 0.5)
        history.add(judged(number, score))
        if number < labels:
            history.add(label(number, truth, score))


def test_labels_correct_a_kind_judge() -> None:
    """The naive interval misses the truth, the corrected one covers it as often as it says."""
    covered = naive = 0
    for seed in range(40):
        with_labels, alone = QualityHistory(), QualityHistory()
        simulated(with_labels, seed, 200)
        simulated(alone, seed, 0)
        [corrected], [judge] = with_labels.estimates(), alone.estimates()
        assert corrected.corrected
        assert not judge.corrected
        covered += corrected.lower <= 2.0 <= corrected.upper
        naive += judge.lower <= 2.0 <= judge.upper
    assert naive == 0
    assert covered >= 34  # of 40 at 95 %: fewer in 1 of 400 runs


def good_judge(rng: np.random.Generator, scores: int) -> tuple[QualityHistory, Floats, Floats]:
    """Return a history with 400 labels, and all scores of people (mean 3) and of the judge."""
    human = np.clip(rng.normal(3.0, 0.7, scores), 0, 5)
    judge = np.clip(human + rng.normal(0.4, 0.3, scores), 0, 5)
    history = QualityHistory()
    for number, score in enumerate(judge):
        history.add(judged(number, float(score)))
    for number in range(400):
        history.add(label(number, float(human[number]), float(judge[number])))
    return history, human, judge


def test_coverage_with_a_label_for_most_scores() -> None:
    """The interval covers as often as it says, although 400 of 500 judged samples have a label."""
    rng, covered, runs = np.random.default_rng(1), 0, 400
    for _ in range(runs):
        history, _, _ = good_judge(rng, 500)
        [found] = history.estimates()
        covered += found.lower <= 3.0 <= found.upper
    assert 0.925 <= covered / runs <= 0.975  # at 95 %, other shares occur in 1 of 50 runs


@pytest.mark.parametrize("scores", [400, 500, 600, 1_000, 2_000, 2_300])
def test_samples_with_a_label_count_once(scores: int) -> None:
    """Scores of labelled samples are not counted among those of the others."""
    history, human, judge = good_judge(np.random.default_rng(2), scores)
    others = Moments.of(judge[max(400, scores - MAX_SCORES) :])
    expected = corrected_mean(human[:400], judge[:400], others, bounds=(0, 5))
    [found] = history.estimates()
    assert isinstance(expected, Corrected)
    assert found.corrected
    assert (found.scores, found.labels) == (min(scores, MAX_SCORES), 400)
    assert (found.value, found.lower) == pytest.approx((expected.value, expected.lower))
    assert found.judged == pytest.approx(float(judge[-MAX_SCORES:].mean()))


def test_the_newest_version_counts() -> None:
    """Scores of an older version of a rubric are not mixed in, whatever the order of reading."""
    old = [judged(i, 1.0) for i in range(100)]
    new = [judged(100 + i, 4.0, version="2") for i in range(100)]
    for order in (old + new, new + old, [*sum(zip(old, new, strict=True), ())]):
        history = QualityHistory()
        for each in order:
            history.add(each, arrived=each.time)
        assert [each.value for each in history.estimates()] == [pytest.approx(4.0)]


@pytest.mark.parametrize("arrived", [0.0, 1.0])
def test_a_wrong_clock_does_not_choose_the_version(arrived: float) -> None:
    """One record with a time in the future does not keep an old version of a rubric."""
    history = QualityHistory()
    for number in range(100):
        history.add(judged(number, 1.0, time=4.1e9 if number == 50 else 1.7e9), number * arrived)
    for number in range(100, 200):
        history.add(judged(number, 4.0, version="2", time=1.7e9), number * arrived)
    assert [each.value for each in history.estimates()] == [pytest.approx(4.0)]


MARK = 3.0


def verdicts(
    seed: int,
    labels: int,
    *,
    sensitivity: float = 0.95,
    specificity: float = 0.6,
    passing: float = 4.0,
    **changed: object,
) -> QualityHistory:
    """Return 1,500 verdicts of a judge that fails too few, with a true pass rate of 70 %.

    passing: score of people and of the judge for what they pass.
    """
    rng, history = np.random.default_rng(seed), QualityHistory()
    for number in range(1_500):
        good = rng.random() < 0.7
        passed = bool(rng.random() < (sensitivity if good else 1 - specificity))
        score, mark = (passing if passed else 2.0), {"passed": passed, "pass_mark": MARK}
        history.add(judged(number, score, **(mark | changed)))
        if number < labels:
            human = passing if good else 2.5
            verdict = good if number % 2 else None  # otherwise it follows from the score
            history.add(label(number, human, score, passed=verdict))
    return history


def test_labels_correct_the_pass_rate() -> None:
    """The judge passes too many; the corrected interval covers the truth as often as it says."""
    covered = 0
    for seed in range(60):
        [found] = verdicts(seed, 300).estimates()
        rate = found.pass_rate
        assert (rate.state, rate.reason, rate.labels) == ("corrected", "", 300)
        assert rate.value is not None
        assert rate.lower is not None
        assert rate.upper is not None
        assert rate.judged == pytest.approx(0.7 * 0.95 + 0.3 * 0.4, abs=0.05)
        assert 0 <= rate.lower < rate.value < rate.upper <= 1
        covered += rate.lower <= 0.7 <= rate.upper
    assert covered >= 52  # of 60 at 95 %: fewer in 1 of 200 runs


@pytest.mark.parametrize(
    ("labels", "changed", "reason"),
    [
        (0, {}, "fewer than 50 effective labels"),
        (49, {}, "fewer than 50 effective labels"),
        (300, {"sensitivity": 0.4, "specificity": 0.4}, "no better than chance"),
        (300, {"passed": None, "pass_mark": None}, "no pass verdicts"),
        (300, {"pass_mark": None}, "not known yet"),
        (1_500, {}, "no judged cases without a label"),
    ],
)
def test_a_pass_rate_that_labels_do_not_determine_is_undefined(
    labels: int, changed: dict[str, object], reason: str
) -> None:
    """It is a state with a reason, and no number; what the judge passes is given where known."""
    history = verdicts(1, labels, **changed)  # type: ignore[arg-type]  # fields of any type
    [found] = history.estimates()
    rate = found.pass_rate
    assert rate.state == "undefined"
    assert reason in rate.reason
    assert (rate.value, rate.lower, rate.upper) == (None, None, None)
    assert (rate.judged is None) == (changed.get("passed", "") is None)


def test_people_who_pass_everything_determine_no_pass_rate() -> None:
    """Without a failed label the specificity of the judge is unknown."""
    history = QualityHistory()
    for number in range(200):
        history.add(judged(number, 4.0, passed=True, pass_mark=MARK))
        if number < 100:
            history.add(label(number, 4.0, 4.0))
    [found] = history.estimates()
    assert found.pass_rate.reason == "people labelled all cases the same"


def test_scores_at_the_pass_mark_pass() -> None:
    """Sums of weights are not exact: a score a little below the mark is the mark."""
    [exact] = verdicts(1, 300, passing=MARK).estimates()
    [below] = verdicts(1, 300, passing=MARK - 1e-12).estimates()
    assert exact.pass_rate.state == "corrected"
    assert below.pass_rate == exact.pass_rate


def test_only_uniform_scores_count() -> None:
    """Boosted samples and unscored ones are left out; few scores give no estimate."""
    history = QualityHistory()
    for number in range(LEAST_SCORES):
        history.add(judged(number, 0.0, uniform=False))
        history.add(judged(number, None, unscored="timeout"))
    for number in range(LEAST_SCORES - 1):
        history.add(judged(number, 3.0))
    assert history.estimates() == []
    history.add(judged(99, 3.0))
    [estimate] = history.estimates()
    assert estimate.value == pytest.approx(3.0)
    assert estimate.scores == LEAST_SCORES


def test_samples_count_by_their_inclusion_probability() -> None:
    """A sample that was drawn at half the rate stands for twice as many records."""
    history = QualityHistory()
    for number in range(500):
        history.add(judged(number, 4.0, probability=0.02))
        history.add(judged(number, 1.0, probability=0.01))
    [estimate] = history.estimates()
    assert estimate.value == pytest.approx((4.0 + 2 * 1.0) / 3)


@pytest.mark.parametrize(("human", "judge"), [(90.0, 3.0), (-1.0, 3.0), (3.0, 5.5)])
def test_labels_of_another_scale_are_left_out(human: float, judge: float) -> None:
    """A label with a score that the rubric does not have is no label of it."""
    history = QualityHistory()
    for number in range(300):
        history.add(judged(number, 3.0))
        history.add(label(number, human, judge))
    [found] = history.estimates()
    assert (found.corrected, found.labels) == (False, 0)
    assert found.value == pytest.approx(3.0)


def test_agreement_follows_from_the_votes() -> None:
    """Equal votes have an alpha of 1, random ones of about 0; without votes there is none."""
    rng = np.random.default_rng(1)
    equal, random, none = QualityHistory(), QualityHistory(), QualityHistory()
    for number in range(300):
        score = float(rng.integers(0, 6))
        equal.add(judged(number, score, votes=(score, score)))
        random.add(judged(number, score, votes=(score, float(rng.integers(0, 6)))))
        none.add(judged(number, score))
    assert equal.agreement() == {"judge.tone": 1.0}
    assert abs(random.agreement()["judge.tone"]) < 0.2
    assert none.agreement() == {}


def test_everything_is_bounded() -> None:
    """A log may name any number of models and people may label any number of responses."""
    history = QualityHistory()
    for number in range(MAX_SERIES + 10):
        history.add(judged(number, 1.0, model=f"m{number}"))
    for number in range(MAX_LABELS + 10):
        history.add(label(number, 1.0, 1.0))
    assert len(history._series) == MAX_SERIES
    assert len(history._series["m", "judge.tone", "1"].labels) == MAX_LABELS
