"""Reports of made-up runs."""

from __future__ import annotations

from typing import Any

import numpy as np

from replay.report.summary import Report, RunSummary, absolute_scores
from replay.results import ItemScore, TaskScores
from replay.verdict.criteria import Criteria
from replay.verdict.decide import decide
from replay.verdict.decision import Decision
from tests.replay.verdict.scores import binary, scores

HOSTILE = "</pre><script>alert(1)</script>`|*[x](http://evil.example)\x1b[31m\n# @all ````\u202e"
"""Breaks HTML, Markdown, tables and terminals if it is not escaped."""


def summary(verdict: str = "regressed", **options: Any) -> RunSummary:
    """Return a run."""
    return RunSummary(run_id="run-1", model="support", verdict=verdict, **options)  # type: ignore[arg-type]  # of a test


def regressed() -> Decision:
    """Return the decision on a run that lost 36 of 312 items and gained 17."""
    candidate, baseline = binary(312, 36, 17, wrong=40)
    return decide([candidate], [baseline])


def hostile() -> Report:
    """Return a report in which every text is hostile."""

    def task(values: Any, **options: Any) -> TaskScores:
        items = tuple(
            ItemScore(
                item=f"{HOSTILE}{index}",
                doc_id=index,
                prompt_hash="p",
                target_hash="t",
                metrics={HOSTILE: float(value)},
                response=HOSTILE,
                slices={HOSTILE: HOSTILE},
            )
            for index, value in enumerate(values)
        )
        return TaskScores(task=HOSTILE, metric=HOSTILE, binary=True, scores=items, **options)

    baseline, candidate = task(np.ones(40)), task([0] * 10 + [1] * 30)
    decision = decide([candidate], [baseline])
    run = summary(
        candidate=HOSTILE,
        baseline=HOSTILE,
        set_name=HOSTILE,
        set_version=HOSTILE,
        set_digest=HOSTILE,
        alarm=HOSTILE,
        alarm_id=HOSTILE,
        environment={HOSTILE: HOSTILE},
    )
    prompts = {flip.item: HOSTILE for flip in decision.tasks[0].flips}
    return Report(run=run, decision=decision, drifted=absolute_scores([candidate]), prompts=prompts)


def several() -> Decision:
    """Return the decision on three tasks: harmless, regressed, and with a metric of its own."""
    same = binary(200, 4, 4, wrong=20)
    worse = binary(200, 60, 5, wrong=20)
    options = {"metric": "perplexity", "binary": False, "higher_is_better": False}
    noise = np.random.default_rng(1).normal(9, 1, 200)
    odd = scores(noise + 0.01, task="wiki", **options), scores(noise, task="wiki", **options)
    tasks = [
        same,
        tuple(TaskScores(task="b", metric="acc", binary=True, scores=_acc(s)) for s in worse),
        odd,
    ]
    return decide(
        [task[0] for task in tasks],
        [task[1] for task in tasks],
        Criteria(margins={"wiki": 0.5}),
    )


def _acc(task: TaskScores) -> tuple[ItemScore, ...]:
    return tuple(
        ItemScore(
            item=each.item,
            doc_id=each.doc_id,
            prompt_hash=each.prompt_hash,
            target_hash=each.target_hash,
            metrics={"acc": each.metrics["exact_match"]},
        )
        for each in task.scores
    )
