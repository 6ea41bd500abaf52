"""The journal of a run: each paid result, so that a run that is resumed does not pay twice."""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, Final

import msgspec

from judges.budget.caps import Purpose
from judges.calls import UnscoredReason
from monitor.cli.commands.judge.evaluators import Outcome
from monitor.errors import UserError
from monitor.records import Sample

if TYPE_CHECKING:
    from monitor.cli.commands.judge.evaluators import Evaluator

TRANSIENT: Final = frozenset(
    {UnscoredReason.TIMEOUT, UnscoredReason.UNAVAILABLE, UnscoredReason.NO_BUDGET}
)
"""Reasons after which a run that is resumed asks again."""


@dataclass
class JournalBatch:
    """A batch whose results are not in the journal yet.

    nonce: random; the ids of its requests and the delimiters of its calls follow from it.
    day: of UTC, on which it was created; its cost belongs to that day.
    created: time before its creation, in epoch seconds.
    most: highest cost, in nanodollars. The ledger holds it under the nonce.
    keys: of the evaluations, by the id of their request in the batch.
    id: of the provider; None if the process ended before it had stored the id.
    """

    nonce: str
    day: str
    created: float
    most: int
    keys: dict[str, str] = field(repr=False)
    id: str | None = None


class Journal:
    """Results by key, and what they cost. It has hashes and scores, and no text or request id.

    path: of a file of JSON lines, made if it is missing; None keeps no results.
    today: returns the day of UTC, such as 2026-01-31, to which costs belong.
    earlier: cost of earlier runs, in nanodollars, by day and purpose.
    batches: those whose results are not here yet, by nonce.
    """

    def __init__(self, path: Path | None, today: Callable[[], str]) -> None:
        self.earlier: Counter[tuple[str, Purpose]] = Counter()
        self.batches: dict[str, JournalBatch] = {}
        self.today = today
        self._written = 0
        self._path = path
        self._file: IO[str] | None = None
        self._known: dict[str, Outcome] = {}

    @contextmanager
    def open(self) -> Iterator[None]:
        """Read what is there, and append to it.

        Raises UserError if the file is something else, or another command uses it.
        """
        if self._path is None:
            yield
            return
        with self._path.open("a", encoding="utf-8") as self._file:
            try:
                fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                raise UserError(f"{self._path}: another command uses this journal") from None
            self._read(self._path)
            yield

    def find(self, key: str) -> Outcome | None:
        """Return the result of an earlier run."""
        return self._known.get(key)

    def add(self, key: str, outcome: Outcome, spent: int) -> None:
        """Append a result. spent: by this run until now, in nanodollars."""
        if self._file is None:
            return
        line = self._cost(spent) | {"key": key}
        if outcome.unscored is None or outcome.unscored not in TRANSIENT:
            line["outcome"] = msgspec.to_builtins(outcome)
        self._write(line)

    def add_rest(self, spent: int) -> None:
        """Append the cost of evaluations that were interrupted. spent: as in `add`."""
        if self._file is not None and spent > self._written:
            self._write(self._cost(spent))

    def _cost(self, spent: int) -> dict[str, Any]:
        """Return a line with what was spent since the line before."""
        cost, self._written = spent - self._written, spent
        return {"day": self.today(), "cost": cost}

    def add_batched(self, key: str, outcome: Outcome, batch: JournalBatch, cost: int) -> None:
        """Append a result of a batch, unless it is here. cost: in nanodollars."""
        if key in self._known:
            return  # a process that was killed has read these results before
        self.earlier[batch.day, Purpose.BATCH] += cost
        line: dict[str, Any] = {"key": key, "day": batch.day, "cost": cost, "purpose": "batch"}
        if outcome.unscored is None or outcome.unscored not in TRANSIENT:
            self._known[key] = outcome
            line["outcome"] = msgspec.to_builtins(outcome)
        self._write(line)

    def plan_batch(self, batch: JournalBatch) -> None:
        """Store a batch before it is created. It is on the disk when this returns."""
        self.batches[batch.nonce] = batch
        self._write({"batch": msgspec.to_builtins(batch)}, sync=True)

    def store_batch_id(self, batch: JournalBatch, batch_id: str) -> None:
        """Store the id of a batch. It is on the disk when this returns."""
        batch.id = batch_id
        self._write({"nonce": batch.nonce, "id": batch_id}, sync=True)

    def end_batch(self, batch: JournalBatch) -> None:
        """Store that all results of a batch are here, or that it was never created."""
        del self.batches[batch.nonce]
        self._write({"nonce": batch.nonce, "ended": True}, sync=True)

    def _write(self, line: dict[str, Any], *, sync: bool = False) -> None:
        """Append a line. sync: wait until it is on the disk."""
        if self._file is None:
            return
        # One write and a flush: after a crash at most the last line is damaged.
        self._file.write(json.dumps(line) + "\n")
        self._file.flush()
        if sync:
            os.fsync(self._file.fileno())

    def _read(self, path: Path) -> None:
        content = path.read_bytes()
        whole = content[: content.rfind(b"\n") + 1]
        for number, line in enumerate(whole.splitlines(), 1):
            try:
                self._add_line(json.loads(line))
            except (ValueError, KeyError, TypeError, AttributeError):
                raise UserError(
                    f"{path}:{number}: is not a line of a journal; remove the file, or name another"
                    " one with --journal"
                ) from None
        if len(whole) < len(content):
            os.truncate(path, len(whole))  # a crash cut the last line

    def _add_line(self, entry: dict[str, Any]) -> None:
        """Add a line of the file. Raises ValueError, KeyError, TypeError or AttributeError."""
        if "batch" in entry:
            batch = msgspec.convert(entry["batch"], JournalBatch)
            self.batches[batch.nonce] = batch
        elif "nonce" in entry:
            batch = self.batches[entry["nonce"]]
            batch.id = entry.get("id", batch.id)
            if entry.get("ended"):
                del self.batches[batch.nonce]
        else:
            purpose = Purpose(entry.get("purpose", Purpose.COMMAND_LINE))
            self.earlier[str(entry["day"]), purpose] += int(entry["cost"])
            if "outcome" in entry:
                self._known[str(entry["key"])] = msgspec.convert(entry["outcome"], Outcome)


def today() -> str:
    """Return the day of UTC."""
    return datetime.now(UTC).date().isoformat()


def beside(report: Path | None) -> Path | None:
    """Return the journal beside a report."""
    return None if report is None else report.with_name(report.name + ".journal")


def key_of(evaluator: Evaluator, sample: Sample) -> str:
    """Return the hash of an evaluation: of the request, its texts, and the evaluator's version."""
    texts = (sample.prompt, sample.response, sample.contexts, sample.reference)
    content = msgspec.json.encode((evaluator.version, sample.request_id, texts))
    return hashlib.blake2b(content, digest_size=16).hexdigest()
