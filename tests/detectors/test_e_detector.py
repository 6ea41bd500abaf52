"""The e-detector: its statistic is the theory's, it keeps its level, and it is fast."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from scipy.special import logsumexp, ndtri

from detectors.arrays import Floats, Ints
from detectors.baseline import Baseline, Stream
from detectors.bets import GRAIN, MIN_RECORDS, Bets, build_bets
from detectors.categorical_stream import CategoricalStream
from detectors.e_detector import EDetector
from detectors.kinds import VALUE_KINDS, Kind
from detectors.numeric_stream import NumericStream
from tests.detectors.harness import Harness, baseline, bursts, sample, shifted, zipf
from tests.detectors.test_bets import ar

Traffic = Callable[..., Floats]
"""Function of a generator and a shape that returns records of some distribution."""


def detector_of(harness: Harness) -> EDetector:
    """Return the only detector of a harness."""
    (detector,) = harness.detectors
    assert isinstance(detector, EDetector)
    return detector


def unbounded_mixture(stream: Stream, values: Floats) -> list[float]:
    """Return ln M after each stride of 100 values, record by record and without any bound."""
    bets = build_bets(stream)
    excess = reference_excess(stream, bets)
    payments = np.floor(bets.log_payoffs / excess / GRAIN) * GRAIN
    error = 100 * bets.error / excess
    wealth = np.full(len(bets.names), -np.inf)
    cusums, run = np.zeros(len(wealth)), np.zeros(len(wealth))
    mixtures = []
    for start in range(0, len(values), 100):
        run = np.where(cusums > 0, run + 1, 1)
        paid = -np.minimum(1.5 * error * (2 * run - 1), 2.5) * error
        for value in values[start : start + 100].tolist():
            paid = paid + payments[cell_of(stream, value)]
        wealth = np.logaddexp(0.0, wealth) + paid
        cusums = np.clip(cusums + paid, 0, 100)
        mixtures.append(float(logsumexp(wealth + np.log(bets.weights))))
    return mixtures


def reference_excess(stream: Stream, bets: Bets) -> Floats:
    """Return the maximal log wealth on the reference's K blocks over ln(20 K), >= 1."""
    wealth = maximum = np.full(len(bets.names), -np.inf)
    for block in stream.blocks.astype(float):
        wealth = np.logaddexp(0.0, wealth) + block @ bets.log_payoffs
        maximum = np.maximum(maximum, wealth)
    return np.asarray(np.maximum(1.0, maximum / np.log(20 * len(stream.blocks))))


def cell_of(stream: Stream, value: float) -> int:
    """Return the cell of a value or of a coded category."""
    if isinstance(stream, NumericStream):
        return int(stream.cell_of(np.array([value]))[0])
    assert isinstance(stream, CategoricalStream)
    missing = np.isnan(value)
    return (
        stream.cells - 1
        if missing
        else stream.cell_by_category().get(f"{value:g}", stream.cells - 2)
    )


@pytest.mark.parametrize("together", [1, 7])
@pytest.mark.parametrize("kind", VALUE_KINDS)
def test_statistic_is_the_mixture(kind: Kind, together: int) -> None:
    """Below its limit, ln M equals a recomputation from the first record; 0 while M is below 1.

    At the limit a change is found, and the p-value is always 1 / M.
    """
    rng = np.random.default_rng(1)
    mixed = sample(kind, rng, 2, 23_000)
    other = rng.random((2, 1500)) < 0.2
    mixed[:, -1500:] = np.where(other, shifted(kind, rng, 2, 1500), mixed[:, -1500:])
    mixed[rng.random(mixed.shape) < 0.01] = np.nan
    base, mixed = baseline(kind, mixed[:, :20_000]), mixed[:, 20_000:]
    harness = Harness(base, "e_detector", level=1e-5, together=together)
    expected = np.array(
        [unbounded_mixture(*pair) for pair in zip(base.streams, mixed, strict=True)]
    ).T
    limit = np.log(1e5)
    over = np.logical_or.accumulate(expected >= limit, axis=0)
    assert over[-1].all()
    assert not over[14].any()
    assert (expected < 0).any()
    at = 0
    for windows in harness.extend(mixed):
        found = detector_of(harness).update(windows)
        for j in range(len(windows)):
            readings = detector_of(harness).readings(windows.at(j))
            known = ~over[at]
            statistic, expected_ln = readings.statistic, np.maximum(expected[at], 0)
            np.testing.assert_allclose(statistic[known], expected_ln[known], rtol=1e-9, atol=1e-9)
            np.testing.assert_array_equal(found[j][known], False)
            first = over[at] if at == 0 else over[at] & ~over[at - 1]
            assert found[j][first].all()
            np.testing.assert_allclose(statistic[first], limit)
            np.testing.assert_allclose(readings.threshold, limit)
            np.testing.assert_allclose(readings.p_value[known], np.exp(-expected_ln[known]))
            assert (readings.p_value[first] <= 1e-5).all()
            at += 1
    assert at == 30


