"""The section `store`: the database of runs, results, baselines and item sets."""

from __future__ import annotations

from typing import Annotated
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field

from monitor.config.sections.base.fields import Secret
from monitor.config.sections.base.section import Section, invalid


def _check_url(url: str) -> str:
    """Check the URL of a database. Errors do not repeat any part of it."""
    try:
        parts = urlsplit(url)
        password = parts.password
    except ValueError:
        raise invalid("must be a URL, such as sqlite:///plumbline.db") from None
    if password is not None:
        raise invalid(
            "must not contain a password; give it in the environment as PLUMBLINE__STORE__PASSWORD,"
            " or as store.password: {file: PATH}"
        )
    if parts.scheme == "sqlite" and len(parts.path) > 1 and not parts.netloc:
        return url
    if parts.scheme == "postgresql" and parts.path.strip("/"):
        return url
    raise invalid(
        "must be sqlite:///FILE, such as sqlite:///plumbline.db, or postgresql://HOST/DATABASE"
    )


class StoreConfig(Section):
    """Database of runs, results, baselines and item sets. SQLite serves one machine."""

    url: Annotated[str, AfterValidator(_check_url)] = Field(
        default="sqlite:///plumbline.db",
        description="URL of the database: `sqlite:///FILE`, or `postgresql://USER@HOST/DATABASE`.",
    )
    password: Secret | None = Field(
        default=None, description="Password of PostgreSQL. A secret. Default: as libpq finds it."
    )
