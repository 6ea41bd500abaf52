"""Read a file of criteria; all problems are reported at once, with file and line."""

from __future__ import annotations

import hashlib
from pathlib import Path

from monitor.config.draft import ConfigError, Draft
from monitor.config.yaml_file import read_file
from monitor.errors import UserError, os_error_reason
from replay.gate.criteria.model import Criteria
from replay.gate.criteria.parsing import CriteriaError, parse


def load_criteria(path: Path) -> tuple[Criteria, str]:
    """Return the criteria of a YAML file and the SHA-256 of the file.

    Raises UserError, whose lines are the problems.
    """
    draft = Draft()
    read_file(path, draft)
    try:
        criteria = parse(draft.data)
    except CriteriaError as error:
        for key, message in error.problems:
            draft.add_problem(key, message)
        _name_the_file(draft, path)
        raise ConfigError(draft.problems) from None
    if draft.problems:
        raise ConfigError(draft.problems)
    try:
        return criteria, hashlib.sha256(path.read_bytes()).hexdigest()
    except OSError as error:
        raise UserError(f"{path}: cannot be read: {os_error_reason(error)}") from None


def _name_the_file(draft: Draft, path: Path) -> None:
    """Give problems without a place, such as of a key that is missing, the file's name."""
    draft.problems = [
        problem if problem.place else type(problem)(str(path), None, problem.key, problem.message)
        for problem in draft.problems
    ]
