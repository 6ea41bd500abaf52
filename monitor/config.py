"""The typed configuration: every key of `plumbline.yaml`, its default and what it means.

Values only: nothing here reads a file or the environment. `monitor.config_file.load` does, and is
the only door; it turns every problem found here into one `ConfigError` that names its place.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Final, Literal, TypeVar, get_args

from pydantic import (
    AfterValidator,
    Discriminator,
    Field,
    SecretStr,
    Tag,
    ValidationInfo,
    WithJsonSchema,
    field_serializer,
    field_validator,
)

from monitor.config_client import MASK, ClientSettings, Scalar, refusal
from monitor.config_notify import NotificationsConfig
from monitor.config_section import Section as _Section

DetectorName = Literal["psi", "ks", "zscore", "chi2", "e_detector", "adwin", "page_hinkley"]
FeatureKind = Literal["numeric", "categorical"]

OWN_TOPICS: Final = ("features", "samples", "dlq", "events", "state", "evaluations")
REFERENCE_WINDOWS: Final = 10  # a reference holds at least this many windows

_LEGAL_NAME = r"[A-Za-z0-9._-]+"
_SEGMENT = r"finish_reason|metadata\..+"
_LONGEST_TOPIC = 249
_LONGEST_PREFIX = 200  # leaves room for the rest of a topic's name

T = TypeVar("T")


def _legal_name(name: str) -> str:
    if not re.fullmatch(_LEGAL_NAME, name) or name in {".", ".."}:
        raise refusal("may hold only letters, digits, '.', '_' and '-', and at least one of them")
    if len(name) > _LONGEST_TOPIC:
        raise refusal(f"must be at most {_LONGEST_TOPIC} characters long")
    return name


def _filled(text: str) -> str:
    if not text.strip():
        raise refusal("must not be empty")
    return text


def _filled_path(path: Path) -> Path:
    # Path("") is the working directory, which is never what an empty value meant.
    if path == Path():
        raise refusal("must name a file or a directory")
    return path


def _segment(name: str) -> str:
    if not re.fullmatch(_SEGMENT, name):
        raise refusal("must be 'finish_reason' or 'metadata.KEY'")
    return name


def _unique(names: tuple[T, ...]) -> tuple[T, ...]:
    twice = sorted({str(name) for name in names if names.count(name) > 1})
    if twice:
        raise refusal(f"{', '.join(map(repr, twice))} is listed twice")
    return names


def _at_least_one(names: tuple[T, ...]) -> tuple[T, ...]:
    if not names:
        raise refusal("must list at least one")
    return names


def _source_of(reference: Any) -> Any:
    """The kind of a reference, warmup where the user names none."""
    if isinstance(reference, dict):
        return reference.get("source", "warmup")
    return getattr(reference, "source", None)


_NAME_SCHEMA = {"type": "string", "pattern": f"^{_LEGAL_NAME}$", "maxLength": _LONGEST_TOPIC}
_SEGMENT_SCHEMA = {"type": "string", "pattern": f"^({_SEGMENT})$"}

_Filled = Annotated[str, AfterValidator(_filled)]
_Name = Annotated[str, AfterValidator(_legal_name), WithJsonSchema(_NAME_SCHEMA)]
_Segment = Annotated[str, AfterValidator(_segment), WithJsonSchema(_SEGMENT_SCHEMA)]
_Path = Annotated[Path, Field(strict=False), AfterValidator(_filled_path)]
_Set = Annotated[  # strict would refuse the lists that YAML gives
    tuple[T, ...],
    Field(strict=False, json_schema_extra={"uniqueItems": True}),
    AfterValidator(_unique),
]
_FilledSet = Annotated[_Set[T], AfterValidator(_at_least_one)]
_Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]


class KafkaConfig(_Section):
    """Where records come from and how the broker is reached."""

    bootstrap_servers: _Filled = Field(
        default="localhost:9092",
        description="Brokers to start from, as HOST:PORT, separated by commas.",
    )
    prefix: _Name = Field(
        default="plumbline",
        max_length=_LONGEST_PREFIX,
        description="First part of the names of Plumbline's own topics and consumer groups.",
    )
    logs: _FilledSet[_Name] = Field(
        default=("inference-logs",), description="Topics of inference logs to read."
    )
    feedback: _Name = Field(
        default="inference-feedback",
        description="Topic of feedback events; named here, not read yet.",
    )
    partitions: int = Field(
        default=6, ge=1, description="Partitions of each topic that Plumbline creates."
    )
    group_protocol: Literal["classic", "consumer"] = Field(
        default="classic",
        description='Rebalance protocol: "consumer" (KIP-848) needs brokers of 4.0 or later.',
    )
    instance: _Name | None = Field(
        default=None,
        description="A name that this process keeps across restarts, unique in its groups: a "
        "restart within the session timeout then causes no rebalance.",
    )
    client: ClientSettings = Field(
        default={},
        description="Further librdkafka settings by name, for instance for SASL and TLS.",
    )

    @field_validator("logs")
    @classmethod
    def _check_logs(cls, logs: tuple[str, ...], info: ValidationInfo) -> tuple[str, ...]:
        for topic in logs:
            _refuse_own_topic(topic, info)
        return logs

    @field_validator("feedback")
    @classmethod
    def _check_feedback(cls, feedback: str, info: ValidationInfo) -> str:
        _refuse_own_topic(feedback, info)
        if feedback in info.data.get("logs", ()):
            message = f"{feedback!r} is also in kafka.logs; feedback needs a topic of its own"
            raise refusal(message, "kafka.feedback", "kafka.logs")
        return feedback

    @field_serializer("client")
    def _mask_secrets(self, client: ClientSettings) -> dict[str, Scalar]:
        return {k: MASK if isinstance(v, SecretStr) else v for k, v in client.items()}

    def client_settings(self) -> dict[str, Scalar]:
        """The settings under `client` with secrets in clear, for the Kafka client alone."""
        return {
            key: value.get_secret_value() if isinstance(value, SecretStr) else value
            for key, value in self.client.items()
        }


def _refuse_own_topic(topic: str, info: ValidationInfo) -> None:
    """Refuse to read what Plumbline writes: it would feed itself for ever."""
    prefix = info.data.get("prefix")
    if topic in {f"{prefix}.{name}" for name in OWN_TOPICS}:
        message = f"{topic!r} is a topic that Plumbline writes"
        raise refusal(message, f"kafka.{info.field_name}", "kafka.prefix")


class FeaturesConfig(_Section):
    """What is watched beyond the default features."""

    metadata: dict[_Filled, FeatureKind] = Field(
        default={}, description="Metadata keys to watch as features metadata.KEY, with their kind."
    )


class LimitsConfig(_Section):
    """Bounds on what is kept apart by name."""

    models: int = Field(
        default=500,
        ge=1,
        le=32_000,
        description="Models watched by name; further ones count as other.",
    )
    scores: int = Field(
        default=50,
        ge=0,
        description="Scores watched by name; further ones are dropped and counted.",
    )
    categories: int = Field(
        default=1000,
        ge=1,
        le=32_000,
        description="Categories kept a feature; further ones count as other.",
    )
    segments: int = Field(
        default=20,
        ge=1,
        description="Segments watched per model and segment key; what is beyond is counted, not"
        " watched.",
    )


class WindowsConfig(_Section):
    """The current window, which is compared with the reference window."""

    records: int = Field(default=1000, ge=100, description="Length of a window, in records.")
    stride: int = Field(
        default=100,
        ge=10,
        description="Records from one evaluation to the next; divides the length of a window.",
    )

    @field_validator("stride")
    @classmethod
    def _check_stride(cls, stride: int, info: ValidationInfo) -> int:
        keys = ("windows.stride", "windows.records")
        records = info.data.get("records")
        if records is None:  # refused already
            return stride
        if records % stride:
            raise refusal(f"{stride} does not divide windows.records, which is {records}", *keys)
        if records < 2 * stride:
            raise refusal(f"a window of {records} records must hold at least 2 strides", *keys)
        return stride


class WarmupReference(_Section):
    """A reference taken from the first records that the daemon reads of each model."""

    source: Literal["warmup"] = Field(
        default="warmup", description="Take the first records of each model."
    )
    records: int = Field(
        default=50_000, ge=1, description="Records in the reference, ten windows or more."
    )


class FileReference(_Section):
    """A reference read from a file of records."""

    source: Literal["file"] = Field(description="Read a file of records.")
    path: _Path = Field(description="The file of records, one JSON object a line.")


class NamedReference(_Section):
    """A reference that `plumbline reference build` made earlier."""

    source: Literal["named"] = Field(description="Take a reference built earlier.")
    name: _Name = Field(description="Name that the reference was built under.")
    directory: _Path = Field(
        default=Path("references"), description="Directory that references are kept in."
    )


ReferenceConfig = Annotated[
    Annotated[WarmupReference, Tag("warmup")]
    | Annotated[FileReference, Tag("file")]
    | Annotated[NamedReference, Tag("named")],
    Discriminator(_source_of),
]


class AlarmsConfig(_Section):
    """How often an alarm may be false, and how large a drift must be to count."""

    false_pages: _Positive = Field(
        default=1.0,
        description="False pages allowed per model in per_days days, when nothing has changed.",
    )
    per_days: _Positive = Field(default=30.0, description="Days over which false_pages counts.")
    advisory: _Set[DetectorName] = Field(
        default=("adwin",),
        description="Detectors whose findings are shown, but raise no alarm and use no budget.",
    )
    weights: Mapping[DetectorName, _Positive] = Field(
        default={"e_detector": 20.0},
        description="A detector's part of the budget; those that are not named have 1.",
    )
    min_psi: _Positive = Field(
        default=0.1, description="Least population stability index that raises an alarm."
    )
    critical_psi: _Positive = Field(
        default=0.25, description="Population stability index from which an alarm is critical."
    )

    @field_validator("critical_psi")
    @classmethod
    def _check_critical(cls, critical_psi: float, info: ValidationInfo) -> float:
        least = info.data.get("min_psi", critical_psi)
        if critical_psi < least:
            message = f"{critical_psi:g} is less than alarms.min_psi, which is {least:g}"
            raise refusal(message, "alarms.critical_psi", "alarms.min_psi")
        return critical_psi


class StateConfig(_Section):
    """Checkpoints of windows, detectors and alarms."""

    checkpoint_seconds: _Positive = Field(
        default=5.0, description="Seconds between checkpoints; a crash repeats that much work."
    )
    unusable: Literal["earliest", "latest", "stop"] = Field(
        default="earliest",
        description="What to do where a checkpoint cannot be used: start afresh from the earliest "
        "or the latest feature chunk, or stop.",
    )


class HttpConfig(_Section):
    """The address of metrics, health, API and page."""

    host: _Filled = Field(default="127.0.0.1", description="Address to listen on.")
    port: int = Field(
        default=9464, ge=0, le=65535, description="TCP port to listen on; 0 takes any free one."
    )


class LogConfig(_Section):
    """The daemon's own log."""

    level: Literal["debug", "info", "warning", "error"] = Field(
        default="info", description="Least severity that is logged."
    )
    format: Literal["auto", "json", "console"] = Field(
        default="auto",
        description="Form of a log line; auto is console on a terminal and json elsewhere.",
    )


