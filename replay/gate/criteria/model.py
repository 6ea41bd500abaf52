"""The criteria of a gate: which models, on which items, by which rules, in which stages."""

from __future__ import annotations

from typing import Annotated, Final, Literal, Self, get_args

from pydantic import Field, model_validator

from replay.gate.criteria.dimension import Dimension
from replay.gate.criteria.section import (
    Count,
    FilePath,
    Name,
    Positive,
    Section,
    Text,
    Url,
    invalid,
)

StageName = Literal["L0", "L1", "L2", "L3", "canary"]
STAGES: Final[tuple[StageName, ...]] = get_args(StageName)
RUN_STAGES: Final[tuple[StageName, ...]] = ("L0", "L1", "L2")
"""Stages in which models answer; L3 is for people."""


class Model(Section):
    """A model that is run: `hf` and `vllm` load it, the others call an endpoint."""

    kind: Literal["hf", "vllm", "local-completions", "local-chat-completions"] = Field(
        default="local-chat-completions", description="How the model is reached."
    )
    name: Text = Field(description="Name for the endpoint, or a folder or name of weights.")
    base_url: Url | None = Field(default=None, description="Address of the endpoint, to /v1.")
    api_key_env: Annotated[str, Field(pattern="^[A-Za-z_][A-Za-z0-9_]*$")] | None = Field(
        default=None, description="Environment variable that holds the key of the endpoint."
    )
    revision: Text | None = Field(default=None, description="Revision of the weights.")
    device: Text | None = Field(
        default=None, description="Device of weights, such as cuda:0; auto spreads them (cpu)."
    )
    dtype: Text | None = Field(default=None, description="Type of the weights, such as bfloat16.")
    batch_size: Count = Field(default=8, description="Items of a batch of weights.")
    concurrency: Count = Field(default=4, description="Requests to an endpoint at a time.")
    max_new_tokens: Count | None = Field(
        default=None, description="Most tokens of an answer; by default, as the task says."
    )
    request_timeout_s: Positive = Field(default=60.0, description="Time limit of a request.")
    tokenizer: Text | None = Field(
        default=None, description="Folder of the tokenizer, for choices over local-completions."
    )
    chat_template: bool = Field(default=False, description="Whether weights get chat messages.")

    @model_validator(mode="after")
    def _check_address(self) -> Self:
        if self.kind.startswith("local-") and self.base_url is None:
            raise invalid(f"is required for {self.kind}", "base_url")
        return self


class Side(Section):
    """The candidate or the baseline: a model to run, a run of the store, or a file of results."""

    model: Model | None = Field(default=None, description="A model to run.")
    results: FilePath | None = Field(
        default=None, description="File of results that an earlier gate kept in its folder."
    )
    run: Text | None = Field(default=None, description="Id of a run in the result store.")
    records: FilePath | None = Field(
        default=None, description="Records of its answers in the native format, one per line."
    )

    @model_validator(mode="after")
    def _check_source(self) -> Self:
        given = [name for name in ("model", "results", "run") if getattr(self, name) is not None]
        if len(given) > 1:
            raise invalid(f"excludes {given[0]}", given[1])
        if not given and self.records is None:
            raise invalid("needs one of model, results, run or records")
        return self

    @property
    def label(self) -> str:
        """The name of the model, the run or the file."""
        if self.model is not None:
            return self.model.name
        return self.run or str(self.results or self.records)


class Tiers(Section):
    """Number of items of each stage: of each task, in L3 those for people."""

    L0: Count = Field(default=50, description="Items of L0.")
    L1: Count = Field(default=500, description="Items of L1.")
    L2: Count = Field(default=5000, description="Items of L2.")
    L3: Count = Field(default=100, description="Items that people compare.")


class People(Section):
    """The comparison by people, L3."""

    margin: Annotated[float, Field(gt=0, lt=1)] = Field(
        default=0.1,
        description="Tolerated excess of lost over won comparisons, as a share of all.",
    )
    queue: Annotated[str, Field(pattern="^[A-Za-z0-9_.-]{1,200}$")] | None = Field(
        default=None,
        description="Review queue of the web application that the pairs enter, and whose ratings"
        " count. Without it, a file of labels is needed.",
    )
    rubric: Text = Field(
        default="answer_quality",
        description="Rubric of the queue, which annotators see: of a shipped name, or a file.",
    )
    overlap: Annotated[int, Field(ge=1, le=20)] = Field(
        default=1, description="Annotators who compare each pair."
    )


class Canary(Section):
    """A live experiment whose verdict ends the gate."""

    url: Url = Field(description="Address of a daemon's HTTP server, such as http://host:9464.")
    experiment: Text = Field(description="Name of the experiment.")
    variant: Text = Field(description="Variant that is the candidate.")
    accept: Literal["better", "no_difference"] = Field(
        default="no_difference", description="The least verdict that passes."
    )
    wait_minutes: Positive = Field(default=360.0, description="How long the stage waits.")
    poll_seconds: Positive = Field(default=60.0, description="Time between two requests.")


