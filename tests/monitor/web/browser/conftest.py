"""A served application, and Chromium."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from monitor.config.sections.process.web import WebConfig
from monitor.database.opening import open_store
from monitor.database.store import Store
from monitor.web.server.server import WebServer
from monitor.web.sign_in.roles import PersonRole
from monitor.web.views.sources import Sources
from tests.browser import TIMEOUT_MS, chromium
from tests.monitor.web.clients import Site
from tests.monitor.web.pages.published import Roles, Runs
from tests.monitor.web.reviews import SCHEMAS, Clock

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page


@pytest.fixture(scope="module")  # its event loop must end before other modules run theirs
def browser() -> Iterator[Browser]:
    """Return Chromium."""
    with chromium() as started:
        yield started


@dataclass
class Served:
    """An application that listens. visit: returns a page of a person with a role."""

    site: Site
    roles: Roles
    address: str
    browser: Browser

    def visit(self, role: PersonRole, name: str, *, width: int = 1280, **options: Any) -> Page:
        """Return an empty page of a browser of its own, signed in by a token.

        options: of the context.
        """
        context = self.browser.new_context(
            base_url=self.address,
            extra_http_headers={"authorization": f"Bearer {self.site.token(role, name=name)}"},
            viewport={"width": width, "height": 900},
            **options,
        )
        context.set_default_timeout(TIMEOUT_MS)
        return context.new_page()


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    """Return an empty database."""
    with open_store(f"sqlite:///{tmp_path / 'web.db'}", None, SCHEMAS) as opened:
        yield opened


@pytest.fixture
def served(store: Store, browser: Browser) -> Iterator[Served]:
    """Return an application that listens on a free port."""
    roles = Roles()
    config = WebConfig(host="127.0.0.1", sign_in="required")
    site = Site(store, Clock(time.time()), config, Sources(roles.published(), Runs()))
    with WebServer(site.app, "127.0.0.1", 0, site.context.stopping) as server:
        yield Served(site, roles, f"http://127.0.0.1:{server.port}", browser)
        for context in browser.contexts:
            context.close()
