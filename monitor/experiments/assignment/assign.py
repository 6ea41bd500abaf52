"""Assign a unit, such as a user, to a variant of an experiment.

This file imports nothing outside the standard library: copy it into an application that assigns by
itself. The hash is version 2 of GrowthBook's, so its SDKs give the same variants. The same unit
always has the same variant; no state is kept. docs/assignment.md describes the algorithm for other
languages, with test vectors.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Final, Literal, NamedTuple

MAX_CHARS: Final = 1_000
"""Longer ids are assigned to no variant, which bounds the time of a hash."""
POSITIONS: Final = 10_000
"""Possible positions of a unit in an experiment."""
NAMESPACE_POSITIONS: Final = 1_000
"""Possible positions of a unit in a namespace."""

Reason = Literal["hash", "override", "not_covered", "namespace", "stopped", "invalid_unit"]


class Assignment(NamedTuple):
    """The variant of a unit and its reason.

    variant: None if the unit is not in the experiment; it then gets what it would get without one.
    reason: `hash` (assigned at random), `override` (by `overrides`), `not_covered` (outside the
    coverage), `namespace` (outside the range of the namespace), `stopped` (its variant is stopped),
    `invalid_unit` (the id is empty or too long).
    """

    variant: str | None
    reason: Reason


def assign(
    unit: str,
    variants: Mapping[str, float],
    seed: str,
    *,
    coverage: float = 1.0,
    namespace: tuple[str, float, float] | None = None,
    overrides: Mapping[str, str] | None = None,
    stopped: Collection[str] = (),
) -> Assignment:
    """Return the variant of a unit.

    unit: id of the unit. variants: name -> weight, the control first. seed: the name of the
    experiment, unless its configuration gives another. coverage: share of the units that are in the
    experiment. namespace: (name, from, to), the part of a namespace whose units are in the
    experiment. overrides: id -> variant. stopped: variants that are assigned to no unit.
    """
    if overrides and unit in overrides:
        return Assignment(overrides[unit], "override")
    if not 0 < len(unit) <= MAX_CHARS:
        return Assignment(None, "invalid_unit")
    if namespace is not None:
        name, start, end = namespace
        if not start <= namespace_position(name, unit) < end:
            return Assignment(None, "namespace")
    number = position(seed, unit)
    for variant, (start, end) in zip(variants, ranges(variants.values(), coverage), strict=True):
        if start <= number < end:
            return (
                Assignment(None, "stopped") if variant in stopped else Assignment(variant, "hash")
            )
    return Assignment(None, "not_covered")


def ranges(weights: Collection[float], coverage: float) -> list[tuple[float, float]]:
    """Return the range of positions of each variant.

    A range begins at the sum of the weights before it, whatever the coverage, so that a higher
    coverage only extends the ranges. Weights that do not sum to 1 are divided by their sum.
    """
    total = sum(weights)
    shares = weights if abs(total - 1) < 1e-6 else [weight / total for weight in weights]
    found = []
    start = 0.0
    for share in shares:
        found.append((start, start + coverage * share))
        start += share
    return found


def position(seed: str, unit: str) -> float:
    """Return the position of a unit in an experiment, a multiple of .0001 in [0, 1)."""
    return fnv1a32(str(fnv1a32(seed + unit))) % POSITIONS / POSITIONS


def namespace_position(name: str, unit: str) -> float:
    """Return the position of a unit in a namespace, a multiple of .001 in [0, 1)."""
    return fnv1a32(f"{unit}__{name}") % NAMESPACE_POSITIONS / NAMESPACE_POSITIONS


def fnv1a32(text: str) -> int:
    """Return the FNV-1a hash of the UTF-16 code units of a text, 32 bits.

    Implementations that hash bytes of UTF-8 give other numbers for characters beyond ASCII.
    """
    units = text.encode("utf-16-le", "surrogatepass")
    number = 0x811C9DC5
    for low, high in zip(units[::2], units[1::2], strict=True):
        number = (number ^ (low | high << 8)) * 0x01000193 & 0xFFFFFFFF
    return number
