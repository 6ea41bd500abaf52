"""Strata: splits follow the features that explain the values, and chance makes none."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import rel_entr

from detectors.arrays import Bools, Floats, Ints
from detectors.strata import MAX_STRATA, MIN_GAIN, MIN_RECORDS, candidates, grow, strata_of

N = 5_000
ALL = np.ones(N, np.bool_)


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
    splits = grow(candidates([*x.items()]), codes, ALL)
    assert [(split.stratum, split.feature, split.cut) for split in splits] == [(0, "code", 0.5)]
    strata = strata_of(splits, x.__getitem__, N)
    assert codes[strata == 1].mean() == pytest.approx(0.6, abs=0.05)


def test_interactions_become_strata() -> None:
    """Values that depend on two features together have a stratum for each combination."""
    rng = np.random.default_rng(2)
    x = features(rng)
    p = 0.1 + 0.4 * (x["code"] > 0) + 0.4 * ((x["code"] > 0) & (x["words"] > 20))
    codes = (rng.random(N) < p).astype(np.intp)
    splits = grow(candidates([*x.items()]), codes, ALL)
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
        assert not grow(candidates([*x.items()]), codes, ALL)


def test_a_missing_feature_leaves_a_record_where_it_is() -> None:
    """A record without a value of the feature of a split stays in its stratum."""
    rng = np.random.default_rng(3)
    x = features(rng)
    codes = (np.nan_to_num(x["half"]) > 0.5).astype(np.intp)
    splits = grow(candidates([*x.items()]), codes, ALL)
    assert splits[0].feature == "half"
    absent = strata_of(splits, lambda _: np.full(10, np.nan), 10)
    assert not absent.any()


def test_rare_and_constant_features_are_no_candidates() -> None:
    """A split needs enough records on both sides."""
    rare = np.zeros(N)
    rare[: MIN_RECORDS - 1] = 1
    found = candidates([("rare", rare), ("none", np.full(N, np.nan)), ("one", np.ones(N))])
    assert found.cuts == ()
    assert not grow(found, np.zeros(N, np.intp), ALL)


def gain(codes: Ints, above: Bools) -> float:
    """The gain in log likelihood of one split of records, from its definition."""
    parts = [codes, codes[above], codes[~above]]
    whole, *both = [sum(float(rel_entr(k, len(part))) for k in np.bincount(part)) for part in parts]
    return sum(both) - whole


@given(st.integers(0, 2**32 - 1), st.integers(2 * MIN_RECORDS, 1_000), st.floats(0.7, 1.0))
def test_the_first_split_gains_most(seed: int, n: int, share: float) -> None:
    """No other candidate gains more among the records that have a value."""
    rng = np.random.default_rng(seed)
    x = features(rng, n)
    present = rng.random(n) < share
    codes = rng.binomial(3, np.where(x["code"] + (x["words"] > 20) > 0, 0.5, 0.3))
    possible = candidates([*x.items()], 50)
    splits = grow(possible, codes, present, least=50)
    gains = {
        (name, cut): gain(codes[present], above[present])
        for name, cut in possible.cuts
        if min((above := x[name] > cut)[present].sum(), (~above)[present].sum()) >= 50
    }
    best = max(gains.values(), default=0.0)
    assert (len(splits) > 0) == (best >= MIN_GAIN)
    if splits:
        assert gains[splits[0].feature, splits[0].cut] == pytest.approx(best)
