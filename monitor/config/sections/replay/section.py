"""The section `replay` itself."""

from __future__ import annotations

from typing import Annotated, Final, Literal

from pydantic import Field, ValidationInfo, field_validator

from monitor.config.sections.base.fields import NonEmpty, NonEmptyPath, Positive, UniqueTuple
from monitor.config.sections.base.section import Section, invalid
from monitor.config.sections.replay.actions import ActionsConfig
from monitor.config.sections.replay.model import ReplayModelConfig

LEAST_ITEMS: Final = 30
"""Fewer items than this decide nothing."""
_Limit = Annotated[int, Field(ge=1, le=100_000)]


class ReplayTriggerConfig(Section):
    """Which drift starts a replay."""

    severity: Literal["info", "warning", "critical"] = Field(
        default="critical", description="Lowest severity of an alarm that starts a replay."
    )
    models: UniqueTuple[NonEmpty] = Field(
        default=(), description="Models whose drift starts a replay. Default: all."
    )
    features: UniqueTuple[NonEmpty] = Field(
        default=(),
        description="Features whose drift starts a replay, such as `judge.answer_quality`; `*` at"
        " the end of a name stands for any rest. Default: all.",
    )


class ReplayScheduleConfig(Section):
    """Replays without drift."""

    every_hours: Positive | None = Field(
        default=None,
        le=8760,
        description="Hours between two replays of each model that has a baseline. Default: none.",
    )


class ReplayBudgetConfig(Section):
    """What replays may cost."""

    gpu_hours_per_day: Positive | None = Field(
        default=None,
        description="GPU-hours per day of UTC, of all workers together. Default: without a limit.",
    )
    gpus_per_host: int = Field(
        default=1,
        ge=0,
        le=64,
        description="GPUs of a host that runs may use at the same time. With 0, its workers leave"
        " runs that need a GPU to others.",
    )


class ReplayItemsConfig(Section):
    """Items that are drawn from the traffic."""

    baseline: int = Field(
        default=400,
        ge=LEAST_ITEMS,
        le=20_000,
        description="Most items of the frozen set of a model. A drop of 5 % takes some 260.",
    )
    least: int = Field(
        default=50, ge=LEAST_ITEMS, le=20_000, description="Fewest items of a frozen set."
    )
    drifted: int = Field(
        default=50,
        ge=0,
        le=5_000,
        description="Items of the drifted traffic that are scored as well. 0: none.",
    )
    scoring: Literal[
        "auto", "exact_match", "token_f1", "rouge_1", "rouge_2", "rouge_l", "bleu", "judge"
    ] = Field(
        default="auto",
        description="Score of an answer against the accepted one. `auto`: exact match of short"
        " ones, F1 of the words of longer ones. `judge`: by `replay.rubric`, also of answers that"
        " were disliked.",
    )

    @field_validator("least")
    @classmethod
    def _check_least(cls, least: int, info: ValidationInfo) -> int:
        baseline = info.data.get("baseline")
        if baseline is not None and least > baseline:
            raise invalid(
                f"must be at most replay.items.baseline, which is {baseline}",
                "replay.items.least",
                "replay.items.baseline",
            )
        return least


class ReplayConfig(Section):
    """Replay of traffic through lm-eval when drift fires, for a verdict about the model."""

    model: ReplayModelConfig | None = Field(
        default=None, description="The model that answers again. Without it nothing is replayed."
    )
    models: dict[NonEmpty, ReplayModelConfig] = Field(
        default={},
        max_length=100,
        description="Models that are reached in another way, by their name in the log.",
    )
    baseline_model: ReplayModelConfig | None = Field(
        default=None,
        description="The model as it was before, where it still answers. Drifted items are then"
        " compared with its answers; otherwise they have absolute scores only.",
    )
    tasks: UniqueTuple[NonEmpty] = Field(
        default=(),
        max_length=50,
        description="Tasks of lm-eval that are run as well: their names, `core` or `safety`.",
    )
    include_paths: UniqueTuple[NonEmptyPath] = Field(
        default=(),
        max_length=20,
        description="Folders with own tasks of lm-eval. Their Python code runs: trusted ones only.",
    )
    few_shot: int | None = Field(
        default=None, ge=0, le=100, description="Examples before each item. Default: as the task."
    )
    limit: _Limit | None = Field(
        default=None, description="Most items of each task. Default: all of them."
    )
    items: ReplayItemsConfig = Field(
        default=ReplayItemsConfig(), description=ReplayItemsConfig.__doc__
    )
    rubric: NonEmpty | None = Field(
        default=None,
        description="Rubric by which `judges.model` scores items for a judge: a shipped one, or a"
        " path. Paid from `judges.budget.shares.replay`. Without it a set with such items is an"
        " error.",
    )
    on: ReplayTriggerConfig = Field(
        default=ReplayTriggerConfig(), description=ReplayTriggerConfig.__doc__
    )
    schedule: ReplayScheduleConfig = Field(
        default=ReplayScheduleConfig(), description=ReplayScheduleConfig.__doc__
    )
    cooldown_minutes: float = Field(
        default=60.0,
        ge=0,
        le=100_000,
        description="Minutes after a run of a model in which its drift starts no other.",
    )
    deadline_minutes: Positive = Field(
        default=60.0,
        le=10_000,
        description="Longest time of a run, in minutes, without the wait for a GPU.",
    )
    margin: float = Field(
        default=0.05,
        gt=0,
        lt=1,
        description="Largest drop of the score, 0 to 1, that is acceptable; .05 is 5 points.",
    )
    alpha: float = Field(default=0.05, gt=0, le=0.5, description="Probability of a false verdict.")
    chunk_size: int = Field(
        default=25,
        ge=1,
        le=10_000,
        description="Items between two looks, after which results are stored and a run may stop.",
    )
    workers: int = Field(
        default=1,
        ge=0,
        le=16,
        description="Runs at the same time in a process of the role. 0: runs are only queued, for"
        " `plumbline replay work`.",
    )
    directory: NonEmptyPath | None = Field(
        default=None,
        description="Folder of running replays and of lm-eval's caches. Default: in the temporary"
        " directory.",
    )
    online: bool = Field(
        default=False, description="Whether tasks and weights may be downloaded from a hub."
    )
    allow_code: bool = Field(
        default=False,
        description="Whether tasks may run code that the model wrote. They also need a sandbox.",
    )
    sandbox: Annotated[tuple[NonEmpty, ...], Field(strict=False)] = Field(
        default=(),
        max_length=50,
        description="Command that runs lm-eval isolated, such as [bwrap, --ro-bind, /, /].",
    )
    budget: ReplayBudgetConfig = Field(
        default=ReplayBudgetConfig(), description=ReplayBudgetConfig.__doc__
    )
    actions: ActionsConfig = Field(default=ActionsConfig(), description=ActionsConfig.__doc__)

    @field_validator("rubric")
    @classmethod
    def _check_rubric(cls, rubric: str | None, info: ValidationInfo) -> str | None:
        items = info.data.get("items")
        if rubric is None and items is not None and items.scoring == "judge":
            raise invalid(
                "is missing: replay.items.scoring is judge, which needs a rubric",
                "replay.rubric",
                "replay.items.scoring",
            )
        return rubric

    @property
    def enabled(self) -> bool:
        """Whether any model can be replayed."""
        return self.model is not None or bool(self.models)

    def model_for(self, name: str) -> ReplayModelConfig | None:
        """Return how a model is replayed; None if it is not."""
        return self.models.get(name, self.model)
