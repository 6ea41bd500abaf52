"""Find the checkpoints of a training run, to replay each of them."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

import msgspec

from monitor.errors import UserError
from replay.runner.plan import ModelSpec

_WEIGHTS: Final = ("*.safetensors", "*.bin", "adapter_model.*")
_DEEPEST: Final = 3


def find_checkpoints(folder: Path) -> tuple[Path, ...]:
    """Return the folders of weights at and below `folder`, in the order of their numbers.

    A checkpoint has a config.json and weights. "checkpoint-900" comes before "checkpoint-1000".
    Raises UserError if there is none.
    """
    if not folder.is_dir():
        raise UserError(f"{folder}: no such directory")
    candidates = [folder, *(path for path in folder.rglob("*") if _is_near(path, folder))]
    found = [path for path in candidates if _is_checkpoint(path)]
    if not found:
        raise UserError(
            f"{folder}: no checkpoint: a folder with config.json and *.safetensors or *.bin"
        )
    return tuple(sorted(found, key=lambda path: _natural(str(path.relative_to(folder)))))


def checkpoint_models(spec: ModelSpec, folder: Path) -> tuple[ModelSpec, ...]:
    """Return the model of each checkpoint, otherwise as `spec`. It must be a model of weights."""
    if spec.is_endpoint:
        raise UserError(f"model {spec.name}: an endpoint has no checkpoints; use kind hf or vllm")
    return tuple(msgspec.structs.replace(spec, name=str(path)) for path in find_checkpoints(folder))


def _is_near(path: Path, folder: Path) -> bool:
    """Whether a path is a folder that is not hidden, few levels below."""
    parts = path.relative_to(folder).parts
    return len(parts) <= _DEEPEST and path.is_dir() and not any(p.startswith(".") for p in parts)


def _is_checkpoint(path: Path) -> bool:
    has_config = (path / "config.json").is_file()
    return has_config and any(next(path.glob(name), None) for name in _WEIGHTS)


def _natural(text: str) -> list[tuple[int, int, str]]:
    """Return a key by which numbers in a text are ordered as numbers."""
    parts = re.split(r"(\d+)", text)
    return [(0, int(part), "") if part.isdecimal() else (1, 0, part) for part in parts]
