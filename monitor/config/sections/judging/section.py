"""The section `judges` itself."""

from __future__ import annotations

from pydantic import Field, ValidationInfo, field_validator

from monitor.config.sections.base.fields import NonEmpty, NonEmptyUniqueTuple, UniqueTuple
from monitor.config.sections.base.section import Section, invalid
from monitor.config.sections.detection import REFERENCE_WINDOWS
from monitor.config.sections.judging.budget import BudgetConfig, ModelPrice
from monitor.config.sections.judging.checks import CheckConfig, CheckName
from monitor.config.sections.judging.client import JudgeClientConfig
from monitor.config.sections.judging.trust import CanariesConfig, GoldenConfig, PanelConfig


class JudgeWindows(Section):
    """The current window of judged samples, which is compared with their reference."""

    records: int = Field(
        default=200, ge=50, description="Length of a window, in scored samples of a model."
    )
    stride: int = Field(
        default=20,
        ge=10,
        description="Number of samples between two evaluations. The length of a window must be a"
        " multiple of it.",
    )

    @field_validator("stride")
    @classmethod
    def _check_stride(cls, stride: int, info: ValidationInfo) -> int:
        records = info.data.get("records")
        if records is not None and (records % stride or records < 2 * stride):
            raise invalid(
                f"{stride} must divide judges.windows.records, which is {records}, at least twice",
                "judges.windows.stride",
                "judges.windows.records",
            )
        return stride


class JudgeReference(Section):
    """Reference of the judged samples: the first ones of each model."""

    records: int = Field(
        default=2000,
        ge=500,
        description="Number of judged samples in the reference: at least ten windows.",
    )


def _judges(info: ValidationInfo) -> bool:
    """Return whether rubrics or metrics are configured."""
    return bool(info.data.get("rubrics") or info.data.get("ragas"))


class JudgesConfig(Section):
    """Judged quality: LLM judges and RAGAS on a sample of the traffic."""

    rubrics: UniqueTuple[NonEmpty] = Field(
        default=(),
        description="Rubrics to judge samples by: names of shipped ones, or paths of YAML files.",
    )
    ragas: UniqueTuple[NonEmpty] = Field(
        default=(), description="RAGAS metrics to compute on samples with retrieved contexts."
    )
    checks: dict[CheckName, CheckConfig] = Field(
        default={},
        max_length=50,
        description="Checks of responses that need no judge, by name: `kind` is `json_schema`,"
        " `language`, `length`, `keywords`, `trap` or `paraphrases`.",
    )
    kpis: dict[NonEmpty, NonEmptyUniqueTuple[NonEmpty]] = Field(
        default={},
        description="Features that measure each of your KPIs. `plumbline config check` and reports"
        " name the judged features of none.",
    )
    model: NonEmpty | None = Field(
        default=None,
        description="Model that judges the uniform samples. Another model is another judge, so a"
        " change starts a new reference.",
    )
    critical_model: NonEmpty | None = Field(
        default=None,
        description="Model that judges critical samples, which were drawn beside the uniform ones:"
        " negative feedback and open alarms. Default: `judges.model`.",
    )
    panel: PanelConfig = Field(default=PanelConfig(), description=PanelConfig.__doc__)
    client: JudgeClientConfig = Field(
        default=JudgeClientConfig(), description=JudgeClientConfig.__doc__
    )
    prices: dict[NonEmpty, ModelPrice] = Field(
        default={},
        description="Prices of models by name. A model without a price is not called.",
    )
    budget: BudgetConfig = Field(default=BudgetConfig(), description=BudgetConfig.__doc__)
    golden: GoldenConfig = Field(default=GoldenConfig(), description=GoldenConfig.__doc__)
    canaries: CanariesConfig = Field(default=CanariesConfig(), description=CanariesConfig.__doc__)
    windows: JudgeWindows = Field(default=JudgeWindows(), description=JudgeWindows.__doc__)
    reference: JudgeReference = Field(default=JudgeReference(), description=JudgeReference.__doc__)

    @property
    def enabled(self) -> bool:
        """Whether anything is judged or checked."""
        return bool(self.needs_judge or self.checks)

    @property
    def needs_judge(self) -> bool:
        """Whether a model is called; checks alone need no model, price and key."""
        return bool(self.rubrics or self.ragas)

    @field_validator("model")
    @classmethod
    def _check_model(cls, model: str | None, info: ValidationInfo) -> str | None:
        if model is None and _judges(info):
            raise invalid("is missing; name the model that judges", "judges.model")
        return model

    @field_validator("prices")
    @classmethod
    def _check_price(
        cls, prices: dict[str, ModelPrice], info: ValidationInfo
    ) -> dict[str, ModelPrice]:
        panel = info.data.get("panel", PanelConfig())
        asked = [info.data.get("model"), info.data.get("critical_model"), *panel.models]
        model = next((each for each in asked if each is not None and each not in prices), None)
        if model is not None and _judges(info):
            raise invalid(
                f"has no price of {model!r}, so its budget cannot be kept; add"
                f" {{{model}: {{input: DOLLARS, output: DOLLARS}}}}, per million tokens",
                "judges.prices",
            )
        return prices

    @field_validator("reference")
    @classmethod
    def _check_reference(cls, reference: JudgeReference, info: ValidationInfo) -> JudgeReference:
        windows = info.data.get("windows")
        if windows is not None and reference.records < REFERENCE_WINDOWS * windows.records:
            raise invalid(
                f"{reference.records} samples of reference are too few; at least"
                f" {REFERENCE_WINDOWS * windows.records} are required,"
                f" {REFERENCE_WINDOWS} times judges.windows.records",
                "judges.reference.records",
                "judges.windows.records",
            )
        return reference
