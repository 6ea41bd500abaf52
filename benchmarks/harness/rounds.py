"""Interleaved rounds: a ratio within a round compares runs that follow each other."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TypeVar

T = TypeVar("T")


def interleaved(contenders: Mapping[str, Callable[[], T]], rounds: int) -> dict[str, list[T]]:
    """Return the measurements of all contenders, by round; their order rotates."""
    names = list(contenders)
    measured: dict[str, list[T]] = {name: [] for name in names}
    for number in range(rounds):
        for place in range(len(names)):
            name = names[(place + number) % len(names)]
            measured[name].append(contenders[name]())
    return measured
