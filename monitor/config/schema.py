"""The typed configuration: all keys of `plumbline.yaml` with their defaults and descriptions.

This module does not read files or the environment: `monitor.config.load.load` does.
"""

from __future__ import annotations

from typing import Any, get_args

from pydantic import Field, ValidationInfo, field_validator

from monitor.config.sections.base.fields import NonEmptyUniqueTuple, SegmentKey, UniqueTuple
from monitor.config.sections.base.section import Section, invalid
from monitor.config.sections.detection import (
    REFERENCE_WINDOWS,
    AlarmsConfig,
    DetectorName,
    FeaturesConfig,
    LimitsConfig,
    ReferenceConfig,
    WarmupReference,
    WindowsConfig,
)
from monitor.config.sections.experiments.section import (
    Experiments,
    check_features,
    check_namespaces,
)
from monitor.config.sections.ingest.decoding import DecodingConfig
from monitor.config.sections.ingest.feedback import FeedbackConfig, JoinConfig
from monitor.config.sections.ingest.mapping import Format
from monitor.config.sections.ingest.sampling import SamplingConfig
from monitor.config.sections.ingest.style import StyleConfig
from monitor.config.sections.judging.section import JudgesConfig
from monitor.config.sections.kafka.section import KafkaConfig
from monitor.config.sections.notifications import NotificationsConfig
from monitor.config.sections.process.section import HttpConfig, LogConfig, StateConfig
from monitor.config.sections.process.web import WebConfig, share_an_address
from monitor.config.sections.replay.section import ReplayConfig
from monitor.config.sections.replay.store import StoreConfig


class Config(Section):
    """Configuration of Plumbline, `plumbline.yaml`."""

    kafka: KafkaConfig = Field(default=KafkaConfig(), description=KafkaConfig.__doc__)
    format: Format = Field(
        default="auto",
        description="Format of the records. `auto` recognizes the format of each message by its"
        " headers and its shape. A mapping gives the paths of the fields in messages of any JSON.",
    )
    decoding: DecodingConfig = Field(default=DecodingConfig(), description=DecodingConfig.__doc__)
    features: FeaturesConfig = Field(default=FeaturesConfig(), description=FeaturesConfig.__doc__)
    limits: LimitsConfig = Field(default=LimitsConfig(), description=LimitsConfig.__doc__)
    windows: WindowsConfig = Field(default=WindowsConfig(), description=WindowsConfig.__doc__)
    reference: ReferenceConfig = Field(
        default=WarmupReference(), description="Source of the reference window."
    )
    detectors: NonEmptyUniqueTuple[DetectorName] = Field(
        default=get_args(DetectorName),
        description="Detectors that compare each stream with its reference.",
    )
    alarms: AlarmsConfig = Field(default=AlarmsConfig(), description=AlarmsConfig.__doc__)
    segments: UniqueTuple[SegmentKey] = Field(
        default=(),
        description="Fields to divide traffic by: `finish_reason` or `metadata.KEY`. Drift is also"
        " detected within each of their values.",
    )
    sampling: SamplingConfig = Field(default=SamplingConfig(), description=SamplingConfig.__doc__)
    style: StyleConfig = Field(default=StyleConfig(), description=StyleConfig.__doc__)
    judges: JudgesConfig = Field(default=JudgesConfig(), description=JudgesConfig.__doc__)
    experiments: Experiments = Field(
        default={}, description="Live comparisons of variants, by name as in the records."
    )
    feedback: FeedbackConfig | None = Field(default=None, description=FeedbackConfig.__doc__)
    replay: ReplayConfig = Field(default=ReplayConfig(), description=ReplayConfig.__doc__)
    store: StoreConfig = Field(default=StoreConfig(), description=StoreConfig.__doc__)
    state: StateConfig = Field(default=StateConfig(), description=StateConfig.__doc__)
    notifications: NotificationsConfig = Field(
        default=NotificationsConfig(), description=NotificationsConfig.__doc__
    )
    http: HttpConfig = Field(default=HttpConfig(), description=HttpConfig.__doc__)
    web: WebConfig = Field(default=WebConfig(), description=WebConfig.__doc__)
    log: LogConfig = Field(default=LogConfig(), description=LogConfig.__doc__)

    @property
    def sampled(self) -> bool:
        """Whether samples are written: where something is judged, replayed or reviewed."""
        return self.judges.enabled or self.replay.enabled or self.web.review

    @property
    def joined(self) -> bool:
        """Whether ids of records are kept for feedback that names no model."""
        return self.feedback is not None and self.feedback.join is not None

    @property
    def joins_seconds(self) -> float | None:
        """How long messages of a join are needed; None if no feedback is read."""
        if self.feedback is None:
            return None
        return (self.feedback.join or JoinConfig()).horizon

    @field_validator("experiments")
    @classmethod
    def _check_experiments(cls, experiments: Experiments, info: ValidationInfo) -> Experiments:
        check_namespaces(experiments)
        features, judges = info.data.get("features"), info.data.get("judges")
        if features is not None and judges is not None:  # absent if invalid
            judged = {"ragas": set(judges.ragas), "check": set(judges.checks)}
            check_features(experiments, features.metadata, judged)
        return experiments

    @field_validator("alarms")
    @classmethod
    def _check_advisory(cls, alarms: AlarmsConfig, info: ValidationInfo) -> AlarmsConfig:
        detectors = info.data.get("detectors")  # absent if invalid, which is already reported
        if detectors is not None and set(detectors) <= set(alarms.advisory):
            raise invalid(
                "all detectors are advisory, so no alarm can open; remove one from alarms.advisory",
                "alarms.advisory",
                "detectors",
            )
        return alarms

    @field_validator("web")
    @classmethod
    def _check_addresses(cls, web: WebConfig, info: ValidationInfo) -> WebConfig:
        http = info.data.get("http")  # absent if invalid, which is already reported
        if http is None or not web.enabled or web.port == 0:
            return web
        if web.port == http.port and share_an_address((web.host, http.host)):
            raise invalid(
                f"http and web cannot both listen on port {web.port} of the same address; give"
                " one of them another port",
                "web.port",
                "http.port",
            )
        return web

    @field_validator("reference")
    @classmethod
    def _check_reference(cls, reference: ReferenceConfig, info: ValidationInfo) -> ReferenceConfig:
        windows = info.data.get("windows")  # absent if invalid, which is already reported
        if not isinstance(reference, WarmupReference) or windows is None:
            return reference
        required = REFERENCE_WINDOWS * windows.records
        if reference.records < required:
            raise invalid(
                f"{reference.records} records of reference are too few; at least {required} are"
                f" required, {REFERENCE_WINDOWS} times windows.records",
                "reference.records",
                "windows.records",
            )
        return reference


def schema() -> dict[str, Any]:
    """Return the JSON schema of `plumbline.yaml`, which rejects unknown keys."""
    return Config.model_json_schema()


def describe(config: Config) -> dict[str, Any]:
    """Return the effective configuration as values for JSON, with each secret replaced by ***."""
    return config.model_dump(mode="json")
