"""Databases of the web application: SQLite, and a real PostgreSQL."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from monitor.database.opening import open_store, upgrade
from monitor.database.store import Store
from tests.monitor.web.reviews import SCHEMAS, Clock
from tests.replay.store.postgresql import PASSWORD, Postgresql, running


@pytest.fixture(scope="session")
def postgresql() -> Iterator[Postgresql]:
    """Return a running server, shared by the tests of this process."""
    with running() as server:
        yield server


@pytest.fixture(scope="session")
def sqlite_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a file of SQLite with the current schemas, to be copied."""
    file = tmp_path_factory.mktemp("web") / "template.db"
    open_store(f"sqlite:///{file}", None, SCHEMAS).close()
    return file


@pytest.fixture(scope="session")
def postgresql_url(postgresql: Postgresql) -> str:
    """Return the URL of a database with the current schemas."""
    url = postgresql.create_database()
    upgrade(url, PASSWORD, SCHEMAS)
    return url


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Return the URL of an empty database with the current schemas."""
    if request.param == "sqlite":
        return str(request.getfixturevalue("sqlite_url"))
    server: Postgresql = request.getfixturevalue("postgresql")
    url: str = request.getfixturevalue("postgresql_url")
    server.empty(url)
    return url


@pytest.fixture
def sqlite_url(sqlite_file: Path, tmp_path: Path) -> str:
    """Return the URL of an empty file of SQLite with the current schemas."""
    shutil.copy(sqlite_file, tmp_path / "web.db")
    return f"sqlite:///{tmp_path / 'web.db'}"


@pytest.fixture
def store(url: str) -> Iterator[Store]:
    """Return an empty database of both kinds."""
    with open_store(url, PASSWORD, SCHEMAS) as opened:
        yield opened


@pytest.fixture
def sqlite_store(sqlite_url: str) -> Iterator[Store]:
    """Return an empty file of SQLite, where the kind of database plays no part."""
    with open_store(sqlite_url, None, SCHEMAS) as opened:
        yield opened


@pytest.fixture
def clock() -> Clock:
    """Return a clock that a test moves."""
    return Clock()
