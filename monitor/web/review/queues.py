"""Queues, the versions of their rubrics, and of their guidelines."""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, Final, get_args

import msgspec
from sqlalchemy import Connection, Row, func, insert, select, update

from monitor.database.inserting import insert_new
from monitor.web.review.model import (
    Conflict,
    Inflow,
    NotFound,
    Queue,
    QueueSettings,
    QueueState,
    ReviewError,
    Rubric,
    TaskType,
)
from monitor.web.store.tables import AUDIT, GUIDELINES, ITEMS, QUEUES, RUBRICS

MAX_QUEUES: Final = 200
MAX_GUIDELINE_CHARS: Final = 100_000
CONFIG: Final = "config"
API: Final = "api"
_COLUMNS: Final = (
    *("overlap", "lease_seconds", "base", "boost"),
    *("gold_share", "contested_from", "retention_days"),
)


@dataclass(frozen=True, slots=True)
class NewQueue:
    """A queue to be created. task: of TaskType. source: API or CONFIG."""

    name: str
    task: str
    rubric: Rubric
    settings: QueueSettings
    source: str = API


@dataclass(frozen=True, slots=True)
class QueueCounts:
    """Items of a queue by state, and the time of the oldest one that is open."""

    queue: str
    items: dict[str, int]
    oldest_open: float | None


@dataclass(frozen=True, slots=True)
class Guideline:
    """Instructions to annotators. version: from 1; 0 if a queue has none."""

    version: int
    text: str
    person: str = ""
    created_at: float = 0.0


def add_rubrics(connection: Connection, rubrics: Sequence[Rubric], at: float) -> None:
    """Store versions of rubrics; those that are known stay as they are."""
    rows = [
        {
            "digest": rubric.digest,
            "name": rubric.name,
            "version": rubric.version,
            "content": msgspec.to_builtins(rubric, str_keys=True),
            "created_at": at,
        }
        for rubric in rubrics
    ]
    insert_new(connection, RUBRICS, rows)


def rubrics(connection: Connection) -> list[Rubric]:
    """Return all versions of rubrics, by name, the newest of a name first."""
    query = select(RUBRICS.c.content).order_by(
        RUBRICS.c.name, RUBRICS.c.created_at.desc(), RUBRICS.c.digest
    )
    return [_rubric(content) for content in connection.execute(query).scalars()]


def find_rubric(connection: Connection, name_or_digest: str) -> Rubric:
    """Return a rubric by its digest, or the newest one by its name. Raises NotFound."""
    for rubric in rubrics(connection):
        if name_or_digest in {rubric.digest, rubric.name}:
            return rubric
    raise NotFound(f"there is no rubric {name_or_digest[:80]!r}")


def _rubric(content: Any) -> Rubric:
    return msgspec.convert(content, Rubric, strict=False)


def create(connection: Connection, new: NewQueue, at: float, *, person: str) -> Queue:
    """Create a queue. Raises Conflict if it exists, ReviewError if a setting is not possible."""
    if new.task not in get_args(TaskType):
        raise ReviewError(f"task must be one of {', '.join(get_args(TaskType))}")
    check_settings(new.settings)
    if connection.execute(select(func.count()).select_from(QUEUES)).scalar_one() >= MAX_QUEUES:
        raise ReviewError(f"there are {MAX_QUEUES} queues; close and reuse one of them")
    row = {
        "name": new.name,
        "task": new.task,
        "rubric": new.rubric.digest,
        "source": new.source,
        "state": "open",
        "salt": secrets.token_hex(16),
        "created_at": at,
        "updated_at": at,
        **_row(new.settings),
    }
    if not insert_new(connection, QUEUES, [row]):
        raise Conflict(f"queue {new.name!r} exists already")
    content = {"task": new.task, "rubric": new.rubric.digest, **_row(new.settings)}
    AUDIT.append(connection, "queue created", new.name, {"person": person, **content}, at)
    return find(connection, new.name)


def check_settings(settings: QueueSettings) -> None:
    """Raise ReviewError if a setting is outside of its range."""
    ranges = {
        "overlap": 1 <= settings.overlap <= 20,
        "lease_seconds": 10 <= settings.lease_seconds <= 86_400,
        "base": 0 < settings.base <= 1,
        "boost": 0 <= settings.boost <= 1,
        "gold_share": 0 <= settings.gold_share <= 0.5,
        "contested_from": 0 < settings.contested_from <= 5,
        "retention_days": 0 < settings.retention_days <= 3650,
    }
    wrong = [name for name, possible in ranges.items() if not possible]
    if wrong:
        raise ReviewError(f"{wrong[0]} is out of its range")


