"""Standing suites: names for groups of lm-eval's own tasks."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from monitor.errors import UserError

SUITES: Final[dict[str, tuple[str, ...]]] = {
    "core": ("mmlu", "hellaswag", "arc_challenge", "truthfulqa_mc2", "winogrande", "gsm8k"),
    "safety": ("truthfulqa", "bbq"),
    "code": ("humaneval",),
    "instructions": ("ifeval",),
}
"""Tasks by suite. Their data comes from a hub: downloads must be permitted, or cached before."""
STANDARD: Final = frozenset(task for tasks in SUITES.values() for task in tasks)
CODE: Final = frozenset(SUITES["code"])
"""Tasks that run code which the model wrote."""


def expand(names: Sequence[str]) -> tuple[str, ...]:
    """Replace suites by their tasks. The order is kept; duplicates are removed."""
    return tuple(dict.fromkeys(task for name in names for task in SUITES.get(name, (name,))))


def check_code(tasks: Sequence[str], allowed: bool, sandbox: Sequence[str]) -> None:
    """Raise UserError if a task runs code of the model without consent or without a sandbox."""
    found = [task for task in expand(tasks) if task in CODE]
    if found and not (allowed and sandbox):
        raise UserError(
            f"task {found[0]} runs code that the model wrote: it needs allow_code: true and a "
            "sandbox, such as sandbox: [bwrap, --ro-bind, /, /, --bind, RUNS, RUNS, --unshare-net]"
        )
