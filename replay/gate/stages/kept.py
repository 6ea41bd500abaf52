"""The folder of a gate: scores of both sides, kept chunk by chunk, so that a gate resumes.

A file has one JSON line for each chunk, with the tier it was run for, and one when a tier is
complete. A line that a kill cut off is dropped when the file is opened again.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import msgspec

from monitor.errors import UserError, os_error_reason
from replay.results import TaskScores

MAX_LINE: Final = 256 << 20


class Line(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A line: the subject of the file first, then scores or the mark of a complete tier.

    subject: what was run: model, endpoint and settings. limit: items of each task of the tier.
    """

    subject: str = ""
    limit: int = 0
    tasks: tuple[TaskScores, ...] = ()
    complete: bool = False


_decoder = msgspec.json.Decoder(Line)


class KeptScores:
    """The file of one side. subject: a description of what is run; another one is refused."""

    def __init__(self, path: Path, subject: str) -> None:
        self._path = path
        self._lines = list(self._open(subject))

    def _open(self, subject: str) -> Iterator[Line]:
        lines, whole = read_lines(self._path) if self._path.exists() else ([], 0)
        if not lines:
            try:
                self._path.parent.mkdir(parents=True, exist_ok=True)
                self._path.write_bytes(msgspec.json.encode(Line(subject=subject)) + b"\n")
            except OSError as error:
                reason = os_error_reason(error)
                raise UserError(f"{self._path}: cannot be written: {reason}") from None
            return
        if lines[0].subject != subject:
            raise UserError(
                f"{self._path}: holds results of another model or of other settings; choose"
                " another folder with --work, or remove the file"
            )
        os.truncate(self._path, whole)
        yield from lines[1:]

    def add(
        self, limit: int, tasks: tuple[TaskScores, ...] = (), *, complete: bool = False
    ) -> None:
        """Append scores of a tier, or the mark that it is complete. It is on the disk then."""
        line = Line(limit=limit, tasks=tasks, complete=complete)
        with self._path.open("ab") as file:
            file.write(msgspec.json.encode(line) + b"\n")
            file.flush()
            os.fsync(file.fileno())
        self._lines.append(line)

    def complete(self, limit: int) -> bool:
        """Return whether all items of a tier are there."""
        return any(line.complete and line.limit == limit for line in self._lines)

    def scores(self, limit: int) -> tuple[TaskScores, ...]:
        """Return the increments of a tier and of the smaller ones, whose items it includes."""
        return tuple(t for line in self._lines if line.limit <= limit for t in line.tasks)


def read_lines(path: Path) -> tuple[list[Line], int]:
    """Return the whole lines of a file and their size in bytes.

    Raises UserError if the file cannot be read, or a line that is not the last one is damaged.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise UserError(f"{path}: cannot be read: {os_error_reason(error)}") from None
    lines, size = [], 0
    for number, line in enumerate(content.splitlines(keepends=True), start=1):
        if not line.endswith(b"\n"):
            break
        try:
            lines.append(_decoder.decode(line))
        except (msgspec.MsgspecError, ValueError, RecursionError):
            raise UserError(f"{path}:{number}: is not a line of results of a gate") from None
        size += len(line)
    return lines, size


def read_scores(path: Path) -> tuple[TaskScores, ...]:
    """Return the scores of a file that an earlier gate kept. Raises UserError."""
    lines, _ = read_lines(path)
    tasks = tuple(task for line in lines for task in line.tasks)
    if not tasks:
        raise UserError(f"{path}: has no scores")
    return tasks
