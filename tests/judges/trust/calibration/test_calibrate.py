"""Calibration of a judge against labels."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
from sklearn.metrics import balanced_accuracy_score, cohen_kappa_score, confusion_matrix

from judges.trust.calibration.calibrate import Verdict, calibrate, pair
from judges.trust.calibration.labels import Label
from judges.trust.calibration.report import Calibration, Confusion, PassMark, to_json, to_text
from monitor.statistics.agreement import Estimate, Undefined
from monitor.statistics.panel import effective_votes


def data(
    seed: int, *, cases: int = 200, lenience: float = 0.7
) -> tuple[list[Label], list[Verdict], np.ndarray, np.ndarray]:
    """Return labels, verdicts of a lenient judge, and both scores."""
    rng = np.random.default_rng(seed)
    human = np.clip(np.round(rng.normal(3, 1.3, cases)), 0, 5)
    law = rng.random(cases) < 0.4
    judge = np.clip(np.round(human + lenience + law + rng.normal(0, 0.5, cases)), 0, 5)
    labels = [
        Label(f"r{i}", "quality", score=human[i], passed=bool(human[i] >= 3),
              metadata={"topic": "law" if law[i] else "art", "id": f"u{i}"})
        for i in range(cases)
    ]  # fmt: skip
    verdicts = [
        Verdict(f"r{i}", "quality", score=judge[i], passed=bool(judge[i] >= 3))
        for i in range(cases)
    ]
    return labels, verdicts, human, judge


def calibrated(labels: list[Label], verdicts: list[Verdict]) -> Calibration:
    """Calibrate one dimension, with few resamples."""
    (found,) = calibrate(labels, verdicts, np.random.default_rng(1), resamples=100)
    return found


def estimate(result: object) -> Estimate:
    """Return a result that must be defined."""
    assert isinstance(result, Estimate)
    return result


def test_agreement_and_confusion_equal_scikit_learn() -> None:
    """Kappa and the confusion matrix are those of an independent implementation."""
    labels, verdicts, human, judge = data(1)
    found = calibrated(labels, verdicts)
    quadratic = cohen_kappa_score(human.astype(int), judge.astype(int), weights="quadratic")
    assert estimate(found.kappa).value == pytest.approx(quadratic)
    assert estimate(found.pass_kappa).value == pytest.approx(
        cohen_kappa_score(human >= 3, judge >= 3)
    )
    (tn, fp), (fn, tp) = confusion_matrix(human >= 3, judge >= 3)
    matrix = found.confusion
    assert isinstance(matrix, Confusion)
    assert (matrix.both_passed, matrix.both_failed) == (tp, tn)
    assert (matrix.wrongly_passed, matrix.wrongly_failed) == (fp, fn)
    assert matrix.sensitivity == pytest.approx(tp / (tp + fn))
    assert matrix.specificity == pytest.approx(tn / (tn + fp))


def test_bias_by_group() -> None:
    """The judge is more lenient on one topic; groups of single cases are left out and counted."""
    labels, verdicts, human, judge = data(2)
    found = calibrated(labels, verdicts)
    overall = estimate(found.bias)
    assert overall.value == pytest.approx((judge - human).mean())
    groups = {(group.key, group.value): estimate(group.bias) for group in found.groups}
    assert set(groups) == {("topic", "art"), ("topic", "law")}
    law, art = groups["topic", "law"], groups["topic", "art"]
    assert law.lower is not None
    assert art.upper is not None
    assert law.lower > art.upper
    assert found.groups_left_out == 200


def test_suggested_pass_mark() -> None:
    """A lenient judge needs a higher mark: the one with the best balanced accuracy."""
    labels, verdicts, human, judge = data(3, lenience=1.2)
    mark = calibrated(labels, verdicts).pass_mark
    assert isinstance(mark, PassMark)
    marks = {m: balanced_accuracy_score(human >= 3, judge >= m) for m in range(1, 6)}
    assert mark.balanced_accuracy == pytest.approx(max(marks.values()))
    assert marks[int(mark.mark)] == pytest.approx(mark.balanced_accuracy)
    assert mark.mark > 3


def test_equal_marks_are_decided_by_the_pass_rate() -> None:
    """Of two marks with the same balanced accuracy, the pass rate nearest to people's wins."""
    human = [True, True, True, True, False, False]
    scores = [5.0, 5.0, 2.0, 2.0, 2.0, 0.0]  # marks 2 and 5: (1 + 1/2) / 2 and (1/2 + 1) / 2
    labels = [Label(f"r{i}", "q", passed=passed) for i, passed in enumerate(human)]
    verdicts = [Verdict(f"r{i}", "q", score=score) for i, score in enumerate(scores)]
    mark = calibrated(labels, verdicts).pass_mark
    assert isinstance(mark, PassMark)
    assert mark.balanced_accuracy == pytest.approx(0.75)
    assert mark.mark == 2  # passes 5 of 6, people 4 of 6, mark 5 passes 2 of 6


