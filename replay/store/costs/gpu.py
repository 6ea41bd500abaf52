"""GPUs: slots as leases by host, and the seconds used by day with a cap."""

from __future__ import annotations

from datetime import UTC, datetime

import msgspec
from sqlalchemy import Connection, Update, func, select, update
from sqlalchemy.dialects import postgresql, sqlite

from monitor.database.inserting import insert_new
from replay.store.database.leases import Lease, locked_row
from replay.store.database.tables import GPU_SLOTS, GPU_USAGE


class Slot(msgspec.Struct, frozen=True):
    """A GPU of a host, from 0, that a run holds."""

    host: str
    slot: int
    run: str
    worker: str


def acquire(
    connection: Connection, host: str, slots: int, lease: Lease, until: float, at: float
) -> Slot | None:
    """Take a free GPU of a host, or one whose lease has expired; None if all are in use.

    slots: number of GPUs of the host. until: end of the lease. Raises LeaseLost.
    """
    locked_row(connection, lease)
    free = {"run": "", "worker": "", "lease_until": 0.0}
    rows = [{"host": host, "slot": slot, **free} for slot in range(slots)]
    insert_new(connection, GPU_SLOTS, rows)
    query = (
        select(GPU_SLOTS.c.slot)
        .where(GPU_SLOTS.c.host == host, GPU_SLOTS.c.slot < slots, GPU_SLOTS.c.lease_until <= at)
        .order_by(GPU_SLOTS.c.slot)
        .limit(1)
        .with_for_update(skip_locked=True)
    )
    slot = connection.execute(query).scalar()
    if slot is None:
        return None
    found = Slot(host, slot, lease.run, lease.worker)
    values = {"run": found.run, "worker": found.worker, "lease_until": until}
    same = (GPU_SLOTS.c.host == host) & (GPU_SLOTS.c.slot == slot)
    connection.execute(update(GPU_SLOTS).where(same).values(values))
    return found


def renew(connection: Connection, slot: Slot, until: float) -> bool:
    """Extend the lease of a GPU. Returns False if another run has taken it."""
    return bool(connection.execute(_held(slot).values(lease_until=until)).rowcount)


def free(connection: Connection, slot: Slot) -> None:
    """Give a GPU back."""
    connection.execute(_held(slot).values(run="", worker="", lease_until=0.0))


def _held(slot: Slot) -> Update:
    return update(GPU_SLOTS).where(
        GPU_SLOTS.c.host == slot.host,
        GPU_SLOTS.c.slot == slot.slot,
        GPU_SLOTS.c.run == slot.run,
        GPU_SLOTS.c.worker == slot.worker,
    )


def day_of(at: float) -> str:
    """Return the day (UTC) of a time, as YYYY-MM-DD."""
    return datetime.fromtimestamp(at, UTC).date().isoformat()


def use(connection: Connection, run: str, seconds: float, at: float) -> float:
    """Add the seconds of GPUs that a run has used since the last call; return those of the day."""
    dialect = sqlite if connection.dialect.name == "sqlite" else postgresql
    row = {"day": day_of(at), "run": run, "seconds": seconds}
    new = dialect.insert(GPU_USAGE).values(row)
    added = GPU_USAGE.c.seconds + new.excluded.seconds
    connection.execute(
        new.on_conflict_do_update(index_elements=["day", "run"], set_={"seconds": added})
    )
    return used(connection, at)


def used(connection: Connection, at: float) -> float:
    """Return the seconds of GPUs that all runs have used on the day of a time.

    The daily cap is compared with it before a claim and at each heartbeat, so that it is exceeded
    by at most one interval of heartbeats a GPU.
    """
    total = select(func.coalesce(func.sum(GPU_USAGE.c.seconds), 0.0))
    return float(connection.execute(total.where(GPU_USAGE.c.day == day_of(at))).scalar_one())
