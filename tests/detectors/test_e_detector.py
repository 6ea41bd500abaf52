"""The e-detector: what it says is the theory's number, it keeps its level, and it is quick."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from scipy.special import logsumexp, ndtri

from detectors.base import Floats, Ints, Kind
from detectors.baseline import Baseline
from detectors.bets import MIN_RECORDS, bets_on
from detectors.e_detector import EDetector
from detectors.streams import CategoricalStream, NumericStream
from tests.detectors.streams import Rig, baseline, bursts, sample, shifted, zipf
from tests.detectors.test_bets import ar

Traffic = Callable[..., Floats]
"""Records of some distribution: a generator and a shape go in."""


def detector_of(rig: Rig) -> EDetector:
    """The rig's only detector."""
    (detector,) = rig.detectors
    assert isinstance(detector, EDetector)
    return detector


def slow_mixture(stream: NumericStream | CategoricalStream, values: Floats) -> list[float]:
    """ln M after each stride of 100 values, record by record and without any bound."""
    bets = bets_on(stream)
    held = np.full(len(bets.names), -np.inf)
    mixtures = []
    for number, value in enumerate(values.tolist()):
        if number % 100 == 0:
            held = np.logaddexp(0.0, held)
        held = held + bets.logarithms[cell_of(stream, value)]
        if number % 100 == 99:
            mixtures.append(float(logsumexp(held + np.log(bets.weights))))
    return mixtures


def cell_of(stream: NumericStream | CategoricalStream, value: float) -> int:
    """The cell of a value, or of a coded category."""
    if isinstance(stream, NumericStream):
        return int(stream.cell_of(np.array([value]))[0])
    missing = np.isnan(value)
    return stream.bins - 1 if missing else stream.bin_of().get(f"{value:g}", stream.bins - 2)


@pytest.mark.parametrize("together", [1, 7])
@pytest.mark.parametrize("kind", list(Kind))
def test_statistic_is_the_mixture(kind: Kind, together: int) -> None:
    """Up to its limit ln M is that of a recomputation from the first record; 0 while M is below 1.

    From the limit on it is the limit, a change is found, and the p-value is 1 / M all the while.
    """
    rng = np.random.default_rng(1)
    mixed = sample(kind, rng, 2, 23_000)
    other = rng.random((2, 1500)) < 0.2
    mixed[:, -1500:] = np.where(other, shifted(kind, rng, 2, 1500), mixed[:, -1500:])
    mixed[rng.random(mixed.shape) < 0.01] = np.nan
    base, mixed = baseline(kind, mixed[:, :20_000]), mixed[:, 20_000:]
    rig = Rig(base, "e_detector", level=1e-5, together=together)
    expected = np.array([slow_mixture(*pair) for pair in zip(base.streams, mixed, strict=True)]).T
    limit = np.log(1e5)
    over = np.logical_or.accumulate(expected >= limit, axis=0)
    assert over[-1].all()
    assert not over[14].any()
    assert (expected < 0).any()
    at = 0
    for windows in rig.extend(mixed):
        found = detector_of(rig).update(windows)
        for j in range(len(windows)):
            readings = detector_of(rig).readings(windows.at(j))
            known = ~over[at]
            ours, theirs = readings.statistic, np.maximum(expected[at], 0)
            np.testing.assert_allclose(ours[known], theirs[known], rtol=1e-9, atol=1e-9)
            np.testing.assert_array_equal(found[j][known], False)
            first = over[at] if at == 0 else over[at] & ~over[at - 1]
            assert found[j][first].all()
            np.testing.assert_allclose(ours[first], limit)
            np.testing.assert_allclose(readings.threshold, limit)
            np.testing.assert_allclose(readings.p_value[known], np.exp(-theirs[known]))
            assert (readings.p_value[first] <= 1e-5).all()
            at += 1
    assert at == 30


def test_many_bets_and_streams_do_not_mix() -> None:
    """Streams of unlike kinds, with unlike cells and bets, each have their own mixture."""
    rng = np.random.default_rng(2)
    numeric = baseline(Kind.NUMERIC, rng.normal(size=(1, 20_000))).numeric
    binary = baseline(Kind.BINARY, sample(Kind.BINARY, rng, 1, 20_000)).numeric
    (why,) = baseline(Kind.CATEGORICAL, zipf(rng, 3, 1, 20_000)).categorical
    base = Baseline(20_000, (*numeric, *binary), (why,))
    rig = Rig(base, "e_detector")
    assert len({len(bets_on(stream).names) for stream in base.streams}) == 3
    numbers = np.concatenate((rng.normal(0.05, 1, (1, 900)), sample(Kind.BINARY, rng, 1, 900)))
    codes = zipf(rng, 3, 900)
    windows = rig.window.extend(
        numbers, np.array([[why.bin_of()[f"{c:g}"] for c in codes]], np.uint8)
    )
    detector_of(rig).update(windows)
    for stream, mixtures, values in zip(
        base.streams, detector_of(rig).mixtures.T, (*numbers, codes), strict=True
    ):
        np.testing.assert_allclose(np.log(mixtures), slow_mixture(stream, values), atol=1e-9)


