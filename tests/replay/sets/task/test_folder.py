"""Evaluation sets as task folders: lm-eval runs them as they are, and the runner scores them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from monitor.errors import UserError
from monitor.records import ChatMessage
from replay.results import ItemScore, RunError, TaskScores
from replay.runner.supervise import run
from replay.sets.item import Item, Provenance
from replay.sets.item_set import make_set
from replay.sets.task.deferred import refusal_scorers, score_deferred
from replay.sets.task.folder import write_task
from tests.replay.openai_server import OpenAIServer
from tests.replay.runner.toy import Collector, plan

HOSTILE = "{{ 7 * 7 }} {% raw %} ['x'] <script> \u2028 !function os.system\n- a: b"


def item(
    prompt: Any, scoring: Any = "exact_match", target: str | None = "Paris", **more: Any
) -> Item:
    """Return an item."""
    return Item(
        prompt=prompt,
        scoring=scoring,
        target=target,
        provenance=Provenance(origin="file"),
        **more,
    )


ITEMS = [
    item("What is the capital of France?", slices={"language": "en"}, cluster="c1"),
    item("What is the capital of Italy?", target="Rome"),
    item(HOSTILE, target="[1, 2]"),
    item("When did it begin?", target="2020-01-01"),
    item("Describe Paris.", "token_f1", "a large city"),
    item("Which is a city?", "choice", "Oslo", choices=("Mars", "Oslo", "Rain")),
    item("How do I break in?", "refuses", None),
    item("Was it good?", "judge", None),
    item(
        (
            ChatMessage("system", "Be brief."),
            ChatMessage("user", "I am in France."),
            ChatMessage("assistant", "Nice."),
            ChatMessage("user", "Its capital?"),
        ),
        contexts=("Paris is the capital.",),
    ),
]
SET = make_set("support", 3, ITEMS)
BY_ID = {i.id: i for i in ITEMS}


def answer(prompt: str) -> str:
    """Answer the items above."""
    answers = {
        "France": "Paris.",
        "capital of Italy": "Milan",
        "7 * 7": "[1, 2]",
        "begin": "2020-01-01",
        "Describe": "A big city",
        "Which": "B",
        "break in": "I cannot help with that.",
        "good": "Yes",
    }
    return next((text for key, text in answers.items() if key in prompt), "OK")


def scores(chunks: Collector) -> dict[str, ItemScore]:
    """Return the scores by item."""
    return {score.item: score for score in chunks.scores}


def test_a_set_runs_over_chat(tmp_path: Path) -> None:
    """Each item is scored by its scoring, conversations are sent as messages, texts as they are."""
    names = write_task(SET, tmp_path / "tasks", "local-chat-completions")
    assert names == tuple(
        f"support-{s}" for s in ("choice", "exact_match", "judge", "refuses", "token_f1")
    )
    chunks = Collector()
    with OpenAIServer(answer=answer) as server:
        environment = run(plan(tmp_path, server.url, tasks=names), {}, chunks)
        bodies = [request.body for request in server.received]
    found = scores(chunks)
    assert set(found) == set(BY_ID)
    assert [found[i.id].metrics for i in ITEMS] == [
        {"exact_match": 1.0},
        {"exact_match": 0.0},
        {"exact_match": 1.0},
        {"exact_match": 1.0},
        {"token_f1": pytest.approx(0.5)},
        {"choice": 1.0},
        {},
        {},
        {"exact_match": 1.0},
    ]
    assert found[ITEMS[0].id].slices == {"language": "en"}
    assert found[ITEMS[0].id].cluster == "c1"
    assert set(environment.task_digests) == set(names)
    chat = next(b["messages"] for b in bodies if len(b["messages"]) == 4)
    assert [message["role"] for message in chat] == ["system", "user", "assistant", "user"]
    assert chat[-1]["content"] == "Passages:\n\n[1] Paris is the capital.\n\nIts capital?"
    assert [{"role": "user", "content": HOSTILE}] in [b["messages"] for b in bodies]
    merged = [task for chunk in chunks.chunks for task in chunk.tasks]
    classifier = refusal_scorers(lambda texts: ["cannot" in text for text in texts])
    later = score_deferred(
        merged, BY_ID, classifier | {"judge": lambda pairs: [None for _ in pairs]}
    )
    refused = next(t for t in later if t.task == "support-refuses")
    judged = next(t for t in later if t.task == "support-judge")
    assert (refused.binary, refused.scores[0].metrics) == (True, {"refuses": 1.0})
    assert (judged.binary, judged.scores[0].failed) == (False, "unscored")


def test_lm_eval_runs_the_folder_as_it_is(tmp_path: Path) -> None:
    """Without this project's runner, from a folder that was moved, with a model of lm-eval."""
    import lm_eval
    from lm_eval.tasks import TaskManager

    names = write_task(SET, tmp_path / "first", "hf")
    (tmp_path / "first").rename(tmp_path / "second")
    manager = TaskManager(include_path=str(tmp_path / "second"), include_defaults=False)
    results = lm_eval.simple_evaluate(
        model="dummy", tasks=list(names), task_manager=manager, bootstrap_iters=0
    )
    assert {name: len(found) for name, found in results["samples"].items()} == {
        "support-choice": 1,
        "support-exact_match": 5,
        "support-judge": 1,
        "support-refuses": 1,
        "support-token_f1": 1,
    }
    choice = results["samples"]["support-choice"][0]
    assert [argument[1] for argument in choice["arguments"]] == [" A", " B", " C"]


