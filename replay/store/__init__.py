"""The result store: runs, results, baselines, item sets, ledger and outbox, by SQLAlchemy Core.

`open_store` opens it; the functions of the modules take a connection of `Store.read()` or
`Store.write()`, so that one transaction can hold several of them.
"""

from monitor.database.errors import StoreError, StoreFull, StoreUnavailable
from monitor.database.store import Store
from replay.store.database.leases import LeaseLost
from replay.store.database.opening import open_store, upgrade

__all__ = [
    "LeaseLost",
    "Store",
    "StoreError",
    "StoreFull",
    "StoreUnavailable",
    "open_store",
    "upgrade",
]
