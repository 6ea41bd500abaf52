"""Alarms are counted, tuned and timed by one protocol for all contestants."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, ClassVar

import numpy as np
import pytest

from benchmarks.detectors import measure, tune
from benchmarks.detectors.contestants import CONTESTANTS, PROJECT_ENVIRONMENT
from benchmarks.detectors.contestants.baselines import Always, Never
from benchmarks.detectors.contestants.plumbline import AllDetectors, WindowTests, divide_trial
from benchmarks.detectors.contestants.textbook import BinShares, Textbook
from benchmarks.detectors.protocol import (
    JointContestant,
    Knob,
    ScoreBased,
    ScoringContestant,
    count_episodes,
    evaluation_points,
    first_after,
)
from benchmarks.detectors.streams import CHANGES, NUMERIC, STREAMS, Trial, change_trial, null_trial
from tests.long_form import long_only


class Random(ScoreBased):
    """Raises an alarm with probability `knob` at every tenth record, whatever the data."""

    kinds: ClassVar = frozenset({NUMERIC})
    knob: ClassVar = Knob("probability", 0.01, 0.5, 1e-9)
    memory: ClassVar[int | None] = 10

    def version(self) -> str:
        """Return an empty string."""
        return ""

    def cut(self, knob: float) -> float:
        """Return -ln p."""
        return float(-np.log(knob))

    def scores(self, trial: Trial) -> Iterator[tuple[int, float]]:
        """Yield -ln of uniform numbers, seeded by the first value of the trial."""
        rng = np.random.default_rng(int(abs(trial.live[0, 0]) * 1e9))
        for position in evaluation_points(trial.live.shape[1], 10, 10):
            yield position, float(-np.log(rng.random()))

    def state(self, trial: Trial) -> Any:
        """Return None."""


class WithoutScores:
    """The same detector without scores, like those of river."""

    kinds: ClassVar = Random.kinds
    knob: ClassVar = Random.knob
    memory: ClassVar[int | None] = Random.memory

    def version(self) -> str:
        """Return an empty string."""
        return ""

    def state(self, trial: Trial) -> Any:
        """Return None."""

    def alarms(self, trial: Trial, knob: float) -> Sequence[int]:
        """Return the alarms of `Random`."""
        return list(Random().alarms(trial, knob))


def null_trials(records: int, trials: int) -> Iterator[Trial]:
    """Yield null trials of N(0, 1)."""
    return (null_trial(STREAMS["normal"], "tune", i, records) for i in range(trials))


@pytest.mark.parametrize(
    ("alarms", "count"),
    [([], 0), ([5], 1), ([5, 1004], 1), ([5, 1005], 2), ([5, 900, 1100, 1900], 2)],
)
def test_an_alarm_and_its_continuation_count_once(alarms: list[int], count: int) -> None:
    """Alarms within a window of a counted alarm are not counted again."""
    assert count_episodes(alarms) == count


@pytest.mark.parametrize(
    ("alarms", "delay"),
    [([], None), ([100], None), ([100, 101], 1), ([50, 130, 140], 30), ([151], None), ([150], 50)],
)
def test_the_delay_starts_at_the_change(alarms: list[int], delay: int | None) -> None:
    """Alarms before the change or after the horizon are not detections."""
    assert first_after(alarms, change=100, horizon=50) == delay


def test_the_baselines_are_the_limits() -> None:
    """`Never` misses every change; `Always` raises one episode per window and misses nothing."""
    records, counts = measure.false_alarms(Always(), null_trials(10_000, 2), [1.0])
    assert (records, counts) == (20_000, [20])
    assert measure.false_alarms(Never(), null_trials(10_000, 2), [1.0]) == (20_000, [0])
    trials = [change_trial(CHANGES["mean_5"], STREAMS, 0, 500)]
    assert measure.delays(Always(), trials, [1.0]) == [[100]]
    assert measure.delays(Never(), trials, [1.0]) == [[None]]


def test_contestants_with_and_without_scores_are_measured_alike() -> None:
    """One pass for all knobs gives the same counts and delays as one pass per knob."""
    knobs = [0.01, 0.001, 0.5]
    for_scores = measure.false_alarms(Random(), null_trials(20_000, 2), knobs)
    assert for_scores == measure.false_alarms(WithoutScores(), null_trials(20_000, 2), knobs)
    trials = [change_trial(CHANGES["transient"], STREAMS, i, 500) for i in range(3)]
    found = measure.delays(Random(), trials, knobs)
    assert found == measure.delays(WithoutScores(), trials, knobs)
    assert None in found[1]
    count = measure.episode_counter(Random(), null_trials(20_000, 2), limit=10**9)
    assert [count(knob) for knob in knobs] == for_scores[1]


def test_counting_stops_at_the_limit() -> None:
    """Trials after the limit are not read."""
    full = measure.episode_counter(WithoutScores(), null_trials(20_000, 3), limit=10**9)(0.5)
    assert (
        20 <= measure.episode_counter(WithoutScores(), null_trials(20_000, 3), limit=1)(0.5) < full
    )


@pytest.mark.parametrize("contestant", [Random(), WithoutScores()])
def test_tuning_finds_a_known_rate(contestant: Any) -> None:
    """With 100,000 evaluations per million records, a rate of 50 is a probability of 5e-4."""
    trials, records = 4, 50_000
    count = measure.episode_counter(
        contestant, null_trials(records, trials), tune.count_limit(50, trials * records)
    )
    found = tune.tune_knob(contestant.knob, count, trials * records, 50.0)
    assert not found.extrapolated
    assert found.count <= 10
    assert found.value is not None
    assert 5e-4 / 3 < found.value < 5e-4 * 3


def test_tuning_extrapolates_from_a_small_sample() -> None:
    """With 0.2 alarms expected, the knob is approximately right and marked as extrapolated."""
    found = tune.tune_knob(Random.knob, lambda knob: round(20_000 * knob), 200_000, 1.0)
    assert found.extrapolated
    assert found.value == pytest.approx(0.2 / 20_000, rel=0.5)
    threshold = Knob("threshold", 5.0, 0.1, 100.0, exponential=True)
    found = tune.tune_knob(threshold, lambda knob: round(200 * np.exp(-knob)), 200_000, 1.0)
    assert found.extrapolated
    assert found.value == pytest.approx(np.log(200 / 0.2), rel=0.1)


@pytest.mark.parametrize(("records", "rate"), [(200_000, 0.1), (50_000, 10.0)])
def test_extrapolation_is_limited(records: int, rate: float) -> None:
    """No knob far below the counted rates, or from counts that the latch has limited."""
    found = tune.tune_knob(Random.knob, lambda knob: round(20_000 * knob), records, rate)
    assert found.value is None
    assert "too few records" in found.reason


def test_an_unreachable_rate_has_a_reason() -> None:
    """If no knob has the rate, the value is None and the reason is given."""
    found = tune.tune_knob(Random.knob, lambda knob: 500, 100_000, 10.0)
    assert found.value is None
    assert "gives more alarms" in found.reason
    never = tune.tune_knob(Random.knob, lambda knob: 0, 100_000, 10.0)
    assert never.value is None
    assert "too few records" in never.reason


def test_the_knob_scale_is_logarithmic() -> None:
    """The middle between .5 and 1e-9 is their geometric mean."""
    knob = Random.knob
    assert knob.value_at(0) == pytest.approx(0.5)
    assert knob.value_at(1) == pytest.approx(1e-9)
    assert knob.value_at(0.5) == pytest.approx((0.5 * 1e-9) ** 0.5)


@pytest.mark.parametrize("plumbline", [AllDetectors(), WindowTests()])
def test_plumbline_detects_a_shift_without_false_alarms(plumbline: AllDetectors) -> None:
    """No alarm on null features at a small budget; a shift of .5 sd within a window."""
    assert isinstance(plumbline, JointContestant)
    forty = Trial(NUMERIC, *(x[:3] for x in _forty(3000)))
    assert plumbline.alarms_by_feature(forty, 0.01) == [[], [], []]
    trial = change_trial(CHANGES["mean_5"], STREAMS, 0, 2000)
    (alarms,) = measure.alarms(plumbline, trial, 1.0)
    delay = first_after(alarms, 2000, 1000)
    assert delay is not None
    assert delay % 100 == 0
    assert not [position for position in alarms if position <= 2000]


@pytest.mark.parametrize("change", ["new_category", "missing"])
def test_plumbline_reads_categories_and_missing_values(change: str) -> None:
    """A new category and a higher share of missing values are detected."""
    trial = change_trial(CHANGES[change], STREAMS, 0, 2000)
    assert measure.delays(AllDetectors(), [trial], [10.0])[0][0] is not None


@pytest.mark.parametrize("change", ["sampled_1_by_3", "sampled_5_by_1", "sampled_5_by_3"])
def test_plumbline_reads_the_values_of_sampled_features(change: str) -> None:
    """The values are watched apart from their absence, as in the daemon."""
    trial = change_trial(CHANGES[change], STREAMS, 0, 5000)
    (alarms,) = AllDetectors().alarms_by_feature(trial, 10.0)
    assert 0 < (first_after(alarms, 5000, 20_000) or 0) < 4000
    present = np.flatnonzero(~np.isnan(trial.live[0])) + 1
    assert set(alarms) <= {*present.tolist(), *range(100, trial.live.shape[1] + 1, 100)}


def test_plumbline_divides_its_budget_among_values_and_their_absence() -> None:
    """A sampled feature has two streams, each with half of the budget of the model."""
    flags, values = divide_trial(null_trial(STREAMS["sampled_1"], "null", 0, 20_000), 100)
    assert flags.group.budget == values.group.budget == 0.5
    assert set(np.unique(flags.numbers)) == {0.0, 1.0}
    assert values.group.share == pytest.approx(0.01, rel=0.2)
    assert values.numbers.shape[1] == len(values.ends) < 300
    assert not np.isnan(values.numbers).any()


@pytest.mark.parametrize("change", ["mean_5", "new_category", "sampled_5_by_1"])
def test_batched_trials_have_the_alarms_of_single_trials(change: str) -> None:
    """Trials merged as features of one give the same delays and episodes."""
    trials = [change_trial(CHANGES[change], STREAMS, number, 2000) for number in range(3)]
    plumbline = AllDetectors()
    [(several, count)] = measure.batched(plumbline, trials)
    assert (count, len(several.live)) == (3, 3)
    one_by_one = [measure.delays(plumbline, [trial], [1.0])[0][0] for trial in trials]
    assert measure.delays(plumbline, trials, [1.0]) == [one_by_one]
    alone = [measure.false_alarms(plumbline, [trial], [1.0]) for trial in trials]
    records, (episodes,) = measure.false_alarms(plumbline, trials, [1.0])
    assert records == sum(n for n, _ in alone)
    assert episodes == sum(found for _, [found] in alone) > 0


def test_only_single_feature_trials_of_joint_contestants_are_batched() -> None:
    """Contestants that read one feature, and trials of several features, are not batched."""
    trials = [null_trial(STREAMS["normal"], "null", number, 2000) for number in range(2)]
    assert list(measure.batched(Textbook(), trials)) == [(trial, 1) for trial in trials]
    wide = null_trial(STREAMS["forty"], "null", 0, 2000)
    assert list(measure.batched(AllDetectors(), [wide])) == [(wide, 1)]


def _forty(records: int) -> tuple[Any, Any]:
    trial = null_trial(STREAMS["forty"], "null", 0, records)
    return trial.reference, trial.live


def test_missing_values_are_split_into_two_parts() -> None:
    """The textbook recipe reads the missing indicator and the values that are present."""
    contestant = Textbook()
    assert isinstance(contestant, ScoringContestant)
    trial = change_trial(CHANGES["missing"], STREAMS, 0, 2000)
    (missing, all_positions), (present, positions) = measure.readable_parts(contestant, trial)
    assert set(np.unique(missing.live)) == {0.0, 1.0}
    assert np.array_equal(present.live[0], trial.live[0, positions - 1])
    assert len(all_positions) == trial.live.shape[1]
    assert not np.isnan(present.live).any()
    assert [part for part, _ in measure.readable_parts(AllDetectors(), trial)] == [trial]
    assert measure.can_read(contestant, "gappy")
    assert not measure.can_read(Random(), "gappy")


def test_alarms_of_both_parts_are_in_record_order() -> None:
    """Evaluations and alarms of the two parts are merged by the position of their records."""
    trial = null_trial(STREAMS["gappy"], "null", 0, 3000)
    contestant = Textbook()
    evaluated = [position for position, _ in measure.scores(contestant, trial)]
    assert evaluated == sorted(evaluated)
    (missing, _), (present, positions) = measure.readable_parts(contestant, trial)
    at_values = [int(positions[position - 1]) for position, _ in contestant.scores(present)]
    assert (
        sorted([*at_values, *(position for position, _ in contestant.scores(missing))]) == evaluated
    )
    assert list(measure.alarms(contestant, trial, 1e-9)[0]) == evaluated


def test_the_textbook_recipe_detects_a_shift_and_a_new_category() -> None:
    """A shift of 4 sd is detected at the first evaluation; a new category has a bin."""
    reference, live = np.random.default_rng(0).standard_normal((2, 1, 5000))
    moved = Trial(NUMERIC, reference, live + 4)
    assert next(iter(Textbook().alarms(moved, 1.0))) == 1000
    shares = BinShares(np.array([0.0, 0.0, 1.0, 1.0]), categorical=True)
    assert shares.psi(np.array([0.0, 1.0])) == pytest.approx(0.0, abs=1e-3)
    assert shares.psi(np.array([0.0, 1.0, 7.0])) > 1


SHORT_FORM = {"plumbline", "river_adwin"}
"""Contestants of this environment that `make test` runs, one of ours and one of others."""


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=() if name in SHORT_FORM else long_only)
        for name, contestant in CONTESTANTS.items()
        if contestant.environment == PROJECT_ENVIRONMENT
    ],
)
def test_every_contestant_of_this_environment_runs(name: str) -> None:
    """It has a version, a default within the range of its knob, ordered alarms, and a size."""
    contestant = CONTESTANTS[name].load()
    knob = contestant.knob
    assert min(knob.loosest, knob.strictest) <= knob.default <= max(knob.loosest, knob.strictest)
    trial = null_trial(STREAMS["normal"], "null", 0, 1500)
    short = Trial(trial.kind, trial.reference[:, -6000:], trial.live)
    (alarms,) = (list(found) for found in measure.alarms(contestant, short, knob.default))
    assert alarms == sorted(set(alarms))
    assert all(0 < position <= 1500 for position in alarms)
    assert isinstance(contestant.version(), str)
    assert measure.cost(contestant, STREAMS, 900)["bytes"] > 0 or name in {"always", "never"}


def test_the_fingerprint_is_reproducible() -> None:
    """Two environments with the same streams have the same fingerprint."""
    assert measure.fingerprint() == measure.fingerprint()
