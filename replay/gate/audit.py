"""The audit trail: a file of JSON lines, chained by hashes, one line for each gate that ran.

The hash of an entry covers the entry and the hash of the one before, so that a line that is
changed, removed or inserted is found, except at the end: keep the newest hash elsewhere, such as in
the log of the pipeline, where the command prints it.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import msgspec

from monitor.errors import UserError, os_error_reason
from replay.gate.outcome import GateResult, Origin

FIRST: Final = "0" * 64
"""The previous hash of the first entry."""


class Entry(msgspec.Struct, frozen=True, kw_only=True):
    """One gate. time: epoch seconds, of its end. result_sha256: of its result in JSON."""

    time: float
    gate: str
    criteria_sha256: str
    outcome: str
    exit_status: int
    candidate: str
    baseline: str
    stages: dict[str, str]
    origin: Origin
    result_sha256: str
    previous: str
    hash: str = ""


_decoder = msgspec.json.Decoder(Entry)


def origin(environment: Mapping[str, str], user: str) -> Origin:
    """Return who runs the gate and where, from the environment of a pipeline.

    user: the name to use outside of GitHub Actions and GitLab.
    """
    get = environment.get
    if get("GITHUB_ACTIONS") == "true":
        server, repository = get("GITHUB_SERVER_URL", ""), get("GITHUB_REPOSITORY", "")
        return Origin(
            actor=get("GITHUB_TRIGGERING_ACTOR", "") or get("GITHUB_ACTOR", ""),
            commit=get("GITHUB_SHA", ""),
            ref=get("GITHUB_REF", ""),
            repository=repository,
            pipeline=f"{server}/{repository}/actions/runs/{get('GITHUB_RUN_ID', '')}",
            system="github",
        )
    if get("GITLAB_CI"):
        return Origin(
            actor=get("GITLAB_USER_LOGIN", ""),
            commit=get("CI_COMMIT_SHA", ""),
            ref=get("CI_COMMIT_REF_NAME", ""),
            repository=get("CI_PROJECT_PATH", ""),
            pipeline=get("CI_PIPELINE_URL", ""),
            system="gitlab",
        )
    return Origin(actor=user)


def append(path: Path, result: GateResult, content: bytes) -> Entry:
    """Append the entry of a result and return it. content: the result in JSON.

    Concurrent gates wait for each other. The entry is on the disk when this returns.
    Raises UserError if the chain is broken, OSError if the file cannot be written.
    """
    with path.open("ab+") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        file.seek(0)
        entries = _checked(file.read(), path)
        entry = _entry(result, content, entries[-1].hash if entries else FIRST)
        file.write(msgspec.json.encode(entry) + b"\n")
        file.flush()
        os.fsync(file.fileno())
    return entry


def check(path: Path) -> list[Entry]:
    """Return the entries of a file; [] without one. Raises UserError if the chain is broken."""
    try:
        return _checked(path.read_bytes(), path)
    except FileNotFoundError:
        return []
    except OSError as error:
        raise UserError(f"{path}: cannot be read: {os_error_reason(error)}") from None


def fields(result: GateResult, content: bytes) -> dict[str, Any]:
    """Return what an entry says about a result, without hashes of a chain. content: as JSON."""
    return {
        "time": result.started + result.seconds,
        "gate": result.name,
        "criteria_sha256": result.criteria_sha256,
        "outcome": result.outcome,
        "exit_status": result.exit_status,
        "candidate": result.candidate,
        "baseline": result.baseline,
        "stages": {stage.name: stage.outcome for stage in result.stages},
        "origin": result.origin,
        "result_sha256": hashlib.sha256(content).hexdigest(),
    }


def _entry(result: GateResult, content: bytes, previous: str) -> Entry:
    entry = Entry(**fields(result, content), previous=previous)
    return msgspec.structs.replace(entry, hash=_hash(entry))


def _hash(entry: Entry) -> str:
    content = msgspec.json.encode(msgspec.structs.replace(entry, hash=""), order="deterministic")
    return hashlib.sha256(content).hexdigest()


def _checked(content: bytes, path: Path) -> list[Entry]:
    """Return the entries. Raises UserError with the first line that does not fit."""
    entries: list[Entry] = []
    lines = content.split(b"\n")
    if lines.pop():
        raise UserError(f"{path}:{len(lines) + 1}: the last line of the audit trail is incomplete")
    previous = FIRST
    for line_number, line in enumerate(lines, start=1):
        try:
            entry = _decoder.decode(line)
        except (msgspec.MsgspecError, ValueError, RecursionError):
            raise UserError(f"{path}:{line_number}: is not an entry of an audit trail") from None
        if entry.previous != previous or entry.hash != _hash(entry):
            raise UserError(
                f"{path}:{line_number}: the audit trail was changed here or before: the hash does"
                " not fit; find out why, and start a new file"
            )
        entries.append(entry)
        previous = entry.hash
    return entries
