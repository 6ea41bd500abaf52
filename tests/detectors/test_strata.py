"""Strata: splits follow the features that explain the values, and chance makes none."""

from __future__ import annotations

import numpy as np
import pytest

from detectors.arrays import Floats
from detectors.strata import MAX_STRATA, MIN_RECORDS, candidates, grow, strata_of

N = 5_000


def features(rng: np.random.Generator, n: int = N) -> dict[str, Floats]:
    """Return two binary features, a numeric one, and one that half of the records have."""
    return {
        "code": (rng.random(n) < 0.3).astype(float),
        "list": (rng.random(n) < 0.1).astype(float),
        "words": rng.lognormal(3, 1, n),
        "half": np.where(rng.random(n) < 0.5, rng.random(n), np.nan),
    }


def test_a_split_is_made_where_values_depend_on_a_feature() -> None:
    """The first split is by the feature on which the values depend, with their shares."""
    rng = np.random.default_rng(1)
    x = features(rng)
    codes = (rng.random(N) < np.where(x["code"] > 0, 0.6, 0.2)).astype(np.intp)
    splits = grow(candidates([*x.items()]), codes)
    assert [(split.stratum, split.feature, split.cut) for split in splits] == [(0, "code", 0.5)]
    strata = strata_of(splits, x.__getitem__, N)
    assert codes[strata == 1].mean() == pytest.approx(0.6, abs=0.05)


def test_interactions_become_strata() -> None:
    """Values that depend on two features together have a stratum for each combination."""
    rng = np.random.default_rng(2)
    x = features(rng)
    p = 0.1 + 0.4 * (x["code"] > 0) + 0.4 * ((x["code"] > 0) & (x["words"] > 20))
    codes = (rng.random(N) < p).astype(np.intp)
    splits = grow(candidates([*x.items()]), codes)
    assert {split.feature for split in splits} == {"code", "words"}
    strata = strata_of(splits, x.__getitem__, N)
    assert np.bincount(strata).min() >= MIN_RECORDS
    assert len(splits) < MAX_STRATA


def test_chance_makes_no_split() -> None:
    """Values that do not depend on the features have one stratum."""
    for seed in range(20):
        rng = np.random.default_rng(seed)
        x = features(rng)
        codes = rng.choice(4, N)
        assert not grow(candidates([*x.items()]), codes)


def test_a_missing_feature_leaves_a_record_where_it_is() -> None:
    """A record without a value of the feature of a split stays in its stratum."""
    rng = np.random.default_rng(3)
    x = features(rng)
    codes = (np.nan_to_num(x["half"]) > 0.5).astype(np.intp)
    splits = grow(candidates([*x.items()]), codes)
    assert splits[0].feature == "half"
    absent = strata_of(splits, lambda _: np.full(10, np.nan), 10)
    assert not absent.any()


def test_rare_and_constant_features_are_no_candidates() -> None:
    """A split needs enough records on both sides."""
    rare = np.zeros(N)
    rare[: MIN_RECORDS - 1] = 1
    found = candidates([("rare", rare), ("none", np.full(N, np.nan)), ("one", np.ones(N))])
    assert found.cuts == ()
    assert not grow(found, np.zeros(N, np.intp))
