"""ADWIN: agrees with river's implementation on block means of ranks."""

from __future__ import annotations

import numpy as np
import pytest
from river.drift import ADWIN

from detectors.adwin import BLOCKS_PER_STRIDE, STRETCH_SDS, Adwin, block_means, feed
from detectors.arrays import Floats
from detectors.kinds import Kind
from tests.detectors.harness import Harness, baseline


def means_by_hand(reference: Floats, values: Floats) -> list[float]:
    """Return stretched means of 20 mid-ranks each, for a feature with one cell per value."""
    ranks = {v: (reference < v).mean() + (reference == v).mean() / 2 for v in np.unique(reference)}
    means = [
        np.mean([ranks[v] for v in values[start : start + 20]])
        for start in range(0, len(values), 20)
    ]
    inflation = baseline(Kind.NUMERIC, reference[None]).inflation[0]
    sd = (np.var([ranks[v] for v in reference]) * inflation / 20) ** 0.5
    return [min(1.0, max(0.0, 0.5 + (mean - 0.5) / (2 * STRETCH_SDS * sd))) for mean in means]


def test_cuts_in_the_same_stride_as_river() -> None:
    """The first cut is in the same stride as river's, and leaves the same window."""
    rng = np.random.default_rng(1)
    reference = rng.integers(0, 8, 20_000).astype(float)
    values = np.concatenate((rng.integers(0, 8, 6000), rng.integers(1, 8, 6000))).astype(float)
    harness = Harness(baseline(Kind.NUMERIC, reference[None]), "adwin", level=1e-3)
    (detector,) = harness.detectors
    assert isinstance(detector, Adwin)
    river = ADWIN(delta=1e-3, clock=BLOCKS_PER_STRIDE)  # type: ignore[no-untyped-call] # no types
    means = means_by_hand(reference, values)
    cut = False
    for stride in range(120):
        expected = False
        for mean in means[5 * stride : 5 * stride + 5]:
            river.update(mean)  # type: ignore[no-untyped-call] # no types
            expected |= river.drift_detected
        found = harness.feed(values[None, 100 * stride : 100 * stride + 100])[0, 0]
        assert found == expected
        assert detector.windows[0].width == river.width
        assert detector.windows[0].estimation == pytest.approx(river.estimation)
        if cut := expected:
            break
    assert cut
    assert 60 <= stride < 110


def test_readings_describe_the_cut_of_their_stride() -> None:
    """Readings are the gap and threshold of a cut in the newest stride, else no threshold."""
    rng = np.random.default_rng(2)
    harness = Harness(baseline(Kind.NUMERIC, rng.random((1, 20_000))), "adwin", level=1e-4)
    harness.feed(rng.random((1, 5000)))
    assert harness.readings.statistic.tolist() == [0.0]
    assert np.isnan(harness.readings.threshold).all()
    cuts = 0
    for _ in range(40):
        found = harness.feed(rng.random((1, 100)) * 0.5 + 0.5)[0, 0]
        readings = harness.readings
        assert (readings.statistic[0] >= readings.threshold[0]) == found
        assert np.isnan(readings.p_value).all()
        if found:
            cuts += 1
            assert 0 < readings.threshold[0] <= readings.statistic[0] <= 1
        else:
            assert readings.statistic.tolist() == [0.0]
            assert np.isnan(readings.threshold).all()
    assert cuts


def test_snapshot_keeps_the_last_cut() -> None:
    """A detector restored just after a cut has the same readings."""
    rng = np.random.default_rng(6)
    base = baseline(Kind.NUMERIC, rng.random((2, 20_000)))
    original, copy = Harness(base, "adwin"), Harness(base, "adwin")
    original.feed(rng.random((2, 5000)))
    while not original.feed(rng.random((2, 100)) * 0.5 + 0.5).any():
        pass
    assert original.readings.statistic.max() > 0
    copy.window.restore(original.window.snapshot())
    copy.detectors[0].restore(original.detectors[0].snapshot())
    np.testing.assert_array_equal(copy.readings.statistic, original.readings.statistic)
    np.testing.assert_array_equal(copy.readings.threshold, original.readings.threshold)


def test_stops_reporting_a_lasting_shift() -> None:
    """Some time after a shift there are no more cuts: ADWIN compares with recent traffic."""
    rng = np.random.default_rng(3)
    harness = Harness(baseline(Kind.NUMERIC, rng.random((1, 20_000))), "adwin", level=1e-6)
    harness.feed(rng.random((1, 5000)))
    assert harness.feed(rng.random((1, 5000)) + 0.3).any()
    assert not harness.feed(rng.random((1, 20_000)) + 0.3).any()


