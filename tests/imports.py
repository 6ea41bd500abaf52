"""Imports what most daemons need, once, in the process of which `tests.forked` forks them."""

import sys
from importlib import import_module

from tests.forked import HIDDEN

sys.modules.update(dict.fromkeys(HIDDEN))  # type: ignore[arg-type] # None hides a module
for name in ("monitor.app", "monitor.cli.main", "monitor.cli.commands.run"):
    import_module(name)
import_module("detectors.registry").prepare()
for name in HIDDEN:
    del sys.modules[name]
