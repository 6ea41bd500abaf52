"""Alarms are counted and timed as the protocol says, the same for everybody."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, ClassVar

import numpy as np
import pytest

from benchmarks.detectors import measure, tune
from benchmarks.detectors.ours import Everything, WindowTests
from benchmarks.detectors.peers import CONTESTANTS, OURS
from benchmarks.detectors.peers.baselines import Always, Never
from benchmarks.detectors.peers.textbook import Shares, Textbook
from benchmarks.detectors.protocol import (
    Joint,
    Knob,
    Scored,
    Scorer,
    episodes,
    first_after,
    looks,
)
from benchmarks.detectors.streams import CHANGES, NUMERIC, STREAMS, Trial, change_trial, null_trial


class Chance(Scored):
    """Looks at every tenth record and fires with probability `knob` whatever it sees."""

    kinds: ClassVar = frozenset({NUMERIC})
    knob: ClassVar = Knob("probability", 0.01, 0.5, 1e-9)
    memory: ClassVar[int | None] = 10

    def version(self) -> str:
        """None."""
        return ""

    def cut(self, knob: float) -> float:
        """-ln p."""
        return float(-np.log(knob))

    def scores(self, trial: Trial) -> Iterator[tuple[int, float]]:
        """-ln of a uniform number drawn by the trial's first value."""
        rng = np.random.default_rng(int(abs(trial.live[0, 0]) * 1e9))
        for position in looks(trial.live.shape[1], 10, 10):
            yield position, float(-np.log(rng.random()))

    def state(self, trial: Trial) -> Any:
        """Nothing."""


class Stepping:
    """The same without scores, as river's detectors are."""

    kinds: ClassVar = Chance.kinds
    knob: ClassVar = Chance.knob
    memory: ClassVar[int | None] = Chance.memory

    def version(self) -> str:
        """None."""
        return ""

    def state(self, trial: Trial) -> Any:
        """Nothing."""

    def alarms(self, trial: Trial, knob: float) -> Sequence[int]:
        """Those of `Chance`."""
        return list(Chance().alarms(trial, knob))


def quiet(records: int, trials: int) -> Iterator[Trial]:
    """Null trials."""
    return (null_trial(STREAMS["normal"], "tune", i, records) for i in range(trials))


@pytest.mark.parametrize(
    ("alarms", "count"),
    [([], 0), ([5], 1), ([5, 1004], 1), ([5, 1005], 2), ([5, 900, 1100, 1900], 2)],
)
def test_an_alarm_and_its_continuation_are_one(alarms: list[int], count: int) -> None:
    """Alarms within a window of a counted one belong to it; the next one does not."""
    assert episodes(alarms) == count


@pytest.mark.parametrize(
    ("alarms", "delay"),
    [([], None), ([100], None), ([100, 101], 1), ([50, 130, 140], 30), ([151], None), ([150], 50)],
)
def test_a_delay_is_counted_from_the_change(alarms: list[int], delay: int | None) -> None:
    """Alarms before the change do not count, nor do those after the horizon."""
    assert first_after(alarms, change=100, horizon=50) == delay


def test_baselines_bound_everything() -> None:
    """One never fires and misses all, the other fires once a window and misses nothing."""
    records, counts = measure.false_alarms(Always(), quiet(10_000, 2), [1.0])
    assert (records, counts) == (20_000, [20])
    assert measure.false_alarms(Never(), quiet(10_000, 2), [1.0]) == (20_000, [0])
    trials = [change_trial(CHANGES["mean_5"], STREAMS, 0, 500)]
    assert measure.delays(Always(), trials, [1.0]) == [[100]]
    assert measure.delays(Never(), trials, [1.0]) == [[None]]


def test_a_scorer_and_a_stepper_are_measured_alike() -> None:
    """Sharing the work between knobs changes no count and no delay."""
    knobs = [0.01, 0.001, 0.5]
    for_scores = measure.false_alarms(Chance(), quiet(20_000, 2), knobs)
    assert for_scores == measure.false_alarms(Stepping(), quiet(20_000, 2), knobs)
    trials = [change_trial(CHANGES["transient"], STREAMS, i, 500) for i in range(3)]
    found = measure.delays(Chance(), trials, knobs)
    assert found == measure.delays(Stepping(), trials, knobs)
    assert None in found[1]
    count = measure.counter(Chance(), quiet(20_000, 2), enough=10**9)
    assert [count(knob) for knob in knobs] == for_scores[1]


