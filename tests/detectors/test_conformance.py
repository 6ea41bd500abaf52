"""What every detector must do, whichever it is."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from itertools import pairwise

import numpy as np
import pytest

from detectors.base import Detector, Floats, Kind
from detectors.baseline import Baseline
from detectors.registry import DETECTORS, create, streams_watched
from detectors.window import Window, Windows
from tests.detectors.streams import PAIRS, Rig, baseline, sample, shifted, zipf

everywhere = pytest.mark.parametrize(("name", "kind"), PAIRS)

SCALED = [pair for pair in PAIRS if pair[1] is Kind.NUMERIC]


@everywhere
def test_silent_on_constant_input(name: str, kind: Kind) -> None:
    """A stream that is constant, as its reference was, raises no alarm."""
    rig = Rig(baseline(kind, np.full((2, 20_000), 0.1)), name, level=1e-2)
    assert not rig.feed(np.full((2, 5000), 0.1)).any()


@everywhere
def test_constant_input_after_a_varied_reference(name: str, kind: Kind) -> None:
    """A stream that gets stuck at one value is found."""
    rng = np.random.default_rng(1)
    rig = Rig(baseline(kind, sample(kind, rng, 1, 50_000)), name)
    assert not rig.feed(sample(kind, rng, 1, 5000)).any()
    stuck = 20.0 if kind is Kind.NUMERIC else 1.0
    assert rig.feed(np.full((1, 5000), stuck)).any()


@everywhere
def test_survives_values_that_the_reference_never_had(name: str, kind: Kind) -> None:
    """A reference of a single distinct value can be compared with anything."""
    rng = np.random.default_rng(2)
    rig = Rig(baseline(kind, np.zeros((2, 20_000))), name)
    found = rig.feed(np.concatenate((np.zeros((2, 2000)), sample(kind, rng, 2, 3000)), axis=1))
    assert not found[:20].any()
    if name in {"psi", "ks", "chi2", "e_detector"}:
        assert found[-1].all()


@everywhere
def test_missing_and_infinite_values(name: str, kind: Kind) -> None:
    """NaN and both infinities are values like others: as often as in the reference, no alarm."""

    def traffic(records: int) -> Floats:
        values = sample(kind, rng, 3, records)
        values[rng.random(values.shape) < 0.1] = np.nan
        if kind is Kind.NUMERIC:
            values[rng.random(values.shape) < 0.1] = np.inf
            values[rng.random(values.shape) < 0.05] = -np.inf
        return values

    rng = np.random.default_rng(3)
    rig = Rig(baseline(kind, traffic(50_000)), name, level=1e-7)
    assert not rig.feed(traffic(20_000)).any()
    readings = rig.readings
    assert np.isfinite(readings.statistic).all()
    # without a cut ADWIN has no threshold
    assert np.isfinite(readings.threshold).all() or name == "adwin"


@pytest.mark.parametrize("name", [name for name, kind in SCALED if name != "adwin"])
def test_finds_infinities(name: str) -> None:
    """A stream that turns infinite is found like any other that turns large."""
    rng = np.random.default_rng(4)
    rig = Rig(baseline(Kind.NUMERIC, rng.normal(size=(1, 50_000))), name)
    assert rig.feed(np.full((1, 2000), np.inf)).any()


@everywhere
def test_window_without_any_value(name: str, kind: Kind) -> None:
    """With missing values alone there is no verdict, unless it is they that are off."""
    rng = np.random.default_rng(5)
    rig = Rig(baseline(kind, sample(kind, rng, 2, 50_000)), name)
    found = rig.feed(np.full((2, 3000), np.nan))
    if name in {"psi", "chi2", "e_detector"}:
        assert found[-1].all()
    else:
        assert not found.any()
    if name in {"ks", "zscore"}:
        assert np.isnan(rig.readings.statistic).all()
    if name == "adwin":  # it has made no cut, and so has nothing to hold against a threshold
        assert np.isnan(rig.readings.threshold).all()


@pytest.mark.parametrize("records", [0, 1, 30, 49])
@everywhere
def test_reference_too_short_to_compare_with(name: str, kind: Kind, records: int) -> None:
    """With next to no reference nothing is claimed of traffic that has not changed."""
    rng = np.random.default_rng(6)
    rig = Rig(baseline(kind, sample(kind, rng, 2, records)), name)
    assert not rig.feed(sample(kind, rng, 2, 5000)).any()
    if name in {"psi", "ks", "zscore", "chi2", "e_detector"}:
        assert np.isnan(rig.readings.statistic).all()


@everywhere
def test_reference_without_a_value(name: str, kind: Kind) -> None:
    """A reference of missing values alone is met by more of them in silence."""
    rig = Rig(baseline(kind, np.full((2, 20_000), np.nan)), name)
    assert not rig.feed(np.full((2, 3000), np.nan)).any()
    rig.feed(np.zeros((2, 3000)))
    rig.readings  # noqa: B018 # it must not raise


@pytest.mark.parametrize("exponent", [997, -1074])
@pytest.mark.parametrize("name", [name for name, _ in SCALED])
def test_verdicts_do_not_depend_on_the_unit(name: str, exponent: int) -> None:
    """Huge values and denormal ones are told apart as well as ordinary ones."""
    rng = np.random.default_rng(7)
    reference = np.round(rng.normal(size=(2, 50_000)) * 100)
    stream = np.round((rng.normal(size=(2, 8000)) + np.repeat((0, 1), 4000)) * 100)
    ordinary, other = (
        Rig(baseline(Kind.NUMERIC, np.ldexp(reference, e)), name) for e in (0, exponent)
    )
    expected = ordinary.feed(stream)
    assert expected.any()
    np.testing.assert_array_equal(other.feed(np.ldexp(stream, exponent)), expected)
    np.testing.assert_allclose(other.readings.statistic, ordinary.readings.statistic, rtol=1e-9)


def test_the_largest_doubles() -> None:
    """The two largest doubles, of either sign, do not overflow any detector."""
    rng = np.random.default_rng(8)
    largest = np.finfo(float).max
    traffic = rng.choice([-largest, 0.0, largest, np.nextafter(largest, 0)], (1, 20_000))
    rig = Rig(baseline(Kind.NUMERIC, traffic), *DETECTORS)
    assert not any(mask.any() for masks in rig.feed_all(traffic[:, :5000]) for mask in masks)
    assert np.isfinite(rig.base.numeric[0].mean)


@pytest.mark.parametrize("name", [name for name, _ in SCALED])
def test_ties(name: str) -> None:
    """Five distinct values, four of them rare, raise no alarm; another mixture of them does."""
    rng = np.random.default_rng(9)

    def traffic(records: int, *shares: float) -> Floats:
        return rng.choice(5, p=shares, size=(2, records)).astype(float)

    rig = Rig(baseline(Kind.NUMERIC, traffic(50_000, 0.9, 0.04, 0.03, 0.02, 0.01)), name)
    assert not rig.feed(traffic(10_000, 0.9, 0.04, 0.03, 0.02, 0.01)).any()
    assert rig.feed(traffic(10_000, 0.4, 0.3, 0.1, 0.1, 0.1)).any(axis=0).all()


@pytest.mark.parametrize("before", [0, 1, 7, 10, 23, 31])
@everywhere
def test_goes_on_from_a_snapshot(name: str, kind: Kind, before: int) -> None:
    """Restored copies of a window and its detector go on as the originals do, to the last bit."""
    rng = np.random.default_rng(10)
    base = baseline(kind, sample(kind, rng, 3, 20_000))
    stream = np.concatenate((sample(kind, rng, 3, 2500), shifted(kind, rng, 3, 4500)), axis=1)
    stream[rng.random(stream.shape) < 0.02] = np.nan
    original, copy = Rig(base, name, level=1e-3), Rig(base, name, level=1e-3)
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


Record = list[tuple[bytes, ...]]


def record(
    name: str, kind: Kind, together: int
) -> tuple[Record, dict[int, tuple[object, ...]], bool]:
    """All that a detector says of a stream fed so many strides at a time.

    Verdict and readings by stride; and by the strides seen after each extension: the snapshots, and
    the readings of the window as it then stands.
    """
    rng = np.random.default_rng(16)
    base = baseline(kind, sample(kind, rng, 3, 20_000))
    parts = sample(kind, rng, 3, 2500), shifted(kind, rng, 3, 4500), sample(kind, rng, 3, 2500)
    stream = np.concatenate(parts, axis=1)
    stream[rng.random(stream.shape) < 0.02] = np.nan
    stream[:, 8000:8300] = np.nan
    rig = Rig(base, name, level=1e-3, together=together)
    (detector,) = rig.detectors
    said: Record = []
    left: dict[int, tuple[object, ...]] = {}
    alarms = False
    for windows in rig.extend(stream):
        found = detector.update(windows)
        assert found.shape == (len(windows), 3)
        said += [
            (found[j].tobytes(), *_bytes(detector, windows.at(j))) for j in range(len(windows))
        ]
        now = _bytes(detector, rig.window.current())
        left[rig.window.strides] = (detector.snapshot(), rig.window.snapshot(), now)
        alarms |= bool(found.any())
    return said, left, alarms


one_by_one = cache(lambda name, kind: record(name, kind, 1))


def _bytes(detector: Detector, windows: Windows) -> tuple[bytes, ...]:
    readings = detector.readings(windows)
    return tuple(
        each.tobytes() for each in (readings.statistic, readings.threshold, readings.p_value)
    )


@pytest.mark.parametrize("together", [3, 7, 50])
@everywhere
def test_how_many_strides_come_together_makes_no_difference(
    name: str, kind: Kind, together: int
) -> None:
    """Verdicts, readings and snapshots are those of one stride at a time, to the last bit."""
    said, left, alarms = record(name, kind, together)
    expected, states, _ = one_by_one(name, kind)
    assert alarms
    assert len(said) == len(expected) == len(states) == 95
    assert [j for j in range(95) if said[j] != expected[j]] == []
    assert [strides for strides, state in left.items() if state != states[strides]] == []
    assert max(left) == 95


@pytest.mark.parametrize("together", [1, 7])
@everywhere
def test_the_window_as_it_stands_has_the_readings_of_its_newest_stride(
    name: str, kind: Kind, together: int
) -> None:
    """What is read between two strides is what the last of them gave."""
    said, left, _ = record(name, kind, together)
    now = {strides: state[-1] for strides, state in left.items()}
    assert [strides for strides, readings in now.items() if readings != said[strides - 1][1:]] == []


@everywhere
def test_a_stream_that_starts_has_no_verdict(name: str, kind: Kind) -> None:
    """Before the first stride there is nothing to read, and reading it is no error."""
    rng = np.random.default_rng(17)
    readings = Rig(baseline(kind, sample(kind, rng, 2, 20_000)), name).readings
    assert readings.statistic.shape == readings.threshold.shape == readings.p_value.shape == (2,)
    assert not (readings.statistic >= readings.threshold).any()


@everywhere
def test_readings_repeat_the_verdict(name: str, kind: Kind) -> None:
    """A change is found just where statistic >= threshold, and the p-value is below the level."""
    rng = np.random.default_rng(11)
    rig = Rig(baseline(kind, sample(kind, rng, 4, 50_000)), name, level=1e-3)
    stream = np.concatenate((sample(kind, rng, 4, 3000), shifted(kind, rng, 4, 3000)), axis=1)
    for start in range(0, 6000, 100):
        found, readings = rig.feed(stream[:, start : start + 100])[0], rig.readings
        np.testing.assert_array_equal(readings.statistic >= readings.threshold, found)
        known = ~np.isnan(readings.p_value)
        np.testing.assert_array_equal((readings.p_value <= 1e-3)[known], found[known])
        assert ((readings.p_value >= 0) & (readings.p_value <= 1))[known].all()
        assert_same_readings(rig, rig)


@everywhere
def test_same_input_same_verdicts(name: str, kind: Kind) -> None:
    """Nothing depends on chance, nor on which other streams share the window."""
    rng = np.random.default_rng(12)
    reference = sample(kind, rng, 3, 20_000)
    stream = np.concatenate((sample(kind, rng, 3, 2000), shifted(kind, rng, 3, 2000)), axis=1)
    together = Rig(baseline(kind, reference), name).feed(stream)
    np.testing.assert_array_equal(Rig(baseline(kind, reference), name).feed(stream), together)
    for i in range(3):
        alone = Rig(baseline(kind, reference[i : i + 1]), name).feed(stream[i : i + 1])
        np.testing.assert_array_equal(alone[:, 0], together[:, i])


@everywhere
def test_finds_a_gross_change_within_its_window(name: str, kind: Kind) -> None:
    """Silence before a gross change, an alarm within a window (ADWIN: three) after it."""
    rng = np.random.default_rng(13)
    rig = Rig(baseline(kind, sample(kind, rng, 5, 50_000)), name, level=1e-7)
    assert not rig.feed(sample(kind, rng, 5, 20_000)).any()
    records = 3000 if name == "adwin" else 1000
    assert rig.feed(shifted(kind, rng, 5, records)).any(axis=0).all()


NULLS = ("normal", "lognormal", "rare", "frequent", "zipf")
REFERENCES = 40
WINDOW, STRIDE = 400, 40
EVALUATIONS = 1200


def null(name: str, rng: np.random.Generator, records: int) -> Floats:
    """Independent records of one distribution, for all references at once."""
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
def false_alarms(stream: str, level: float) -> dict[str, Floats]:
    """The share of evaluations with an alarm, by detector and reference, nothing having changed.

    The e-detector promises how long it takes until it reaches its limit, from a quiet start: what
    it finds within a window of that is the same alarm, as it is for whoever is paged.
    """
    kind = {"rare": Kind.BINARY, "frequent": Kind.BINARY, "zipf": Kind.CATEGORICAL}
    rng = np.random.default_rng(14)
    base = baseline(kind.get(stream, Kind.NUMERIC), null(stream, rng, 50 * WINDOW), WINDOW)
    names = [name for name, count in streams_watched([*DETECTORS], base).items() if count]
    rig = Rig(base, *names, level=level, window=WINDOW, stride=STRIDE)
    rig.feed_all(null(stream, rng, WINDOW))
    found = np.array(rig.feed_all(null(stream, rng, STRIDE * EVALUATIONS)))
    reached = found[:, names.index("e_detector")]
    before = reached.copy()
    for strides in range(1, WINDOW // STRIDE + 1):
        reached[strides:] &= ~before[:-strides]
    return dict(zip(names, found.mean(axis=0), strict=True))


@pytest.mark.parametrize("level", [1e-2, 1e-3])
@pytest.mark.parametrize("stream", NULLS)
def test_keeps_to_its_level(stream: str, level: float) -> None:
    """On independent records no detector alarms more often than its level allows.

    Windows overlap and alarms come in episodes, so that only the references are independent: the
    mean over them is compared with the level, allowing three standard errors and, for the
    approximations of the tails, a quarter.
    """
    shares = false_alarms(stream, level)
    excess = {
        name: float(share.mean() - 3 * share.std(ddof=1) / REFERENCES**0.5) / level
        for name, share in shares.items()
    }
    assert {name: ratio for name, ratio in excess.items() if ratio > 1.25} == {}


@pytest.mark.parametrize("stream", NULLS)
def test_does_not_waste_its_level(stream: str) -> None:
    """The window tests made for a stream use a fair part of what they are allowed."""
    shares = false_alarms(stream, 1e-2)
    apt = {"zipf": ("chi2",), "rare": ("zscore", "chi2"), "frequent": ("zscore", "chi2")}
    for name in apt.get(stream, ("psi", "ks", "zscore")):
        assert shares[name].mean() > 1e-2 / 6, name


@pytest.mark.parametrize("level", [1e-4, 1e-6])
@pytest.mark.parametrize("share", [0.001, 0.01, 0.05, 0.1, 0.3])
@pytest.mark.parametrize("name", ["psi", "zscore", "chi2"])
def test_far_tail_of_a_binary_feature(name: str, share: float, level: float) -> None:
    """Summed over all 1001 windows there are, the probability of an alarm is within the level.

    No simulation reaches so far down. Twice the level is allowed for the reference's own error, and
    the z-score, which estimates its standard error from 50 blocks, is averaged over references.
    """
    from scipy.stats import binom

    rng = np.random.default_rng(15)
    reference = (rng.random((40, 50_000)) < share).astype(float)
    reference[:, 0] = 1.0
    base = baseline(Kind.BINARY, reference)
    window = Window(base, 1000, 100)
    (detector,) = create({name: level}, base, window)
    rig = Rig(base)
    (empty,) = rig.extend(np.zeros((40, 1000)))
    (ones,) = rig.extend(np.ones((40, 1000)))
    count = np.arange(1001)
    mixture = (count / 1000)[:, None, None]
    cells = empty.cell_counts[-1] * (1 - mixture) + ones.cell_counts[-1] * mixture
    every = replace(
        ones.at(9),
        full=np.ones(1001, bool),
        cell_counts=cells,
        bin_counts=base.by_bin(cells),
        present=np.full((1001, 40), 1000.0),
    )
    chance = binom.pmf(count, 1000, share) @ detector.update(every)
    assert len(chance) == 40
    assert chance.mean() <= 2 * level


def test_create_keeps_the_order_and_refuses_unknown_names() -> None:
    """Detectors come in the order of their names, each under its own; others are a KeyError."""
    base = baseline(Kind.NUMERIC, np.zeros((1, 100)))
    window = Window(base, 1000, 100)
    levels = dict.fromkeys(reversed(DETECTORS), 1e-3)
    assert [detector.name for detector in create(levels, base, window)] == [*levels]
    with pytest.raises(KeyError):
        create({"ks": 1e-3, "magic": 1e-3}, base, window)


def test_each_detector_has_its_own_level() -> None:
    """The level asked for under its name is the one that it keeps to, whatever the others'."""
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
def test_a_model_without_a_stream(name: str) -> None:
    """Where there is nothing to watch there is nothing to say, and saying it is no error."""
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


