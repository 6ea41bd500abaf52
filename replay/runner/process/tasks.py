"""Load the tasks of a plan. A file that lm-eval would skip silently is an error."""

from __future__ import annotations

import json
import random
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import lm_eval.tasks
from lm_eval.tasks import TaskManager
from lm_eval.tasks._index import TaskIndex
from lm_eval.tasks._yaml_loader import load_yaml

from replay.results import RunError
from replay.runner.plan import RunPlan
from replay.runner.reasons import reason_of
from replay.runner.suites import STANDARD, expand

TASKS: Final = Path(lm_eval.tasks.__file__).parent
_named: Final = re.compile(r"^\s*(?:-|task:|group:|tag:)\s*(\S.*)$", re.MULTILINE)
SEED: Final = 1234
"""Seed of few-shot examples, as lm-eval's own."""


@dataclass(frozen=True)
class Leaf:
    """One task of lm-eval. offset: position of its first item in the task that it is part of."""

    name: str
    task: Any
    offset: int
    count: int


@dataclass(frozen=True)
class LoadedTask:
    """A task of a plan: one of lm-eval's, or a group whose tasks have the same metrics."""

    name: str
    leaves: tuple[Leaf, ...]
    positions: range = field(init=False)

    def __post_init__(self) -> None:
        last = self.leaves[-1]
        object.__setattr__(self, "positions", range(last.offset + last.count))


def load(plan: RunPlan) -> tuple[LoadedTask, ...]:
    """Load and configure the tasks. Raises RunError: missing_task, broken_task, no_items."""
    names = expand(plan.tasks)
    for folder in plan.include_paths:
        check_folder(Path(folder))
    folders = list(plan.include_paths)
    manager = TaskManager(include_path=folders, include_defaults=False)
    others = [name for name in names if name not in manager.all_tasks]
    missing = absent(name for name in others if name not in STANDARD)
    if missing:
        where = " and ".join((*folders, "lm-eval's own tasks"))
        raise RunError("missing_task", f"task {missing[0]} does not exist in {where}")
    if others:
        manager = TaskManager(include_path=folders, include_defaults=True)
    return tuple(task for name in names for task in _load_one(manager, name, plan))


def absent(names: Iterable[str]) -> list[str]:
    """Return the names that no task file of lm-eval mentions as a task, group or tag.

    That is a search in 14,000 files, which takes a ninth of the time of lm-eval's own index.
    """
    left = set(names)
    files = TASKS.rglob("*.yaml") if left else ()
    for path in files:
        found = _named.findall(path.read_text(encoding="utf-8", errors="replace"))
        left -= {name for line in found for name in re.split(r"[\s,\[\]\"']+", line)}
        if not left:
            break
    return sorted(left)


def check_folder(folder: Path) -> None:
    """Raise RunError if a file of the folder cannot be read as a task, group or template.

    Templates are files without a task whose names begin with an underscore.
    """
    if not folder.is_dir():
        raise RunError("missing_task", f"folder {folder} does not exist")
    names: dict[str, Path] = {}
    for path in sorted([*folder.rglob("*.yaml"), *folder.rglob("*.yml")]):
        if path.suffix == ".yml":
            raise RunError("broken_task", f"{path}: lm-eval reads .yaml only: rename the file")
        try:
            content = load_yaml(path, resolve_func=False)
        except Exception as error:
            raise RunError("broken_task", f"{path}: {error}") from error
        if "task" not in content and "group" not in content and "class" not in content:
            if path.name.startswith("_"):
                continue
            raise RunError("broken_task", f"{path}: has neither task nor group")
        name = content.get("group") or content.get("task")
        if not isinstance(name, str):
            raise RunError("broken_task", f"{path}: the name of the task is not a text")
        if name in names:
            raise RunError("broken_task", f"{path}: {name} is also in {names[name]}")
        names[name] = path
        TaskIndex.process_cfg(content, path, {})


def _load_one(manager: Any, name: str, plan: RunPlan) -> list[LoadedTask]:
    """Load a task, or a group with its tasks."""
    try:
        tasks: dict[str, Any] = manager.load([name])["tasks"]
        for task in tasks.values():
            _configure(task, plan)
        counts = {leaf: len(task.eval_docs) for leaf, task in tasks.items()}
    except RunError:
        raise
    except Exception as error:
        reason = reason_of(error, "broken_task")
        raise RunError(reason, f"task {name}: {type(error).__name__}: {error}") from error
    if not all(counts.values()):
        raise RunError("no_items", f"task {name} has no items")
    shapes = {(task.OUTPUT_TYPE, *sorted(task.higher_is_better())) for task in tasks.values()}
    if len(shapes) == 1:
        return [LoadedTask(name, tuple(_leaves(tasks, counts)))]
    return [LoadedTask(leaf, (Leaf(leaf, task, 0, counts[leaf]),)) for leaf, task in tasks.items()]


def _leaves(tasks: dict[str, Any], counts: dict[str, int]) -> list[Leaf]:
    """Return the tasks of a group one after the other."""
    leaves: list[Leaf] = []
    for name, task in tasks.items():
        offset = leaves[-1].offset + leaves[-1].count if leaves else 0
        leaves.append(Leaf(name, task, offset, counts[name]))
    return leaves


def _configure(task: Any, plan: RunPlan) -> None:
    """Apply the plan to a task: few-shot examples, length of responses, chat."""
    if plan.model.kind == "local-chat-completions" and task.OUTPUT_TYPE != "generate_until":
        raise RunError(
            "broken_task",
            f"task {task.task_name} needs log probabilities, which chat endpoints do not give: "
            "rewrite it as a question whose answer is a letter, or use local-completions",
        )
    if getattr(task, "UNSAFE_CODE", False) and not (plan.allow_code and plan.sandbox):
        raise RunError(
            "broken_task",
            f"task {task.task_name} runs code that the model wrote: it needs allow_code and a "
            "sandbox",
        )
    if plan.few_shot is not None and task.get_config("num_fewshot") != 0:
        task.set_config(key="num_fewshot", value=plan.few_shot)
    elif task.get_config("num_fewshot") is None:
        task.set_config(key="num_fewshot", value=0)
    if plan.model.max_new_tokens is not None and task.OUTPUT_TYPE == "generate_until":
        limit = {"max_gen_toks": plan.model.max_new_tokens}
        task.set_config(key="generation_kwargs", value=limit, update=True)
    task.set_fewshot_seed(seed=SEED)
    task.fewshot_context = _Context(task, task.fewshot_context)


class _Context:
    """Builds the prompt of an item so that it depends on the item alone.

    lm-eval draws few-shot examples in the order of the items: another division into chunks would
    give other prompts. And lm-eval sends a prompt of several chat messages as one text.
    """

    def __init__(self, task: Any, build: Callable[..., Any]) -> None:
        self._task = task
        self._build = build

    def __call__(self, doc: dict[str, Any], num_fewshot: int, **options: Any) -> Any:
        template = options.get("chat_template")
        if num_fewshot == 0 and template is not None and doc.get("messages"):
            messages: Sequence[dict[str, str]] = json.loads(doc["messages"])
            return template(messages, add_generation_prompt=True)
        if num_fewshot:
            self._task.set_fewshot_seed(seed=_seed(doc))
        return self._build(doc, num_fewshot, **options)


def _seed(doc: dict[str, Any]) -> int:
    """Return a seed that depends on the content of an item only."""
    text = json.dumps(doc, sort_keys=True, default=str)
    return random.Random(f"{SEED} {text}").getrandbits(32)