def test_a_stepper_is_counted_no_further_than_needed() -> None:
    """Once there are enough, the other trials are not read."""
    full = measure.counter(Stepping(), quiet(20_000, 3), enough=10**9)(0.5)
    assert 20 <= measure.counter(Stepping(), quiet(20_000, 3), enough=1)(0.5) < full


@pytest.mark.parametrize("peer", [Chance(), Stepping()])
def test_tuning_finds_a_known_rate(peer: Any) -> None:
    """100,000 looks in a million records: a rate of 50 is a probability of 5e-4."""
    trials, records = 4, 50_000
    count = measure.counter(peer, quiet(records, trials), tune.enough(50, trials * records))
    found = tune.tuned(peer.knob, count, trials * records, 50.0)
    assert not found.extrapolated
    assert found.count <= 10
    assert found.value is not None
    assert 5e-4 / 3 < found.value < 5e-4 * 3


def test_tuning_continues_the_line_where_the_sample_is_small() -> None:
    """A fifth of an alarm expected: the knob is about right, and said to be extrapolated."""
    found = tune.tuned(Chance.knob, lambda knob: round(20_000 * knob), 200_000, 1.0)
    assert found.extrapolated
    assert found.value == pytest.approx(0.2 / 20_000, rel=0.5)
    threshold = Knob("threshold", 5.0, 0.1, 100.0, exponential=True)
    found = tune.tuned(threshold, lambda knob: round(200 * np.exp(-knob)), 200_000, 1.0)
    assert found.extrapolated
    assert found.value == pytest.approx(np.log(200 / 0.2), rel=0.1)


@pytest.mark.parametrize(("records", "rate"), [(200_000, 0.1), (50_000, 10.0)])
def test_tuning_does_not_guess_too_far(records: int, rate: float) -> None:
    """Neither far below what was counted, nor from counts that the latch has cut."""
    found = tune.tuned(Chance.knob, lambda knob: round(20_000 * knob), records, rate)
    assert found.value is None
    assert "too few records" in found.reason


def test_tuning_says_what_cannot_be_reached() -> None:
    """A detector that fires whatever its knob has no value, and the reason is given."""
    found = tune.tuned(Chance.knob, lambda knob: 500, 100_000, 10.0)
    assert found.value is None
    assert "gives more alarms" in found.reason
    never = tune.tuned(Chance.knob, lambda knob: 0, 100_000, 10.0)
    assert never.value is None
    assert "too few records" in never.reason


def test_knobs_are_logarithmic() -> None:
    """Half-way between .5 and 1e-9 is their geometric mean; the way back is exact."""
    knob = Chance.knob
    assert knob.at(0) == pytest.approx(0.5)
    assert knob.at(1) == pytest.approx(1e-9)
    assert knob.at(0.5) == pytest.approx((0.5 * 1e-9) ** 0.5)


@pytest.mark.parametrize("ours", [Everything(), WindowTests()])
def test_ours_are_quiet_and_see_a_shift(ours: Everything) -> None:
    """No alarm on quiet features at a small budget; half a deviation within a window."""
    assert isinstance(ours, Joint)
    forty = Trial(NUMERIC, *(x[:3] for x in _forty(3000)))
    assert ours.alarms_by_feature(forty, 0.01) == [[], [], []]
    trial = change_trial(CHANGES["mean_5"], STREAMS, 0, 2000)
    (alarms,) = measure.alarms(ours, trial, 1.0)
    delay = first_after(alarms, 2000, 1000)
    assert delay is not None
    assert delay % 100 == 0
    assert not [position for position in alarms if position <= 2000]


@pytest.mark.parametrize("change", ["new_category", "missing"])
def test_ours_read_categories_and_gaps(change: str) -> None:
    """A category that was never seen, and values that vanish, are found."""
    trial = change_trial(CHANGES[change], STREAMS, 0, 2000)
    assert measure.delays(Everything(), [trial], [10.0])[0][0] is not None