def test_counts_the_streams_that_would_be_watched() -> None:
    """Every detector counts the streams of the kinds that it reads."""
    numeric = baseline(Kind.NUMERIC, np.zeros((2, 100))).numeric
    binary = tuple(replace(stream, kind=Kind.BINARY) for stream in numeric[:1])
    base = Baseline(
        100, numeric + binary, baseline(Kind.CATEGORICAL, np.zeros((3, 100))).categorical
    )
    names = ["chi2", "adwin", "psi", "ks", "e_detector"]
    expected = {"chi2": 4, "adwin": 3, "psi": 6, "ks": 2, "e_detector": 6}
    assert list(streams_watched(names, base).items()) == list(expected.items())
    assert streams_watched([], base) == {}
    for name, count in streams_watched([*DETECTORS], base).items():
        (detector,) = create({name: 1e-3}, base, Window(base, 1000, 100))
        assert len(detector.streams) == count
        assert all(base.streams[i].kind in detector.kinds for i in detector.streams)
        assert all(a < b for a, b in pairwise(detector.streams))
    with pytest.raises(KeyError):
        streams_watched(["magic"], base)


def assert_same_readings(one: Rig, other: Rig) -> None:
    """The readings of two rigs are the same, bit by bit."""
    for ours, theirs in zip(_numbers(one), _numbers(other), strict=True):
        np.testing.assert_array_equal(ours, theirs)


def _numbers(rig: Rig) -> tuple[Floats, Floats, Floats]:
    readings = rig.readings
    return readings.statistic, readings.threshold, readings.p_value
