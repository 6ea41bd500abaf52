"""Digest of a task as it runs: metrics, prompt, filters, code and data.

lm-eval's own task_hashes cover neither the metric nor the code of a task.
"""

from __future__ import annotations

import hashlib
import inspect
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from replay.runner.process.tasks import LoadedTask

_ELSEWHERE = ("dataset_kwargs", "metadata", "include")
"""Parts of a configuration that contain paths, which differ between machines; data are hashed."""


def task_digest(task: LoadedTask, chat: bool, lm_eval_version: str) -> str:
    """Return 16 hexadecimal digits. chat: whether a chat template is applied."""
    digest = hashlib.sha256(json.dumps([lm_eval_version, chat]).encode())
    for leaf in task.leaves:
        config = leaf.task.dump_config()
        kept = {key: value for key, value in config.items() if key not in _ELSEWHERE}
        digest.update(json.dumps(kept, sort_keys=True, default=_stable).encode())
        digest.update(json.dumps(leaf.task.higher_is_better(), sort_keys=True).encode())
        for source in sorted(_sources(vars(leaf.task.config))):
            digest.update(source)
        for doc in leaf.task.eval_docs:
            digest.update(json.dumps(doc, sort_keys=True, default=_stable).encode())
    return digest.hexdigest()[:16]


def _stable(value: Any) -> str:
    """Return a text for a value that JSON has not: without the address of an object."""
    name = getattr(value, "__qualname__", "")
    return name or (repr(value) if isinstance(value, bytes) else type(value).__name__)


def _sources(value: Any, depth: int = 4) -> Iterator[bytes]:
    """Yield the files of the functions in a configuration. They may call others of the file."""
    if depth == 0:
        return
    if isinstance(value, dict):
        for part in value.values():
            yield from _sources(part, depth - 1)
    elif isinstance(value, list | tuple):
        for part in value:
            yield from _sources(part, depth - 1)
    elif callable(value):
        try:
            file = inspect.getsourcefile(value)
        except TypeError:
            return
        if file is not None:
            yield hashlib.sha256(Path(file).read_bytes()).digest()
