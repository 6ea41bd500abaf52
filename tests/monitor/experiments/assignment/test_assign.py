"""The assignment of one unit: the vectors of GrowthBook, and what a change of a setting moves."""

from __future__ import annotations

import ast
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitor.experiments.assignment import assign as module
from monitor.experiments.assignment.assign import (
    MAX_CHARS,
    Assignment,
    assign,
    fnv1a32,
    namespace_position,
    position,
    ranges,
)

HALVES = {"control": 0.5, "treatment": 0.5}
IDS = st.text(st.characters(exclude_categories=[]), min_size=1, max_size=30)
WEIGHTS = st.lists(st.floats(0.01, 100), min_size=2, max_size=10)
USERS = [f"user-{number}" for number in range(4_000)]


@pytest.mark.parametrize(
    ("seed", "unit", "expected"),
    [
        ("seed", "a", 0.0505),
        ("seed", "b", 0.2696),
        ("foo", "ab", 0.2575),
        ("foo", "def", 0.2019),
        ("90850943850283058242805", "123", 0.7516),
        ("prompt-test", "héllo", 0.1445),
    ],
)
def test_positions_are_those_of_growthbook(seed: str, unit: str, expected: float) -> None:
    """Version 2 of the hash, with the public vectors of its SDKs, over UTF-16 code units."""
    assert position(seed, unit) == expected


def test_the_hash_is_over_utf16_code_units() -> None:
    """A character beyond the basic plane is two units, and a lone surrogate is one."""

    def reference(units: list[int]) -> int:
        number = 2_166_136_261
        for unit in units:
            number = (number ^ unit) * 16_777_619 % 2**32
        return number

    assert fnv1a32("") == 2_166_136_261
    assert fnv1a32("a") == 0xE40C292C  # of the specification of FNV
    assert fnv1a32("é") == reference([0xE9])
    assert fnv1a32("😀") == reference([0xD83D, 0xDE00])
    assert fnv1a32("\ud83d") == reference([0xD83D])
    assert fnv1a32("\0") == reference([0])


@pytest.mark.parametrize(
    ("unit", "name", "below"),
    [
        *((unit, "namespace1", False) for unit in "1234"),
        *((unit, "namespace2", False) for unit in "12"),
        *((unit, "namespace2", True) for unit in "34"),
    ],
)
def test_namespaces_are_those_of_growthbook(unit: str, name: str, below: bool) -> None:
    """The public cases of its SDKs: whether a unit is in [0, .4) or in [.4, 1)."""
    assert (namespace_position(name, unit) < 0.4) is below
    reasons = {
        assign(unit, HALVES, "x", namespace=(name, *part)).reason for part in ((0, 0.4), (0.4, 1))
    }
    assert reasons == {"hash", "namespace"}


@pytest.mark.parametrize(
    ("weights", "coverage", "expected"),
    [
        ([0.5, 0.5], 1, [(0, 0.5), (0.5, 1)]),
        ([0.5, 0.5], 0.5, [(0, 0.25), (0.5, 0.75)]),
        ([0.5, 0.5], 0, [(0, 0), (0.5, 0.5)]),
        ([0.4, 0.6], 1, [(0, 0.4), (0.4, 1)]),
        ([1, 3], 1, [(0, 0.25), (0.25, 1)]),
    ],
)
def test_ranges_begin_at_the_same_place(
    weights: list[float], coverage: float, expected: list[tuple[float, float]]
) -> None:
    """The coverage shortens each range, and weights are shares of their sum."""
    assert ranges(weights, coverage) == expected


@given(WEIGHTS, st.floats(0, 1), st.floats(0, 1), IDS)
def test_a_higher_coverage_moves_no_unit(
    weights: list[float], one: float, other: float, unit: str
) -> None:
    """A unit that is in the experiment keeps its variant when the coverage is raised."""
    variants = {f"v{number}": weight for number, weight in enumerate(weights)}
    before = assign(unit, variants, "seed", coverage=min(one, other))
    after = assign(unit, variants, "seed", coverage=max(one, other))
    assert before.variant in {None, after.variant}


@given(WEIGHTS, IDS)
def test_all_units_are_in_at_full_coverage(weights: list[float], unit: str) -> None:
    """Rounding of weights leaves no unit without a variant."""
    variants = {f"v{number}": weight for number, weight in enumerate(weights)}
    assert assign(unit, variants, "seed").reason == "hash"


def test_a_stopped_variant_leaves_the_others() -> None:
    """Units of a stopped variant have none, and all others keep theirs."""
    variants = {"a": 1.0, "b": 1.0, "c": 2.0}
    for unit in USERS[:500]:
        before = assign(unit, variants, "seed").variant
        after = assign(unit, variants, "seed", stopped=["b"])
        assert after == (Assignment(None, "stopped") if before == "b" else (before, "hash"))


def test_shares_are_those_of_the_weights() -> None:
    """Units are assigned in proportion to the weights, and to the coverage."""
    variants = {"a": 1.0, "b": 3.0}
    given_variants = [assign(unit, variants, "seed", coverage=0.5).variant for unit in USERS]
    assert abs(given_variants.count("a") / len(USERS) - 0.125) < 0.02
    assert abs(given_variants.count("b") / len(USERS) - 0.375) < 0.03


def test_experiments_are_independent() -> None:
    """The variants of two experiments are independent, and those of a namespace's part as well."""
    both = [
        (assign(unit, HALVES, "one").variant, assign(unit, HALVES, "two").variant) for unit in USERS
    ]
    inside = [
        assign(unit, HALVES, "one").variant
        for unit in USERS
        if assign(unit, HALVES, "one", namespace=("ui", 0, 0.5)).reason == "hash"
    ]
    for cell in {*both}:
        assert abs(both.count(cell) / len(USERS) - 0.25) < 0.03
    assert abs(inside.count("control") / len(inside) - 0.5) < 0.05


def test_ranges_of_a_namespace_exclude_each_other() -> None:
    """No unit is in two experiments with separate ranges of a namespace, and none is left out."""
    for unit in USERS[:500]:
        one = assign(unit, HALVES, "one", namespace=("ui", 0, 0.3)).reason
        two = assign(unit, HALVES, "two", namespace=("ui", 0.3, 1)).reason
        assert {one, two} == {"hash", "namespace"}


def test_overrides_come_first() -> None:
    """An override counts whatever the coverage, the namespace or the state of its variant."""
    given_variant = assign(
        "tester",
        HALVES,
        "seed",
        coverage=0,
        namespace=("ui", 0, 0.001),
        overrides={"tester": "treatment"},
        stopped=["treatment"],
    )
    assert given_variant == Assignment("treatment", "override")


@pytest.mark.parametrize("unit", ["", "x" * (MAX_CHARS + 1)])
def test_an_id_is_bounded(unit: str) -> None:
    """An empty id and one that is too long have no variant."""
    assert assign(unit, HALVES, "seed") == Assignment(None, "invalid_unit")


def test_the_file_can_be_copied() -> None:
    """The file imports nothing outside the standard library."""
    tree = ast.parse(Path(module.__file__).read_text())
    imported = {n.module for n in ast.walk(tree) if isinstance(n, ast.ImportFrom)}
    imported |= {a.name for n in ast.walk(tree) if isinstance(n, ast.Import) for a in n.names}
    assert {str(name).partition(".")[0] for name in imported} <= sys.stdlib_module_names
