"""The judge of replays, from the configuration, and what it reads."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass

from judges.budget.caps import Purpose
from judges.budget.prices import Prices
from judges.calls import JudgeClient
from judges.client.settings import ClientSettings
from judges.live.rubric_evaluator import RubricEvaluator
from judges.rubrics import loading
from judges.rubrics.rubric import Mode
from monitor.config.schema import Config
from monitor.errors import UserError
from monitor.records import Inclusion, Sample
from monitor.roles import judge_setup
from replay.sets.item import Item
from replay.store.costs.judging import JudgeCaps


@dataclass(frozen=True)
class ReplayJudge:
    """The judge of the runs of a process. connect: opens a client of the provider."""

    evaluator: RubricEvaluator
    prices: Prices
    caps: JudgeCaps
    settings: ClientSettings
    connect: Callable[[], JudgeClient]

    @property
    def version(self) -> str:
        """Hash of the rubric and the model that judges."""
        return self.evaluator.version


def configured_judge(config: Config) -> ReplayJudge | None:
    """Return the judge of replays; None without `replay.rubric`.

    Raises UserError if the rubric, the model, its price or the key is missing.
    """
    name = config.replay.rubric
    if name is None:
        return None
    judges = config.judges
    if judges.model is None:
        raise UserError("replay.rubric needs a judge: name it in judges.model")
    rubric = loading.load(name)
    if rubric.mode is Mode.PAIRWISE:
        raise UserError(f"replay.rubric: {rubric.name} compares pairs of responses")
    prices = judge_setup.model_prices(judges)
    prices.require([judges.model])
    caps = judge_setup.budget_caps(judges)
    settings = judge_setup.client_settings(judges)
    return ReplayJudge(
        RubricEvaluator(rubric, judges.model, random.SystemRandom()),
        prices,
        JudgeCaps(
            caps.day[Purpose.REPLAY], None if caps.month is None else caps.month[Purpose.REPLAY]
        ),
        settings,
        lambda: judge_setup.open_client(judges, settings),
    )


def sample_of(item: Item, response: str, model: str) -> Sample:
    """Return what the judge reads: the prompt, the answer, the contexts, the target."""
    return Sample(
        request_id=item.id,
        timestamp=0.0,
        model=model,
        inclusion=Inclusion(uniform=True, probability=1.0),
        prompt=item.prompt if isinstance(item.prompt, str) else list(item.prompt),
        response=response,
        contexts=list(item.contexts) or None,
        reference=item.target,
    )