def change(
    connection: Connection,
    name: str,
    at: float,
    *,
    person: str,
    state: QueueState | None = None,
    settings: QueueSettings | None = None,
    rubric: Rubric | None = None,
) -> Queue:
    """Change a queue: its state, settings or the version of its rubric.

    A new overlap, base and boost hold for items that enter from now on. Raises NotFound and
    ReviewError.
    """
    known = find(connection, name)
    values: dict[str, Any] = {}
    if state is not None and state != known.state:
        values["state"] = state
    if settings is not None and settings != known.settings:
        check_settings(settings)
        values |= _row(settings)
    if rubric is not None and rubric.digest != known.rubric.digest:
        if rubric.name != known.rubric.name:
            raise ReviewError("a queue keeps its rubric; create a queue for another one")
        values["rubric"] = rubric.digest
    if not values:
        return known
    statement = update(QUEUES).where(QUEUES.c.name == name)
    connection.execute(statement.values(**values, updated_at=at))
    AUDIT.append(connection, "queue changed", name, {"person": person, **values}, at)
    return find(connection, name)


def _row(settings: QueueSettings) -> dict[str, Any]:
    row = {name: getattr(settings, name) for name in _COLUMNS}
    return row | {"inflow": asdict(settings.inflow)}


def find(connection: Connection, name: str) -> Queue:
    """Return a queue. Raises NotFound."""
    found = _select(connection, name)
    if not found:
        raise NotFound(f"there is no queue {name[:80]!r}")
    return found[0]


def listed(connection: Connection) -> list[Queue]:
    """Return all queues by name."""
    return _select(connection)


def _select(connection: Connection, name: str | None = None) -> list[Queue]:
    query = select(QUEUES, RUBRICS.c.content).join(RUBRICS, RUBRICS.c.digest == QUEUES.c.rubric)
    if name is not None:
        query = query.where(QUEUES.c.name == name)
    return [_queue(row) for row in connection.execute(query.order_by(QUEUES.c.name))]


def _queue(row: Row[Any]) -> Queue:
    settings = QueueSettings(
        **{name: getattr(row, name) for name in _COLUMNS},
        inflow=msgspec.convert(row.inflow, Inflow),
    )
    return Queue(
        name=row.name,
        task=row.task,
        rubric=_rubric(row.content),
        source=row.source,
        state=row.state,
        salt=row.salt,
        settings=settings,
        created_at=row.created_at,
        updated_at=row.updated_at,
    )


def configure(connection: Connection, new: NewQueue, at: float) -> Queue:
    """Create or change a queue as the configuration says. Raises ReviewError.

    Its task type cannot change, because the answers would not fit; its state is left to the admins.
    """
    known = next((each for each in listed(connection) if each.name == new.name), None)
    if known is None:
        return create(connection, new, at, person=CONFIG)
    if known.task != new.task:
        raise ReviewError(
            f"queue {new.name!r} has tasks of type {known.task}; give the new one another name"
        )
    return change(connection, new.name, at, person=CONFIG, settings=new.settings, rubric=new.rubric)


def stop_inflow(connection: Connection, configured: Sequence[str], at: float) -> None:
    """Stop the inflow of queues that the configuration no longer names. Their items stay."""
    for queue in listed(connection):
        inflow = queue.settings.inflow
        if queue.source == CONFIG and queue.name not in configured and inflow.enabled:
            settings = replace(queue.settings, inflow=replace(inflow, enabled=False))
            change(connection, queue.name, at, person=CONFIG, settings=settings)


def guideline(connection: Connection, queue: str, version: int | None = None) -> Guideline:
    """Return a version of the instructions, by default the newest; version 0 if there is none."""
    query = select(GUIDELINES).where(GUIDELINES.c.queue == queue)
    if version is not None:
        query = query.where(GUIDELINES.c.version == version)
    row = connection.execute(query.order_by(GUIDELINES.c.version.desc()).limit(1)).first()
    if row is None:
        return Guideline(0, "")
    return Guideline(row.version, row.text, row.person, row.created_at)


def set_guideline(
    connection: Connection, queue: str, text: str, at: float, *, person: str
) -> Guideline:
    """Store a new version of the instructions, unless the newest one is equal. Raises NotFound."""
    find(connection, queue)
    if len(text) > MAX_GUIDELINE_CHARS:
        raise ReviewError(f"a guideline has at most {MAX_GUIDELINE_CHARS:,} characters")
    newest = guideline(connection, queue)
    if newest.text == text:
        return newest
    made = Guideline(newest.version + 1, text, person, at)
    row = {"queue": queue, **asdict(made)}
    connection.execute(insert(GUIDELINES).values(row))
    content = {"person": person, "version": made.version}
    AUDIT.append(connection, "guideline", queue, content, at)
    return guideline(connection, queue)


def counts(connection: Connection) -> dict[str, QueueCounts]:
    """Return the numbers of items by queue and state."""
    query = select(
        ITEMS.c.queue, ITEMS.c.state, func.count(), func.min(ITEMS.c.created_at)
    ).group_by(ITEMS.c.queue, ITEMS.c.state)
    found: dict[str, dict[str, tuple[int, float]]] = {}
    for queue, state, number, oldest in connection.execute(query):
        found.setdefault(queue, {})[state] = (number, oldest)
    return {
        queue: QueueCounts(
            queue,
            {state: number for state, (number, _) in sorted(states.items())},
            states["open"][1] if "open" in states else None,
        )
        for queue, states in found.items()
    }
