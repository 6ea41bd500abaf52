"""Select the rules that can match in a text, and where: by Hyperscan in one pass, or all of them.

Hyperscan compiles the rules' own patterns to supersets of them (its flag PREFILTER), so a rule that
is left out has no match, no match ends where none is reported, and the result of redaction is the
same with and without Hyperscan.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache
from typing import Any

Prefilter = Callable[[str], Sequence[tuple[int, Sequence[int]]]]
"""Returns the indices of the searched patterns that may match in a text, in order, each with the
positions at which matches may end; without positions they may end anywhere."""


def hyperscan_installed() -> bool:
    """Return whether Hyperscan can be imported (extra `samples`)."""
    try:
        import hyperscan  # noqa: F401 - optional, and slow to load
    except ImportError:
        return False
    return True


def all_rules(count: int) -> Prefilter:
    """Return a prefilter that leaves no rule out."""
    candidates: list[tuple[int, Sequence[int]]] = [(index, ()) for index in range(count)]
    return lambda _: candidates


def by_hyperscan(patterns: tuple[tuple[str, ...], ...], located: frozenset[int]) -> Prefilter:
    """Return a prefilter that scans a text once for all patterns. It serves one thread.

    patterns: those that are searched for a rule, or for several rules, by their index.
    located: indices whose ends are reported.
    """
    import hyperscan

    database = _database(patterns, located)
    scratch = hyperscan.Scratch(database)

    def candidates(text: str) -> Sequence[tuple[int, Sequence[int]]]:
        found: dict[int, list[int]] = {}

        def matched(index: int, _start: int, end: int, _flags: int, _context: Any) -> None:
            found.setdefault(index, []).append(end)

        # A lone surrogate is no character of any pattern, and neither is its replacement.
        data = text.encode("utf-8", "replace")
        database.scan(data, match_event_handler=matched, scratch=scratch)
        if not found:
            return ()
        if len(data) != len(text):  # positions are those of bytes
            for ends in found.values():
                ends[:] = [len(data[:end].decode("utf-8", "ignore")) for end in ends]
        return [
            (index, sorted(found[index]) if index in located else ()) for index in sorted(found)
        ]

    return candidates


@cache
def _database(patterns: tuple[tuple[str, ...], ...], located: frozenset[int]) -> Any:
    """Compile patterns once per process: it takes a quarter of a second."""
    import hyperscan

    database = hyperscan.Database(mode=hyperscan.HS_MODE_BLOCK)
    every = hyperscan.HS_FLAG_PREFILTER | hyperscan.HS_FLAG_UTF8
    once = every | hyperscan.HS_FLAG_SINGLEMATCH
    single = [(index, pattern) for index, each in enumerate(patterns) for pattern in each]
    database.compile(
        expressions=[pattern.encode() for _, pattern in single],
        ids=[index for index, _ in single],
        elements=len(single),
        flags=[every if index in located else once for index, _ in single],
    )
    return database
