"""The queue of runs: insert, claim by lease, heartbeat, finish, cancel.

States: queued -> running -> finished. A running run whose lease expires can be claimed again, with
its results. `expire` ends one that was claimed too often. A finished run is final.
Times are epoch seconds and come from the caller. Clocks of workers may differ by less than the
length of a lease.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any, Final, Literal, get_args

import msgspec
from sqlalchemy import ColumnElement, Connection, Row, and_, func, or_, select, update

from monitor.database import offsets as stored
from monitor.database.columns import clean, encode
from monitor.database.inserting import insert_new
from replay.results import Verdict
from replay.store import chain, results
from replay.store.costs import judging
from replay.store.database.leases import Lease, locked_row
from replay.store.database.tables import ENVIRONMENTS, GPU_USAGE, RUNS, SOURCE_OFFSETS

Trigger = Literal["drift", "schedule", "manual", "gate", "baseline"]
State = Literal["queued", "running", "finished"]
MAX_ATTEMPTS: Final = 3


class RunRequest(msgspec.Struct, frozen=True, kw_only=True):
    """A run to be done. It exists once for an alarm, an item set and a model.

    alarm: id of the alarm; of other triggers, anything that is unique to the request.
    set_digest: of the item set, or of the names of suites. model_digest: hash of the weights or of
    the endpoint and its revision. plan: how to run it; without secrets. details: what the report
    needs, such as the event. gpu: whether the worker needs a GPU. Higher priorities come first.
    """

    alarm: str
    set_digest: str
    model_digest: str
    model: str
    trigger: Trigger
    plan: Any
    details: Any = {}
    gpu: bool = False
    priority: int = 0

    @property
    def id(self) -> str:
        """Id of the run: a hash of alarm, set and model, 32 hexadecimal digits."""
        key = encode([clean(part) for part in (self.alarm, self.set_digest, self.model_digest)])
        return hashlib.sha256(key.encode()).hexdigest()[:32]


class Run(msgspec.Struct, frozen=True, kw_only=True):
    """A run as stored. plan, details: decoded JSON. verdict: empty until it is finished.

    attempts: number of claims. cancel_at: when it was cancelled. done, planned: items.
    environment: digest of the entry in `environments`.
    """

    id: str
    alarm: str
    set_digest: str
    model_digest: str
    model: str
    trigger: Trigger
    plan: Any
    details: Any
    gpu: bool
    priority: int
    state: State
    created_at: float
    not_before: float
    started_at: float | None
    finished_at: float | None
    attempts: int
    worker: str
    lease_until: float | None
    cancel_at: float | None
    verdict: Verdict | Literal[""]
    reason: str
    detail: str
    done: int
    planned: int
    environment: str
    gpu_seconds: float
    cost_usd: float


class Claim(msgspec.Struct, frozen=True):
    """A claimed run, and the lease that its worker shows with each write."""

    run: Run
    lease: Lease


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """How a run ended. reason: of an error, or "".

    environment: versions, hash of the weights, hardware: a mapping or a struct, nested or not.
    decision: of the verdict, likewise. Its responses are left out: `responses` has them, where they
    can be erased.
    """

    verdict: Verdict
    reason: str = ""
    detail: str = ""
    environment: Any = None
    decision: Any = None
    cost_usd: float = 0.0


class QueueState(msgspec.Struct, frozen=True):
    """Number of runs by state, and the time of the oldest queued one (None: none is queued)."""

    queued: int
    running: int
    finished: int
    oldest_queued: float | None


def enqueue(connection: Connection, request: RunRequest, at: float) -> bool:
    """Insert a run. Returns False, and changes nothing, if it exists already."""
    row = {
        **msgspec.structs.asdict(request),
        **dict.fromkeys(("worker", "verdict", "reason", "detail", "environment"), ""),
        **dict.fromkeys(("attempts", "done", "planned"), 0),
        **dict.fromkeys(("gpu_seconds", "cost_usd"), 0.0),
        "id": request.id,
        "state": "queued",
        "created_at": at,
        "not_before": at,
    }
    if not insert_new(connection, RUNS, [row]):
        return False
    content = {name: getattr(request, name) for name in REQUESTED}
    content["plan"] = hashlib.sha256(encode(request.plan).encode()).hexdigest()
    chain.append(connection, "run", request.id, content, at)
    return True


def find(connection: Connection, run: str) -> Run | None:
    """Return a run by its id."""
    row = connection.execute(select(RUNS).where(RUNS.c.id == run)).first()
    return None if row is None else _run(row)


def _run(row: Row[Any]) -> Run:
    return Run(**row._mapping)


def claim(
    connection: Connection,
    worker: str,
    at: float,
    lease_s: float,
    *,
    gpu: bool = True,
    max_attempts: int = MAX_ATTEMPTS,
) -> Claim | None:
    """Claim the next run that is due, or whose lease has expired; None if there is none.

    gpu: whether the worker has a GPU; without one it leaves runs that need it.
    """
    due = or_(
        and_(RUNS.c.state == "queued", RUNS.c.not_before <= at),
        and_(RUNS.c.state == "running", RUNS.c.lease_until <= at),
    )
    wanted = [due, RUNS.c.attempts < max_attempts, RUNS.c.cancel_at.is_(None)]
    if not gpu:
        wanted.append(RUNS.c.gpu.is_(False))
    found = _locked(connection, and_(*wanted), 1)
    if not found:
        return None
    (row,) = found
    values = {
        "state": "running",
        "worker": worker,
        "attempts": row.attempts + 1,
        "lease_until": at + lease_s,
        "started_at": at if row.started_at is None else row.started_at,
    }
    run = _updated(connection, row.id, values)
    return Claim(run, Lease(run.id, run.worker, run.attempts))


def _updated(connection: Connection, run: str, values: Mapping[str, Any]) -> Run:
    """Change a run and return it as stored. SQLite's RETURNING has whole numbers as int."""
    connection.execute(update(RUNS).where(RUNS.c.id == run).values(values))
    return _run(connection.execute(select(RUNS).where(RUNS.c.id == run)).one())