@pytest.mark.parametrize("change", ["mean_5", "new_category"])
def test_trials_that_are_read_together_have_the_alarms_of_each(change: str) -> None:
    """As the features of one trial they give the delays and episodes that they give alone."""
    trials = [change_trial(CHANGES[change], STREAMS, number, 2000) for number in range(3)]
    ours = Everything()
    [(several, count)] = measure.together(ours, trials)
    assert (count, len(several.live)) == (3, 3)
    one_by_one = [measure.delays(ours, [trial], [1.0])[0][0] for trial in trials]
    assert measure.delays(ours, trials, [1.0]) == [one_by_one]
    alone = [measure.false_alarms(ours, [trial], [1.0]) for trial in trials]
    records, (episodes,) = measure.false_alarms(ours, trials, [1.0])
    assert records == sum(n for n, _ in alone)
    assert episodes == sum(found for _, [found] in alone) > 0


def test_who_reads_one_feature_reads_one_trial_at_a_time() -> None:
    """And a trial of several features stays by itself."""
    trials = [null_trial(STREAMS["normal"], "null", number, 2000) for number in range(2)]
    assert list(measure.together(Textbook(), trials)) == [(trial, 1) for trial in trials]
    wide = null_trial(STREAMS["forty"], "null", 0, 2000)
    assert list(measure.together(Everything(), [wide])) == [(wide, 1)]


def _forty(records: int) -> tuple[Any, Any]:
    trial = null_trial(STREAMS["forty"], "null", 0, records)
    return trial.reference, trial.live


def test_who_cannot_read_gaps_reads_where_they_are_and_what_is_between() -> None:
    """The textbook recipe sees missing values as a share, and the others as they are."""
    peer = Textbook()
    assert isinstance(peer, Scorer)
    trial = change_trial(CHANGES["missing"], STREAMS, 0, 2000)
    (gaps, all_places), (present, places) = measure.parts(peer, trial)
    assert set(np.unique(gaps.live)) == {0.0, 1.0}
    assert np.array_equal(present.live[0], trial.live[0, places - 1])
    assert len(all_places) == trial.live.shape[1]
    assert not np.isnan(present.live).any()
    assert [part for part, _ in measure.parts(Everything(), trial)] == [trial]
    assert measure.readable(peer, "gappy")
    assert not measure.readable(Chance(), "gappy")


def test_alarms_of_both_parts_stand_where_their_records_were_read() -> None:
    """Looks at values and at gaps come in the order of the records, and so do alarms on them."""
    trial = null_trial(STREAMS["gappy"], "null", 0, 3000)
    peer = Textbook()
    looks = [position for position, _ in measure.scores(peer, trial)]
    assert looks == sorted(looks)
    (gaps, _), (present, places) = measure.parts(peer, trial)
    at_values = [int(places[position - 1]) for position, _ in peer.scores(present)]
    assert sorted([*at_values, *(position for position, _ in peer.scores(gaps))]) == looks
    assert list(measure.alarms(peer, trial, 1e-9)[0]) == looks


def test_the_textbook_recipe_is_the_textbooks() -> None:
    """A shift of four deviations is found at the first look; a category that is new has a bin."""
    reference, live = np.random.default_rng(0).standard_normal((2, 1, 5000))
    moved = Trial(NUMERIC, reference, live + 4)
    assert next(iter(Textbook().alarms(moved, 1.0))) == 1000
    shares = Shares(np.array([0.0, 0.0, 1.0, 1.0]), categorical=True)
    assert shares.psi(np.array([0.0, 1.0])) == pytest.approx(0.0, abs=1e-3)
    assert shares.psi(np.array([0.0, 1.0, 7.0])) > 1


@pytest.mark.parametrize(
    "name", [name for name, peer in CONTESTANTS.items() if peer.environment == OURS]
)
def test_every_contestant_of_this_environment_takes_part(name: str) -> None:
    """It has a version, a default within its knob's range, alarms in order, and a weight."""
    peer = CONTESTANTS[name].load()
    knob = peer.knob
    assert min(knob.loosest, knob.strictest) <= knob.default <= max(knob.loosest, knob.strictest)
    trial = null_trial(STREAMS["normal"], "null", 0, 1500)
    short = Trial(trial.kind, trial.reference[:, -6000:], trial.live)
    (alarms,) = (list(found) for found in measure.alarms(peer, short, knob.default))
    assert alarms == sorted(set(alarms))
    assert all(0 < position <= 1500 for position in alarms)
    assert isinstance(peer.version(), str)
    assert measure.cost(peer, STREAMS, 900)["bytes"] > 0 or name in {"always", "never"}


def test_a_fingerprint_is_of_the_values() -> None:
    """It is the same twice, so that two environments can be told to draw the same."""
    assert measure.fingerprint() == measure.fingerprint()
