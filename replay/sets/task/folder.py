"""Write an evaluation set as a folder of tasks that lm-eval runs as it is."""

from __future__ import annotations

import json
import random
import string
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, Final

import yaml

from monitor.errors import UserError
from monitor.records import ChatMessage
from replay.sets.item import Item, Scoring
from replay.sets.item_set import ItemSet
from replay.sets.task import scoring as scoring_module

MAX_NEW_TOKENS: Final = 512
WEIGHTS: Final = frozenset({"hf", "vllm"})
"""Models that give log probabilities. Elsewhere a choice is a question for its letter."""
MOST_CHOICES: Final = len(string.ascii_uppercase)


class _Function(str):
    """Name of a function, which lm-eval resolves."""


class _Dumper(yaml.SafeDumper):
    """Writes names of functions with their tag."""


_Dumper.add_representer(_Function, lambda dumper, name: dumper.represent_scalar("!function", name))


def write_task(
    item_set: ItemSet, folder: Path, model_kind: str, items: Iterable[Item] | None = None
) -> tuple[str, ...]:
    """Write one task for each scoring of the set. Return the names of the tasks.

    folder: made if it is absent; files of the same names are replaced. It may be moved.
    model_kind: as in `replay.runner.plan`. items: those to write; by default all, the held-out
    ones included. Their order is random and depends on the set only, so a part of a task is a
    random sample. Raises UserError if an item cannot be written.
    """
    chosen = list(item_set.items if items is None else items)
    folder.mkdir(parents=True, exist_ok=True)
    source = Path(scoring_module.__file__).read_text(encoding="utf-8")
    (folder / "utils.py").write_text(source, encoding="utf-8")
    groups: dict[Scoring, list[Item]] = {}
    for item in sorted(chosen, key=lambda item: item.id):
        groups.setdefault(item.scoring, []).append(item)
    names = []
    for scoring, members in sorted(groups.items()):
        name = task_name(item_set.name, scoring)
        random.Random(f"{item_set.digest} {scoring}").shuffle(members)
        rows = [_row(item, model_kind) for item in members]
        lines = [json.dumps(row, ensure_ascii=False, sort_keys=True) + "\n" for row in rows]
        (folder / f"{name}.jsonl").write_text("".join(lines), encoding="utf-8", newline="\n")
        config = _config(name, scoring, item_set, model_kind)
        text = yaml.dump(config, Dumper=_Dumper, sort_keys=False)
        (folder / f"{name}.yaml").write_text(text, encoding="utf-8")
        names.append(name)
    return tuple(names)


def task_name(set_name: str, scoring: Scoring) -> str:
    """Return the name of the task with the items of one scoring. It has no version."""
    return f"{set_name}-{scoring}"


def _config(name: str, scoring: Scoring, item_set: ItemSet, model_kind: str) -> dict[str, Any]:
    """Return the content of a task file. Texts are columns, never templates."""
    by_probability = scoring == "choice" and model_kind in WEIGHTS
    answer = (
        {
            "output_type": "multiple_choice",
            "doc_to_text": "text",
            "doc_to_choice": "letters",
            "doc_to_target": "gold",
        }
        if by_probability
        else {
            "output_type": "generate_until",
            "doc_to_text": "text",
            "doc_to_target": "target",
            "generation_kwargs": {
                "until": [],
                "do_sample": False,
                "max_gen_toks": MAX_NEW_TOKENS,
            },
        }
    )
    return {
        "task": name,
        "custom_dataset": _Function("utils.load_items"),
        "dataset_kwargs": {"file": f"{name}.jsonl"},
        "test_split": "test",
        **answer,
        "process_results": _Function("utils.process_results"),
        "num_fewshot": 0,
        "metric_list": [{"metric": scoring, "aggregation": "mean", "higher_is_better": True}],
        "metadata": {"version": item_set.version, "digest": item_set.digest},
    }


def _row(item: Item, model_kind: str) -> dict[str, Any]:
    """Return the document of an item. `messages` is set if its prompt is a conversation."""
    letters = list(string.ascii_uppercase[: len(item.choices)])
    target, gold = item.target or "", -1
    if item.scoring == "choice":
        gold = _position(item)
        target = letters[gold]
    elif item.scoring in scoring_module.SCORES and not target:
        raise UserError(f"item {item.id}: scoring {item.scoring} needs a target")
    messages = _messages(item, letters)
    plain = len(messages) == 1 and messages[0].role == "user"
    cue = "\n\nAnswer:" if item.scoring == "choice" and model_kind in WEIGHTS else ""
    return {
        "item_id": item.id,
        "scoring": item.scoring,
        "text": (messages[0].content if plain else _transcript(messages)) + cue,
        "messages": "" if plain else _json(messages),
        "target": target,
        "letters": letters,
        "gold": gold,
        "slices": json.dumps(item.slices, ensure_ascii=False, sort_keys=True),
        "cluster": item.cluster,
    }


def _position(item: Item) -> int:
    """Return the position of the correct choice."""
    if not 2 <= len(item.choices) <= MOST_CHOICES:
        raise UserError(f"item {item.id}: a choice has 2 to {MOST_CHOICES} choices")
    if item.target not in item.choices:
        raise UserError(f"item {item.id}: the target is none of the choices")
    return item.choices.index(item.target)


def _messages(item: Item, letters: Sequence[str]) -> list[ChatMessage]:
    """Return the prompt as messages, with passages before and choices after the last of a user."""
    prompt = item.prompt
    messages = [ChatMessage("user", prompt)] if isinstance(prompt, str) else list(prompt)
    users = [i for i, message in enumerate(messages) if message.role == "user"]
    if not users:
        raise UserError(f"item {item.id}: the prompt has no message of a user")
    last = users[-1]
    text = messages[last].content
    if item.contexts:
        passages = [f"[{n}] {passage}" for n, passage in enumerate(item.contexts, 1)]
        text = "\n\n".join(("Passages:", *passages, text))
    if item.scoring == "choice":
        choices = [f"{sign}. {text}" for sign, text in zip(letters, item.choices, strict=True)]
        ask = "Answer with the letter of the correct choice only."
        text = "\n".join((text, "", *choices, "", ask))
    messages[last] = ChatMessage(messages[last].role, text)
    return messages


def _transcript(messages: Iterable[ChatMessage]) -> str:
    """Return a conversation as one text, for lm-eval's own command and models without chat."""
    lines = [f"{message.role}: {message.content}" for message in messages]
    return "\n\n".join((*lines, "assistant:"))


def _json(messages: Iterable[ChatMessage]) -> str:
    content = [{"role": message.role, "content": message.content} for message in messages]
    return json.dumps(content, ensure_ascii=False)