def _locked(
    connection: Connection, condition: ColumnElement[bool], limit: int | None
) -> list[Row[Any]]:
    """Return rows that no other transaction holds, in the order of the queue."""
    query = (
        select(RUNS)
        .where(condition)
        .order_by(RUNS.c.priority.desc(), RUNS.c.created_at, RUNS.c.id)
        .limit(limit)
        .with_for_update(skip_locked=True)
    )
    return list(connection.execute(query))


def heartbeat(
    connection: Connection,
    lease: Lease,
    at: float,
    lease_s: float,
    progress: tuple[int, int] | None = None,
) -> bool:
    """Extend a lease and store the progress (items done, planned). Raises LeaseLost.

    Returns False if the run was cancelled: stop, and finish it as cancelled.
    """
    row = locked_row(connection, lease)
    values: dict[str, Any] = {"lease_until": at + lease_s}
    if progress is not None:
        values |= {"done": progress[0], "planned": progress[1]}
    connection.execute(update(RUNS).where(RUNS.c.id == lease.run).values(values))
    return row.cancel_at is None


def release(
    connection: Connection, lease: Lease, at: float, delay_s: float, outcome: Outcome
) -> None:
    """Give a run back to be claimed again after `delay_s`, such as after a dead endpoint.

    outcome: why; it becomes final in `expire` if no claim is left. Raises LeaseLost.
    """
    locked_row(connection, lease)
    values = {
        "state": "queued",
        "not_before": at + delay_s,
        "worker": "",
        "lease_until": None,
        "reason": outcome.reason,
        "detail": outcome.detail,
    }
    connection.execute(update(RUNS).where(RUNS.c.id == lease.run).values(values))


def finish(connection: Connection, lease: Lease, outcome: Outcome, at: float) -> Run:
    """Finish a run: final state, scores by task, environment, ledger. Raises LeaseLost.

    Write the verdict's event to the outbox in the same transaction.
    """
    locked_row(connection, lease)
    return _finish(connection, lease.run, outcome, at)


def _finish(connection: Connection, run: str, outcome: Outcome, at: float) -> Run:
    environment = ""
    if outcome.environment:
        environment = hashlib.sha256(encode(outcome.environment).encode()).hexdigest()
        content = {"digest": environment, "content": outcome.environment}
        insert_new(connection, ENVIRONMENTS, [content])
    results.summarize(connection, run)
    used = select(func.coalesce(func.sum(GPU_USAGE.c.seconds), 0.0)).where(GPU_USAGE.c.run == run)
    values = {
        "state": "finished",
        "finished_at": at,
        "lease_until": None,
        "verdict": outcome.verdict,
        "reason": outcome.reason,
        "detail": outcome.detail,
        "environment": environment,
        "gpu_seconds": connection.execute(used).scalar_one(),
        "cost_usd": outcome.cost_usd + judging.cost_of(connection, run) / 1e9,
    }
    finished = _updated(connection, run, values)
    content = {name: getattr(finished, name) for name in CHAINED}
    content["results"] = results.digest(connection, run)
    if outcome.decision is not None:
        decision = _without_texts(msgspec.to_builtins(outcome.decision))
        chain.append(connection, "decision", run, decision, at)
    chain.append(connection, "finish", run, content, at)
    return finished