def test_a_short_reference_says_nothing() -> None:
    """Of fewer than 500 records there is no statistic and no alarm, however gross the change."""
    rng = np.random.default_rng(3)
    short, enough = (
        Rig(baseline(Kind.NUMERIC, rng.normal(size=(2, n))), "e_detector")
        for n in (MIN_RECORDS - 1, MIN_RECORDS)
    )
    for rig in (short, enough):
        rig.feed(rng.normal(size=(2, 1000)))
    assert np.isnan(short.readings.statistic).all()
    assert np.isnan(short.readings.p_value).all()
    assert np.isfinite(enough.readings.statistic).all()
    gross = rng.normal(5, 1, (2, 1000))
    assert not short.feed(gross).any()
    assert enough.feed(gross)[-1].all()


NULLS: dict[str, tuple[Kind, Traffic]] = {
    "normal": (Kind.NUMERIC, lambda rng, *shape: rng.normal(size=shape)),
    "lognormal": (Kind.NUMERIC, lambda rng, *shape: rng.lognormal(0, 1.5, shape)),
    "rarest": (Kind.BINARY, lambda rng, *shape: (rng.random(shape) < 0.001).astype(float)),
    "rare": (Kind.BINARY, lambda rng, *shape: (rng.random(shape) < 0.01).astype(float)),
    "frequent": (Kind.BINARY, lambda rng, *shape: (rng.random(shape) < 0.1).astype(float)),
    "zipf": (Kind.CATEGORICAL, lambda rng, *shape: zipf(rng, 200, *shape)),
    "too many": (Kind.CATEGORICAL, lambda rng, *shape: zipf(rng, 3000, *shape)),
    "bursts": (Kind.CATEGORICAL, lambda rng, *shape: bursts(rng, 10, *shape)),
    "ar .5": (Kind.NUMERIC, lambda rng, *shape: ar(rng, 0.5, *shape)),
    "ar .8": (Kind.NUMERIC, lambda rng, *shape: ar(rng, 0.8, *shape)),
}


@pytest.mark.parametrize("records", [10_000, 50_000])
@pytest.mark.parametrize("null", NULLS)
def test_keeps_to_its_level(null: str, records: int) -> None:
    """Where nothing changes it alarms no more often than it may, in 40 streams of 400 strides.

    Streams are independent, alarms come in episodes: the mean over streams may exceed the level by
    three standard errors, and the streams that alarm at all what is to be expected of them
    (strides x level) by three of a Poisson number.
    """
    kind, traffic = NULLS[null]
    rng = np.random.default_rng(14)
    values = traffic(rng, 40, records + 40_000)
    rig = Rig(baseline(kind, values[:, :records]), "e_detector", level=1e-3)
    found = rig.feed(values[:, records:])
    assert np.isfinite(rig.readings.statistic).all()
    shares = found.mean(axis=0)
    assert shares.mean() - 3 * shares.std(ddof=1) / 40**0.5 <= 1e-3
    expected = 40 * 100 * 1e-3
    assert found[:100].any(axis=0).sum() <= expected + 3 * expected**0.5


def doubled(rng: np.random.Generator, *shape: int) -> Floats:
    """Lognormal records, the slowest hundredth of which takes twice as long."""
    values = rng.lognormal(0, 1, shape)
    return np.where(values > np.exp(ndtri(0.99)), 2 * values, values)


def with_missing(share: float) -> Traffic:
    """Normal records, of which so many are missing."""
    return lambda rng, *shape: np.where(rng.random(shape) < share, np.nan, rng.normal(size=shape))


def with_new(share: float) -> Traffic:
    """Twelve categories, and a new one in place of so many."""
    return lambda rng, *shape: np.where(rng.random(shape) < share, 99.0, zipf(rng, 12, *shape))


def normal(mean: float, sd: float) -> Traffic:
    """Independent normal records."""
    return lambda rng, *shape: rng.normal(mean, sd, shape)


def lognormal(rng: np.random.Generator, *shape: int) -> Floats:
    """Independent lognormal records."""
    return rng.lognormal(0, 1, shape)


def ones(share: float) -> Traffic:
    """Flags of which so many are set."""
    return lambda rng, *shape: (rng.random(shape) < share).astype(float)


