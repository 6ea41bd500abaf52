"""Messages that refer to a schema in a registry: the extra `schema-registry`."""

from __future__ import annotations

from monitor.config.sections.kafka.registry import SchemaRegistryConfig
from monitor.errors import UserError
from monitor.ingest.decode.framing.schemas import OpenSchema, no_registry


def schema_opener(config: SchemaRegistryConfig | None) -> OpenSchema:
    """Return what decodes messages with the schemas of a registry; it rejects them without one.

    Raises UserError if the extra `schema-registry` is not installed.
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
    return RegistryOpener(config)
