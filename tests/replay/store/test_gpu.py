"""GPUs are leased by host, and their seconds counted by day."""

from __future__ import annotations

import pytest

from replay.store import LeaseLost, Store
from replay.store.costs import gpu
from tests.replay.store.runs import claimed, finish

DAY = 86_400.0
MIDNIGHT = 1_796_083_200.0  # 2026-12-01


def test_a_gpu_is_held_by_one_run(store: Store) -> None:
    """Until it is given back, or its lease expires; hosts do not share."""
    leases = [claimed(store, alarm) for alarm in ("a", "b", "c")]
    with store.write() as connection:
        first, second, third = (
            gpu.acquire(connection, "host", 2, lease, 60.0, 0.0) for lease in leases
        )
        assert first is not None
        assert second is not None
        assert (first.slot, second.slot, third) == (0, 1, None)
        elsewhere = gpu.acquire(connection, "other", 1, leases[2], 60.0, 0.0)
        assert elsewhere is not None
        assert gpu.renew(connection, second, 100.0)
        gpu.free(connection, first)
        again = gpu.acquire(connection, "host", 2, leases[2], 60.0, 1.0)
        assert again is not None
        assert again.slot == 0
        taken = gpu.acquire(connection, "host", 2, leases[0], 200.0, 100.0)
        assert taken is not None  # the lease of the slot has expired
        assert not gpu.renew(connection, again, 300.0)
        gpu.free(connection, again)  # which must not free it for the run that has it now
        assert gpu.renew(connection, taken, 300.0)


def test_only_the_holder_of_a_run_takes_a_gpu(store: Store) -> None:
    """A worker whose run is finished takes none."""
    lease = claimed(store)
    finish(store, lease)
    with pytest.raises(LeaseLost), store.write() as connection:
        gpu.acquire(connection, "host", 1, lease, 60.0, 0.0)


def test_seconds_are_counted_by_day_and_run(store: Store) -> None:
    """The day is that of UTC; a finished run has its sum."""
    lease, other = claimed(store, "a"), claimed(store, "b")
    with store.write() as connection:
        assert gpu.use(connection, lease.run, 10.0, MIDNIGHT - 1) == 10.0
        assert gpu.use(connection, lease.run, 5.0, MIDNIGHT) == 5.0
        assert gpu.use(connection, lease.run, 2.5, MIDNIGHT + 1) == 7.5
        assert gpu.use(connection, other.run, 1.0, MIDNIGHT + DAY - 1) == 8.5
        assert gpu.used(connection, MIDNIGHT - 1) == 10.0
        assert gpu.used(connection, MIDNIGHT + DAY) == 0.0
    assert gpu.day_of(MIDNIGHT) == "2026-12-01"
    assert finish(store, lease).gpu_seconds == 17.5
