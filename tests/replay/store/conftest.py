"""Stores on both databases: SQLite, and a real PostgreSQL."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from replay.store import Store, open_store, upgrade
from tests.replay.store.postgresql import PASSWORD, Postgresql, running


@pytest.fixture(scope="session")
def postgresql() -> Iterator[Postgresql]:
    """Return a running server, shared by the tests of this process."""
    with running() as server:
        yield server


@pytest.fixture(scope="session")
def sqlite_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a file of SQLite with the current schema, to be copied."""
    file = tmp_path_factory.mktemp("store") / "template.db"
    open_store(f"sqlite:///{file}").close()
    return file


@pytest.fixture(scope="session")
def postgresql_url(postgresql: Postgresql) -> str:
    """Return the URL of a database with the current schema."""
    url = postgresql.create_database()
    upgrade(url, PASSWORD)
    return url


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Return the URL of an empty store with the current schema."""
    if request.param == "sqlite":
        shutil.copy(request.getfixturevalue("sqlite_file"), tmp_path / "store.db")
        return f"sqlite:///{tmp_path / 'store.db'}"
    server: Postgresql = request.getfixturevalue("postgresql")
    url: str = request.getfixturevalue("postgresql_url")
    server.empty(url)
    return url


@pytest.fixture
def store(url: str) -> Iterator[Store]:
    """Return an empty store."""
    with open_store(url, PASSWORD) as opened:
        yield opened
