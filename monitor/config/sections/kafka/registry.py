"""The section `kafka.schema_registry`: where schemas of messages are looked up."""

from __future__ import annotations

import re
from typing import Final

from pydantic import Field, SecretStr, field_serializer, field_validator

from monitor.config.sections.base.fields import MASK, NonEmpty
from monitor.config.sections.base.section import Section, invalid

_URL: Final = re.compile(r"https?://[^\s/@?#]+(/[^\s@?#]*)?", re.IGNORECASE)


class SchemaRegistryConfig(Section):
    """A registry with Confluent's REST API, for messages in Avro, JSON Schema or Protobuf."""

    url: NonEmpty = Field(
        description="Address of the registry, such as https://registry:8081; several ones, which"
        " are tried in turn, are separated by commas."
    )
    user: NonEmpty | None = Field(default=None, description="User of HTTP basic authentication.")
    password: SecretStr | None = Field(
        default=None, description="Password of HTTP basic authentication."
    )
    ca: NonEmpty | None = Field(
        default=None,
        description="File with the certificates of the authorities to trust, in PEM. None: those of"
        " the system.",
    )
    timeout_seconds: float = Field(
        default=5,
        gt=0,
        le=20,
        description="Timeout of a request. Ingest reads no messages in the meantime.",
    )

    @field_validator("url")
    @classmethod
    def _check_url(cls, url: str) -> str:
        parts = [part.strip() for part in url.split(",")]
        if not all(map(_URL.fullmatch, parts)):
            raise invalid(
                "must be http://HOST:PORT or https://HOST:PORT, without user and password"
            )
        return ",".join(parts)

    @field_serializer("password")
    def _mask(self, password: SecretStr | None) -> str | None:
        return None if password is None else MASK
