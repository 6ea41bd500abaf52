"""The self-audit: it counts what the live alarm path would page for, and touches nothing live."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from detectors.base import Floats
from monitor import audit, reference, watch_state
from monitor.audit import Audited, Replica, Tally
from monitor.checkpoint import Partition
from monitor.columns import Columns
from monitor.config import AlarmsConfig, Config, DetectorName, WindowsConfig
from monitor.delays import delays
from monitor.drift import DriftMonitor
from monitor.reference import Profile
from monitor.watch import Watch
from tests.monitor import made

FEATURES, RECORDS = 6, 50_000
PER_PAGE = 20_000
"""Records a false page, at the budget of these tests."""


def config(*detectors: DetectorName, per_page: int = PER_PAGE) -> Config:
    """So generous a budget that pages can be counted, and changes of any size page.

    Windows overlap by half: what one finds the next need not find again.
    """
    return Config(
        windows=WindowsConfig(records=1000, stride=500),
        detectors=detectors or ("psi",),
        alarms=AlarmsConfig(
            false_pages=86_400 * made.RATE / per_page, per_days=1, min_psi=0.02, advisory=()
        ),
    )


def numbers(values: Floats) -> Columns:
    """Columns of numeric features, shape (F, n)."""
    count = values.shape[1]
    return Columns(
        model="m",
        positions=np.arange(1, count + 1),
        times=made.START + np.arange(count) / made.RATE,
        numeric=tuple(f"x{i}" for i in range(len(values))),
        binary=(),
        values=values,
        categories=(),
    )


def profile_of(values: Floats) -> Profile:
    """The reference of such columns."""
    return reference.build([numbers(values)], segment="", window=1000, categories=10)


def independent(seed: int, records: int = RECORDS) -> Profile:
    """A reference of independent records."""
    return profile_of(np.random.default_rng(seed).lognormal(0, 1, (FEATURES, records)))


def watching(profile: Profile, settings: Config) -> Watch:
    """A watch that has just adopted a reference."""
    watch = made.watcher(settings)
    watch.adopt(profile)
    return watch


def audited(profile: Profile, settings: Config, records: int, loosened: float = 1.0) -> Audited:
    """What so many records say, of detectors whose levels are so many times too high."""
    levels = watching(profile, settings).levels
    levels = {name: level * loosened for name, level in levels.items()}
    return audit.result(settings, profile, audit.run(profile, settings, levels, records))


def test_the_promise_is_kept_on_independent_records() -> None:
    """The lower limit of what is measured is not above the promise."""
    found = [audited(independent(seed), config(), 200_000) for seed in range(3)]
    pages, records = sum(sum(f.pages.values()) for f in found), sum(f.records for f in found)
    low, _ = audit.poisson_interval(pages, 0.95)
    assert low <= records / PER_PAGE
    assert not any(f.contradicts for f in found)


def test_a_replayed_reference_pages_about_as_often_as_new_traffic() -> None:
    """The rate is that of fresh records through the same alarm path, but for the reference's error.

    The reference agrees with itself better than with anything new: somewhat more than half.
    """
    settings, records = config(per_page=1_000), 200_000
    replayed = fresh = 0
    for seed in range(3):
        watch = watching(independent(seed), settings)
        assert watch.profile is not None
        tally = audit.run(watch.profile, settings, watch.levels, records)
        replayed += sum(tally.pages.values())
        values = np.random.default_rng(100 + seed).lognormal(0, 1, (FEATURES, records))
        fresh += sum(event.change == "opened" for event in watch.feed(numbers(values)))
    assert fresh > 30
    assert 0.3 < replayed / fresh < 1.5


def test_a_loose_detector_is_caught() -> None:
    """Levels fifty times too high: the whole interval is above the promise, and that is said."""
    found = audited(independent(1), config(), 300_000, loosened=50.0)
    assert found.low is not None
    assert found.low > found.promised
    assert found.contradicts


def test_what_a_reference_has_shown_does_not_page() -> None:
    """An incident in the reference makes its feature slow to page, and breaks no promise."""
    values = np.random.default_rng(3).lognormal(0, 1, (FEATURES, RECORDS))
    values[2, 20_000:22_000] *= 5
    found = audited(profile_of(values), config("psi", "e_detector", per_page=1_000_000), 300_000)
    assert not found.contradicts
    assert found.pages == {}


def test_a_replica_depends_on_its_number_alone() -> None:
    """Made again, a replica says the same; another number, or another reference, another."""
    profile, settings = independent(1), config(per_page=500)
    levels = watching(profile, settings).levels

    def steps(of: Profile, number: int) -> list[Tally]:
        return list(Replica(of, settings, levels, number).steps())

    first = steps(profile, 0)
    assert steps(Profile.decode(profile.encode()), 0) == first
    assert steps(profile, 1) != first
    assert steps(independent(2), 0) != first
    assert [each.replicas for each in first] == [0] * (len(first) - 1) + [1]


def test_the_first_window_is_not_counted() -> None:
    """Records before a window is full are evaluated by nobody, and promise nothing."""
    profile, settings = independent(1), config()
    replica = Replica(profile, settings, watching(profile, settings).levels, 0)
    expected = audit.REPLICA_WINDOWS * 1000 - 500
    assert sum(each.records for each in replica.steps()) == expected


def test_advisory_detectors_are_left_out() -> None:
    """What raises no alarm can make no false page, and would cost time."""
    settings = Config()
    profile = independent(1)
    replica = Replica(profile, settings, watching(profile, settings).levels, 0)
    assert {d.name for d in replica.path.detectors} == set(settings.detectors) - {"adwin"}


def test_nothing_live_is_touched() -> None:
    """A monitor whose references are audited makes the same checkpoint, and the same events."""
    settings = made.config()
    columns = made.joined(
        made.stream(made.WARMUP + 3000, seed=1), made.stream(2000, seed=2, factor=3.0)
    )
    head, tail = columns.take(slice(0, 4000)), columns.take(slice(4000, None))
    alone, beside = DriftMonitor(settings, {}), DriftMonitor(settings, {})
    alone.process(head)
    beside.process(head)
    watch = beside.watches["m", ""]
    before = Partition(beside, 1).messages()
    assert watch.profile is not None
    audit.run(watch.profile, settings, watch.levels, 20_000)
    assert Partition(beside, 1).messages() == before == Partition(alone, 1).messages()
    events = alone.process(tail)
    assert events
    assert beside.process(tail) == events
    assert {item.name for item in watch_state.items(watch)} == {"head", "reference"}


def test_too_short_a_reference_is_refused() -> None:
    """One that holds no two windows cannot be resampled, and says so."""
    profile, settings = independent(1, 1_500), config()
    levels = watching(profile, settings).levels
    with pytest.raises(ValueError, match="holds no two windows of 1000"):
        audit.run(profile, settings, levels, 1000)


def test_nothing_audited_is_not_nothing_found() -> None:
    """Before the first record there is a promise and no rate."""
    found = audit.result(config(), independent(1, 2_000), Tally())
    assert (found.measured, found.low, found.high, found.contradicts) == (None, None, None, False)
    assert found.promised == pytest.approx(86_400 * made.RATE / PER_PAGE)


def test_segments_have_a_part_of_the_promise() -> None:
    """With one segment key, half of the false pages are for the segments."""
    alarms = AlarmsConfig(false_pages=6, per_days=1)
    settings = Config(alarms=alarms, segments=("metadata.route",))
    assert audit.result(settings, independent(1, 2_000), Tally()).promised == 3


@pytest.mark.parametrize("count", [0, 1, 7, 300])
def test_interval_is_exact(count: int) -> None:
    """Its limits are those at which so few, or so many, are just as rare as the tails allow."""
    low, high = audit.poisson_interval(count, 0.95)
    assert stats.poisson.cdf(count, high) == pytest.approx(0.025)
    if count:
        assert stats.poisson.sf(count - 1, low) == pytest.approx(0.025)
    else:
        assert low == 0


def test_any_reference_can_be_audited_and_shifted() -> None:
    """Constants, huge and tiny numbers, hardly any value, a flag never set: no complaint."""
    rng = np.random.default_rng(1)
    values = rng.lognormal(0, 1, (FEATURES, 20_000))
    values[0] = 7.0
    values[1] *= 1e300
    values[2] = np.where(rng.random(20_000) < 1e-3, values[2], np.nan)
    values[3] = np.where(rng.random(20_000) < 0.5, 0.0, -1e-300)
    columns = made.with_values(made.stream(20_000), "error", np.zeros(20_000))
    for name, row in zip("abcdef", values, strict=True):
        columns = made.with_feature(columns, name, row)
    profile = reference.build([columns], segment="", window=1000, categories=10)
    levels = watching(profile, Config()).levels
    assert audit.run(profile, Config(), levels, 20_000).records >= 20_000
    found = dict(
        zip(
            (stream.name for stream in profile.baseline.streams),
            delays(profile.baseline, Config(), levels, 50_000),
            strict=True,
        )
    )
    assert found["a"] == found["error"] == []
    assert all(delay.seen for delay in found["b"][1:])