CHANGES: dict[str, tuple[Kind, Traffic, Traffic, int]] = {
    "mean +.5 sd": (Kind.NUMERIC, normal(0, 1), normal(0.5, 1), 3),
    "mean -.5 sd": (Kind.NUMERIC, normal(0, 1), normal(-0.5, 1), 3),
    "mean +.2 sd": (Kind.NUMERIC, normal(0, 1), normal(0.2, 1), 12),
    "mean -.2 sd": (Kind.NUMERIC, normal(0, 1), normal(-0.2, 1), 12),
    "spread x1.3": (Kind.NUMERIC, normal(0, 1), normal(0, 1.3), 8),
    "spread x.7": (Kind.NUMERIC, normal(0, 1), normal(0, 0.7), 8),
    "p99 doubled": (Kind.NUMERIC, lognormal, doubled, 45),
    "new category": (Kind.CATEGORICAL, with_new(0), with_new(0.02), 5),
    "missing 1 to 5 %": (Kind.NUMERIC, with_missing(0.01), with_missing(0.05), 8),
    "errors 1 to 3 %": (Kind.BINARY, ones(0.01), ones(0.03), 20),
    "errors .1 to 1 %": (Kind.BINARY, ones(0.001), ones(0.01), 20),
    "errors 0 to 1 %": (Kind.BINARY, ones(0), ones(0.01), 6),
}
"""Kind, traffic before and after, and how many strides the median delay may have."""

STREAMS = 25


def until_found(rig: Rig, traffic: Floats) -> Ints:
    """How many strides it took to find a change in each stream; a thousand where it was not."""
    found = rig.feed(traffic)
    return np.where(found.any(axis=0), found.argmax(axis=0) + 1, 1000)


@pytest.mark.parametrize("change", CHANGES)
def test_delays_are_those_that_theory_leads_to_expect(change: str) -> None:
    """At level 1e-6 the median delay is about (ln 1e6 + ln 1/w) over a bet's growth a stride."""
    kind, before, after, strides = CHANGES[change]
    rng = np.random.default_rng(4)
    rig = Rig(baseline(kind, before(rng, STREAMS, 50_000)), "e_detector", level=1e-6)
    assert not rig.feed(before(rng, STREAMS, 3000)).any()
    assert np.median(until_found(rig, after(rng, STREAMS, 6000))) <= strides


@pytest.mark.parametrize(
    "change", ["mean +.5 sd", "mean -.2 sd", "spread x1.3", "p99 doubled", "new category"]
)
def test_goes_quiet_when_a_change_is_over(change: str) -> None:
    """After a thousand strides of it most streams are quiet within a window, nearly all in two.

    What it may hold is bounded: without that it would take as long to forget as it took to learn.
    """
    kind, before, after, _ = CHANGES[change]
    rng = np.random.default_rng(5)
    rig = Rig(baseline(kind, before(rng, STREAMS, 50_000)), "e_detector", level=1e-6)
    assert rig.feed(after(rng, STREAMS, 100_000))[-500:].mean() > 0.5
    found = rig.feed(before(rng, STREAMS, 6000))
    last = np.where(found.any(axis=0), 60 - found[::-1].argmax(axis=0), 0)
    assert np.median(last) <= 10
    assert (last <= 20).mean() >= 0.8


@pytest.mark.parametrize("mean", [0.5, -0.5])
def test_knows_when_the_change_began(mean: float) -> None:
    """When a shift is found, the bet that holds most has held it since about the true onset."""
    rng = np.random.default_rng(6)
    errors = []
    for _ in range(STREAMS):
        quiet = int(rng.integers(20, 80))
        rig = Rig(baseline(Kind.NUMERIC, rng.normal(size=(1, 20_000))), "e_detector", together=1)
        rig.feed(rng.normal(size=(1, 100 * quiet)))
        while not rig.feed(rng.normal(mean, 1, (1, 100))).any():
            pass
        detector = detector_of(rig)
        best = (detector.held * detector.weights)[0].argmax()
        errors.append(abs(int(detector.since[0, best]) - quiet))
    assert np.median(errors) <= 3


def test_a_snapshot_keeps_what_is_held_and_since_when() -> None:
    """A copy restored in the middle of a rise knows as well when it began, and finds it as soon."""
    rng = np.random.default_rng(7)
    base = baseline(Kind.NUMERIC, rng.normal(size=(3, 20_000)))
    original, copy = Rig(base, "e_detector"), Rig(base, "e_detector")
    original.feed(rng.normal(size=(3, 3000)))
    original.feed(rng.normal(0.3, 1, (3, 200)))
    state = detector_of(original).snapshot()
    assert (detector_of(original).mixtures > 1).all()
    copy.window.restore(original.window.snapshot())
    detector_of(copy).restore(state)
    np.testing.assert_array_equal(detector_of(copy).held, detector_of(original).held)
    np.testing.assert_array_equal(detector_of(copy).since, detector_of(original).since)
    np.testing.assert_array_equal(copy.readings.statistic, original.readings.statistic)
    later = rng.normal(0.3, 1, (3, 2000))
    expected = original.feed(later)
    assert expected.any(axis=0).all()
    np.testing.assert_array_equal(copy.feed(later), expected)
    np.testing.assert_array_equal(detector_of(copy).since, detector_of(original).since)
    assert detector_of(copy).snapshot() == detector_of(original).snapshot() != state