def _without_texts(value: Any) -> Any:
    """Return a decision without responses: they are in `responses`, where they can be erased."""
    if isinstance(value, list | tuple):
        return [_without_texts(part) for part in value]
    if isinstance(value, dict):
        return {
            name: _without_texts(part)
            for name, part in value.items()
            if not str(name).endswith("response")
        }
    return value


REQUESTED: Final = ("alarm", "set_digest", "model_digest", "model", "trigger")
"""Columns of a run that the ledger holds from its insertion on, besides the hash of its plan."""
CHAINED: Final = (
    *("verdict", "reason", "detail", "started_at", "finished_at", "attempts", "environment"),
    *("gpu_seconds", "cost_usd"),
)
"""Columns of a finished run that the ledger holds, besides the digest of its results."""


def expire(connection: Connection, at: float, max_attempts: int = MAX_ATTEMPTS) -> tuple[Run, ...]:
    """Finish runs that will not be claimed again, and return them: write their events.

    These are runs that were claimed `max_attempts` times, with the reason of their last release or
    `killed`, and cancelled ones whose worker is gone.
    """
    over = or_(RUNS.c.state == "queued", and_(RUNS.c.state == "running", RUNS.c.lease_until <= at))
    ended = or_(RUNS.c.attempts >= max_attempts, RUNS.c.cancel_at.is_not(None))
    return tuple(
        _finish(connection, row.id, _end_of(row), at)
        for row in _locked(connection, and_(over, ended), None)
    )


def _end_of(row: Row[Any]) -> Outcome:
    if row.cancel_at is not None:
        return Outcome(verdict="cancelled")
    if row.state == "queued" and row.reason:
        return Outcome(verdict="error", reason=row.reason, detail=row.detail)
    detail = f"its worker stopped without a result, {row.attempts} times"
    return Outcome(verdict="error", reason="killed", detail=detail)


def cancel(connection: Connection, alarm: str, at: float) -> tuple[Run, ...]:
    """Cancel the runs of an alarm. Returns those that were queued, which are now finished.

    The worker of a running one learns it from its heartbeat.
    """
    open_runs = and_(RUNS.c.alarm == clean(alarm), RUNS.c.state != "finished")
    query = select(RUNS).where(open_runs).order_by(RUNS.c.id).with_for_update()
    rows = list(connection.execute(query))
    first = [row.id for row in rows if row.cancel_at is None]
    connection.execute(update(RUNS).where(RUNS.c.id.in_(first)).values(cancel_at=at))
    queued = [row.id for row in rows if row.state == "queued"]
    return tuple(_finish(connection, run, Outcome(verdict="cancelled"), at) for run in queued)


def latest(
    connection: Connection, model: str, since: float, trigger: str = "", *, failed: bool = True
) -> Run | None:
    """Return the newest run of a model that was inserted at `since` or later: for a cooldown.

    Cancelled runs do not count. failed: whether those that ended in an error do.
    """
    wanted = [
        RUNS.c.model == clean(model),
        RUNS.c.created_at >= since,
        RUNS.c.cancel_at.is_(None),
    ]
    if trigger:
        wanted.append(RUNS.c.trigger == trigger)
    if not failed:
        wanted.append(RUNS.c.verdict != "error")
    query = select(RUNS).where(*wanted).order_by(RUNS.c.created_at.desc(), RUNS.c.id).limit(1)
    row = connection.execute(query).first()
    return None if row is None else _run(row)


def state(connection: Connection) -> QueueState:
    """Return the number of runs by state."""
    query = select(RUNS.c.state, func.count(), func.min(RUNS.c.created_at)).group_by(RUNS.c.state)
    rows = {name: (number, oldest) for name, number, oldest in connection.execute(query)}
    queued, running, finished = (rows.get(name, (0, None)) for name in get_args(State))
    return QueueState(queued[0], running[0], finished[0], queued[1])


def save_offsets(
    connection: Connection, group: str, offsets: Mapping[tuple[str, int], int]
) -> None:
    """Store the offsets that a consumer reads next, by topic and partition. They never decrease."""
    stored.save_offsets(connection, SOURCE_OFFSETS, group, offsets)


def load_offsets(connection: Connection, group: str) -> dict[tuple[str, int], int]:
    """Return the stored offsets of a consumer group by topic and partition."""
    return stored.load_offsets(connection, SOURCE_OFFSETS, group)
