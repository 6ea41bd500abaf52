"""Messages that refer to a schema in a registry: the extra `schema-registry`."""

from __future__ import annotations

import ssl

from monitor.config.sections.kafka.registry import SchemaRegistryConfig
from monitor.errors import UserError, os_error_reason
from monitor.ingest.decode.framing.schemas import OpenSchema, no_registry


def schema_opener(config: SchemaRegistryConfig | None) -> OpenSchema:
    """Return what decodes messages with the schemas of a registry; it rejects them without one.

    Raises UserError if the extra `schema-registry` is not installed, or a file cannot be used.
    """
    if config is None:
        return no_registry
    try:
        from monitor.kafka.readers.registry.opener import (  # noqa: PLC0415  # an extra
            RegistryOpener,
        )
    except ImportError as error:
        raise UserError(
            f"kafka.schema_registry needs the extra schema-registry: {error.name} is not installed"
        ) from None
    check_files(config)
    return RegistryOpener(config)


def check_files(config: SchemaRegistryConfig | None) -> None:
    """Raise UserError for a file of the registry's client that cannot be used."""
    if config is None or config.ca is None:
        return
    key = f"kafka.schema_registry.ca: {config.ca!r}"
    try:
        ssl.create_default_context(cafile=config.ca)
    except ssl.SSLError:
        raise UserError(f"{key} has no certificates in PEM") from None
    except OSError as error:
        raise UserError(f"{key} cannot be read: {os_error_reason(error)}") from None
