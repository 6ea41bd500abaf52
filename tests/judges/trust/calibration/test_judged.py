"""Labels meet the evaluations of one version, and correct the quality of the traffic."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from judges.live.quality import QualityHistory
from judges.trust.calibration import judged as judged_module
from judges.trust.calibration.corrected import model_qualities, published
from judges.trust.calibration.judged import Judged, JudgedCases, Sums
from judges.trust.calibration.labels import Label
from monitor.errors import UserError
from monitor.events.evaluations import HUMAN, Evaluation
from monitor.statistics.agreement import Undefined
from monitor.statistics.corrected import Corrected, Moments
from tests.judges.trust.calibration.evaluations import PASS_RATE, TRUTH, evaluation, simulated


def collect(labels: list[Label], evaluations: list[Evaluation], rubric: str = "tone") -> Judged:
    """Return what the judge said for labels."""
    cases = JudgedCases(labels)
    for each in evaluations:
        cases.add(each, arrived=each.time)
    return cases.of(rubric)


def label(number: int, score: float | None = 3.0, **fields: Any) -> Label:
    """Return a label of a response."""
    return Label(f"r{number}", "tone", score=score, **fields)


@given(
    st.lists(
        st.tuples(st.floats(0, 5), st.floats(0.001, 1)),
        min_size=1,
        max_size=50,
    )
)
def test_sums_have_the_moments_of_their_values(values: list[tuple[float, float]]) -> None:
    """Count, mean and variance are those that are computed from all values at once."""
    sums = Sums()
    for value, probability in values:
        sums.add(value, probability)
    scores, inclusion = np.array(values).T
    expected = Moments.of(scores, inclusion)
    assert sums.moments().count == pytest.approx(expected.count)
    assert sums.moments().mean == pytest.approx(expected.mean)
    assert sums.moments().variance == pytest.approx(expected.variance, abs=1e-9)


def test_corrected_quality_covers_the_truth() -> None:
    """The mean and the pass rate of a kind judge are corrected; the judge alone misses both."""
    covered = {"mean": 0, "pass_rate": 0, "pass_rate_by_errors": 0}
    for seed in range(40):
        evaluations, labels = simulated(seed, 150)
        [quality] = model_qualities("tone", collect(labels, evaluations))
        for name, truth in (
            ("mean", TRUTH),
            ("pass_rate", PASS_RATE),
            ("pass_rate_by_errors", PASS_RATE),
        ):
            found = getattr(quality, name)
            assert isinstance(found, Corrected)
            assert found.naive > truth + 0.05
            covered[name] += found.lower <= truth <= found.upper
    assert min(covered.values()) >= 34  # of 40 at 95 %: fewer in 1 of 400 runs


def test_labelled_responses_are_not_counted_in_the_traffic() -> None:
    """The estimator requires the other responses alone."""
    evaluations, labels = simulated(1, 100)
    found = collect(labels, evaluations)
    assert found.traffic["m"].scores.moments().count == pytest.approx(1_900)


def test_published_labels_correct_the_live_quality() -> None:
    """They have the judge's score, version and inclusion probability; people alone count once."""
    evaluations, labels = simulated(3, 200)
    labels = [replace(each, inclusion=0.5) for each in labels]
    found = published("tone", collect(labels, evaluations))
    assert found.left_out == {}
    assert {each.evaluator for each in found.evaluations} == {HUMAN}
    assert {each.probability for each in found.evaluations} == {0.005}
    history = QualityHistory()
    for each in [*evaluations, *found.evaluations, *found.evaluations]:
        history.add(each)
    [quality] = history.estimates()
    assert quality.corrected
    assert quality.labels == 200
    assert quality.judged == pytest.approx(TRUTH + 0.5, abs=0.15)
    assert quality.lower <= TRUTH <= quality.upper


def test_several_people_are_published_as_one() -> None:
    """Their mean is the score; a label with a verdict only is left out, and named."""
    labels = [
        label(1, 2.0, rater="ann"),
        label(1, 4.0, rater="bob"),
        label(2, None, passed=True),
        label(3, 1.0, dimension="clarity"),
    ]
    evaluations = [evaluation(number, 3.0, dimensions={"clarity": 3.0}) for number in range(5)]
    found = published("tone", collect(labels, evaluations), pass_mark=3.0)
    [only] = found.evaluations
    assert (only.request_id, only.score, only.judge_score) == ("r1", 3.0, 3.0)
    assert found.left_out == {"without a score": 1}


