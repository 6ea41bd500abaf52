"""The vectorised assignment is that of each unit by itself."""

from __future__ import annotations

from typing import Any

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from monitor.config.sections.experiments.parts import NamespaceConfig
from monitor.config.sections.experiments.section import ExperimentConfig
from monitor.experiments.assignment.assign import MAX_CHARS, Assignment, assign
from monitor.experiments.assignment.batches import NOT_ASSIGNED, Assigner

IDS = st.lists(
    st.text(st.characters(exclude_categories=[]), max_size=40)
    | st.from_regex(r"[a-f0-9]{8}", fullmatch=True)
    | st.sampled_from(["", "\0", "a", "a\0", "😀", "\ud83d", "\ude00", "x" * (MAX_CHARS + 1)]),
    max_size=30,
)


def scalar(name: str, config: ExperimentConfig, unit: str) -> Assignment:
    """Return the assignment of one unit."""
    namespace = config.namespace
    return assign(
        unit,
        config.variants,
        config.seed_of(name),
        coverage=config.coverage,
        namespace=(namespace.name, *namespace.range) if namespace else None,
        overrides=config.overrides,
        stopped=config.stopped,
    )


@st.composite
def configs(draw: st.DrawFn) -> ExperimentConfig:
    """Return an experiment with any settings of the assignment."""
    weights = draw(st.lists(st.floats(0.01, 10), min_size=2, max_size=10))
    given: dict[str, Any] = {
        "variants": {f"v{number}": weight for number, weight in enumerate(weights)},
        "goal": "latency_ms",
        "coverage": draw(st.floats(0, 1)),
        "stopped": draw(st.sampled_from([(), ("v1",)])),
        "overrides": draw(st.dictionaries(st.sampled_from(["a", "😀"]), st.just("v1"))),
        "phase": draw(st.none() | st.integers(1, 5)),
        "seed": draw(st.none() | st.text(min_size=1, max_size=5)),
    }
    start = draw(st.floats(0, 0.9))
    if draw(st.booleans()):
        given["namespace"] = NamespaceConfig(name="ui", range=(start, draw(st.floats(0.91, 1))))
    return ExperimentConfig.model_validate(given)


@given(configs(), IDS)
def test_codes_are_those_of_each_unit(config: ExperimentConfig, units: list[str]) -> None:
    """Any ids, in any batch, have the variants that `assign` gives; overrides have none."""
    codes = Assigner("name", config).codes(units)
    assert codes.dtype == np.int16
    variants = [*config.variants]
    for unit, code in zip(units, codes.tolist(), strict=True):
        expected = scalar("name", config, unit)
        if expected.reason == "hash":
            assert variants[code] == expected.variant
        else:
            assert code == NOT_ASSIGNED


@given(IDS)
def test_overridden_units_are_found(units: list[str]) -> None:
    """The indices of units with an override are returned, whatever their variant."""
    config = ExperimentConfig.model_validate(
        {"variants": {"a": 1, "b": 1}, "goal": "error", "overrides": {"a": "b", "😀": "a"}}
    )
    found = Assigner("name", config).overridden(units).tolist()
    assert found == [index for index, unit in enumerate(units) if unit in {"a", "😀"}]


def test_a_large_batch_has_the_variants_of_single_units() -> None:
    """All lengths of ids up to the limit occur in one batch."""
    config = ExperimentConfig.model_validate(
        {"variants": {"a": 1, "b": 1, "c": 1}, "goal": "error", "coverage": 0.7}
    )
    units = [f"{'é' * (number % 1_010)}{number}" for number in range(2_000)]
    codes = Assigner("name", config).codes(units)
    expected = [scalar("name", config, unit).variant for unit in units]
    names = {None: NOT_ASSIGNED, "a": 0, "b": 1, "c": 2}
    assert codes.tolist() == [names[variant] for variant in expected]
    assert {*codes.tolist()} == {-1, 0, 1, 2}