class Balance(Section):
    """The weighted mean of the effects of all dimensions with a weight, in units of margins."""

    at_least: Annotated[float, Field(le=0, ge=-1)] = Field(
        description="Least weighted mean: -1 is worse by the margin everywhere, 0 is no worse."
    )


class Criteria(Section):
    """The criteria of a gate, written down before it runs."""

    name: Name = Field(description="Name of the gate, in reports and in the audit trail.")
    candidate: Side = Field(description="What is to be released.")
    baseline: Side | None = Field(default=None, description="What it is compared with.")
    dimensions: Annotated[dict[Name, Dimension], Field(min_length=1, max_length=50)] = Field(
        description="What is measured, and the rules."
    )
    include_paths: Annotated[tuple[FilePath, ...], Field(strict=False)] = Field(
        default=(), description="Folders of tasks, such as exported evaluation sets."
    )
    stages: Annotated[tuple[StageName, ...], Field(strict=False, min_length=1)] = Field(
        default=("L0", "L1"), description="Stages, in this order: L0, L1, L2, L3, canary."
    )
    tiers: Tiers = Field(default=Tiers(), description="Number of items of the stages.")
    people: People = Field(default=People(), description="Of the stage L3.")
    canary: Canary | None = Field(default=None, description="Of the stage canary.")
    balance: Balance | None = Field(default=None, description="Rule for the weighted dimensions.")
    alpha: Annotated[float, Field(gt=0, le=0.2)] = Field(
        default=0.05,
        description="Probability of a false 'regressed' in all stages, and of a false 'passed'.",
    )
    min_items: Annotated[int, Field(ge=2)] = Field(
        default=30, description="Fewer usable answers are inconclusive."
    )
    max_failed: Annotated[float, Field(ge=0, lt=1)] = Field(
        default=0.05, description="A larger share of failed answers is an error."
    )
    few_shot: Annotated[int, Field(ge=0, le=100)] | None = Field(
        default=None, description="Examples in front of each prompt; by default, as the task says."
    )
    chunk_size: Count = Field(default=50, description="Items between two durable results.")
    deadline_minutes: Positive = Field(
        default=60.0, description="Time for the runs of a stage; a longer run is an error."
    )

    online: bool = Field(default=False, description="Permits downloads of data and weights.")
    allow_code: bool = Field(
        default=False, description="Permits tasks that run code which the model wrote."
    )
    sandbox: Annotated[tuple[Text, ...], Field(strict=False)] = Field(
        default=(), description="Command that runs the process isolated; such tasks require it."
    )

    @model_validator(mode="after")
    def _check(self) -> Self:
        self._check_stages()
        self._check_tasks()
        for name, dimension in self.dimensions.items():
            if dimension.margin is not None and self.baseline is None:
                raise invalid("needs a baseline", "dimensions", name, "margin")
            if dimension.tasks and not _answers(self.candidate):
                raise invalid("needs model, results or run for tasks", "candidate")
            if dimension.tasks and dimension.margin is not None and not _answers(self.baseline):
                raise invalid("needs model, results or run for tasks", "baseline")
        weighted = [d for d in self.dimensions.values() if d.weight is not None]
        if self.balance is not None and not weighted:
            raise invalid("needs a dimension with a weight", "balance")
        if self.balance is None and weighted:
            raise invalid("is required if a dimension has a weight", "balance")
        return self

    def _check_tasks(self) -> None:
        owner: dict[str, str] = {}
        for name, dimension in self.dimensions.items():
            for task in dimension.tasks:
                if task in owner:
                    raise invalid(f"{task!r} is also in {owner[task]}", "dimensions", name, "tasks")
                owner[task] = name

    def _check_stages(self) -> None:
        order = [STAGES.index(stage) for stage in self.stages]
        if order != sorted(set(order)):
            raise invalid("must be in the order L0, L1, L2, L3, canary, each once", "stages")
        if "canary" in self.stages and self.canary is None:
            raise invalid("is required for the stage canary", "canary")
        if "L3" in self.stages and not (_answers(self.candidate) and _answers(self.baseline)):
            raise invalid("L3 compares answers of a candidate and a baseline", "stages")
        if "L3" in self.stages and not self.tasks:
            raise invalid("L3 needs a dimension with tasks", "stages")
        sizes = [getattr(self.tiers, stage) for stage in self.stages if stage in RUN_STAGES]
        if sizes != sorted(sizes):
            raise invalid("must grow from L0 to L2", "tiers")

    @property
    def tasks(self) -> tuple[str, ...]:
        """The tasks of all dimensions, each once, in the order of the file."""
        return tuple(dict.fromkeys(t for d in self.dimensions.values() for t in d.tasks))


def _answers(side: Side | None) -> bool:
    return side is not None and (side.model or side.results or side.run) is not None