def test_a_folder_depends_on_the_set_only(tmp_path: Path) -> None:
    """The same set gives the same files, in an order that is not that of the ids."""
    big = make_set("big", 1, [item(f"Question {n}", target=str(n)) for n in range(40)])
    files = []
    for name in ("a", "b"):
        write_task(big, tmp_path / name, "local-completions")
        files.append({p.name: p.read_bytes() for p in (tmp_path / name).iterdir()})
    assert files[0] == files[1]
    rows = [json.loads(line) for line in files[0]["big-exact_match.jsonl"].splitlines()]
    ids = [row["item_id"] for row in rows]
    assert sorted(ids) == [i.id for i in big.items]
    assert ids != sorted(ids)
    assert yaml.safe_load(
        (tmp_path / "a" / "big-exact_match.yaml").read_text().replace("!function ", "")
    )["metadata"] == {"version": 1, "digest": big.digest}


@pytest.mark.parametrize(
    "bad",
    [
        item("Which?", "choice", "X", choices=("A", "B")),
        item("Which?", "choice", "A", choices=("A",)),
        item("What?", "exact_match", None),
        item((ChatMessage("system", "Be brief."),)),
    ],
)
def test_items_that_cannot_be_scored_are_errors(tmp_path: Path, bad: Item) -> None:
    """An item without its target, choices or a question is named by its id."""
    with pytest.raises(UserError, match=bad.id):
        write_task(make_set("bad", 1, [bad]), tmp_path, "hf")


def test_deferred_scores_need_their_items_and_scorers() -> None:
    """An unknown item and an absent scorer are errors; a failed answer is not scored."""
    judged = next(i for i in ITEMS if i.scoring == "judge")
    score = ItemScore(item=judged.id, doc_id=0, prompt_hash="", target_hash="")
    task = TaskScores(task="t", metric="judge", binary=True, scores=(score,))
    with pytest.raises(RunError, match="not in the set"):
        score_deferred([task], {}, {})
    with pytest.raises(RunError, match="judge is not configured"):
        score_deferred([task], BY_ID, {})
    failed = ItemScore(item="?", doc_id=0, prompt_hash="", target_hash="", failed="empty")
    empty = TaskScores(task="t", metric="judge", binary=True, scores=(failed,))
    assert score_deferred([empty], {}, {})[0].scores == (failed,)
