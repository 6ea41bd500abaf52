"""The streams have the distributions of their names, and change at the specified record."""

from __future__ import annotations

import gzip
from pathlib import Path

import numpy as np
import pytest

from benchmarks.detectors import streams
from benchmarks.detectors.streams import CHANGES, REFERENCE, STREAMS, change_trial, null_trial

N = 200_000


def drawn(name: str, n: int = N) -> streams.Floats:
    """Return values of a stream, shape (F, n)."""
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
def test_mean_and_deviation_are_those_of_the_distribution(
    name: str, mean: float, sd: float
) -> None:
    """Every numeric stream has the mean and deviation of its name."""
    values = drawn(name)[0]
    assert values.mean() == pytest.approx(mean, abs=0.03)
    assert values.std() == pytest.approx(sd, rel=0.03)


def test_the_lognormal_quantiles_are_right() -> None:
    """The median is 1, and the doubled tail begins at the 99th percentile."""
    values = drawn("lognormal")[0]
    assert np.median(values) == pytest.approx(1.0, rel=0.03)
    assert (values > streams.P99).mean() == pytest.approx(0.01, rel=0.1)


def test_zipf_levels_have_their_shares() -> None:
    """Level i has a share proportional to 1 / (i + 1), over 200 levels."""
    levels, counts = np.unique(drawn("zipf")[0], return_counts=True)
    assert levels.tolist() == list(range(200))
    assert counts[0] / counts[9] == pytest.approx(10, rel=0.1)


@pytest.mark.parametrize(
    ("name", "rho"), [("normal", 0), ("ar_2", 0.2), ("ar_5", 0.5), ("ar_8", 0.8)]
)
def test_autocorrelation_is_rho(name: str, rho: float) -> None:
    """The correlation is rho at lag 1 and its square at lag 2."""
    values = drawn(name)[0]
    for lag in (1, 2):
        found = np.corrcoef(values[:-lag], values[lag:])[0, 1]
        assert found == pytest.approx(rho**lag, abs=0.02)


def test_an_autoregression_is_stationary_from_the_start() -> None:
    """The first record has the stationary variance."""
    rng = np.random.default_rng(1)
    first = [streams.autoregressive(0.8)(rng, 2)[0, 0] for _ in range(4000)]
    assert np.std(first) == pytest.approx(1.0, rel=0.05)


def test_forty_features_are_correlated() -> None:
    """Every two features have correlation .6."""
    matrix = np.corrcoef(drawn("forty", 20_000))
    assert matrix.shape == (40, 40)
    assert matrix[~np.eye(40, dtype=bool)] == pytest.approx(0.6, abs=0.05)


def test_one_in_a_hundred_is_missing() -> None:
    """One value in a hundred is missing, and the missing indicator marks exactly these."""
    trial = null_trial(STREAMS["gappy"], "null", 0, 100_000)
    assert np.isnan(trial.live).mean() == pytest.approx(0.01, rel=0.15)
    missing_indicators = trial.missing_indicators()
    assert missing_indicators.kind == streams.BINARY
    assert np.array_equal(missing_indicators.live == 1, np.isnan(trial.live))


@pytest.mark.parametrize(("name", "exponent"), [("tenants_11", 1.1), ("tenants_15", 1.5)])
def test_tenants_have_a_heavy_tail(name: str, exponent: float) -> None:
    """Tenant i has a share proportional to 1 / (i + 1)^exponent; live records bring new ones."""
    trial = null_trial(STREAMS[name], "null", 0, N)
    tenants, counts = np.unique(trial.live, return_counts=True)
    assert tenants.max() < streams.NEW_TENANT
    assert counts[0] / counts[9] == pytest.approx(10**exponent, rel=0.1)
    unseen = ~np.isin(trial.live, trial.reference)
    assert 0.001 < unseen[:, -1000:].mean() < 0.05


@pytest.mark.parametrize(("name", "share"), [("sampled_1", 0.01), ("sampled_5", 0.05)])
def test_a_sampled_feature_has_values_in_its_share_of_the_records(name: str, share: float) -> None:
    """The values that are present are those of N(0, 1)."""
    values = drawn(name)[0]
    present = values[~np.isnan(values)]
    assert len(present) / N == pytest.approx(share, rel=0.1)
    assert present.mean() == pytest.approx(0.0, abs=0.1)
    assert present.std() == pytest.approx(1.0, rel=0.1)


@pytest.mark.parametrize("name", STREAMS)
def test_a_trial_is_the_same_for_the_same_seed(name: str) -> None:
    """The same seed gives the same values; another number or purpose gives others."""
    stream = STREAMS[name]
    first, again = (null_trial(stream, "null", 3, 500) for _ in range(2))
    assert np.array_equal(first.reference, again.reference, equal_nan=True)
    assert np.array_equal(first.live, again.live, equal_nan=True)
    assert first.reference.shape == (stream.features, REFERENCE)
    assert first.live.shape == (stream.features, 500)
    for other in (null_trial(stream, "null", 4, 500), null_trial(stream, "tune", 3, 500)):
        assert not np.array_equal(first.reference, other.reference, equal_nan=True)


@pytest.mark.parametrize("name", CHANGES)
def test_a_change_begins_at_its_record(name: str) -> None:
    """Values before the change equal the base stream; values after it differ."""
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


def test_changes_have_the_size_of_their_names() -> None:
    """Every change has its specified size."""

    def live(name: str) -> streams.Floats:
        return change_trial(CHANGES[name], STREAMS, 0, 100).live[0, 100:]

    assert live("mean_5").mean() == pytest.approx(0.5, abs=0.04)
    assert np.median(live("scale")) == pytest.approx(1.3, rel=0.06)
    assert (live("tail") > 2 * streams.P99).mean() == pytest.approx(0.01, rel=0.3)
    assert (live("new_category") == streams.NEW_LEVEL).mean() == pytest.approx(0.02, rel=0.2)
    assert np.isnan(live("missing")).mean() == pytest.approx(0.05, rel=0.1)
    assert live("ramp")[:2000].mean() == pytest.approx(0.05, abs=0.08)
    assert live("ramp")[10_000:].mean() == pytest.approx(0.5, abs=0.04)
    assert live("transient")[:500].mean() == pytest.approx(1.0, abs=0.2)
    assert live("transient")[500:].mean() == pytest.approx(0.0, abs=0.15)
    assert (live("tenant_15") == streams.NEW_TENANT).mean() == pytest.approx(0.02, rel=0.2)
    assert np.nanmean(live("sampled_5_by_1")) == pytest.approx(-1.0, abs=0.15)
    assert np.nanmean(live("sampled_1_by_3")) == pytest.approx(-3.0, abs=0.3)


def test_traces_are_resampled_in_blocks(tmp_path: Path) -> None:
    """With the data there are three more streams, of blocks of consecutive trace records."""
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
    """Without a folder there is no real traffic; a missing file is an error with its name."""
    assert streams.with_traces(None) == STREAMS
    with pytest.raises(FileNotFoundError, match="azure_llm_2023_conv"):
        streams.with_traces(tmp_path)
