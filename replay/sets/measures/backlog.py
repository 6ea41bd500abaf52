"""The known-failures suite: items that a model failed, with cause and state, and their backlog.

    open       the item fails
    fixed      it passed in the last `PASSES` runs in which it was scored
    regressed  it failed after it had been fixed

An answer that failed technically (no text, a timeout) changes nothing. A run counts once.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Final, Literal

import msgspec
from msgspec import structs

from monitor.errors import UserError, os_error_reason
from replay.sets.item import Item
from replay.sets.item_set import check_name

State = Literal["open", "fixed", "regressed"]
PASSES: Final = 2
"""Runs in a row in which an item must pass to be fixed: one success may be luck."""
PASS_MARK: Final = 0.5
"""Score, 0 to 1, from which an item passes."""
MAX_ENTRIES: Final = 50_000
FILE: Final = "backlog.json"


class Failure(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A known failure.

    item: its id. cause: why it is one, such as "disliked by human".
    count: number of runs in which it failed, the first report included.
    passes: runs in a row in which it passed. last_run: id of the newest run that changed it.
    first_seen, last_seen: times of the first and the newest failure, in epoch seconds.
    """

    item: str
    cause: str
    state: State = "open"
    count: int = 1
    passes: int = 0
    last_run: str = ""
    first_seen: float = 0.0
    last_seen: float = 0.0


class Change(msgspec.Struct, frozen=True):
    """A failure whose state has changed in a run."""

    item: str
    cause: str
    before: State
    after: State


def known_failure(item: Item, cause: str, time: float) -> tuple[Item, Failure]:
    """Return an item as one of the known-failures suite, and its entry in the backlog."""
    provenance = structs.replace(item.provenance, origin="failure")
    found = structs.replace(item, provenance=provenance, slices={**item.slices, "cause": cause})
    return found, Failure(item=found.id, cause=cause, first_seen=time, last_seen=time)


def with_failures(backlog: Sequence[Failure], found: Iterable[Failure]) -> tuple[Failure, ...]:
    """Return the backlog with further failures. An item that is in it keeps its entry."""
    by_item = {each.item: each for each in found} | {each.item: each for each in backlog}
    if len(by_item) > MAX_ENTRIES:
        raise UserError(f"the backlog has more than {MAX_ENTRIES:,} failures; close some")
    return tuple(by_item[item] for item in sorted(by_item))


def update(
    backlog: Sequence[Failure],
    scores: Mapping[str, float],
    run: str,
    time: float,
    *,
    mark: float = PASS_MARK,
) -> tuple[tuple[Failure, ...], tuple[Change, ...]]:
    """Return the backlog after a run, and the failures whose state has changed.

    scores: 0 to 1 by id of the item; items without one are left as they are.
    run: id of the run; a run that an entry has seen last changes it no more.
    mark: score from which an item passes.
    """
    updated, changes = [], []
    for each in backlog:
        score = scores.get(each.item)
        if score is None or each.last_run == run:
            updated.append(each)
            continue
        after = _passed(each) if score >= mark else _failed(each, time)
        updated.append(structs.replace(after, last_run=run))
        if after.state != each.state:
            changes.append(Change(each.item, each.cause, each.state, after.state))
    return tuple(updated), tuple(changes)


def backlog_path(directory: Path, name: str) -> Path:
    """Return the path of the backlog of a set. Raises UserError for a name that is not valid."""
    check_name(name)
    return directory / name / FILE


def read_backlog(path: Path) -> tuple[Failure, ...]:
    """Return the backlog of a file, none without a file. Raises UserError if it is damaged."""
    try:
        return msgspec.json.decode(path.read_bytes(), type=tuple[Failure, ...])
    except FileNotFoundError:
        return ()
    except OSError as error:
        raise UserError(f"{path}: cannot be read: {os_error_reason(error)}") from None
    except (msgspec.MsgspecError, ValueError) as error:
        raise UserError(f"{path}: is not a backlog: {error}") from None


def write_backlog(path: Path, backlog: Sequence[Failure]) -> None:
    """Replace the backlog of a file, ordered by item."""
    ordered = sorted(backlog, key=lambda each: each.item)
    content = msgspec.json.format(msgspec.json.encode(ordered), indent=1) + b"\n"
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        temporary.write_bytes(content)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def _passed(failure: Failure) -> Failure:
    passes = failure.passes + 1
    return structs.replace(
        failure, passes=passes, state="fixed" if passes >= PASSES else failure.state
    )


def _failed(failure: Failure, time: float) -> Failure:
    return structs.replace(
        failure,
        state="regressed" if failure.state == "fixed" else failure.state,
        count=failure.count + 1,
        passes=0,
        last_seen=time,
    )
