"""Chunks: the same prompts and scores however the items are divided; draws; the cache."""

from __future__ import annotations

from pathlib import Path

import pytest

from replay.runner.chunk import failed_share, finished_items, merge
from replay.runner.process.chunks import shuffled
from tests.replay.openai_server import OpenAIServer
from tests.replay.runner.in_process import evaluate_here, keep_caches
from tests.replay.runner.toy import add, plan, write_sums


@pytest.fixture(autouse=True)
def caches(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep caches in the folder of the test."""
    keep_caches(tmp_path, monkeypatch)


def test_chunks_and_concurrency_do_not_change_scores(tmp_path: Path) -> None:
    """Prompts, hashes and scores are those of a run in one chunk, with few-shot examples too."""
    write_sums(tmp_path / "tasks", fewshot_split="test", num_fewshot=2)
    with OpenAIServer(answer=lambda prompt: add(prompt.split("\n")[-1])) as server:
        found = [
            evaluate_here(
                plan(tmp_path, server.url, chunk_size=size, model={"concurrency": concurrency})
            )
            for size, concurrency in [(3, 1), (100, 8)]
        ]
    assert found[0].scores == found[1].scores
    assert len({score.prompt_hash for score in found[0].scores}) == 12
    assert [score.metrics for score in found[0].scores] == [{"exact_match": 1.0}] * 12
    assert "\n" in server.prompts()[0]
    assert [environment.environment.concurrency for environment in found] == [1, 8]


def test_a_limit_draws_by_the_seed(tmp_path: Path) -> None:
    """The drawn items are the same for the same seed, others for another, and not the first."""
    write_sums(tmp_path / "tasks", items=30)
    drawn = []
    with OpenAIServer(answer=add) as server:
        for seed in (0, 0, 1):
            order = plan(tmp_path, server.url, limit=6, seed=seed, chunk_size=4)
            drawn.append([score.doc_id for score in evaluate_here(order).scores])
    assert drawn[0] == drawn[1] != drawn[2]
    assert all(len(positions) == 6 for positions in drawn)
    assert drawn[0] != list(range(6))


def test_every_chunk_has_items_of_every_task() -> None:
    """The items of all tasks are shuffled together, so that a chunk is a random subset."""
    items = shuffled({"a": range(100), "b": range(50)}, seed=3)
    assert sorted(items) == [("a", n) for n in range(100)] + [("b", n) for n in range(50)]
    first = [task for task, _ in items[:30]]
    assert 10 <= first.count("a") <= 28


def test_finished_items_are_not_repeated(tmp_path: Path) -> None:
    """A resumed run asks for the rest only, and counts what was done."""
    write_sums(tmp_path / "tasks")
    with OpenAIServer(answer=add) as server:
        found = evaluate_here(plan(tmp_path, server.url), done={"sums": range(7)})
        assert len(server.received) == 5
        again = evaluate_here(plan(tmp_path, server.url), done={"sums": range(12)})
        assert len(server.received) == 5
    assert [score.doc_id for score in found.scores] == [7, 8, 9, 10, 11]
    assert [(chunk.done, chunk.planned) for chunk in found.chunks] == [(12, 12)]
    assert again.chunks == []


def test_the_cache_is_that_of_the_model_and_the_task(tmp_path: Path) -> None:
    """A repeated run asks for nothing; a run of another model or in another folder does."""
    write_sums(tmp_path / "tasks", items=4)
    with OpenAIServer(answer=add) as server:
        evaluate_here(plan(tmp_path, server.url, cache=True))
        assert len(server.received) == 4
        found = evaluate_here(plan(tmp_path, server.url, cache=True))
        assert len(server.received) == 4
        evaluate_here(plan(tmp_path, server.url, cache=True, model={"name": "other"}))
        assert len(server.received) == 8
        evaluate_here(plan(tmp_path, server.url, cache=True, log_dir=str(tmp_path / "next")))
        assert len(server.received) == 12
    assert [score.metrics for score in found.scores] == [{"exact_match": 1.0}] * 4


def test_increments_are_merged(tmp_path: Path) -> None:
    """The increments of a task become one; it is binary only if all are."""
    write_sums(tmp_path / "tasks", items=7)
    with OpenAIServer(answer=add) as server:
        found = evaluate_here(plan(tmp_path, server.url, chunk_size=3))
    parts = [task for chunk in found.chunks for task in chunk.tasks]
    (whole,) = merge(parts)
    assert len(parts) == 3
    assert sorted(score.doc_id for score in whole.scores) == list(range(7))
    assert finished_items(parts) == {"sums": set(range(7))}
    assert whole.binary
    assert failed_share(whole.scores) == 0
    assert failed_share([]) == 0
