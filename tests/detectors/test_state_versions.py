"""Saved states have a version, which changes with the constants that give them their meaning."""

from __future__ import annotations

from collections.abc import Sequence
from types import ModuleType
from typing import Any

import pytest

from detectors import adwin, bets, dependence, e_detector, page_hinkley
from detectors.registry import DETECTORS
from detectors.window_test import WindowTest

MODULES: dict[str, Sequence[ModuleType]] = {
    "e_detector": (e_detector, bets, dependence),
    "page_hinkley": (page_hinkley, dependence),
    "adwin": (adwin,),
}
"""Modules whose constants determine the meaning of a saved state, by detector with a state."""

_DEPENDENCE = {
    "BLOCK_GROWTH": 5,
    "BLOCK_SIZE": 100,
    "MIN_BLOCKS": 20,
    "MIN_PER_BLOCK": 5,
    "SIGNIFICANCE": 0.05,
}
CONSTANTS: dict[tuple[str, int], dict[str, Any]] = {
    ("e_detector", 2): _DEPENDENCE
    | {
        "BIN_FACTOR": 2.0,
        "FALLEN_FACTOR": 0.25,
        "FAR_PART": 0.85,
        "GRAIN": 2.0**-20,
        "MAX_BINS": 16,
        "MAX_CORRECTION": 2.5,
        "MAX_CUSUM": 100.0,
        "MAX_SCORE": 5.0,
        "MIN_IN_BIN": 50,
        "MIN_IN_CELL": 10,
        "MIN_RECORDS": 500,
        "MISSING_ODDS": {0.4: 1.0, 1.5: 2.0, 4.0: 4.0, 16.0: 1.0},
        "NEW_SHARES": (0.003, 0.03),
        "RARE_FACTOR": 3.0,
        "SCALES": (0.6, 0.85, 1.15, 1.4, 2.0),
        "SHIFTS": {0.1: 4.0, 0.2: 4.0, 0.5: 1.5, 1.0: 0.2},
        "TAILS": (0.001, 0.003, 0.01),
        "TAIL_FACTOR": 3.0,
        "TILTS": {0.3: 4.0, 0.6: 4.0, 1.1: 2.0, 1.75: 1.0},
    },
    ("page_hinkley", 1): _DEPENDENCE | {"ALLOWANCE": 0.1},
    ("adwin", 1): {"BLOCKS_PER_STRIDE": 5, "STRETCH_SDS": 2.5},
}
"""Constants by detector and state version.

MIN_IN_CELL and RARE_FACTOR are those of bets on rare cells, which references of earlier versions do
not have: saved states of those have the same bets as before.
"""


NO_CONSTANTS = {"_RIVER", "TYPE_CHECKING"}
"""Names that look like constants. The version of river is part of the state."""


def constants(modules: Sequence[ModuleType]) -> dict[str, Any]:
    """Return the numeric constants of modules by name."""
    return {
        name: value
        for module in modules
        for name, value in vars(module).items()
        if name.isupper()
        and name not in {"_RIVER", "TYPE_CHECKING"}
        and is_data(value)  # it is part of the state
    }


def is_data(value: object) -> bool:
    """Return whether a value consists of numbers and texts."""
    if isinstance(value, dict):
        return all(map(is_data, [*value, *value.values()]))
    if isinstance(value, tuple):
        return all(map(is_data, value))
    return isinstance(value, int | float | str)


def test_every_detector_with_a_state_is_listed() -> None:
    """Detectors without a state derive from WindowTest."""
    stateful = {
        name for name, detector in DETECTORS.items() if not issubclass(detector, WindowTest)
    }
    assert stateful == MODULES.keys()


@pytest.mark.parametrize("name", MODULES)
def test_changed_constants_need_a_new_state_version(name: str) -> None:
    """If this fails, a saved state no longer means the same.

    Raise `state_version` of the detector, and enter the new version with its constants in
    CONSTANTS. Detectors restored from a checkpoint of another version start anew; the reference and
    open alarms are kept.
    """
    version = DETECTORS[name].state_version
    assert constants(MODULES[name]) == CONSTANTS[name, version]


@pytest.mark.parametrize(
    ("module", "constant", "value"),
    [
        (bets, "SHIFTS", {0.1: 4.0, 0.2: 4.0, 0.5: 1.5}),
        (bets, "MAX_BINS", 12),
        (page_hinkley, "ALLOWANCE", 0.2),
        (adwin, "STRETCH_SDS", 3.0),
        (dependence, "BLOCK_SIZE", 50),
    ],
)
def test_the_comparison_notices_a_changed_constant(
    module: ModuleType, constant: str, value: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The test above fails for at least one detector."""
    monkeypatch.setattr(module, constant, value)
    assert any(
        constants(modules) != CONSTANTS[name, DETECTORS[name].state_version]
        for name, modules in MODULES.items()
    )
