"""Materiality of rates: limits, confidence, and the evidence that a change is over."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from detectors.arrays import Floats
from detectors.kinds import Kind
from monitor.detect.alarms.materiality import CONFIDENCE, Materiality, RateLimits, wilson_interval
from tests.monitor.detect.alarms.alarm_runs import binary_run, numeric_baseline

LIMITS = RateLimits(factor=2.0, change=0.005, min_psi=0.1)
RECORDS = 100_000


def materiality(rate: float) -> Materiality:
    """Return the materiality of a binary stream whose reference has exactly this rate."""
    values = np.zeros(RECORDS)
    values[:: round(1 / rate)] = 1.0
    return Materiality(numeric_baseline(values, Kind.BINARY), LIMITS)


def counts(measured: Materiality, rate: float, records: float) -> Floats:
    """Return records by bin with this rate."""
    event, rest = np.argsort(measured.shares[0])[[-2, -1]]
    found = np.zeros(measured.shares.shape[1])
    found[event], found[rest] = rate * records, (1 - rate) * records
    return found


@pytest.mark.parametrize(
    ("before", "now", "material"),
    [
        (0.005, 0.02, True),
        (0.005, 0.008, False),  # less than twice
        (0.001, 0.004, False),  # less than half a percentage point
        (0.001, 0.01, True),
        (0.1, 0.15, False),
        (0.02, 0.005, True),  # a fall
        (0.02, 0.015, False),
        (0.005, 0.002, False),  # a fall by less than half a percentage point
    ],
)
def test_rate_is_material_beyond_both_limits(before: float, now: float, material: bool) -> None:
    """Both the factor and the absolute change must be exceeded, up or down."""
    measured = materiality(before)
    assert measured.is_rate_material(0, counts(measured, now, 20_000)) is material


def test_few_records_are_no_proof() -> None:
    """The same rate is material on many records, and not on few."""
    measured = materiality(0.005)
    assert not measured.is_rate_material(0, counts(measured, 0.02, 200))
    assert measured.is_rate_material(0, counts(measured, 0.02, 2_000))
    assert not measured.is_rate_material(0, np.zeros(measured.shares.shape[1]))


def test_bins_of_numeric_streams_are_not_rates() -> None:
    """They divide the values arbitrarily; PSI measures them."""
    baseline = numeric_baseline(np.random.default_rng(0).normal(size=10_000))
    measured = Materiality(baseline, LIMITS)
    shifted = np.zeros(baseline.bin_counts.shape[1])
    shifted[1] = 10_000
    assert not measured.is_rate_material(0, shifted)


@pytest.mark.parametrize("rate", [0.001, 0.01, 0.1])
def test_interval_covers_the_rate(rate: float) -> None:
    """Either limit of Wilson's interval covers the rate with about CONFIDENCE, by the binomial."""
    n = 5_000
    low, high = wilson_interval(np.arange(n + 1) / n, n)
    weights = stats.binom.pmf(np.arange(n + 1), n, rate)
    assert weights[low <= rate].sum() == pytest.approx(CONFIDENCE, abs=0.04)
    assert weights[high >= rate].sum() == pytest.approx(CONFIDENCE, abs=0.04)


@pytest.mark.parametrize(("before", "now"), [(0.005, 0.02), (0.02, 0.06), (0.02, 0.005)])
def test_evidence_favours_the_side_that_is_true(before: float, now: float) -> None:
    """A record is on average evidence for the reference, if its rate is true, else against it."""
    measured = materiality(before)
    ratios = measured.log_ratios(0, counts(measured, now, 10_000))
    assert counts(measured, before, 1.0) @ ratios > 0
    assert counts(measured, now, 1.0) @ ratios < 0
    # a larger change is evidence against it, too
    farther = now + (now - before) / 2
    assert counts(measured, farther, 1.0) @ ratios < counts(measured, now, 1.0) @ ratios


def test_large_change_that_becomes_smaller_is_not_over() -> None:
    """With errors at 20 % instead of 0.5 %, 4 % are nearer to the change than to the reference."""
    measured = materiality(0.005)
    ratios = measured.log_ratios(0, counts(measured, 0.2, 10_000))
    assert counts(measured, 0.04, 1.0) @ ratios < 0 < counts(measured, 0.005, 1.0) @ ratios


def test_empty_bin_that_expects_hardly_a_record_has_not_vanished() -> None:
    """One record in it is little evidence that the change is over."""
    values = np.random.default_rng(0).normal(size=20_000)
    baseline = numeric_baseline(values)
    measured = Materiality(baseline, LIMITS)
    moved = baseline.bin_counts[0] / 20
    moved[1] += 100
    moved[0] = 0.0  # below the reference's range, where half a record in 20,000 is expected
    assert abs(measured.log_ratios(0, moved)[0]) < 0.5


@pytest.mark.parametrize("rate", [1e-4, 1e-3, 1e-2, 5e-2])
def test_unchanged_rates_do_not_page(rate: float) -> None:
    """Materiality only filters what is significant: rare events page no more than before."""
    for seed in range(3):
        assert not any(each.first_page for each in binary_run([(rate, 50_000)], seed))
