"""The section `store`: the database of runs, results and item sets."""

from __future__ import annotations

from urllib.parse import parse_qsl, urlsplit

from pydantic import Field, SecretStr, field_validator

from monitor.config.sections.base.fields import Secret
from monitor.config.sections.base.section import Section, invalid

_POSTGRESQL = ("postgresql", "postgresql+psycopg")


class StoreConfig(Section):
    """Database of runs, results and item sets."""

    url: str = Field(
        default="sqlite:///plumbline.db",
        description="`sqlite:///FILE` on a local disk, for one process (four slashes before an"
        " absolute path), or `postgresql://USER@HOST/DATABASE` for several machines. Without a"
        " password.",
    )
    password: Secret | None = Field(
        default=None,
        description="Password of PostgreSQL. A secret. Without it, that of `PGPASSWORD` or"
        " `~/.pgpass`.",
    )

    @field_validator("url")
    @classmethod
    def _check_url(cls, url: str) -> str:
        try:
            parts = urlsplit(url)
            secret = parts.password is not None or "password" in dict(parse_qsl(parts.query))
        except ValueError:
            raise invalid("must be a URL, such as sqlite:///plumbline.db") from None
        if secret:
            raise invalid("must not contain a password; give it as store.password")
        if parts.scheme == "sqlite":
            file = url.removeprefix("sqlite:///")
            if file in {"", url, ":memory:"} or "?" in file:
                raise invalid("must name a file, as in sqlite:///plumbline.db")
        elif parts.scheme not in _POSTGRESQL:
            raise invalid("must begin with sqlite:/// or postgresql://")
        return url

    @field_validator("password")
    @classmethod
    def _check_password(cls, password: SecretStr | None) -> SecretStr | None:
        if password is not None and not password.get_secret_value().strip():
            raise invalid("must not be empty")
        return password
