"""Properties that every detector must have."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from itertools import pairwise

import numpy as np
import pytest

from detectors.arrays import Floats
from detectors.baseline import Baseline
from detectors.detector import Detector
from detectors.kinds import Kind
from detectors.registry import DETECTORS, count_streams, create
from detectors.window import Window, Windows
from tests.detectors.harness import PAIRS, Harness, baseline, sample, shifted, zipf

every_detector = pytest.mark.parametrize(("name", "kind"), PAIRS)

SCALED = [pair for pair in PAIRS if pair[1] is Kind.NUMERIC]


@every_detector
def test_silent_on_constant_input(name: str, kind: Kind) -> None:
    """A constant stream with a constant reference raises no alarm."""
    harness = Harness(baseline(kind, np.full((2, 20_000), 0.1)), name, level=1e-2)
    assert not harness.feed(np.full((2, 5000), 0.1)).any()


@every_detector
def test_detects_a_stream_that_becomes_constant(name: str, kind: Kind) -> None:
    """A stream that is stuck at one value is found."""
    rng = np.random.default_rng(1)
    harness = Harness(baseline(kind, sample(kind, rng, 1, 50_000)), name)
    assert not harness.feed(sample(kind, rng, 1, 5000)).any()
    stuck = 20.0 if kind is Kind.NUMERIC else 1.0
    assert harness.feed(np.full((1, 5000), stuck)).any()


@every_detector
def test_accepts_values_that_the_reference_does_not_have(name: str, kind: Kind) -> None:
    """A reference with a single distinct value can be compared with any values."""
    rng = np.random.default_rng(2)
    harness = Harness(baseline(kind, np.zeros((2, 20_000))), name)
    found = harness.feed(np.concatenate((np.zeros((2, 2000)), sample(kind, rng, 2, 3000)), axis=1))
    assert not found[:20].any()
    if name in {"psi", "ks", "chi2", "e_detector"}:
        assert found[-1].all()


@every_detector
def test_missing_and_infinite_values_raise_no_alarm(name: str, kind: Kind) -> None:
    """NaN and both infinities, as frequent as in the reference, raise no alarm."""

    def traffic(records: int) -> Floats:
        values = sample(kind, rng, 3, records)
        values[rng.random(values.shape) < 0.1] = np.nan
        if kind is Kind.NUMERIC:
            values[rng.random(values.shape) < 0.1] = np.inf
            values[rng.random(values.shape) < 0.05] = -np.inf
        return values

    rng = np.random.default_rng(3)
    harness = Harness(baseline(kind, traffic(50_000)), name, level=1e-7)
    assert not harness.feed(traffic(20_000)).any()
    readings = harness.readings
    assert np.isfinite(readings.statistic).all()
    # ADWIN has no threshold without a cut
    assert np.isfinite(readings.threshold).all() or name == "adwin"


@pytest.mark.parametrize("name", [name for name, kind in SCALED if name != "adwin"])
def test_detects_infinities(name: str) -> None:
    """A stream that becomes infinite is found like one that becomes large."""
    rng = np.random.default_rng(4)
    harness = Harness(baseline(Kind.NUMERIC, rng.normal(size=(1, 50_000))), name)
    assert harness.feed(np.full((1, 2000), np.inf)).any()


@every_detector
def test_a_window_without_values_has_no_verdict(name: str, kind: Kind) -> None:
    """If all values are missing, only detectors that count missing values find a change."""
    rng = np.random.default_rng(5)
    harness = Harness(baseline(kind, sample(kind, rng, 2, 50_000)), name)
    found = harness.feed(np.full((2, 3000), np.nan))
    if name in {"psi", "chi2", "e_detector"}:
        assert found[-1].all()
    else:
        assert not found.any()
    if name in {"ks", "zscore"}:
        assert np.isnan(harness.readings.statistic).all()
    if name == "adwin":  # no threshold without a cut
        assert np.isnan(harness.readings.threshold).all()


@pytest.mark.parametrize("records", [0, 1, 30, 49])
@every_detector
def test_a_short_reference_raises_no_alarm(name: str, kind: Kind, records: int) -> None:
    """With 49 reference records or less, unchanged traffic raises no alarm."""
    rng = np.random.default_rng(6)
    harness = Harness(baseline(kind, sample(kind, rng, 2, records)), name)
    assert not harness.feed(sample(kind, rng, 2, 5000)).any()
    if name in {"psi", "ks", "zscore", "chi2", "e_detector"}:
        assert np.isnan(harness.readings.statistic).all()


@every_detector
def test_a_reference_without_values_raises_no_alarm(name: str, kind: Kind) -> None:
    """A reference of missing values alone accepts more of them."""
    harness = Harness(baseline(kind, np.full((2, 20_000), np.nan)), name)
    assert not harness.feed(np.full((2, 3000), np.nan)).any()
    harness.feed(np.zeros((2, 3000)))
    harness.readings  # noqa: B018 # must not raise


@pytest.mark.parametrize("exponent", [997, -1074])
@pytest.mark.parametrize("name", [name for name, _ in SCALED])
def test_verdicts_do_not_depend_on_the_unit(name: str, exponent: int) -> None:
    """Verdicts are the same for huge and for denormal values."""
    rng = np.random.default_rng(7)
    reference = np.round(rng.normal(size=(2, 50_000)) * 100)
    stream = np.round((rng.normal(size=(2, 8000)) + np.repeat((0, 1), 4000)) * 100)
    ordinary, other = (
        Harness(baseline(Kind.NUMERIC, np.ldexp(reference, e)), name) for e in (0, exponent)
    )
    expected = ordinary.feed(stream)
    assert expected.any()
    np.testing.assert_array_equal(other.feed(np.ldexp(stream, exponent)), expected)
    np.testing.assert_allclose(other.readings.statistic, ordinary.readings.statistic, rtol=1e-9)


def test_the_largest_doubles_do_not_overflow() -> None:
    """The two largest doubles, of either sign, do not overflow any detector."""
    rng = np.random.default_rng(8)
    largest = np.finfo(float).max
    traffic = rng.choice([-largest, 0.0, largest, np.nextafter(largest, 0)], (1, 20_000))
    harness = Harness(baseline(Kind.NUMERIC, traffic), *DETECTORS)
    assert not any(mask.any() for masks in harness.feed_all(traffic[:, :5000]) for mask in masks)
    assert np.isfinite(harness.base.numeric[0].mean)


@pytest.mark.parametrize("name", [name for name, _ in SCALED])
def test_ties_raise_no_alarm(name: str) -> None:
    """Five distinct values, four of them rare, raise no alarm; another mixture of them does."""
    rng = np.random.default_rng(9)

    def traffic(records: int, *shares: float) -> Floats:
        return rng.choice(5, p=shares, size=(2, records)).astype(float)

    harness = Harness(baseline(Kind.NUMERIC, traffic(50_000, 0.9, 0.04, 0.03, 0.02, 0.01)), name)
    assert not harness.feed(traffic(10_000, 0.9, 0.04, 0.03, 0.02, 0.01)).any()
    assert harness.feed(traffic(10_000, 0.4, 0.3, 0.1, 0.1, 0.1)).any(axis=0).all()


@pytest.mark.parametrize("before", [0, 1, 7, 10, 23, 31])
@every_detector
def test_continues_from_a_snapshot(name: str, kind: Kind, before: int) -> None:
    """A restored window and detector give the same results as the originals, bit by bit."""
    rng = np.random.default_rng(10)
    base = baseline(kind, sample(kind, rng, 3, 20_000))
    stream = np.concatenate((sample(kind, rng, 3, 2500), shifted(kind, rng, 3, 4500)), axis=1)
    stream[rng.random(stream.shape) < 0.02] = np.nan
    original, copy = Harness(base, name, level=1e-3), Harness(base, name, level=1e-3)
    original.feed(stream[:, : before * 100])
    copy.window.restore(original.window.snapshot())
    copy.detectors[0].restore(original.detectors[0].snapshot())
    assert_same_readings(copy, original)
    rest = stream[:, before * 100 :]
    expected = original.feed(rest)
    assert expected.any()
    np.testing.assert_array_equal(copy.feed(rest), expected)
    assert_same_readings(copy, original)
    assert copy.detectors[0].snapshot() == original.detectors[0].snapshot()
    assert copy.window.snapshot() == original.window.snapshot()


Results = list[tuple[bytes, ...]]


def run(
    name: str, kind: Kind, together: int
) -> tuple[Results, dict[int, tuple[object, ...]], bool]:
    """Return all results of a detector on a stream in batches of `together` strides.

    These are: verdict and readings by stride; by number of strides after each batch, the snapshots
    and the readings of the current window; whether there were alarms.
    """
    rng = np.random.default_rng(16)
    base = baseline(kind, sample(kind, rng, 3, 20_000))
    parts = sample(kind, rng, 3, 2500), shifted(kind, rng, 3, 4500), sample(kind, rng, 3, 2500)
    stream = np.concatenate(parts, axis=1)
    stream[rng.random(stream.shape) < 0.02] = np.nan
    stream[:, 8000:8300] = np.nan
    harness = Harness(base, name, level=1e-3, together=together)
    (detector,) = harness.detectors
    by_stride: Results = []
    by_batch: dict[int, tuple[object, ...]] = {}
    alarms = False
    for windows in harness.extend(stream):
        found = detector.update(windows)
        assert found.shape == (len(windows), 3)
        by_stride += [
            (found[j].tobytes(), *_bytes(detector, windows.at(j))) for j in range(len(windows))
        ]
        now = _bytes(detector, harness.window.current())
        by_batch[harness.window.strides] = (detector.snapshot(), harness.window.snapshot(), now)
        alarms |= bool(found.any())
    return by_stride, by_batch, alarms


one_by_one = cache(lambda name, kind: run(name, kind, 1))


def _bytes(detector: Detector, windows: Windows) -> tuple[bytes, ...]:
    readings = detector.readings(windows)
    return tuple(
        each.tobytes() for each in (readings.statistic, readings.threshold, readings.p_value)
    )


@pytest.mark.parametrize("together", [3, 7, 50])
@every_detector
def test_the_batch_size_makes_no_difference(name: str, kind: Kind, together: int) -> None:
    """Verdicts, readings and snapshots equal those of one stride at a time, bit by bit."""
    by_stride, by_batch, alarms = run(name, kind, together)
    expected, states, _ = one_by_one(name, kind)
    assert alarms
    assert len(by_stride) == len(expected) == len(states) == 95
    assert [j for j in range(95) if by_stride[j] != expected[j]] == []
    assert [strides for strides, state in by_batch.items() if state != states[strides]] == []
    assert max(by_batch) == 95


@pytest.mark.parametrize("together", [1, 7])
@every_detector
def test_the_current_window_has_the_readings_of_its_newest_stride(
    name: str, kind: Kind, together: int
) -> None:
    """Readings between two strides are those of the last stride."""
    by_stride, by_batch, _ = run(name, kind, together)
    now = {strides: state[-1] for strides, state in by_batch.items()}
    assert [
        strides for strides, readings in now.items() if readings != by_stride[strides - 1][1:]
    ] == []


@every_detector
def test_no_verdict_before_the_first_stride(name: str, kind: Kind) -> None:
    """Readings are available before the first stride, and find no change."""
    rng = np.random.default_rng(17)
    readings = Harness(baseline(kind, sample(kind, rng, 2, 20_000)), name).readings
    assert readings.statistic.shape == readings.threshold.shape == readings.p_value.shape == (2,)
    assert not (readings.statistic >= readings.threshold).any()


@every_detector
def test_readings_agree_with_the_verdict(name: str, kind: Kind) -> None:
    """A change is found exactly where statistic >= threshold and p-value <= level."""
    rng = np.random.default_rng(11)
    harness = Harness(baseline(kind, sample(kind, rng, 4, 50_000)), name, level=1e-3)
    stream = np.concatenate((sample(kind, rng, 4, 3000), shifted(kind, rng, 4, 3000)), axis=1)
    for start in range(0, 6000, 100):
        found, readings = harness.feed(stream[:, start : start + 100])[0], harness.readings
        np.testing.assert_array_equal(readings.statistic >= readings.threshold, found)
        known = ~np.isnan(readings.p_value)
        np.testing.assert_array_equal((readings.p_value <= 1e-3)[known], found[known])
        assert ((readings.p_value >= 0) & (readings.p_value <= 1))[known].all()
        assert_same_readings(harness, harness)


@every_detector
def test_verdicts_are_deterministic(name: str, kind: Kind) -> None:
    """Verdicts depend neither on chance nor on other streams in the window."""
    rng = np.random.default_rng(12)
    reference = sample(kind, rng, 3, 20_000)
    stream = np.concatenate((sample(kind, rng, 3, 2000), shifted(kind, rng, 3, 2000)), axis=1)
    together = Harness(baseline(kind, reference), name).feed(stream)
    np.testing.assert_array_equal(Harness(baseline(kind, reference), name).feed(stream), together)
    for i in range(3):
        alone = Harness(baseline(kind, reference[i : i + 1]), name).feed(stream[i : i + 1])
        np.testing.assert_array_equal(alone[:, 0], together[:, i])


@every_detector
def test_detects_a_gross_change_within_a_window(name: str, kind: Kind) -> None:
    """A gross change raises an alarm within a window (ADWIN: three), and nothing before."""
    rng = np.random.default_rng(13)
    harness = Harness(baseline(kind, sample(kind, rng, 5, 50_000)), name, level=1e-7)
    assert not harness.feed(sample(kind, rng, 5, 20_000)).any()
    records = 3000 if name == "adwin" else 1000
    assert harness.feed(shifted(kind, rng, 5, records)).any(axis=0).all()


NULLS = ("normal", "lognormal", "rare", "frequent", "zipf")
REFERENCES = 40
WINDOW, STRIDE = 400, 40
EVALUATIONS = 1200


def quiet_records(name: str, rng: np.random.Generator, records: int) -> Floats:
    """Return independent records of one distribution, for all references at once."""
    shape = REFERENCES, records
    match name:
        case "normal":
            return rng.normal(size=shape)
        case "lognormal":
            return rng.lognormal(0, 1.5, shape)
        case "rare":
            return (rng.random(shape) < 0.01).astype(float)
        case "frequent":
            return (rng.random(shape) < 0.1).astype(float)
        case _:
            return zipf(rng, 200, *shape)


@cache
def false_alarm_shares(stream: str, level: float) -> dict[str, Floats]:
    """Return the share of evaluations with an alarm, by detector and reference, without drift.

    The e-detector bounds the time until it reaches its limit from a quiet start. Further alarms
    within a window of the first are the same alarm.
    """
    kind = {"rare": Kind.BINARY, "frequent": Kind.BINARY, "zipf": Kind.CATEGORICAL}
    rng = np.random.default_rng(14)
    base = baseline(kind.get(stream, Kind.NUMERIC), quiet_records(stream, rng, 50 * WINDOW), WINDOW)
    names = [name for name, count in count_streams([*DETECTORS], base).items() if count]
    harness = Harness(base, *names, level=level, window=WINDOW, stride=STRIDE)
    harness.feed_all(quiet_records(stream, rng, WINDOW))
    found = np.array(harness.feed_all(quiet_records(stream, rng, STRIDE * EVALUATIONS)))
    reached = found[:, names.index("e_detector")]
    before = reached.copy()
    for strides in range(1, WINDOW // STRIDE + 1):
        reached[strides:] &= ~before[:-strides]
    return dict(zip(names, found.mean(axis=0), strict=True))


@pytest.mark.parametrize("level", [1e-2, 1e-3])
@pytest.mark.parametrize("stream", NULLS)
def test_keeps_its_level(stream: str, level: float) -> None:
    """On independent records no detector alarms more often than its level allows.

    Windows overlap and alarms come in episodes, so only the references are independent: the mean
    over them is compared with the level, with a tolerance of three standard errors and, for the
    approximations of the tails, a quarter.
    """
    shares = false_alarm_shares(stream, level)
    excess = {
        name: float(share.mean() - 3 * share.std(ddof=1) / REFERENCES**0.5) / level
        for name, share in shares.items()
    }
    assert {name: ratio for name, ratio in excess.items() if ratio > 1.25} == {}


@pytest.mark.parametrize("stream", NULLS)
def test_uses_its_level(stream: str) -> None:
    """The window tests for a kind of stream use at least a sixth of their level."""
    shares = false_alarm_shares(stream, 1e-2)
    suited = {"zipf": ("chi2",), "rare": ("zscore", "chi2"), "frequent": ("zscore", "chi2")}
    for name in suited.get(stream, ("psi", "ks", "zscore")):
        assert shares[name].mean() > 1e-2 / 6, name


@pytest.mark.parametrize("level", [1e-4, 1e-6])
@pytest.mark.parametrize("share", [0.001, 0.01, 0.05, 0.1, 0.3])
@pytest.mark.parametrize("name", ["psi", "zscore", "chi2"])
def test_keeps_its_level_in_the_far_tail_of_a_binary_feature(
    name: str, share: float, level: float
) -> None:
    """The exact probability of an alarm, summed over all 1001 windows, is within the level.

    Simulation cannot measure such small levels. The tolerance is twice the level, for the
    reference's own error; the z-score, which estimates its standard error from 50 blocks, is
    averaged over references.
    """
    from scipy.stats import binom

    rng = np.random.default_rng(15)
    reference = (rng.random((40, 50_000)) < share).astype(float)
    reference[:, 0] = 1.0
    base = baseline(Kind.BINARY, reference)
    window = Window(base, 1000, 100)
    (detector,) = create({name: level}, base, window)
    harness = Harness(base)
    (empty,) = harness.extend(np.zeros((40, 1000)))
    (ones,) = harness.extend(np.ones((40, 1000)))
    count = np.arange(1001)
    mixture = (count / 1000)[:, None, None]
    cells = empty.cell_counts[-1] * (1 - mixture) + ones.cell_counts[-1] * mixture
    every = replace(
        ones.at(9),
        full=np.ones(1001, bool),
        cell_counts=cells,
        bin_counts=base.sum_by_bin(cells),
        present=np.full((1001, 40), 1000.0),
    )
    chance = binom.pmf(count, 1000, share) @ detector.update(every)
    assert len(chance) == 40
    assert chance.mean() <= 2 * level


def test_create_keeps_the_order_and_rejects_unknown_names() -> None:
    """Detectors are in the order of their names; an unknown name is a KeyError."""
    base = baseline(Kind.NUMERIC, np.zeros((1, 100)))
    window = Window(base, 1000, 100)
    levels = dict.fromkeys(reversed(DETECTORS), 1e-3)
    assert [detector.name for detector in create(levels, base, window)] == [*levels]
    with pytest.raises(KeyError):
        create({"ks": 1e-3, "magic": 1e-3}, base, window)


def test_each_detector_has_its_own_level() -> None:
    """A detector uses the level under its name, whatever the levels of others."""
    rng = np.random.default_rng(18)
    base = baseline(Kind.NUMERIC, rng.normal(size=(1, 20_000)))
    levels = {name: 10.0**-at for at, name in enumerate(DETECTORS, start=2)}
    window = Window(base, 1000, 1000)
    together, swapped = (
        create(dict(zip(names, levels.values(), strict=True)), base, window)
        for names in (levels, reversed(levels))
    )
    windows = window.extend(rng.normal(0.1, 1, (1, 1000)), np.zeros((0, 1000), np.uint8))
    for detector in (*together, *swapped):
        detector.update(windows)
    others = {detector.name: detector for detector in swapped}
    for detector in together:
        (alone,) = create({detector.name: levels[detector.name]}, base, window)
        alone.update(windows)
        assert _bytes(alone, windows) == _bytes(detector, windows)
        middle = list(levels)[len(levels) // 2]
        if detector.name not in {middle, "adwin"}:  # ADWIN has no threshold without a cut
            assert _bytes(others[detector.name], windows) != _bytes(detector, windows)


@pytest.mark.parametrize("name", DETECTORS)
def test_a_model_without_streams_is_valid(name: str) -> None:
    """A detector without streams returns empty results."""
    base = Baseline(10, (), ())
    window = Window(base, 200, 100)
    (detector,) = create({name: 1e-3}, base, window)
    windows = window.extend(np.zeros((0, 300)), np.zeros((0, 300), np.uint8))
    assert windows.full.tolist() == [False, True, True]
    assert detector.update(windows).shape == (3, 0)
    assert detector.readings(windows.at(2)).statistic.shape == (0,)
    (copy,) = create({name: 1e-3}, base, window)
    copy.restore(detector.snapshot())
    assert copy.readings(window.current()).threshold.shape == (0,)


def test_count_streams_by_kind() -> None:
    """Every detector counts the streams of the kinds that it supports."""
    numeric = baseline(Kind.NUMERIC, np.zeros((2, 100))).numeric
    binary = tuple(replace(stream, kind=Kind.BINARY) for stream in numeric[:1])
    base = Baseline(
        100, numeric + binary, baseline(Kind.CATEGORICAL, np.zeros((3, 100))).categorical
    )
    names = ["chi2", "adwin", "psi", "ks", "e_detector"]
    expected = {"chi2": 4, "adwin": 3, "psi": 6, "ks": 2, "e_detector": 6}
    assert list(count_streams(names, base).items()) == list(expected.items())
    assert count_streams([], base) == {}
    for name, count in count_streams([*DETECTORS], base).items():
        (detector,) = create({name: 1e-3}, base, Window(base, 1000, 100))
        assert len(detector.streams) == count
        assert all(base.streams[i].kind in detector.kinds for i in detector.streams)
        assert all(a < b for a, b in pairwise(detector.streams))
    with pytest.raises(KeyError):
        count_streams(["magic"], base)


def assert_same_readings(one: Harness, other: Harness) -> None:
    """Assert that the readings of two harnesses are the same, bit by bit."""
    for ours, theirs in zip(_numbers(one), _numbers(other), strict=True):
        np.testing.assert_array_equal(ours, theirs)


def _numbers(harness: Harness) -> tuple[Floats, Floats, Floats]:
    readings = harness.readings
    return readings.statistic, readings.threshold, readings.p_value
