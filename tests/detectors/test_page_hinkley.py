"""Page-Hinkley: Lundberg's bound holds and is not too loose."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.optimize import brentq
from scipy.signal import lfilter

from detectors.kinds import Kind
from detectors.page_hinkley import ALLOWANCE, PageHinkley, allowance_and_exponents
from tests.detectors.harness import Harness, baseline


def test_exponent_of_uniform_ranks() -> None:
    """For ranks uniform on [0, 1] it is the root of ln(sinh(t/2) / (t/2)) = t d."""
    rng = np.random.default_rng(1)
    (stream,) = baseline(Kind.NUMERIC, rng.normal(size=(1, 200_000))).numeric
    allowance, up, down = allowance_and_exponents(stream)
    sd = 12**-0.5
    error = 3 * sd * (stream.inflation / 200_000) ** 0.5
    assert allowance == pytest.approx(ALLOWANCE * sd + error, rel=1e-3)
    exact = brentq(lambda t: np.log(np.sinh(t / 2) / (t / 2)) - t * allowance, 0.1, 20)
    assert up * stream.inflation == pytest.approx(exact, rel=0.01)
    assert down == pytest.approx(up, rel=0.01)


def test_sums_equal_the_formula() -> None:
    """Both sums are the documented ones, by stride, with missing values and restarts."""
    rng = np.random.default_rng(2)
    base = baseline(Kind.BINARY, (rng.random((1, 50_000)) < 0.3).astype(float))
    values = (rng.random((1, 20_000)) < np.linspace(0.2, 0.45, 20_000)).astype(float)
    values[rng.random(values.shape) < 0.3] = np.nan
    (stream,) = base.numeric
    allowance, *exponents = allowance_and_exponents(stream)
    low = float((stream.below[1]) / 2 / 50_000)
    harness, sums, alarms = Harness(base, "page_hinkley", level=1e-3), [0.0, 0.0], 0
    thresholds = [np.log(2 / 1e-3) / (100 * theta) for theta in exponents]
    for start in range(0, 20_000, 100):
        newest = values[0, start : start + 100]
        share = (~np.isnan(newest)).mean()
        rank = low + 0.5 * np.nanmean(newest)
        steps = rank - 0.5 - allowance, 0.5 - rank - allowance
        sums = [max(0.0, s + share * step) for s, step in zip(sums, steps, strict=True)]
        expected = any(s >= h for s, h in zip(sums, thresholds, strict=True))
        assert harness.feed(newest[None])[0, 0] == expected
        assert any(harness.readings.statistic[0] == pytest.approx(s, abs=1e-9) for s in sums)
        alarms += expected
        sums = [0.0, 0.0] if expected else sums
    assert 2 < alarms < 150


@pytest.mark.parametrize("missing", [0.0, 0.6])
@pytest.mark.parametrize("kind", [Kind.NUMERIC, Kind.BINARY])
def test_alarm_rate_is_within_the_level(kind: Kind, missing: float) -> None:
    """The alarm rate is at most the level and, on average over streams, at least a 50th."""
    rng = np.random.default_rng(3)

    def traffic(records: int) -> np.ndarray[tuple[int, int], np.dtype[np.float64]]:
        shape = 60, records
        values = rng.normal(size=shape) if kind is Kind.NUMERIC else rng.random(shape) < 0.05
        return np.where(rng.random(shape) < missing, np.nan, values)

    harness = Harness(baseline(kind, traffic(50_000)), "page_hinkley", level=1e-2)
    shares = harness.feed(traffic(100_000)).mean(axis=0)
    assert shares.max() < 1e-2
    assert shares.mean() > 1e-2 / 50


def test_sums_that_never_restart_keep_lundbergs_bound() -> None:
    """P(sum >= h) <= exp(-theta h) for thresholds of one side from likely to rare."""
    rng = np.random.default_rng(4)
    harness = Harness(
        baseline(Kind.NUMERIC, rng.normal(size=(60, 50_000))), "page_hinkley", level=1e-12
    )
    (detector,) = harness.detectors
    assert isinstance(detector, PageHinkley)
    peaks = []
    for _ in range(30):
        harness.feed(rng.normal(size=(60, 5000)))
        peaks.append(detector.peaks)
    scaled = np.concatenate(peaks) * detector.exponents
    assert len(scaled) == 1500
    for h in (1.0, 3.0, 5.0):
        assert np.exp(-h) / 100 < (scaled >= h).mean() < np.exp(-h)


def test_detects_a_small_lasting_shift() -> None:
    """At level 1e-6, it finds 0.2 sd within 2,500 records in 90 % of streams."""
    rng = np.random.default_rng(5)
    harness = Harness(baseline(Kind.NUMERIC, rng.normal(size=(40, 50_000))), "page_hinkley")
    assert not harness.feed(rng.normal(size=(40, 20_000))).any()
    assert harness.feed(rng.normal(0.2, 1, (40, 2500))).any(axis=0).mean() > 0.9


def test_ignores_a_shift_below_the_allowance() -> None:
    """A shift of 0.05 sd, half of the allowance, does not accumulate."""
    rng = np.random.default_rng(6)
    harness = Harness(baseline(Kind.NUMERIC, rng.normal(size=(20, 50_000))), "page_hinkley")
    assert not harness.feed(rng.normal(0.05, 1, (20, 50_000))).any()


def test_keeps_its_level_on_autocorrelated_records() -> None:
    """On AR(1) records the variance inflation keeps the alarm rate within the level."""
    rng = np.random.default_rng(7)
    x = lfilter([1], [1, -0.7], rng.normal(size=(40, 150_000)), axis=1)
    harness = Harness(baseline(Kind.NUMERIC, x[:, :50_000]), "page_hinkley", level=1e-2)
    assert harness.feed(x[:, 50_000:]).mean() < 1e-2
    (detector,) = harness.detectors
    assert isinstance(detector, PageHinkley)
    detector.thresholds = detector.thresholds / harness.base.inflation
    assert harness.feed(x[:, 50_000:]).mean() > 2e-2
