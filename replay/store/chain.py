"""The ledger: the hash chain of runs, how they ended, decisions, baselines, sets.

Kinds are "run", "finish", "decision", "baseline", "set" and "gate"; the subject is the id of the
run, the digest of the set, or the name of the gate.
"""

from __future__ import annotations

from typing import Final

from monitor.database.chain import START, Broken, Chain, ChainStatus, Entry
from replay.store.database.tables import LEDGER

__all__ = ["START", "Broken", "ChainStatus", "Entry", "append", "entries", "verify_chain"]

_CHAIN: Final = Chain(LEDGER, 0x6C656467)

append: Final = _CHAIN.append
entries: Final = _CHAIN.entries
verify_chain: Final = _CHAIN.verify