class Config(_Section):
    """Plumbline's configuration, `plumbline.yaml`."""

    kafka: KafkaConfig = Field(default=KafkaConfig(), description=KafkaConfig.__doc__)
    format: Literal["auto", "native"] = Field(
        default="auto", description="Form of the records; auto knows the native one so far."
    )
    features: FeaturesConfig = Field(default=FeaturesConfig(), description=FeaturesConfig.__doc__)
    limits: LimitsConfig = Field(default=LimitsConfig(), description=LimitsConfig.__doc__)
    windows: WindowsConfig = Field(default=WindowsConfig(), description=WindowsConfig.__doc__)
    reference: ReferenceConfig = Field(
        default=WarmupReference(), description="Where the reference window comes from."
    )
    detectors: _FilledSet[DetectorName] = Field(
        default=get_args(DetectorName),
        description="Detectors that compare each stream with its reference.",
    )
    alarms: AlarmsConfig = Field(default=AlarmsConfig(), description=AlarmsConfig.__doc__)
    segments: _Set[_Segment] = Field(
        default=(),
        description="finish_reason or metadata.KEY; drift is also looked for within its values.",
    )
    state: StateConfig = Field(default=StateConfig(), description=StateConfig.__doc__)
    notifications: NotificationsConfig = Field(
        default=NotificationsConfig(), description=NotificationsConfig.__doc__
    )
    http: HttpConfig = Field(default=HttpConfig(), description=HttpConfig.__doc__)
    log: LogConfig = Field(default=LogConfig(), description=LogConfig.__doc__)

    @field_validator("alarms")
    @classmethod
    def _check_advisory(cls, value: AlarmsConfig, info: ValidationInfo) -> AlarmsConfig:
        detectors = info.data.get("detectors")  # absent where it was refused already
        if detectors is not None and set(detectors) <= set(value.advisory):
            raise refusal(
                "all detectors are advisory, so that nothing would ever raise an alarm",
                "alarms.advisory",
                "detectors",
            )
        return value

    @field_validator("reference")
    @classmethod
    def _check_reference(cls, value: ReferenceConfig, info: ValidationInfo) -> ReferenceConfig:
        windows = info.data.get("windows")  # absent where it was refused already
        if not isinstance(value, WarmupReference) or windows is None:
            return value
        least = REFERENCE_WINDOWS * windows.records
        if value.records < least:
            raise refusal(
                f"{value.records} records of reference are too few; {REFERENCE_WINDOWS} times"
                f" windows.records is {least}",
                "reference.records",
                "windows.records",
            )
        return value


def schema() -> dict[str, Any]:
    """The JSON schema of `plumbline.yaml`: closed objects, every key described."""
    return Config.model_json_schema()


def describe(config: Config) -> dict[str, Any]:
    """The configuration in effect, ready for JSON, every secret written as ***."""
    return config.model_dump(mode="json")