def test_detects_a_shift_of_half_a_standard_deviation() -> None:
    """After 5,000 quiet records, it finds 0.5 sd within 2,500 records in 90 % of streams."""
    rng = np.random.default_rng(4)
    harness = Harness(baseline(Kind.NUMERIC, rng.normal(size=(30, 50_000))), "adwin", level=1e-6)
    assert not harness.feed(rng.normal(size=(30, 5000))).any()
    assert harness.feed(rng.normal(0.5, 1, (30, 2500))).any(axis=0).mean() > 0.9


def test_block_means_ignore_missing_values() -> None:
    """A part's mean is over its values, NaN without any; a stride's remainder is dropped."""
    first = np.array([[1.0, 2, 3, np.nan, np.nan, np.nan, 9], [1, 3, 5, 7, 9, 11, 99]])
    second = np.array([[np.nan, 4, 6, 6, 0, 1, 9], [2, 2, 2, 4, 5, 5, np.nan]])
    expected = [[1.5, 3.0, np.nan, 4.0, 6.0, 0.5], [2.0, 6.0, 10.0, 2.0, 3.0, 5.0]]
    both = np.concatenate((first, second), axis=1)
    np.testing.assert_array_equal(block_means(both, 7, 3), expected)
    whole = np.nan_to_num(both)
    alone = [block_means(part, 7, 3) for part in np.hsplit(whole, 2)]
    np.testing.assert_array_equal(block_means(whole, 7, 3), np.concatenate(alone, axis=1))


def test_missing_values_do_not_change_the_mean() -> None:
    """A part's mean is over its values; a part without values feeds nothing."""
    rng = np.random.default_rng(7)
    reference = rng.integers(0, 8, 20_000).astype(float)
    base = baseline(Kind.NUMERIC, reference[None])
    harness, quiet = Harness(base, "adwin"), Harness(base, "adwin")
    values = rng.integers(0, 8, 100).astype(float)
    gaps = np.where((np.arange(100) % 3 > 0) | (np.arange(100) >= 80), np.nan, values)
    harness.feed(np.concatenate((values, gaps, np.full(100, np.nan), values))[None])
    (detector,) = harness.detectors
    assert isinstance(detector, Adwin)
    assert detector.windows[0].width == 14
    ranks = base.numeric[0].cell_ranks()[base.numeric[0].cell_of(values)]
    parts = np.split(ranks, 5)
    wealth = [
        ranks[start : start + 20][np.arange(start, start + 20) % 3 == 0]
        for start in range(0, 80, 20)
    ]
    means = np.array([part.mean() for part in (*parts, *wealth, *parts)])
    expected = (0.5 + (means - 0.5) * detector.stretch[0]).clip(0, 1)
    assert detector.windows[0].estimation == pytest.approx(expected.mean())
    assert not quiet.feed(np.full((1, 5000), np.nan)).any()
    (silent,) = quiet.detectors
    assert isinstance(silent, Adwin)
    assert silent.windows[0].width == 0


def test_short_strides_feed_one_mean_per_record() -> None:
    """A stride of fewer records than parts feeds one mean per record."""
    rng = np.random.default_rng(5)
    base = baseline(Kind.NUMERIC, rng.random((1, 20_000)), 60)
    harness = Harness(base, "adwin", level=1e-4, window=60, stride=3)
    assert not harness.feed(rng.random((1, 600))).any()
    assert harness.feed(rng.random((1, 600)) + 0.8).any()


def test_batches_of_means_give_identical_cuts() -> None:
    """Cuts and their readings equal those of one mean at a time, bit by bit."""
    rng = np.random.default_rng(11)
    steps = np.repeat(rng.random(40), 50)
    means = np.clip(rng.normal(steps, 0.1), 0, 1).tolist()
    alone, together = (ADWIN(delta=0.01, clock=5) for _ in range(2))  # type: ignore[no-untyped-call] # no types
    expected = {at: cuts[0] for at, mean in enumerate(means) if (cuts := feed(alone, [mean]))}
    assert len(expected) > 20
    assert feed(together, means) == expected


def test_gaps_do_not_move_cuts_to_other_strides() -> None:
    """Strides without a value move no cut to another stride, in batches of any size."""
    rng = np.random.default_rng(12)
    base = baseline(Kind.NUMERIC, rng.random((2, 20_000)))
    values = rng.random((2, 9000)) + np.repeat([0, 0.4, 0], 3000)
    values[1, 2800:3100] = np.nan
    values[1, 5000:5150] = np.nan
    found, alone = Harness(base, "adwin").feed(values), Harness(base, "adwin")
    assert found.any(axis=(0, 1)).all()
    one_by_one = [alone.feed(part) for part in np.split(values, 90, axis=1)]
    np.testing.assert_array_equal(found, np.concatenate(one_by_one))
