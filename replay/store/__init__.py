"""The result store: runs, results, baselines, item sets, ledger and outbox, by SQLAlchemy Core.

`open_store` opens it; the functions of the modules take a connection of `Store.read()` or
`Store.write()`, so that one transaction can hold several of them.
"""

from replay.store.database.errors import LeaseLost, StoreError, StoreFull, StoreUnavailable
from replay.store.database.opening import open_store, upgrade
from replay.store.database.store import Store

__all__ = [
    "LeaseLost",
    "Store",
    "StoreError",
    "StoreFull",
    "StoreUnavailable",
    "open_store",
    "upgrade",
]
