"""Conditional streams: a change of the mix of strata moves nothing, one within them is found."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from detectors.arrays import Floats
from detectors.baseline import Baseline, sum_by_bin
from detectors.bets import build_bets, expected_shares
from detectors.block_bootstrap import BlockBootstrap
from detectors.conditional_stream import CellTable, ConditionalStream, build_conditional_stream
from detectors.e_detector import EDetector
from detectors.kinds import Kind
from detectors.psi import drift_size, usual_noise
from detectors.strata import candidates
from detectors.window import Window, Windows

N = 5_000
WINDOW, STRIDE = 500, 100
LEVEL = 1e-7


def records(
    rng: np.random.Generator, n: int, share: float, odds: float = 1.0
) -> Mapping[str, Floats]:
    """Return records of which `share` ask for code, with the marker and a number.

    odds: factor of the odds of the marker in both strata.
    """
    code = rng.random(n) < share
    p = np.where(code, 0.7, 0.1)
    p = p * odds / (1 - p + p * odds)
    marker = (rng.random(n) < p).astype(float)
    number = rng.normal(np.where(code, 2.0, 0.0) + np.log(odds), 1.0)
    return {"code": code.astype(float), "marker": marker, "number": number}


def streams(rng: np.random.Generator, share: float = 0.2) -> tuple[ConditionalStream, ...]:
    """Return the references of the marker and of the number."""
    x = records(rng, N, share)
    possible = candidates([("code", x["code"])])
    built = (
        build_conditional_stream("marker", Kind.BINARY, x.__getitem__, possible, WINDOW),
        build_conditional_stream("number", Kind.NUMERIC, x.__getitem__, possible, WINDOW),
    )
    found = tuple(stream for stream in built if stream is not None)
    assert [len(stream.splits) for stream in found] == [1, 1]
    return found


def baseline(rng: np.random.Generator, share: float = 0.2) -> Baseline:
    """Return the baseline of both streams."""
    return Baseline(N, (), (), conditional=streams(rng, share))


def cells(
    base: Baseline, x: Mapping[str, Floats]
) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
    """Return the cells of records for `Window.extend`."""
    n = len(x["code"])
    return np.array([s.cells_of(x.__getitem__, n) for s in base.conditional], np.uint8)


def feed(base: Baseline, x: Mapping[str, Floats]) -> tuple[list[bool], Windows]:
    """Return whether each stream was found to have changed, and the last window."""
    window = Window(base, WINDOW, STRIDE)
    detector = EDetector(base, window, LEVEL)
    windows = window.extend(np.zeros((0, len(x["code"]))), cells(base, x))
    found = [bool(row.any()) for row in detector.update(windows).T]
    return found, window.current()


def psi(base: Baseline, window: Windows) -> list[float]:
    """Return the size of the drift by stream."""
    sizes = drift_size(base, window, usual_noise=usual_noise(base, WINDOW))
    values: list[float] = sizes.first.values.tolist()
    return values


@given(st.integers(0, 2**32 - 1), st.floats(0.05, 0.95))
def test_no_mix_of_strata_wins_a_bet(seed: int, share: float) -> None:
    """The payoff of each bet has a mean of 1 within each stratum, so with any mix."""
    rng = np.random.default_rng(seed)
    x = records(rng, 1_000, 0.5)
    possible = candidates([("code", x["code"])])
    stream = build_conditional_stream("marker", Kind.BINARY, x.__getitem__, possible, WINDOW)
    assert stream is not None
    bets = build_bets(stream)
    inflated = np.exp(bets.log_payoffs[:-1]).reshape(*stream.counts.shape, -1)
    means = np.einsum("sv,svk->sk", stream.shares, inflated)
    mixed = share * means[0] + (1 - share) * means[-1]
    assert (means <= 1 + 1e-9).all()
    assert (mixed <= 1 + 1e-9).all()
    assert expected_shares(stream).sum() == pytest.approx(1)


def test_the_mix_of_strata_does_not_move_the_shares() -> None:
    """From 20 to 60 % of one kind raw shares double; adjusted ones hardly move."""
    for seed in range(10):
        rng = np.random.default_rng(seed)
        base = baseline(rng)
        found, window = feed(base, records(rng, 5_000, 0.6))
        assert found == [False, False]
        assert max(psi(base, window)) < 0.05
        marker = base.conditional[0]
        raw = window.cell_counts[0, 0, : marker.cells - 1].reshape(-1, 2).sum(axis=0)
        before = marker.bin_counts()
        assert raw[1] / raw.sum() > 1.8 * before[1] / before[:2].sum()
        adjusted = window.bin_counts[0, 0]
        assert adjusted[1] / adjusted.sum() == pytest.approx(before[1] / N, abs=0.06)


def test_a_change_within_strata_is_found() -> None:
    """A marker whose odds change in all strata is found, whatever the mix does."""
    for share in (0.2, 0.6):
        rng = np.random.default_rng(7)
        base = baseline(rng)
        found, window = feed(base, records(rng, 1_000, share, odds=4.0))
        assert found == [True, True]
        assert min(psi(base, window)) > 0.1


def test_no_alarm_without_a_change() -> None:
    """Over 100 references and 20,000 records each there is no finding at a level of 1e-7."""
    found = 0
    for seed in range(100):
        rng = np.random.default_rng(seed)
        base = baseline(rng)
        found += sum(feed(base, records(rng, 20_000, 0.2))[0])
    assert found == 0


@given(st.integers(0, 2**32 - 1), st.integers(1, 12))
def test_adjusted_counts_keep_their_sum(seed: int, strides: int) -> None:
    """The adjustment moves counts between bins, and those of the reference not at all."""
    rng = np.random.default_rng(seed)
    base = baseline(np.random.default_rng(0))
    for i, stream in enumerate(base.conditional):
        np.testing.assert_allclose(stream.cell_counts() @ stream.adjustment, stream.bin_counts())
        counts = rng.integers(0, 50, (strides, stream.cells)).astype(float)
        adjusted = counts @ stream.adjustment
        np.testing.assert_allclose(adjusted.sum(axis=1), counts.sum(axis=1))
        padded = np.zeros((strides, len(base.streams), base.max_cells))
        padded[:, i, : stream.cells] = counts
        of_baseline = base.sum_by_bin(padded)[:, i, : stream.bins]
        np.testing.assert_allclose(of_baseline, sum_by_bin(counts, stream), atol=1e-9)


@given(st.integers(0, 2**32 - 1))
def test_cells_of_streams_together_are_those_of_each(seed: int) -> None:
    """The table assigns the cells that each stream assigns alone."""
    rng = np.random.default_rng(seed)
    base = baseline(np.random.default_rng(0))
    x = {name: row.copy() for name, row in records(rng, 200, 0.4).items()}
    for row in x.values():
        row[rng.random(200) < 0.1] = np.nan
    table = CellTable(base.conditional)
    together = table.cells(np.array([x[name] for name in table.features]))
    np.testing.assert_array_equal(together, cells(base, x))


def test_missing_values_have_their_own_cell() -> None:
    """A record without a value is in the last cell, whatever its stratum."""
    rng = np.random.default_rng(1)
    x = dict(records(rng, N, 0.3))
    x["marker"][::10] = np.nan
    possible = candidates([("code", x["code"])])
    stream = build_conditional_stream("marker", Kind.BINARY, x.__getitem__, possible, WINDOW)
    assert stream is not None
    assert stream.missing == N // 10
    assert stream.bin_counts().sum() == stream.cell_counts().sum() == N
    assert (stream.cells_of(x.__getitem__, N)[::10] == stream.cells - 1).all()


def test_a_constant_marker_has_no_reference() -> None:
    """A marker that never occurs, or always, is not watched."""
    for value in (0.0, 1.0, np.nan):
        x = {"marker": np.full(N, value)}
        possible = candidates([])
        built = build_conditional_stream("marker", Kind.BINARY, x.__getitem__, possible, WINDOW)
        assert built is None


def test_records_can_be_resampled() -> None:
    """The bootstrap of the self-audit draws cells with the shares of the reference."""
    base = baseline(np.random.default_rng(3))
    _, drawn = BlockBootstrap(base, WINDOW, 0).take(20_000)
    for row, stream in zip(drawn, base.conditional, strict=True):
        shares = np.bincount(row, minlength=stream.cells) / len(row)
        np.testing.assert_allclose(shares, stream.cell_counts() / N, atol=0.02)
