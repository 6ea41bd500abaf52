"""Loading of tasks: a file that lm-eval skips is an error; digests cover what scores depend on."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from replay.results import ErrorReason, RunError
from replay.runner.process.digest import task_digest
from replay.runner.process.scores import choose_metric
from replay.runner.process.tasks import absent, load
from replay.runner.reasons import is_out_of_memory, reason_of
from tests.replay.openai_server import OpenAIServer
from tests.replay.runner.in_process import evaluate_here, keep_caches
from tests.replay.runner.toy import SUMS, add, plan, write_sums

URL = "http://127.0.0.1:9/v1"


@pytest.fixture(autouse=True)
def caches(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep caches in the folder of the test."""
    keep_caches(tmp_path, monkeypatch)


def add_file(name: str, text: str) -> Callable[[Path], None]:
    """Return a function that adds a file to a folder."""

    def change(folder: Path) -> None:
        (folder / name).write_text(text)

    return change


def append(text: str) -> Callable[[Path], None]:
    """Return a function that appends to the file of the sums."""

    def change(folder: Path) -> None:
        with (folder / "sums.yaml").open("a") as file:
            file.write(text)

    return change


BROKEN: list[tuple[str, Callable[[Path], Any], ErrorReason, str]] = [
    ("bad YAML beside it", add_file("other.yaml", "task: [unclosed"), "broken_task", "other.yaml"),
    ("not a mapping", add_file("other.yaml", "- task"), "broken_task", "other.yaml"),
    ("no name", add_file("other.yaml", "output_type: x"), "broken_task", "neither task nor group"),
    ("other suffix", add_file("other.yml", "task: other"), "broken_task", "rename"),
    ("same name", add_file("twice.yaml", "task: sums"), "broken_task", "sums is also in"),
    ("include is absent", append("include: none.yaml\n"), "broken_task", "sums.yaml"),
    ("unknown key", append("colour: red\n"), "broken_task", "colour"),
    ("unknown metric", append("output_type: guess\n"), "broken_task", "guess"),
    ("function is absent", append("process_docs: !function utils.none\n"), "broken_task", "utils"),
    ("data are absent", lambda f: (f / "sums.jsonl").unlink(), "broken_task", "sums.jsonl"),
    ("data are empty", lambda f: (f / "sums.jsonl").write_text(""), "broken_task", "sums"),
    ("code of the model", append("unsafe_code: true\n"), "broken_task", "sandbox"),
    ("task is absent", lambda f: (f / "sums.yaml").unlink(), "missing_task", "sums"),
    ("folder is absent", lambda f: f.rename(f.with_name("gone")), "missing_task", "folder"),
]


@pytest.mark.parametrize(
    ("change", "reason", "text"), [b[1:] for b in BROKEN], ids=[b[0] for b in BROKEN]
)
def test_a_folder_with_a_broken_file_is_an_error(
    tmp_path: Path, change: Callable[[Path], Any], reason: ErrorReason, text: str
) -> None:
    """lm-eval skips such a file silently, or fails without a name; here the error names it."""
    folder = write_sums(tmp_path / "tasks", items=3)
    change(folder)
    with pytest.raises(RunError) as caught:
        load(plan(tmp_path, URL))
    assert caught.value.reason == reason
    assert text in caught.value.detail


def test_names_in_lm_eval_are_found() -> None:
    """Tasks, groups and tags of lm-eval exist; other names are absent."""
    assert absent(["boolq", "arc_easy", "mmlu", "truthfulqa", "no_such_task"]) == ["no_such_task"]


def test_templates_and_other_tasks_are_allowed(tmp_path: Path) -> None:
    """Files that begin with an underscore hold common keys; tasks that are not asked for stay."""
    folder = write_sums(tmp_path / "tasks", items=3)
    write_sums(tmp_path / "tasks", items=3, task="others")
    add_file("_common.yaml", "num_fewshot: 0\n")(folder)
    append("include: _common.yaml\n")(folder)
    assert [task.name for task in load(plan(tmp_path, URL))] == ["sums"]


def test_a_function_that_writes_to_a_full_disk_is_named(tmp_path: Path) -> None:
    """A full disk and exhausted memory keep their reason inside the errors of libraries."""
    folder = write_sums(tmp_path / "tasks", items=3)
    add_file(
        "utils.py",
        "def full(docs):\n    with open('/dev/full', 'w') as file:\n        file.write('x')\n"
        "def huge(docs):\n    return bytearray(1 << 60)\n",
    )(folder)
    for function, reason in (("full", "disk_full"), ("huge", "out_of_memory")):
        write_sums(folder, items=3)
        append(f"process_docs: !function utils.{function}\n")(folder)
        with pytest.raises(RunError) as caught:
            load(plan(tmp_path, URL))
        assert caught.value.reason == reason


def test_reasons_of_wrapped_errors() -> None:
    """Errors of torch, of SQLite and of pyarrow are recognized by their texts."""
    cuda = RuntimeError("CUDA out of memory. Tried to allocate 20 GiB")
    assert is_out_of_memory(cuda)
    cpu = "DefaultCPUAllocator: can't allocate memory: Error code 12 (Cannot allocate memory)"
    assert reason_of(RuntimeError(cpu)) == "out_of_memory"
    wrapped = ValueError("cannot build the dataset")
    wrapped.__cause__ = OSError(28, "No space left on device")
    assert reason_of(wrapped) == "disk_full"
    assert reason_of(ValueError("database or disk is full")) == "disk_full"
    assert reason_of(ValueError("anything")) == "failed"
    assert reason_of(ValueError("anything"), "broken_task") == "broken_task"


