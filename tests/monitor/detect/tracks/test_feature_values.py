"""Tests of the values of features in reference and window."""

from __future__ import annotations

import math

import numpy as np
import pytest

from detectors.arrays import Floats
from detectors.baseline import Baseline
from detectors.categorical_stream import build_categorical_stream
from detectors.kinds import Kind
from detectors.numeric_stream import build_numeric_stream
from detectors.window import Window
from monitor.detect.tracks.feature_values import FeatureValues
from tests.monitor import synthetic

RECORDS, WINDOW, STRIDE = 2000, 200, 20
VOCABULARY = ("stop", "length", "tool")


def baseline(numbers: Floats, flags: Floats, codes: Floats) -> Baseline:
    """Return a baseline with a number, a flag and a category."""
    numeric = build_numeric_stream("latency_ms", Kind.NUMERIC, numbers, WINDOW)
    binary = build_numeric_stream("error", Kind.BINARY, flags, WINDOW)
    category = build_categorical_stream("finish_reason", VOCABULARY, codes.astype(np.intp), WINDOW)
    return Baseline(len(numbers), (numeric, binary), (category,))


def values(
    numbers: Floats, flags: Floats, codes: Floats, *, full: bool = True
) -> dict[tuple[str, str], tuple[float, float]]:
    """Return the values by feature and statistic, of a window of these records."""
    rng = np.random.default_rng(1)
    reference = baseline(
        rng.lognormal(6, 0.5, RECORDS),
        (rng.random(RECORDS) < 0.1).astype(float),
        np.where(rng.random(RECORDS) < 0.8, 0, 1),
    )
    window = Window(reference, WINDOW, STRIDE)
    count = len(numbers) if full else STRIDE
    bins = reference.categorical[0].cells_by_code((*VOCABULARY, "new"))[codes.astype(np.intp)]
    window.extend(np.array([numbers, flags])[:, :count], bins[None, :count].astype(np.uint8))
    found = FeatureValues(reference).of(window)
    return {(v.feature, v.statistic): (v.reference, v.current) for v in found}


@pytest.mark.parametrize("missing", [0.0, 0.3, 0.9])
@pytest.mark.parametrize("extra", [0, 7 * STRIDE])
def test_values_are_those_of_numpy(missing: float, extra: int) -> None:
    """Statistics are of the window's records with a value; a quantile is one of the values."""
    rng = np.random.default_rng(2)
    count = WINDOW + extra
    numbers = rng.lognormal(6.5, 0.5, count)
    numbers[rng.random(count) < missing] = np.nan
    flags = (rng.random(count) < 0.4).astype(float)
    codes = rng.integers(4, size=count).astype(float)
    found = values(numbers, flags, codes)
    held = numbers[-WINDOW:]
    present = held[~np.isnan(held)]
    expected = {
        "mean": present.mean(),
        "p50": np.quantile(present, 0.5, method="inverted_cdf"),
        "p95": np.quantile(present, 0.95, method="inverted_cdf"),
    }
    for name, value in expected.items():
        assert found["latency_ms", name][1] == pytest.approx(value)
    assert found["error", "share"][1] == pytest.approx(flags[-WINDOW:].mean())
    shares = np.bincount(codes[-WINDOW:].astype(int), minlength=4) / WINDOW
    assert found["finish_reason", "most_frequent"][1] == pytest.approx(shares[0])
    # "tool" is in the vocabulary of the log, but not in the reference
    assert found["finish_reason", "unseen"][1] == pytest.approx(shares[2] + shares[3])


def test_reference_values_are_those_of_its_records() -> None:
    """The reference's side is the same as of a window that holds the reference's records."""
    rng = np.random.default_rng(1)
    numbers = rng.lognormal(6, 0.5, RECORDS)
    flags = (rng.random(RECORDS) < 0.1).astype(float)
    codes = np.where(rng.random(RECORDS) < 0.8, 0, 1)
    found = values(numbers, flags, codes)
    reference = found["latency_ms", "mean"][0]
    assert reference == pytest.approx(numbers.mean())
    assert found["latency_ms", "p95"][0] == np.quantile(numbers, 0.95, method="inverted_cdf")
    assert found["error", "share"][0] == pytest.approx(flags.mean())
    assert found["finish_reason", "most_frequent"][0] == pytest.approx((codes == 0).mean())
    assert found["finish_reason", "unseen"][0] == 0


def test_a_window_without_values_has_nan_and_not_zero() -> None:
    """A feature that is missing in all records has no value."""
    nothing = np.full(WINDOW, np.nan)
    found = values(nothing, nothing, np.full(WINDOW, -1))
    assert found
    for reference, current in found.values():
        assert not math.isnan(reference)
        assert math.isnan(current)


def test_a_window_that_is_not_full_has_no_values() -> None:
    """A few records are not shown as if they were a window."""
    some = np.ones(WINDOW)
    assert values(some, some, some, full=False) == {}


def test_sparse_features_have_values_of_their_own_window() -> None:
    """All tracks of a watch are asked; the streams of missing values are shares."""
    watch = synthetic.watcher()
    assert watch.values() == []
    watch.feed(synthetic.stream(synthetic.WARMUP + 2 * synthetic.WINDOW))
    found = {(value.feature, value.statistic) for value in watch.values()}
    assert {("latency_ms", "p95"), ("error", "share"), ("finish_reason", "unseen")} <= found
    assert all(math.isfinite(value.current) for value in watch.values())
