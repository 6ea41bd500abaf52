"""The self-audit: it counts false pages on the reference, and changes no live state."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from detectors.arrays import Floats
from monitor.config.schema import Config
from monitor.config.sections.detection import AlarmsConfig, DetectorName, WindowsConfig
from monitor.detect.audit import self_audit
from monitor.detect.audit.delays import delays
from monitor.detect.audit.self_audit import AuditResult, Replica, Tally
from monitor.detect.checkpoint import watch_state
from monitor.detect.checkpoint.partition_state import Partition
from monitor.detect.monitor import DriftMonitor
from monitor.detect.reference import builder
from monitor.detect.reference.profile import Profile
from monitor.detect.watch import Watch
from monitor.ingest.chunks.columns import Columns
from tests.monitor import synthetic

FEATURES, RECORDS = 6, 50_000
PER_PAGE = 20_000
"""Records per false page, at the budget of these tests."""


def config(*detectors: DetectorName, per_page: int = PER_PAGE) -> Config:
    """Return a configuration with a large budget and a small min_psi, so that pages are frequent.

    Windows overlap by half only, so that consecutive evaluations are less dependent.
    """
    return Config(
        windows=WindowsConfig(records=1000, stride=500),
        detectors=detectors or ("psi",),
        alarms=AlarmsConfig(
            false_pages=86_400 * synthetic.RATE / per_page, per_days=1, min_psi=0.02, advisory=()
        ),
    )


def numbers(values: Floats) -> Columns:
    """Return columns of numeric features from an array of shape (F, n)."""
    count = values.shape[1]
    return Columns(
        model="m",
        positions=np.arange(1, count + 1),
        times=synthetic.START + np.arange(count) / synthetic.RATE,
        numeric=tuple(f"x{i}" for i in range(len(values))),
        binary=(),
        values=values,
        categories=(),
    )


def profile_of(values: Floats) -> Profile:
    """Return the reference of numeric features, shape (F, n)."""
    return builder.build([numbers(values)], segment="", window=1000, categories=10)


def independent(seed: int, records: int = RECORDS) -> Profile:
    """Return a reference of independent records."""
    return profile_of(np.random.default_rng(seed).lognormal(0, 1, (FEATURES, records)))


def watching(profile: Profile, settings: Config) -> Watch:
    """Return a new watch with a reference."""
    watch = synthetic.watcher(settings)
    watch.adopt(profile)
    return watch


def audit(profile: Profile, settings: Config, records: int, factor: float = 1.0) -> AuditResult:
    """Audit `records` records, with levels that are too high by a factor."""
    levels = watching(profile, settings).main.levels
    levels = {name: level * factor for name, level in levels.items()}
    tally = self_audit.run(profile, settings, [levels], records)
    return self_audit.result(settings, profile, tally)


def test_budget_is_kept_on_independent_records() -> None:
    """The lower limit of the measured rate is not above the budget."""
    results = [audit(independent(seed), config(), 200_000) for seed in range(3)]
    pages = sum(sum(result.pages.values()) for result in results)
    records = sum(result.records for result in results)
    low, _ = self_audit.poisson_interval(pages, 0.95)
    assert low <= records / PER_PAGE
    assert not any(result.contradicts for result in results)


def test_audit_pages_about_as_often_as_new_traffic() -> None:
    """The measured rate is close to that of new records with the same alarms.

    It is lower, because the noise of the reference is on both sides of the comparison.
    """
    settings, records = config(per_page=1_000), 200_000
    audited = new = 0
    for seed in range(3):
        watch = watching(independent(seed), settings)
        assert watch.profile is not None
        tally = self_audit.run(watch.profile, settings, [watch.main.levels], records)
        audited += sum(tally.pages.values())
        values = np.random.default_rng(100 + seed).lognormal(0, 1, (FEATURES, records))
        new += sum(event.change == "opened" for event in watch.feed(numbers(values)))
    assert new > 30
    assert 0.3 < audited / new < 1.5


def test_levels_that_are_too_high_contradict_the_budget() -> None:
    """With levels fifty times too high, the whole interval is above the budget."""
    result = audit(independent(1), config(), 300_000, factor=50.0)
    assert result.low is not None
    assert result.low > result.promised
    assert result.contradicts


def test_incident_in_the_reference_does_not_page() -> None:
    """A reference with an incident has no false pages: its feature is less sensitive."""
    values = np.random.default_rng(3).lognormal(0, 1, (FEATURES, RECORDS))
    values[2, 20_000:22_000] *= 5
    result = audit(profile_of(values), config("psi", "e_detector", per_page=1_000_000), 300_000)
    assert not result.contradicts
    assert result.pages == {}


def test_replica_depends_on_reference_and_number() -> None:
    """A replica is reproducible; another number or reference gives another one."""
    profile, settings = independent(1), config(per_page=500)
    levels = [watching(profile, settings).main.levels]

    def steps(reference: Profile, number: int) -> list[Tally]:
        return list(Replica(reference, settings, levels, number).steps())

    first = steps(profile, 0)
    assert steps(Profile.decode(profile.encode()), 0) == first
    assert steps(profile, 1) != first
    assert steps(independent(2), 0) != first
    assert [each.replicas for each in first] == [0] * (len(first) - 1) + [1]


def test_first_window_is_not_counted() -> None:
    """Records before the first full window do not count as evaluated."""
    profile, settings = independent(1), config()
    replica = Replica(profile, settings, [watching(profile, settings).main.levels], 0)
    expected = self_audit.REPLICA_WINDOWS * 1000 - 500
    assert sum(each.records for each in replica.steps()) == expected


def test_advisory_detectors_are_left_out() -> None:
    """An advisory detector has no false pages and is not run."""
    settings = Config()
    profile = independent(1)
    replica = Replica(profile, settings, [watching(profile, settings).main.levels], 0)
    assert {d.name for d in replica.groups[0].evaluator.detectors} == set(settings.detectors) - {
        "adwin"
    }


def test_audit_changes_no_live_state() -> None:
    """A monitor has the same checkpoint and events with and without an audit."""
    settings = synthetic.config()
    columns = synthetic.joined(
        synthetic.stream(synthetic.WARMUP + 3000, seed=1),
        synthetic.stream(2000, seed=2, factor=3.0),
    )
    head, tail = columns.take(slice(0, 4000)), columns.take(slice(4000, None))
    unaudited, monitor = DriftMonitor(settings, {}), DriftMonitor(settings, {})
    unaudited.process(head)
    monitor.process(head)
    watch = monitor.log.watches["m", ""]
    before = Partition(monitor, 1).messages()
    assert watch.profile is not None
    self_audit.run(watch.profile, settings, [watch.main.levels], 20_000)
    assert Partition(monitor, 1).messages() == before == Partition(unaudited, 1).messages()
    events = unaudited.process(tail)
    assert events
    assert monitor.process(tail) == events
    assert {item.name for item in watch_state.items(watch)} == {"head", "reference"}


def test_short_reference_is_an_error() -> None:
    """A reference of less than two windows cannot be resampled."""
    profile, settings = independent(1, 1_500), config()
    levels = [watching(profile, settings).main.levels]
    with pytest.raises(ValueError, match="is shorter than 2 windows of 1000"):
        self_audit.run(profile, settings, levels, 1000)


def test_result_without_records_has_no_rate() -> None:
    """Before the first evaluated record, a result has a budget and no rate."""
    result = self_audit.result(config(), independent(1, 2_000), Tally())
    assert (result.measured, result.low, result.high, result.contradicts) == (
        None,
        None,
        None,
        False,
    )
    assert result.promised == pytest.approx(86_400 * synthetic.RATE / PER_PAGE)


def test_segments_have_a_share_of_the_budget() -> None:
    """With one segment key, half of the budget is for the segments."""
    alarms = AlarmsConfig(false_pages=6, per_days=1)
    settings = Config(alarms=alarms, segments=("metadata.route",))
    assert self_audit.result(settings, independent(1, 2_000), Tally()).promised == 3


@pytest.mark.parametrize("count", [0, 1, 7, 300])
def test_interval_is_exact(count: int) -> None:
    """At the limits, the Poisson tail probabilities are exactly 2.5 %."""
    low, high = self_audit.poisson_interval(count, 0.95)
    assert stats.poisson.cdf(count, high) == pytest.approx(0.025)
    if count:
        assert stats.poisson.sf(count - 1, low) == pytest.approx(0.025)
    else:
        assert low == 0


def test_any_reference_can_be_audited() -> None:
    """Constant, huge, tiny and rare values are no error, neither in audit nor in delays."""
    rng = np.random.default_rng(1)
    values = rng.lognormal(0, 1, (FEATURES, 20_000))
    values[0] = 7.0
    values[1] *= 1e300
    values[2] = np.where(rng.random(20_000) < 1e-3, values[2], np.nan)
    values[3] = np.where(rng.random(20_000) < 0.5, 0.0, -1e-300)
    columns = synthetic.with_values(synthetic.stream(20_000), "error", np.zeros(20_000))
    for name, row in zip("abcdef", values, strict=True):
        columns = synthetic.with_feature(columns, name, row)
    profile = builder.build([columns], segment="", window=1000, categories=10)
    levels = watching(profile, Config()).main.levels
    assert self_audit.run(profile, Config(), [levels], 20_000).records >= 20_000
    by_stream = dict(
        zip(
            (stream.name for stream in profile.baseline.streams),
            delays(profile.baseline, Config(), levels, 50_000),
            strict=True,
        )
    )
    assert by_stream["a"] == by_stream["error"] == []
    assert all(delay.seen for delay in by_stream["b"][1:])


def test_sparse_features_are_audited_over_their_values() -> None:
    """Values and missing values are resampled apart, at the rate of each."""
    rng = np.random.default_rng(9)
    score = np.where(rng.random(20_000) < 0.1, rng.normal(size=20_000), np.nan)
    columns = synthetic.with_feature(synthetic.stream(20_000), "score.taste", score)
    profile = builder.build([columns], segment="", window=1000, categories=10)
    settings = config()
    levels = [track.levels for track in watching(profile, settings).tracks]
    replica = Replica(profile, settings, levels, 0)
    evaluated = sum(each.records for each in replica.steps())
    main, values = replica.groups
    assert "missing.score.taste" in main.features
    assert values.features == ["score.taste"]
    assert 0.09 < values.records / main.records < 0.11
    assert main.records >= evaluated
    generous = [dict.fromkeys(own, 0.4) for own in levels]
    any_size = Config(alarms=AlarmsConfig(min_psi=1e-9, critical_psi=1e-9))
    sources = self_audit.run(profile, any_size, generous, 100_000).pages
    assert "score.taste" in {feature for feature, _ in sources}
