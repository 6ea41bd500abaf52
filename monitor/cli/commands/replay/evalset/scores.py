"""Scores of past runs, from files of task scores."""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path
from typing import Any

import msgspec

from monitor.errors import UserError, os_error_reason
from replay.results import TaskScores
from replay.sets.measures.difficulty import run_of


class _Run(msgspec.Struct, frozen=True):
    """A run as other commands write it: of its fields, the tasks count."""

    tasks: tuple[TaskScores, ...]


def read_run(path: Path) -> dict[str, float]:
    """Return the scores of a run by item.

    The file is one of `plumbline replay export`, a JSON list of tasks, or an object with `tasks`.
    Raises UserError if it is something else.
    """
    try:
        content = path.read_bytes()
        if _is_export(content):
            return run_of(_exported(content))
        found = msgspec.json.decode(content, type=_Run | tuple[TaskScores, ...])
    except OSError as error:
        raise UserError(f"{path}: cannot be read: {os_error_reason(error)}") from None
    except (msgspec.MsgspecError, ValueError, KeyError, RecursionError) as error:
        raise UserError(f"{path}: has no scores of tasks: {error}") from None
    return run_of(found.tasks if isinstance(found, _Run) else found)


def _is_export(content: bytes) -> bool:
    """Return whether the first line is a row of `plumbline replay export`."""
    first = content.lstrip().partition(b"\n")[0]
    try:
        return "type" in msgspec.json.decode(first, type=dict[str, Any])
    except msgspec.MsgspecError:
        return False


def _exported(content: bytes) -> list[TaskScores]:
    """Return the tasks of the JSON lines of an exported run. Raises ValueError for several runs."""
    rows = [msgspec.json.decode(line, type=dict[str, Any]) for line in content.splitlines() if line]
    if len({row["run"] for row in rows if row["type"] == "task"}) > 1:
        raise ValueError("it has several runs; export one run a file")
    scores = defaultdict(list)
    for row in rows:
        if row["type"] == "item":
            scores[row["task"]].append(row)
    return [
        msgspec.convert(row | {"scores": scores[row["task"]]}, TaskScores)
        for row in rows
        if row["type"] == "task"
    ]