UTILS = "def docs(data):\n    return data\n\ndef helper():\n    return 1\n"
CHANGES: list[tuple[str, dict[str, Any], str]] = [
    ("metric", {"metric_list": [{"metric": "exact_match", "ignore_case": True}]}, UTILS),
    ("prompt", {"doc_to_text": "Q: {{question}}"}, UTILS),
    ("target", {"doc_to_target": "{{answer}} "}, UTILS),
    ("filter", {"filter_list": [{"name": "f", "filter": [{"function": "take_first"}]}]}, UTILS),
    ("generation", {"generation_kwargs": {"until": ["."], "do_sample": False}}, UTILS),
    ("examples", {"num_fewshot": 1, "fewshot_split": "test"}, UTILS),
    ("data", {"items": 4}, UTILS),
    ("code that is called", {}, UTILS.replace("return 1", "return 2")),
]


def test_the_digest_covers_all_that_scores_depend_on(tmp_path: Path) -> None:
    """It changes with each part of a task, and not with the folder or the time."""

    def digest(name: str, changes: dict[str, Any], utils: str) -> str:
        folder = tmp_path / name
        write_sums(folder, **({"items": 3} | changes))
        append("process_docs: !function utils.docs\n")(folder)
        add_file("utils.py", utils)(folder)
        (task,) = load(plan(tmp_path, URL, folder))
        return task_digest(task, chat=False, lm_eval_version="0.4")

    first = digest("first", {}, UTILS)
    assert digest("second", {}, UTILS) == first
    found = {name: digest(name, changes, utils) for name, changes, utils in CHANGES}
    assert len({first, *found.values()}) == len(CHANGES) + 1, found
    (task,) = load(plan(tmp_path, URL, tmp_path / "first"))
    assert task_digest(task, chat=True, lm_eval_version="0.4") != first
    assert task_digest(task, chat=False, lm_eval_version="0.5") != first


GROUP = "group: arithmetic\ntask: [one, two]\naggregate_metric_list: [{metric: exact_match}]\n"


def test_a_group_is_one_task_with_its_parts_as_slices(tmp_path: Path) -> None:
    """Its items are numbered through; parts with other metrics stay tasks of their own."""
    folder = write_sums(tmp_path / "tasks", items=3, task="one")
    write_sums(folder, items=2, task="two")
    add_file("group.yaml", GROUP)(folder)
    with OpenAIServer(answer=add) as server:
        found = evaluate_here(plan(tmp_path, server.url, tasks=("arithmetic",), chunk_size=2))
    assert {task.task for chunk in found.chunks for task in chunk.tasks} == {"arithmetic"}
    assert [(s.doc_id, s.slices["subtask"]) for s in found.scores] == [
        *((n, "one") for n in range(3)),
        *((n, "two") for n in range(3, 5)),
    ]
    assert len({task.task_digest for chunk in found.chunks for task in chunk.tasks}) == 1
    write_sums(folder, items=2, task="two", metric_list=[{"metric": "bleu"}])
    assert [t.name for t in load(plan(tmp_path, URL, tasks=("arithmetic",)))] == ["one", "two"]


def test_the_metric_and_the_filter_can_be_chosen(tmp_path: Path) -> None:
    """By default an exact or normalized match and the first filter; else as the plan says."""
    folder = write_sums(tmp_path / "tasks", items=2)
    digits = {"function": "regex", "regex_pattern": r"(\d+)"}
    filters = [
        {"name": "digits", "filter": [digits, {"function": "take_first"}]},
        {"name": "all", "filter": [{"function": "take_first"}]},
    ]
    write_sums(folder, items=2, filter_list=filters)
    with OpenAIServer(answer=lambda prompt: f"It is {add(prompt)}") as server:
        first = evaluate_here(plan(tmp_path, server.url))
        other = evaluate_here(plan(tmp_path, server.url, metrics={"sums": "exact_match,all"}))
        with pytest.raises(RunError, match="no metric acc,all"):
            evaluate_here(plan(tmp_path, server.url, metrics={"sums": "acc,all"}))
    assert [score.metrics["exact_match"] for score in first.scores] == [1.0, 1.0]
    assert [score.metrics["exact_match"] for score in other.scores] == [0.0, 0.0]
    assert other.scores[0].response == "It is 0"


@pytest.mark.parametrize(
    ("metrics", "chosen"),
    [(["acc", "acc_norm"], "acc_norm"), (["bleu", "acc"], "acc"), (["f1", "bleu"], "f1")],
)
def test_the_default_metric(metrics: list[str], chosen: str) -> None:
    """The usual metric of a task, else its first."""

    class Task:
        """A task with metrics."""

        def higher_is_better(self) -> dict[str, bool]:
            """Return the metrics."""
            return dict.fromkeys(metrics, True)

    assert choose_metric(Task(), ["none"]) == (chosen, "none")


def test_few_shot_examples_and_length_follow_the_plan(tmp_path: Path) -> None:
    """The plan sets the number of examples, except where a task forbids them, and max_tokens."""
    write_sums(tmp_path / "tasks", items=5, fewshot_split="test")
    write_sums(tmp_path / "tasks", items=5, task="plain", num_fewshot=0)
    random.seed(0)
    with OpenAIServer(answer=lambda _: "1") as server:
        order = plan(
            tmp_path, server.url, tasks=("sums", "plain"), few_shot=3, model={"max_new_tokens": 7}
        )
        evaluate_here(order)
        bodies = [request.body for request in server.received]
    assert sorted(len(body["messages"]) for body in bodies) == [1] * 5 + [7] * 5
    assert {body["max_tokens"] for body in bodies} == {7}
    assert SUMS["generation_kwargs"]["max_gen_toks"] == 16