def test_streams_have_separate_mixtures() -> None:
    """Streams of different kinds, with different cells and bets, have their own mixture."""
    rng = np.random.default_rng(2)
    numeric = baseline(Kind.NUMERIC, rng.normal(size=(1, 20_000))).numeric
    binary = baseline(Kind.BINARY, sample(Kind.BINARY, rng, 1, 20_000)).numeric
    (why,) = baseline(Kind.CATEGORICAL, zipf(rng, 3, 1, 20_000)).categorical
    base = Baseline(20_000, (*numeric, *binary), (why,))
    harness = Harness(base, "e_detector")
    assert len({len(build_bets(stream).names) for stream in base.streams}) == 3
    numbers = np.concatenate((rng.normal(0.05, 1, (1, 900)), sample(Kind.BINARY, rng, 1, 900)))
    codes = zipf(rng, 3, 900)
    windows = harness.window.extend(
        numbers, np.array([[why.cell_by_category()[f"{c:g}"] for c in codes]], np.uint8)
    )
    detector_of(harness).update(windows)
    for stream, mixtures, values in zip(
        base.streams, detector_of(harness).mixtures.T, (*numbers, codes), strict=True
    ):
        np.testing.assert_allclose(np.log(mixtures), unbounded_mixture(stream, values), atol=1e-9)


def test_a_short_reference_has_no_verdict() -> None:
    """With fewer than 500 reference records there is no statistic and no alarm."""
    rng = np.random.default_rng(3)
    short, enough = (
        Harness(baseline(Kind.NUMERIC, rng.normal(size=(2, n))), "e_detector")
        for n in (MIN_RECORDS - 1, MIN_RECORDS)
    )
    for harness in (short, enough):
        harness.feed(rng.normal(size=(2, 1000)))
    assert np.isnan(short.readings.statistic).all()
    assert np.isnan(short.readings.p_value).all()
    assert np.isfinite(enough.readings.statistic).all()
    gross = rng.normal(5, 1, (2, 1000))
    assert not short.feed(gross).any()
    assert enough.feed(gross)[-1].all()


def rare_categories(rng: np.random.Generator, *shape: int) -> Floats:
    """Return four categories of 5, 3, 2 and 1.5 % of the records, and a fifth one."""
    cuts = np.array([0.05, 0.08, 0.1, 0.115, 1.0])
    return np.searchsorted(cuts, rng.random(shape)).astype(float)


