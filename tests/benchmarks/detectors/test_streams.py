"""The streams are what their names say, the same for a seed, and change where they should."""

from __future__ import annotations

import gzip
from pathlib import Path

import numpy as np
import pytest

from benchmarks.detectors import streams
from benchmarks.detectors.streams import CHANGES, REFERENCE, STREAMS, change_trial, null_trial

N = 200_000


def drawn(name: str, n: int = N) -> streams.Floats:
    """Values of a stream, shape (F, n)."""
    return STREAMS[name].draw(streams.generator("null", name, 7), n)


@pytest.mark.parametrize(
    ("name", "mean", "sd"),
    [
        ("normal", 0.0, 1.0),
        ("bernoulli_01", 0.01, 0.0995),
        ("bernoulli_10", 0.1, 0.3),
        ("ar_2", 0.0, 1.0),
        ("ar_5", 0.0, 1.0),
        ("ar_8", 0.0, 1.0),
    ],
)
def test_moments(name: str, mean: float, sd: float) -> None:
    """Mean and deviation are those of the distribution."""
    values = drawn(name)[0]
    assert values.mean() == pytest.approx(mean, abs=0.03)
    assert values.std() == pytest.approx(sd, rel=0.03)


def test_lognormal_quantiles() -> None:
    """The median is 1, and the tail that is doubled begins at the 99th percentile."""
    values = drawn("lognormal")[0]
    assert np.median(values) == pytest.approx(1.0, rel=0.03)
    assert (values > streams.BOTTOM_99).mean() == pytest.approx(0.01, rel=0.1)


def test_zipf_shares() -> None:
    """Level i has a share proportional to 1 / (i + 1), over 200 levels."""
    levels, counts = np.unique(drawn("zipf")[0], return_counts=True)
    assert levels.tolist() == list(range(200))
    assert counts[0] / counts[9] == pytest.approx(10, rel=0.1)


@pytest.mark.parametrize(
    ("name", "rho"), [("normal", 0), ("ar_2", 0.2), ("ar_5", 0.5), ("ar_8", 0.8)]
)
def test_autocorrelation(name: str, rho: float) -> None:
    """Neighbours are correlated by rho, and those two records apart by its square."""
    values = drawn(name)[0]
    for lag in (1, 2):
        found = np.corrcoef(values[:-lag], values[lag:])[0, 1]
        assert found == pytest.approx(rho**lag, abs=0.02)


def test_an_autoregression_is_stationary_from_the_start() -> None:
    """The first record varies as much as any other."""
    rng = np.random.default_rng(1)
    first = [streams.autoregressive(0.8)(rng, 2)[0, 0] for _ in range(4000)]
    assert np.std(first) == pytest.approx(1.0, rel=0.05)


def test_forty_features_are_correlated() -> None:
    """Every two features are correlated by .6."""
    matrix = np.corrcoef(drawn("forty", 20_000))
    assert matrix.shape == (40, 40)
    assert matrix[~np.eye(40, dtype=bool)] == pytest.approx(0.6, abs=0.05)


def test_one_in_a_hundred_is_missing() -> None:
    """The stream with gaps has as many as it says, and so has what is seen of them."""
    trial = null_trial(STREAMS["gappy"], "null", 0, 100_000)
    assert np.isnan(trial.live).mean() == pytest.approx(0.01, rel=0.15)
    gaps = trial.gaps()
    assert gaps.kind == streams.BINARY
    assert np.array_equal(gaps.live == 1, np.isnan(trial.live))


@pytest.mark.parametrize("name", STREAMS)
def test_a_trial_is_the_same_for_the_same_seed(name: str) -> None:
    """Again the same values; another number, purpose or stream gives others."""
    stream = STREAMS[name]
    first, again = (null_trial(stream, "null", 3, 500) for _ in range(2))
    assert np.array_equal(first.reference, again.reference, equal_nan=True)
    assert np.array_equal(first.live, again.live, equal_nan=True)
    assert first.reference.shape == (stream.features, REFERENCE)
    assert first.live.shape == (stream.features, 500)
    for other in (null_trial(stream, "null", 4, 500), null_trial(stream, "tune", 3, 500)):
        assert not np.array_equal(first.reference, other.reference, equal_nan=True)


@pytest.mark.parametrize("name", CHANGES)
def test_a_change_is_where_it_says(name: str) -> None:
    """Before the change nothing differs from the stream that it starts from; after it much does."""
    change, after = CHANGES[name], 700
    trial = change_trial(change, STREAMS, 1, after)
    base = STREAMS[change.base].draw(
        streams.generator("change", f"{name}@{after}", 1), REFERENCE + after + change.horizon
    )
    assert trial.change == after
    assert trial.live.shape[1] == after + change.horizon
    assert np.array_equal(trial.reference, base[:, :REFERENCE], equal_nan=True)
    differs = ~np.isclose(trial.live, base[:, REFERENCE:], equal_nan=True)
    assert not differs[:, :after].any()
    assert differs[:, after : after + 500].any()


def test_how_large_the_changes_are() -> None:
    """Each kind of change has the size of its name."""

    def live(name: str) -> streams.Floats:
        return change_trial(CHANGES[name], STREAMS, 0, 100).live[0, 100:]

    assert live("mean_5").mean() == pytest.approx(0.5, abs=0.04)
    assert np.median(live("scale")) == pytest.approx(1.3, rel=0.06)
    assert (live("tail") > 2 * streams.BOTTOM_99).mean() == pytest.approx(0.01, rel=0.3)
    assert (live("new_category") == streams.NEW_LEVEL).mean() == pytest.approx(0.02, rel=0.2)
    assert np.isnan(live("missing")).mean() == pytest.approx(0.05, rel=0.1)
    assert live("ramp")[:2000].mean() == pytest.approx(0.05, abs=0.08)
    assert live("ramp")[10_000:].mean() == pytest.approx(0.5, abs=0.04)
    assert live("transient")[:500].mean() == pytest.approx(1.0, abs=0.2)
    assert live("transient")[500:].mean() == pytest.approx(0.0, abs=0.15)


def test_traces_are_resampled_in_blocks(tmp_path: Path) -> None:
    """With the data there are three streams more, of runs of the trace's own records."""
    for file in ("conv", "code"):
        rows = "".join(f"2023-11-16 18:15:46.68,{i},{i}\n" for i in range(5000))
        with gzip.open(tmp_path / f"azure_llm_2023_{file}.csv.gz", "wt") as out:
            out.write("TIMESTAMP,ContextTokens,GeneratedTokens\n" + rows)
    found = streams.with_traces(tmp_path)
    assert found.keys() - STREAMS.keys() == streams.TRACES.keys()
    values = found["azure_code_output"].draw(np.random.default_rng(0), 10_500)[0]
    assert values.shape == (10_500,)
    steps = np.diff(values)
    assert ((steps == 1) | (steps == -4999)).sum() >= 10_499 - 10


def test_without_the_data_there_are_no_traces(tmp_path: Path) -> None:
    """No folder, no real traffic; a folder without the files is an error that names one."""
    assert streams.with_traces(None) == STREAMS
    with pytest.raises(FileNotFoundError, match="azure_llm_2023_conv"):
        streams.with_traces(tmp_path)
