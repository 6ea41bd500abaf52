"""The section `web.proxy`: people whom an authenticating proxy names in a header."""

from __future__ import annotations

import re
from ipaddress import ip_network
from typing import Annotated, Final, Literal

from pydantic import (
    AfterValidator,
    Field,
    SecretStr,
    ValidationInfo,
    WithJsonSchema,
    field_validator,
)

from monitor.config.sections.base.fields import NonEmpty, NonEmptyUniqueTuple, Secret, UniqueTuple
from monitor.config.sections.base.section import Section, invalid

LEAST_SECRET_CHARS: Final = 32
_HEADER: Final = r"[A-Za-z0-9-]+"
_RESERVED: Final = frozenset(
    {"authorization", "connection", "content-length", "content-type", "cookie", "host", "origin"}
)
"""Headers that have a meaning of their own."""


def _check_network(network: str) -> str:
    try:
        ip_network(network)
    except ValueError:
        raise invalid("must be a network, such as 10.0.0.0/8 or fd00::/8") from None
    return network


def _check_header(name: str) -> str:
    # An underscore is not allowed: proxies and servers fold it into a hyphen, or do not.
    if not re.fullmatch(_HEADER, name):
        raise invalid("must be a header of letters, digits and hyphens")
    if name.lower() in _RESERVED:
        raise invalid(f"{name} has another meaning; name a header of the proxy's own")
    return name.lower()


Network = Annotated[str, AfterValidator(_check_network)]
Header = Annotated[
    str,
    AfterValidator(_check_header),
    WithJsonSchema({"type": "string", "pattern": f"^{_HEADER}$"}),
]


class ProxyConfig(Section):
    """An authenticating proxy before the web application, such as oauth2-proxy."""

    networks: NonEmptyUniqueTuple[Network] = Field(
        description="Networks of the proxy, such as 10.0.0.7/32. Its headers are ignored from other"
        " addresses."
    )
    secret: Secret = Field(
        description="Shared secret that the proxy sends with each request; at least"
        f" {LEAST_SECRET_CHARS} characters. A secret."
    )
    secret_header: Header = Field(
        default="x-plumbline-proxy-secret", description="Header with the shared secret."
    )
    subject_header: Header = Field(
        default="x-auth-request-user",
        description="Header with the stable id of the person. Roles belong to this id.",
    )
    name_header: Header = Field(
        default="x-auth-request-preferred-username",
        description="Header with the name that pages show.",
    )
    new_people: Literal["none", "viewer", "annotator"] = Field(
        default="viewer",
        description="Role of a person who signs in for the first time: `viewer`, `annotator`, or"
        " `none` until an admin gives one.",
    )
    admins: UniqueTuple[NonEmpty] = Field(
        default=(), description="Ids of people who are admins, whatever the database says."
    )

    @field_validator("secret")
    @classmethod
    def _check_secret(cls, secret: SecretStr) -> SecretStr:
        # its length is checked when the role starts: here it may be a placeholder
        if not secret.get_secret_value().strip():
            raise invalid("must not be empty")
        return secret

    @field_validator("name_header")
    @classmethod
    def _check_distinct(cls, name: str, info: ValidationInfo) -> str:
        others = {info.data.get(key) for key in ("secret_header", "subject_header")}
        if name in others or len(others - {None}) == 1 < len(others):
            raise invalid("the headers of secret, subject and name must differ")
        return name