def test_the_newest_version_counts() -> None:
    """An older version of a rubric, and one of boosted samples, are not compared."""
    old = [evaluation(number, 1.0) for number in range(5)]
    new = [evaluation(number, 4.0, version="2") for number in range(3, 20)]
    boosted = [evaluation(99, 2.0, version="3", uniform=False, probability=0.0)]
    found = collect([label(number) for number in range(6)], new + boosted + old)
    assert found.version == "2"
    assert sorted(found.evaluations) == ["r3", "r4", "r5"]
    assert {each.score for each in found.evaluations.values()} == {4.0}
    assert found.left_out == {"another version": 3}


def test_a_wrong_clock_does_not_choose_the_version() -> None:
    """One record with a time in the future does not keep an old version of the judge."""
    cases = JudgedCases([label(number) for number in range(10)])
    for arrived, each in enumerate(
        [
            evaluation(1, 1.0, time=4.1e9),
            *(evaluation(number, 4.0, version="2", time=1.7e9) for number in range(10)),
        ]
    ):
        cases.add(each, float(arrived))
    assert cases.of("tone").version == "2"


@pytest.mark.parametrize("score", [1.0, None])
def test_a_repetition_outside_of_the_traffic_replaces_nothing(score: float | None) -> None:
    """The nightly run of the live judge has its version, but is no sample: order is no matter."""
    live = [evaluation(number, 4.0) for number in range(5)]
    nightly = [evaluation(number, score, uniform=False, probability=0.0) for number in range(5)]
    for order in (live + nightly, nightly + live):
        found = collect([label(number) for number in range(5)], order)
        assert found.left_out == {}
        assert {each.score for each in found.evaluations.values()} == {4.0}


@pytest.mark.parametrize(
    ("evaluations", "reason"),
    [
        ([], "was not judged"),
        ([evaluation(1, 4.0), evaluation(2, 4.0, version="2")], "by another version"),
        ([evaluation(1, 4.0, uniform=False, probability=0.0)], "is a boosted sample"),
        ([evaluation(1, None)], "was not scored"),
        ([evaluation(1, 4.0, name="judge.other")], "was not judged"),
        ([evaluation(1, 4.0, evaluator=HUMAN)], "was not judged"),
    ],
)
def test_nothing_to_compare_is_an_error(evaluations: list[Evaluation], reason: str) -> None:
    """The error names the reason and no request id."""
    with pytest.raises(UserError, match=reason) as caught:
        collect([label(1)], evaluations)
    assert "r1" not in str(caught.value)


def test_dimensions_have_verdicts() -> None:
    """A label of a dimension meets the judge's score of it; an unknown one has none."""
    labels = [label(1), label(1, dimension="clarity"), label(1, dimension="wit")]
    dimensions = {"clarity": 5.0, "depth": 2.0}
    found = collect(labels, [evaluation(1, 4.0, dimensions=dimensions, votes=(4.0, 3.0))])
    assert {each.dimension: each.votes for each in found.verdicts()} == {
        "": (4.0, 3.0),
        "clarity": (),
    }
    assert {each.dimension: each.score for each in found.verdicts()} == {"": 4.0, "clarity": 5.0}


def test_memory_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of more models and versions than the limit, the first ones are kept."""
    monkeypatch.setattr(judged_module, "MAX_SERIES", 3)
    cases = JudgedCases([label(1)])
    for number in range(20):
        cases.add(evaluation(number + 1, 4.0, model=f"m{number}"))
        cases.add(evaluation(1, 4.0, version=f"v{number}", time=-1.0))
    assert len(cases._traffic) <= 3
    assert len(cases._newest) <= 3
    assert len(cases._cases["r1", "judge.tone"]) == judged_module.MAX_VERSIONS


def test_few_labels_are_undefined() -> None:
    """No estimate is made from them."""
    evaluations, labels = simulated(4, 10)
    [quality] = model_qualities("tone", collect(labels, evaluations))
    assert isinstance(quality.mean, Undefined)


def test_the_scale_of_ragas_is_one() -> None:
    """A metric keeps its own name, and its interval ends at 1."""
    evaluations, labels = simulated(5, 100)
    share = [
        replace(each, name="ragas.faithfulness", score=(each.score or 0) / 5, passed=None)
        for each in evaluations
    ]
    named = [
        replace(each, rubric="ragas.faithfulness", score=(each.score or 0) / 5) for each in labels
    ]
    [quality] = model_qualities("ragas.faithfulness", collect(named, share, "ragas.faithfulness"))
    assert isinstance(quality.mean, Corrected)
    assert quality.mean.lower <= TRUTH / 5 <= quality.mean.upper <= 1
