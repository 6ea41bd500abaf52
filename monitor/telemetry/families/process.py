"""Memory, CPU time and files of the daemon's processes, named as the client library names them."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from functools import partial

from prometheus_client import ProcessCollector
from prometheus_client.core import Metric
from prometheus_client.registry import Collector

_LEAST = frozenset({"process_start_time_seconds", "process_max_fds"})
"""Families of which the smallest value is that of the daemon, not the sum."""


class ProcessesCollector(Collector):
    """Sums over this process and its children.

    children: returns their process ids. A child that has ended counts nothing.
    """

    def __init__(self, children: Callable[[], Iterable[int]]) -> None:
        self._children = children

    def describe(self) -> list[Metric]:
        """Return nothing, so that the registration does not collect."""
        return []

    def collect(self) -> Iterator[Metric]:
        """Yield each family once."""
        families: dict[str, Metric] = {}
        for pid in (os.getpid(), *self._children()):
            for family in ProcessCollector(pid=partial(int, pid), registry=None).collect():
                first = families.setdefault(family.name, family)
                if first is not family:
                    _add(first, family)
        yield from families.values()


def _add(first: Metric, other: Metric) -> None:
    """Add the single sample of a family to that of another one."""
    for index, (ours, theirs) in enumerate(zip(first.samples, other.samples, strict=True)):
        both = ours.value, theirs.value
        value = min(both) if first.name in _LEAST else sum(both)
        first.samples[index] = ours._replace(value=value)
