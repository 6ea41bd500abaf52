"""The section `kafka`: brokers, topics and consumer groups."""

from __future__ import annotations

import re
from typing import Final, Literal

from pydantic import Field, SecretStr, ValidationInfo, field_serializer, field_validator

from monitor.config.sections.base.fields import (
    MASK,
    MAX_PREFIX_CHARS,
    LegalName,
    NonEmpty,
    NonEmptyUniqueTuple,
)
from monitor.config.sections.base.section import Section, invalid
from monitor.config.sections.kafka.client import ClientSettings, Scalar
from monitor.config.sections.kafka.registry import SchemaRegistryConfig

OWN_TOPICS: Final = (
    "features",
    "samples",
    "dlq",
    "events",
    "state",
    "evaluations",
    "commands",
    "judge-state",
    "exposures",
    "experiment-state",
    "joins",
)
"""Topics that Plumbline writes, without their prefix."""


_SERVER: Final = re.compile(
    r"((plaintext|ssl|sasl_plaintext|sasl_ssl)://)?"
    r"([A-Za-z0-9_]([A-Za-z0-9_.-]*[A-Za-z0-9_])?\.?|\[[0-9A-Fa-f:.]+(%\w+)?\])(:(?P<port>\d{1,5}))?",
    re.IGNORECASE | re.ASCII,
)


class KafkaConfig(Section):
    """Kafka connection, topics and client settings."""

    bootstrap_servers: NonEmpty = Field(
        default="localhost:9092",
        description="Brokers to connect to first, as HOST:PORT, separated by commas.",
    )
    prefix: LegalName = Field(
        default="plumbline",
        max_length=MAX_PREFIX_CHARS,
        description="First part of the names of Plumbline's own topics and consumer groups.",
    )
    logs: NonEmptyUniqueTuple[LegalName] = Field(
        default=("inference-logs",), description="Topics of inference logs to read."
    )
    feedback: LegalName = Field(
        default="inference-feedback",
        description="Topic of feedback, which is read if the section `feedback` exists.",
    )
    partitions: int = Field(
        default=6, ge=1, description="Number of partitions of each topic that Plumbline creates."
    )
    group_protocol: Literal["classic", "consumer"] = Field(
        default="classic",
        description="Rebalance protocol: `classic` or `consumer` (KIP-848), which needs brokers of"
        " version 4.0 or later.",
    )
    instance: LegalName | None = Field(
        default=None,
        description="Name of this process, the same across restarts and unique in its consumer"
        " groups. A restart within the session timeout then causes no rebalance.",
    )
    schema_registry: SchemaRegistryConfig | None = Field(
        default=None,
        description="Registry of the schemas of log messages. None: messages that refer to a schema"
        " are rejected.",
    )
    client: ClientSettings = Field(
        default={},
        description="Other librdkafka settings by name, for example for SASL and TLS.",
    )

    @field_validator("bootstrap_servers")
    @classmethod
    def _check_servers(cls, servers: str) -> str:
        parts = [part.strip() for part in servers.split(",")]
        bad = next((n for n, part in enumerate(parts, 1) if not _is_server(part)), None)
        if bad is not None:
            raise invalid(
                f"must be HOST:PORT, separated by commas, such as kafka-1:9092,kafka-2:9092; number"
                f" {bad} of {len(parts)} is not"
            )
        return ",".join(parts)

    @field_validator("logs")
    @classmethod
    def _check_logs(cls, logs: tuple[str, ...], info: ValidationInfo) -> tuple[str, ...]:
        for topic in logs:
            _reject_own_topic(topic, info)
        return logs

    @field_validator("feedback")
    @classmethod
    def _check_feedback(cls, feedback: str, info: ValidationInfo) -> str:
        _reject_own_topic(feedback, info)
        if feedback in info.data.get("logs", ()):
            message = f"{feedback!r} is also in kafka.logs; use a separate topic for feedback"
            raise invalid(message, "kafka.feedback", "kafka.logs")
        return feedback

    @field_serializer("client")
    def _mask_secrets(self, client: ClientSettings) -> dict[str, Scalar]:
        return {k: MASK if isinstance(v, SecretStr) else v for k, v in client.items()}

    def client_settings(self) -> dict[str, Scalar]:
        """Return the settings under `client` with secrets in plain text, for the Kafka client."""
        return {
            key: value.get_secret_value() if isinstance(value, SecretStr) else value
            for key, value in self.client.items()
        }


def _is_server(text: str) -> bool:
    """Return whether a text is a server for librdkafka: [PROTOCOL://]HOST[:PORT]."""
    match = _SERVER.fullmatch(text)
    return match is not None and 0 < int(match["port"] or 9092) <= 65535


def _reject_own_topic(topic: str, info: ValidationInfo) -> None:
    """Reject a topic that Plumbline writes: it would read its own output in an endless loop."""
    prefix = info.data.get("prefix")
    if topic in {f"{prefix}.{name}" for name in OWN_TOPICS}:
        message = f"{topic!r} is a topic that Plumbline writes"
        raise invalid(message, f"kafka.{info.field_name}", "kafka.prefix")
