"""Open the result store for a command."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # slow to import, and other commands do not need it
    from monitor.config.schema import Config
    from replay.store import Store


@contextmanager
def opened(config: Config) -> Iterator[Store]:
    """Yield the configured store. Raises UserError if it cannot be used or packages are missing."""
    from monitor.roles.replay_setup import check_packages, open_configured

    check_packages()
    with open_configured(config) as store:
        yield store
