"""Scores of past runs, from files of task scores."""

from __future__ import annotations

from pathlib import Path

import msgspec

from monitor.errors import UserError, os_error_reason
from replay.results import TaskScores
from replay.sets.measures.difficulty import run_of


class _Run(msgspec.Struct, frozen=True):
    """A run as other commands write it: of its fields, the tasks count."""

    tasks: tuple[TaskScores, ...]


def read_run(path: Path) -> dict[str, float]:
    """Return the scores of a run by item: a JSON list of tasks, or an object with `tasks`.

    Raises UserError if the file is something else.
    """
    try:
        found = msgspec.json.decode(path.read_bytes(), type=_Run | tuple[TaskScores, ...])
    except OSError as error:
        raise UserError(f"{path}: cannot be read: {os_error_reason(error)}") from None
    except (msgspec.MsgspecError, ValueError, RecursionError) as error:
        raise UserError(f"{path}: has no scores of tasks: {error}") from None
    return run_of(found.tasks if isinstance(found, _Run) else found)
