"""Files of answers for tests."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from monitor.config.schema import Config
from monitor.experiments.compare.answers import Answers, read_answers


def write(path: Path, lines: list[dict[str, Any]]) -> Path:
    """Write JSON lines."""
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return path


def read(path: Path, lines: list[dict[str, Any]]) -> Answers:
    """Write JSON lines, and read them as answers that are named after their file."""
    return read_answers(write(path, lines), path.stem, Config())


def scored(scores: list[float | None], name: str = "quality") -> list[dict[str, Any]]:
    """Return an answer to each of as many prompts, with its score; None is without one."""
    return [
        {"prompt": f"prompt {i}", "response": f"answer {i}"}
        | ({} if score is None else {"scores": {name: score}})
        for i, score in enumerate(scores)
    ]
