"""The section `store`: a URL without a password."""

from __future__ import annotations

import pytest
from pydantic import SecretStr, ValidationError

from monitor.config.sections.replay.store import StoreConfig
from tests.monitor.config.config_files import PASSWORD


@pytest.mark.parametrize(
    "url",
    [
        "sqlite:///plumbline.db",
        "sqlite:////var/lib/plumbline/plumbline.db",
        "postgresql://plumbline@db:5432/plumbline?sslmode=verify-full",
        "postgresql+psycopg:///plumbline?host=/run/postgresql",
    ],
)
def test_good_urls(url: str) -> None:
    """Files of SQLite and databases of PostgreSQL are accepted as they are."""
    assert StoreConfig(url=url).url == url


@pytest.mark.parametrize(
    ("url", "problem"),
    [
        (f"postgresql://ada:{PASSWORD}@db/x", "must not contain a password"),
        (f"postgresql://ada@db/x?password={PASSWORD}", "must not contain a password"),
        (f"postgresql://ada:{PASSWORD}@[db/x", "must be a URL"),
        ("sqlite://", "must name a file"),
        ("sqlite:///", "must name a file"),
        ("sqlite:///:memory:", "must name a file"),
        ("sqlite:///x.db?mode=ro", "must name a file"),
        ("postgres://ada@db/x", "must begin with"),
        ("mysql://ada@db/x", "must begin with"),
        ("plumbline.db", "must begin with"),
        ("", "must begin with"),
    ],
)
def test_bad_urls(url: str, problem: str) -> None:
    """Other URLs are refused, without a word of a password."""
    with pytest.raises(ValidationError, match=problem) as caught:
        StoreConfig(url=url)
    assert PASSWORD not in str(caught.value)


def test_an_empty_password_is_refused() -> None:
    """An empty file of a secret is a mistake, not a database without a password."""
    with pytest.raises(ValidationError, match="must not be empty"):
        StoreConfig(password=SecretStr(" "))