def test_inclusion_probabilities_weigh_rates_and_bias() -> None:
    """Cases that were rarely chosen count more."""
    labels = [Label(f"r{i}", "q", score=2, passed=False, inclusion=0.1) for i in range(10)]
    labels += [Label(f"s{i}", "q", score=2, passed=True, inclusion=0.5) for i in range(10)]
    verdicts = [Verdict(f"r{i}", "q", score=3, passed=True) for i in range(10)]
    verdicts += [Verdict(f"s{i}", "q", score=2, passed=True) for i in range(10)]
    found = calibrated(labels, verdicts)
    assert isinstance(found.confusion, Confusion)
    assert found.confusion.human_pass_rate == pytest.approx(2 / 12)
    assert estimate(found.bias).value == pytest.approx(10 / 12)


def test_several_people() -> None:
    """Of several people the mean and the majority count; a tie has no verdict."""
    labels = [
        Label("a", "q", score=1, passed=False, rater="x"),
        Label("a", "q", score=3, passed=True, rater="y"),
        Label("b", "q", score=4, passed=True, rater="x"),
        Label("c", "q", score=5, rater="x"),
    ]
    pairs = pair(labels, [Verdict("a", "q", score=2.0, passed=True), Verdict("b", "q", score=4.0)])
    found = pairs["q", ""]
    assert found.unjudged == 1
    assert found.human.tolist() == [2, 4]
    assert np.isnan(found.human_passed[0])
    assert found.human_passed[1] == 1
    assert found.people.shape == (2, 2)
    scored = pair([Label("c", "q", score=5)], [Verdict("c", "q", score=5.0)], pass_mark=4)
    assert scored["q", ""].human_passed.tolist() == [1]


def test_effective_votes_of_a_panel() -> None:
    """Judges with the same errors are about one vote; answers without all votes do not count."""
    labels, verdicts, human, judge = data(6)
    noise = np.random.default_rng(7).normal(0, 0.2, (len(human), 3))
    panel = [
        replace(each, votes=tuple(judge[i] + noise[i])) for i, each in enumerate(verdicts[:-1])
    ]
    found = calibrated(labels, [*panel, replace(verdicts[-1], votes=(0.0, 5.0))])
    assert found.judges == 3
    errors = judge[:-1, None] + noise[:-1] - human[:-1, None]
    assert found.effective_votes == pytest.approx(effective_votes(errors))
    assert isinstance(found.effective_votes, float)
    assert found.effective_votes < 1.2
    assert "effective votes of   3 judges   1." in to_text([found])
    alone = calibrated(labels, verdicts)
    assert isinstance(alone.effective_votes, Undefined)
    assert alone.judges == 0
    assert "effective votes" not in to_text([alone])


def test_undefined_has_reasons() -> None:
    """Labels without verdicts, and verdicts without variety, give reasons and no numbers."""
    found = calibrated([Label("a", "q", score=1)], [])
    assert found.cases == 0
    assert found.unjudged == 1
    for name in ("alpha", "kappa", "pass_kappa", "pass_ac1", "bias", "confusion", "pass_mark"):
        assert isinstance(getattr(found, name), Undefined), name
    assert "undefined" in to_text([found])


def test_report_as_json_and_text() -> None:
    """The report is JSON without NaN, and text without control characters."""
    labels, verdicts, _, _ = data(4)
    hostile = [
        Label(f"h{i}", "quality", score=i % 6, metadata={"topic": "\x1b[2Jlaw\n"})
        for i in range(12)
    ]
    judged = [Verdict(f"h{i}", "quality", score=float(i % 6)) for i in range(12)]
    found = calibrated([*labels, *hostile], [*verdicts, *judged])
    text = to_text([found])
    assert "\x1b" not in text
    assert "?[2Jlaw?" in text
    assert "suggested pass mark" in text
    report = json.loads(json.dumps(to_json([found]), allow_nan=False))
    (only,) = report["calibrations"]
    assert only["cases"] == 212
    assert set(only["alpha"]) == {"value", "lower", "upper"}
    assert only["confusion"]["both_passed"] > 0


def test_a_poor_judge_is_named() -> None:
    """A kappa below the limit is a warning in the text."""
    labels = [Label(f"r{i}", "q", passed=i % 2 == 0) for i in range(60)]
    verdicts = [Verdict(f"r{i}", "q", passed=i % 3 == 0) for i in range(60)]
    assert "warning: kappa below" in to_text([calibrated(labels, verdicts)])
