"""The configured registry of schemas, for commands that read messages from files."""

from __future__ import annotations

from functools import cache

from monitor.config.schema import Config
from monitor.errors import UserError
from monitor.ingest.decode.framing.schemas import OpenSchema, RegistryUnavailable
from monitor.ingest.decode.message import LogMessage
from monitor.kafka.readers.registry import schema_opener


def schemas_of(config: Config) -> OpenSchema:
    """Return what decodes messages that refer to a schema.

    The extra and the registry are needed at the first of these messages only. The returned function
    rejects them if no registry is configured, and raises UserError if it does not answer.
    """

    @cache
    def opener() -> OpenSchema:
        return schema_opener(config.kafka.schema_registry)

    def opened(message: LogMessage) -> bytes:
        try:
            return opener()(message)
        except RegistryUnavailable as error:
            raise UserError(f"kafka.schema_registry: no answer: {error}") from None

    return opened
