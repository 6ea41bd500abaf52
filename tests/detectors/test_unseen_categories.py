"""Heavy-tailed categories: traffic that has not changed keeps bringing categories never seen."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest

from detectors.arrays import Ints
from detectors.baseline import Baseline
from detectors.bets import expected_shares
from detectors.block_bootstrap import BlockBootstrap
from detectors.categorical_stream import CategoricalStream, build_categorical_stream
from detectors.psi import psi_by_stream
from detectors.window import Window, Windows
from tests.detectors.harness import Harness

CATEGORIES = 100_000
WINDOW = 1000
WINDOWS = 400
LEVEL = 1e-3
NAMES = np.random.default_rng(0).permutation(CATEGORIES)
"""Categories by frequency: a name says nothing of it."""
GRID = [
    (exponent, records, limit)
    for exponent in (0.8, 1.1, 1.5, 2.0)
    for records in (5_000, 20_000, 50_000)
    for limit in (50, 1000)
]


def zipf(exponent: float, records: int, seed: int) -> Ints:
    """Return independent categories, the k-th most frequent with P ~ k^-exponent, shape (n,)."""
    weights = 1 / np.arange(1, CATEGORIES + 1) ** exponent
    upto = weights.cumsum() / weights.sum()
    codes: Ints = upto.searchsorted(np.random.default_rng(seed).random(records)).astype(np.intp)
    return NAMES[codes]


def reference(codes: Ints, limit: int) -> CategoricalStream:
    """Return the reference of categories that are named by their numbers."""
    names = tuple(map(str, range(CATEGORIES)))
    return build_categorical_stream("tenant", names, codes, WINDOW, max_categories=limit)


def bins_of(stream: CategoricalStream, codes: Ints) -> Ints:
    """Return the bins of categories."""
    known = stream.cell_by_category()
    table = np.full(CATEGORIES, stream.cells - 2)
    table[[int(name) for name in known]] = list(known.values())
    return table[codes]


def windows_of(base: Baseline, bins: Ints) -> Iterator[Windows]:
    """Yield disjoint windows of records by bin."""
    window = Window(base, WINDOW, 100)
    for start in range(0, len(bins), WINDOW):
        part = bins[None, start : start + WINDOW].astype(np.uint8)
        made = window.extend(np.zeros((0, WINDOW)), part)
        yield made.at(len(made) - 1)


@pytest.mark.parametrize(("exponent", "records", "limit"), GRID)
def test_unchanged_heavy_tails_are_within_the_level(
    exponent: float, records: int, limit: int
) -> None:
    """No detector rejects windows without a change more often than its level allows."""
    rejected = {"psi": 0, "chi2": 0, "e_detector": 0}
    for seed in range(2):
        stream = reference(zipf(exponent, records, 2 * seed), limit)
        base = Baseline(records, (), (stream,))
        rig = Harness(base, *rejected, level=LEVEL, window=WINDOW)
        bins = bins_of(stream, zipf(exponent, WINDOWS * WINDOW, 2 * seed + 1))
        for windows in windows_of(base, bins):
            for detector in rig.detectors:
                rejected[detector.name] += int(detector.update(windows).sum() > 0)
    # a Poisson count of mean 2 * 400 / 1000 exceeds 5 in 0.04 % of the cases
    assert max(rejected.values()) <= 5, rejected


@pytest.mark.parametrize(("exponent", "records", "limit"), GRID)
def test_unchanged_heavy_tails_are_not_material(exponent: float, records: int, limit: int) -> None:
    """The mean PSI of unchanged windows is that of chance: far below alarms.min_psi."""
    stream = reference(zipf(exponent, records, 0), limit)
    base = Baseline(records, (), (stream,))
    bins = bins_of(stream, zipf(exponent, 20 * WINDOW, 1))
    found = [float(psi_by_stream(base, each)[0, 0]) for each in windows_of(base, bins)]
    chance = (stream.cells - 1) * (1 / records + 1 / WINDOW)
    assert np.mean(found) < 2 * chance + 0.005


def test_the_unseen_share_is_estimated() -> None:
    """The expected share of unseen categories is near the true one, with and without a limit."""
    for exponent, records, limit in GRID:
        stream = reference(zipf(exponent, records, 7), limit)
        fresh = bins_of(stream, zipf(exponent, 200_000, 8))
        true = float((fresh == stream.cells - 2).mean())
        expected = float(stream.bin_counts()[-2]) / records
        # chance in a window and in the reference; the estimate may add as much again
        spread = np.sqrt(true * (1 - true) * (1 / WINDOW + 1 / records))
        assert abs(expected - true) < 2.5 * spread, (exponent, records, limit)
        assert expected_shares(stream)[-2] == pytest.approx(expected, abs=2 / records)


def sessions(records: int, seed: int, length: int, spread: int) -> Ints:
    """Return categories in sessions of `length` records that are `spread` records apart at most."""
    rng = np.random.default_rng(seed)
    codes = zipf(1.5, records // length, seed).repeat(length)
    starts = np.arange(records // length).repeat(length) * length
    return codes[np.argsort(starts + rng.uniform(0, spread, len(codes)), kind="stable")]


SESSIONS = [(2, 30), (5, 200), (10, 100), (20, 400)]


@pytest.mark.parametrize(("length", "spread"), SESSIONS)
def test_categories_in_sessions_are_within_the_level(length: int, spread: int) -> None:
    """No record of a session is the only one of its category; sessions are unseen all the same."""
    rejected = {"psi": 0, "chi2": 0, "e_detector": 0}
    for seed in range(2):
        stream = reference(sessions(20_000, 2 * seed, length, spread), 1000)
        base = Baseline(20_000, (), (stream,))
        rig = Harness(base, *rejected, level=LEVEL, window=WINDOW)
        codes = sessions(WINDOWS * WINDOW, 2 * seed + 1, length, spread)
        true = float((bins_of(stream, codes) == stream.cells - 2).mean())
        assert stream.bin_counts()[-2] / 20_000 == pytest.approx(true, rel=0.5)
        for windows in windows_of(base, bins_of(stream, codes)):
            for detector in rig.detectors:
                rejected[detector.name] += int(detector.update(windows).sum() > 0)
    assert max(rejected.values()) <= 5, rejected


def test_expected_counts_add_up() -> None:
    """Good and Turing only move records between bins."""
    for exponent, records, limit in GRID:
        counts = reference(zipf(exponent, records, 3), limit).bin_counts()
        assert counts.sum() == pytest.approx(records)
        assert (counts >= 0).all()


def test_the_bootstrap_has_unseen_categories() -> None:
    """Resampled records have the expected shares of rare and of unseen categories."""
    stream = reference(zipf(1.5, 20_000, 1), 1000)
    assert stream.other == 0
    _, bins = BlockBootstrap(Baseline(20_000, (), (stream,)), WINDOW, 5).take(200_000)
    shares = np.bincount(bins[0], minlength=stream.cells) / 200_000
    np.testing.assert_allclose(shares, stream.cell_counts() / 20_000, atol=0.004)
    assert shares[-2] > 0.02


def test_unique_categories_are_all_unseen() -> None:
    """Of an identifier that never repeats, every new record is of an unseen category."""
    names = tuple(map(str, range(5_000)))
    stream = build_categorical_stream("id", names, np.arange(5_000), WINDOW)
    assert stream.bin_counts()[-2] == pytest.approx(5_000, abs=1)


def test_a_few_known_categories_have_none_unseen() -> None:
    """Where every category was seen often, unseen ones are not expected: a new one is a change."""
    names = ("a", "b", "c")
    codes = np.random.default_rng(1).choice(3, 20_000, p=[0.7, 0.295, 0.005])
    stream = build_categorical_stream("finish_reason", names, codes, WINDOW)
    assert stream.unseen == 0
    assert stream.bin_counts()[-2] == 0