def in_runs(rng: np.random.Generator, run: int, *shape: int) -> Floats:
    """Return rare categories, each repeated `run` times in a row."""
    return np.repeat(rare_categories(rng, *shape[:-1], shape[-1] // run), run, axis=-1)


NULLS: dict[str, tuple[Kind, Traffic]] = {
    "normal": (Kind.NUMERIC, lambda rng, *shape: rng.normal(size=shape)),
    "lognormal": (Kind.NUMERIC, lambda rng, *shape: rng.lognormal(0, 1.5, shape)),
    "rarest": (Kind.BINARY, lambda rng, *shape: (rng.random(shape) < 0.001).astype(float)),
    "rare": (Kind.BINARY, lambda rng, *shape: (rng.random(shape) < 0.01).astype(float)),
    "frequent": (Kind.BINARY, lambda rng, *shape: (rng.random(shape) < 0.1).astype(float)),
    "zipf": (Kind.CATEGORICAL, lambda rng, *shape: zipf(rng, 200, *shape)),
    "too many": (Kind.CATEGORICAL, lambda rng, *shape: zipf(rng, 3000, *shape)),
    "bursts": (Kind.CATEGORICAL, lambda rng, *shape: bursts(rng, 10, *shape)),
    "rare categories": (Kind.CATEGORICAL, rare_categories),
    "rare bursts": (Kind.CATEGORICAL, lambda rng, *shape: in_runs(rng, 10, *shape)),
    "ar .5": (Kind.NUMERIC, lambda rng, *shape: ar(rng, 0.5, *shape)),
    "ar .8": (Kind.NUMERIC, lambda rng, *shape: ar(rng, 0.8, *shape)),
}


@pytest.mark.parametrize("records", [10_000, 50_000])
@pytest.mark.parametrize("null", NULLS)
def test_keeps_its_level(null: str, records: int) -> None:
    """On quiet traffic the alarm rate is within the level, in 40 streams of 400 strides.

    Streams are independent, but alarms come in episodes. The tolerance of the mean over streams is
    three standard errors. The tolerance of the number of streams with an alarm, which is expected
    to be strides x level, is three standard deviations of a Poisson number.
    """
    kind, traffic = NULLS[null]
    rng = np.random.default_rng(14)
    values = traffic(rng, 40, records + 40_000)
    harness = Harness(baseline(kind, values[:, :records]), "e_detector", level=1e-3)
    found = harness.feed(values[:, records:])
    assert np.isfinite(harness.readings.statistic).all()
    shares = found.mean(axis=0)
    assert shares.mean() - 3 * shares.std(ddof=1) / 40**0.5 <= 1e-3
    expected = 40 * 100 * 1e-3
    assert found[:100].any(axis=0).sum() <= expected + 3 * expected**0.5


def doubled(rng: np.random.Generator, *shape: int) -> Floats:
    """Return lognormal records, the largest 1 % of which are doubled."""
    values = rng.lognormal(0, 1, shape)
    return np.where(values > np.exp(ndtri(0.99)), 2 * values, values)


def with_missing(share: float) -> Traffic:
    """Return normal records with a share of missing values."""
    return lambda rng, *shape: np.where(rng.random(shape) < share, np.nan, rng.normal(size=shape))


def with_new(share: float) -> Traffic:
    """Return twelve categories, and a new one in a share of the records."""
    return lambda rng, *shape: np.where(rng.random(shape) < share, 99.0, zipf(rng, 12, *shape))


def share_of_category(share: float) -> Traffic:
    """Return a category with this share beside two frequent ones."""
    cuts = np.array([share, share + 0.2, 1.0])
    return lambda rng, *shape: np.searchsorted(cuts, rng.random(shape)).astype(float)


def normal(mean: float, sd: float) -> Traffic:
    """Return independent normal records."""
    return lambda rng, *shape: rng.normal(mean, sd, shape)


def lognormal(rng: np.random.Generator, *shape: int) -> Floats:
    """Return independent lognormal records."""
    return rng.lognormal(0, 1, shape)


def ones(share: float) -> Traffic:
    """Return flags with a share of ones."""
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
    "category 2 to 0 %": (Kind.CATEGORICAL, share_of_category(0.02), share_of_category(0), 17),
    "category 2 to .2 %": (Kind.CATEGORICAL, share_of_category(0.02), share_of_category(0.002), 22),
    "category 5 to 1 %": (Kind.CATEGORICAL, share_of_category(0.05), share_of_category(0.01), 10),
    "category 1.2 to 0 %": (Kind.CATEGORICAL, share_of_category(0.012), share_of_category(0), 28),
    "missing 1 to 5 %": (Kind.NUMERIC, with_missing(0.01), with_missing(0.05), 8),
    "errors 1 to 3 %": (Kind.BINARY, ones(0.01), ones(0.03), 20),
    "errors .1 to 1 %": (Kind.BINARY, ones(0.001), ones(0.01), 20),
    "errors 0 to 1 %": (Kind.BINARY, ones(0), ones(0.01), 6),
    "errors 1 to 0 %": (Kind.BINARY, ones(0.01), ones(0), 40),
}
"""Kind, traffic before and after, and the maximal median delay in strides."""

STREAMS = 25


def delays(harness: Harness, traffic: Floats) -> Ints:
    """Return the strides until a change is found in each stream; 1000 if it is not found."""
    found = harness.feed(traffic)
    return np.where(found.any(axis=0), found.argmax(axis=0) + 1, 1000)


@pytest.mark.parametrize("change", CHANGES)
def test_delays_agree_with_theory(change: str) -> None:
    """At level 1e-6 the median delay is about (ln 1e6 + ln 1/w) over a bet's growth a stride."""
    kind, before, after, strides = CHANGES[change]
    rng = np.random.default_rng(4)
    harness = Harness(baseline(kind, before(rng, STREAMS, 50_000)), "e_detector", level=1e-6)
    assert not harness.feed(before(rng, STREAMS, 3000)).any()
    assert np.median(delays(harness, after(rng, STREAMS, 6000))) <= strides


@pytest.mark.parametrize(
    "change", ["mean +.5 sd", "mean -.2 sd", "spread x1.3", "p99 doubled", "new category"]
)
def test_becomes_quiet_after_a_change_ends(change: str) -> None:
    """After 1000 strides of change, most streams are quiet within a window, 80 % within two.

    Wealth is bounded: otherwise the detector would need as long to become quiet as the change
    lasted.
    """
    kind, before, after, _ = CHANGES[change]
    rng = np.random.default_rng(5)
    harness = Harness(baseline(kind, before(rng, STREAMS, 50_000)), "e_detector", level=1e-6)
    assert harness.feed(after(rng, STREAMS, 100_000))[-500:].mean() > 0.5
    found = harness.feed(before(rng, STREAMS, 6000))
    last = np.where(found.any(axis=0), 60 - found[::-1].argmax(axis=0), 0)
    assert np.median(last) <= 10
    assert (last <= 20).mean() >= 0.8


@pytest.mark.parametrize("mean", [0.5, -0.5])
def test_estimates_when_the_change_began(mean: float) -> None:
    """When a shift is found, the wealthiest bet's CUSUM started near the true onset."""
    rng = np.random.default_rng(6)
    errors = []
    for _ in range(STREAMS):
        quiet = int(rng.integers(20, 80))
        harness = Harness(
            baseline(Kind.NUMERIC, rng.normal(size=(1, 20_000))), "e_detector", together=1
        )
        harness.feed(rng.normal(size=(1, 100 * quiet)))
        while not harness.feed(rng.normal(mean, 1, (1, 100))).any():
            pass
        detector = detector_of(harness)
        best = (detector.wealth * detector.weights)[0].argmax()
        errors.append(abs(int(detector.since[0, best]) - quiet))
    assert np.median(errors) <= 3


def test_snapshot_keeps_wealth_and_starts() -> None:
    """A detector restored during a rise finds the change at the same stride and onset."""
    rng = np.random.default_rng(7)
    base = baseline(Kind.NUMERIC, rng.normal(size=(3, 20_000)))
    original, copy = Harness(base, "e_detector"), Harness(base, "e_detector")
    original.feed(rng.normal(size=(3, 3000)))
    original.feed(rng.normal(0.3, 1, (3, 200)))
    state = detector_of(original).snapshot()
    assert (detector_of(original).mixtures > 1).all()
    copy.window.restore(original.window.snapshot())
    detector_of(copy).restore(state)
    np.testing.assert_array_equal(detector_of(copy).wealth, detector_of(original).wealth)
    np.testing.assert_array_equal(detector_of(copy).since, detector_of(original).since)
    np.testing.assert_array_equal(copy.readings.statistic, original.readings.statistic)
    later = rng.normal(0.3, 1, (3, 2000))
    expected = original.feed(later)
    assert expected.any(axis=0).all()
    np.testing.assert_array_equal(copy.feed(later), expected)
    np.testing.assert_array_equal(detector_of(copy).since, detector_of(original).since)
    assert detector_of(copy).snapshot() == detector_of(original).snapshot() != state
