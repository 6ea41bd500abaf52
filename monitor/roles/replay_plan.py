"""Build runs from the configuration: the model that answers, the limits, and the request."""

from __future__ import annotations

import hashlib
import re
from typing import Final

import msgspec

from monitor.config.sections.replay.model import ReplayModelConfig
from monitor.config.sections.replay.section import ReplayConfig
from monitor.events.types import DriftEvent
from replay.runner.plan import ModelSpec
from replay.sets.item import Item
from replay.sets.item_set import HoldOut
from replay.store.queue import RunRequest, Trigger
from replay.verdict.criteria import Criteria

MAX_SET_NAME: Final = 60
"""Characters of a model's name in the name of its item set."""


class ReplayPlan(msgspec.Struct, frozen=True, kw_only=True):
    """How a run is done, as the store keeps it with the run. It contains no secret.

    gpus: number of GPUs that it uses. deadline_s: of the whole run.
    baseline_model: answers the drifted items as well; None: they have absolute scores only.
    """

    model: ModelSpec
    gpus: int
    tasks: tuple[str, ...]
    include_paths: tuple[str, ...]
    few_shot: int | None
    limit: int | None
    chunk_size: int
    deadline_s: float
    criteria: Criteria
    online: bool = False
    allow_code: bool = False
    sandbox: tuple[str, ...] = ()
    baseline_model: ModelSpec | None = None


class ReplayDetails(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What started a run. feature: of the alarm.

    since, until: event times of the drifted records; None without drift.
    """

    feature: str = ""
    since: float | None = None
    until: float | None = None


# Workers are threads, and msgspec may crash if two of them use a type for the first time at once.
_TYPES: Final = tuple(map(msgspec.json.Decoder, (ReplayPlan, ReplayDetails, Item, HoldOut)))


def model_spec(model: ReplayModelConfig, name: str) -> ModelSpec:
    """Return the model that answers. name: as in the log, which is its default name."""
    return ModelSpec(
        kind=model.kind,
        name=model.name or name,
        base_url=model.base_url or "",
        revision=model.revision or "",
        dtype=model.dtype or "auto",
        device=model.device or ("cuda:0" if model.used_gpus else "cpu"),
        batch_size=model.batch_size,
        concurrency=model.concurrency,
        api_key_env=model.api_key_env or "",
        max_new_tokens=model.max_new_tokens,
    )


def model_digest(spec: ModelSpec) -> str:
    """Return a hash of what the answers of a model depend on, as far as it is configured."""
    parts = spec.kind, spec.name, spec.base_url, spec.revision, spec.dtype
    return hashlib.sha256(msgspec.json.encode(parts)).hexdigest()[:16]


def replay_plan(config: ReplayConfig, model: str) -> ReplayPlan | None:
    """Return how a model of the log is replayed; None if it is not configured."""
    chosen = config.model_for(model)
    if chosen is None:
        return None
    old = config.baseline_model
    return ReplayPlan(
        model=model_spec(chosen, model),
        gpus=chosen.used_gpus,
        tasks=config.tasks,
        include_paths=tuple(str(path.absolute()) for path in config.include_paths),
        few_shot=config.few_shot,
        limit=config.limit,
        chunk_size=config.chunk_size,
        deadline_s=60.0 * config.deadline_minutes,
        criteria=Criteria(margin=config.margin, alpha=config.alpha),
        online=config.online,
        allow_code=config.allow_code,
        sandbox=config.sandbox,
        baseline_model=None if old is None else model_spec(old, model),
    )


def run_request(
    plan: ReplayPlan,
    model: str,
    set_digest: str,
    key: str,
    trigger: Trigger,
    details: ReplayDetails | None = None,
) -> RunRequest:
    """Return a run to insert. key: id of the alarm, or what else makes the request unique."""
    return RunRequest(
        alarm=key,
        set_digest=set_digest,
        model_digest=model_digest(plan.model),
        model=model,
        trigger=trigger,
        plan=msgspec.to_builtins(plan),
        details=msgspec.to_builtins(details or ReplayDetails()),
        gpu=plan.gpus > 0,
    )


def drift_details(event: DriftEvent) -> ReplayDetails:
    """Return what a run needs of the drift that started it."""
    since = event.explanation.since
    start = event.time if since is None or since.time is None else since.time
    return ReplayDetails(feature=event.feature, since=min(start, event.time), until=event.time)


def set_name(model: str) -> str:
    """Return the name of the item set of a model, which may have any name itself."""
    plain = re.sub(r"[^A-Za-z0-9._-]+", "-", model)[:MAX_SET_NAME].strip("-.")
    return f"traffic-{plain}-{hashlib.sha256(model.encode()).hexdigest()[:8]}"
