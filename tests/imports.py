"""Imports what most daemons need, once, in the process of which `tests.forked` forks them."""

import sys

from tests.forked import HIDDEN

sys.modules.update(dict.fromkeys(HIDDEN))  # type: ignore[arg-type] # None hides a module

from detectors import registry  # noqa: E402
from monitor import app  # noqa: E402, F401
from monitor.cli import main  # noqa: E402, F401
from monitor.cli.commands import run  # noqa: E402, F401

registry.prepare()
for name in HIDDEN:
    del sys.modules[name]
