"""A tiny model that got worse is found, and one that did not is not: real weights, real lm-eval."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import pytest
import torch

from replay.results import RunError, TaskScores
from replay.runner.chunk import RunEnvironment, merge
from replay.runner.plan import ModelSpec, RunPlan
from replay.runner.process.model import check_device
from replay.runner.supervise import run
from replay.verdict.criteria import Criteria
from replay.verdict.decide import decide
from replay.verdict.sequential import look, start
from tests.replay.runner.toy import Collector
from tests.replay_gpu.tiny import Tiny, write_colours

DRAWS = 20
ITEMS = 300
"""Items of a draw."""
CHUNK = 50
CRITERIA = Criteria(margin=0.05)


@dataclass(frozen=True)
class Runs:
    """Scores of the model before, perturbed, and with other batches, with their environments."""

    folder: Path
    accuracy: float
    fall: float
    scores: dict[str, tuple[TaskScores, ...]]
    environments: dict[str, RunEnvironment]

    def task(self, name: str, task: str = "colours") -> TaskScores:
        """Return the scores of one task of one run."""
        return next(scores for scores in self.scores[name] if scores.task == task)


def plan(folder: Path, name: str, **model: Any) -> RunPlan:
    """Return the plan of a run of weights in `folder`."""
    weights: dict[str, Any] = {"name": str(folder / name), "batch_size": 64, "dtype": "float32"}
    return RunPlan(
        model=ModelSpec(kind="hf", **(weights | model)),
        tasks=("colours", "written"),
        include_paths=(str(folder / "tasks"),),
        cache_dir=str(folder / "cache"),
        log_dir=str(folder / "logs"),
        chunk_size=3000,
        deadline_s=400.0,
        threads=1,
    )


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Runs:
    """Train the model, perturb it, and evaluate both through the runner."""
    torch.set_num_threads(1)
    folder = tmp_path_factory.mktemp("tiny")
    tiny = Tiny()
    accuracy = tiny.train()
    tiny.save(folder / "before")
    fall = tiny.perturb(drop=0.1)
    tiny.save(folder / "perturbed")
    write_colours(folder / "tasks", tiny.examples[: DRAWS * ITEMS])
    plans = {
        "before": plan(folder, "before"),
        "perturbed": plan(folder, "perturbed"),
        "batches": plan(folder, "before", batch_size=17),
    }
    scores, environments = {}, {}
    for name, order in plans.items():
        chunks = Collector()
        environments[name] = run(order, {}, chunks)
        scores[name] = merge(task for chunk in chunks.chunks for task in chunk.tasks)
    return Runs(folder, accuracy, fall, scores, environments)


def part(task: TaskScores, items: Sequence[int]) -> TaskScores:
    """Return the scores of some items, in their order."""
    by_id = {score.doc_id: score for score in task.scores}
    return msgspec.structs.replace(task, scores=tuple(by_id[item] for item in items))


def verdicts(runs: Runs, candidate: str, seed: int) -> list[str]:
    """Return the verdicts on the draws, each with a look after every chunk."""
    items = list(range(DRAWS * ITEMS))
    random.Random(seed).shuffle(items)
    found: list[str] = []
    for first in range(0, len(items), ITEMS):
        draw = items[first : first + ITEMS]
        baseline = part(runs.task("before"), draw)
        process = start([baseline], CRITERIA)
        for end in range(CHUNK, ITEMS + 1, CHUNK):
            seen = part(runs.task(candidate), draw[:end])
            process = look(process, [seen], [baseline])
            if process.outcome is not None:
                break
        found.append(decide([seen], [baseline], process=process).verdict)
    return found


def test_the_model_has_learned_and_then_lost(runs: Runs) -> None:
    """Accuracies in lm-eval are those that torch measures: at least .8, then .1 lower."""

    def accuracy(name: str) -> float:
        return sum(s.metrics["acc"] for s in runs.task(name).scores) / (DRAWS * ITEMS)

    assert runs.accuracy >= 0.8
    assert accuracy("before") == pytest.approx(runs.accuracy, abs=0.03)
    assert accuracy("before") - accuracy("perturbed") == pytest.approx(0.1, abs=0.03)


def test_a_worse_model_is_found(runs: Runs) -> None:
    """At least 18 of 20 draws say regressed."""
    found = verdicts(runs, "perturbed", seed=1)
    assert found.count("regressed") >= 18, found


def test_the_same_model_has_not_regressed(runs: Runs) -> None:
    """On other draws, and with other batches, none of 20 says regressed."""
    found = verdicts(runs, "batches", seed=2)
    assert found.count("regressed") == 0, found


def test_text_is_generated(runs: Runs) -> None:
    """The model writes the colour that it also finds most likely."""
    chosen = {s.doc_id: s.metrics["acc"] for s in runs.task("before").scores}
    written = runs.task("before", "written").scores
    assert len(written) == 40
    agree = [s.metrics["exact_match"] == chosen[s.doc_id] for s in written]
    assert sum(agree) >= 36
    assert written[0].filter == "first"


def test_the_environment_names_weights_and_libraries(runs: Runs) -> None:
    """Weights that differ have another hash; tasks have the same digest."""
    before, perturbed, batches = (runs.environments[n] for n in ("before", "perturbed", "batches"))
    assert before.weights == batches.weights != perturbed.weights
    assert before.task_digests == perturbed.task_digests
    assert {"torch", "transformers", "lm-eval", "python"} <= set(before.versions)
    assert (before.batch_size, batches.batch_size) == (64, 17)


@pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has a GPU")
def test_an_absent_gpu_is_an_error(runs: Runs) -> None:
    """cuda:0 without a GPU does not run on the CPU instead; auto and vLLM need one as well."""
    with pytest.raises(RunError) as caught:
        run(plan(runs.folder, "before", device="cuda:0"), {}, Collector())
    assert caught.value.reason == "gpu_absent"
    for spec in (ModelSpec(kind="hf", name="m", device="auto"), ModelSpec(kind="vllm", name="m")):
        with pytest.raises(RunError, match="gpu_absent"):
            check_device(spec)


def test_batches_shrink_when_memory_runs_out(runs: Runs, monkeypatch: pytest.MonkeyPatch) -> None:
    """The batch is halved until it fits; if not even one item fits, the run is an error."""
    from replay.runner.process.chunks import Evaluator
    from replay.runner.process.model import build_model
    from replay.runner.process.tasks import load

    monkeypatch.setenv("HF_HOME", str(runs.folder / "cache"))
    order = plan(runs.folder, "before", batch_size=8)
    tasks = load(order)
    model = build_model(order.model, generates=False, answered=lambda: None)
    call = model._model_call
    most = 3

    def limited(inputs: Any, *rest: Any, **options: Any) -> Any:
        if len(inputs) > most:
            raise torch.cuda.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB")
        return call(inputs, *rest, **options)

    model._model_call = limited
    evaluator = Evaluator(order, tasks, model, {"colours": "", "written": ""})
    (found,) = evaluator.evaluate([("colours", n) for n in range(10)])
    assert evaluator.batch_size == 2
    expected = part(runs.task("before"), sorted(s.doc_id for s in found.scores))
    assert [s.metrics for s in found.scores] == [s.metrics for s in expected.scores]
    most = 0
    with pytest.raises(torch.cuda.OutOfMemoryError):
        evaluator.evaluate([("colours", n) for n in range(10)])
