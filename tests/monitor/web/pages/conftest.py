"""Applications with something on every page."""

from __future__ import annotations

import pytest

from monitor.config.sections.process.web import WebConfig
from monitor.database.store import Store
from monitor.web.views.sources import Sources
from tests.monitor.web.clients import Site
from tests.monitor.web.pages.published import Roles, Runs
from tests.monitor.web.pages.scenes import Scene, furnish
from tests.monitor.web.reviews import Clock


@pytest.fixture
def roles() -> Roles:
    """Return what other roles publish, which a test changes."""
    return Roles()


@pytest.fixture
def site(sqlite_store: Store, clock: Clock, roles: Roles) -> Site:
    """Return an application that requires a sign-in, with alarms, experiments and runs."""
    config = WebConfig(host="127.0.0.1", sign_in="required")
    return Site(sqlite_store, clock, config, Sources(roles.published(), Runs()))


@pytest.fixture
def scene(site: Site) -> Scene:
    """Return queues, people, answers and decisions."""
    return furnish(site.store)
