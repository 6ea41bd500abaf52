"""Match the answers of several files: by request id, or by the text of the prompt."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

from monitor.errors import UserError
from monitor.experiments.compare.answers import Answer, Answers

Key = tuple[bytes | str, int]


class Match(StrEnum):
    """What identifies answers to the same prompt.

    AUTO: the request id if the files have common ones with equal prompts; otherwise the prompt.
    """

    AUTO = "auto"
    REQUEST_ID = "request_id"
    PROMPT = "prompt"


@dataclass(frozen=True, slots=True)
class Matched:
    """Which answers belong together.

    rows: shape (files, cases), index of the answer in its file; -1 if the file has none.
    groups: shape (cases,): cases with equal prompts are one group.
    unmatched: by file, answers that no other file has a partner for.
    """

    by: Match
    rows: NDArray[np.int64]
    groups: NDArray[np.int64]
    unmatched: tuple[int, ...]


def match(files: Sequence[Answers], by: Match = Match.AUTO) -> Matched:
    """Return the answers that belong together; the first file is the control.

    By prompt: the first answer to a prompt in one file is compared with the first one in another,
    the second with the second. By request id: prompts may differ, as those of two templates do.
    Raises UserError if a file has nothing in common with the control, or repeats a request id.
    """
    if by is Match.AUTO:
        by = Match.REQUEST_ID if _ids_identify(files) else Match.PROMPT
    keys = [_by_id(each) if by is Match.REQUEST_ID else _by_prompt(each) for each in files]
    for each, found in zip(files[1:], keys[1:], strict=True):
        if not keys[0].keys() & found.keys():
            raise UserError(_nothing_common(files, each, by))
    count = Counter(key for found in keys for key in found)
    cases = [key for key in dict.fromkeys(k for found in keys for k in found) if count[key] > 1]
    rows = np.array([[found.get(key, -1) for key in cases] for found in keys], np.int64)
    unmatched = [
        len(each.answers) - sum(key in found for key in cases)
        for each, found in zip(files, keys, strict=True)
    ]
    return Matched(by, rows, _groups(files, rows), tuple(unmatched))


def _ids_identify(files: Sequence[Answers]) -> bool:
    """Return whether request ids identify prompts: common ones exist, and their prompts agree."""
    if not all(answer.request_id for each in files for answer in each.answers):
        return False
    prompts = [{answer.request_id: answer.prompt for answer in each.answers} for each in files]
    control = prompts[0]
    for other in prompts[1:]:
        common = control.keys() & other.keys()
        if not common or any(
            control[key] and other[key] and control[key] != other[key] for key in common
        ):
            return False
    return True


def _by_id(file: Answers) -> dict[Key, int]:
    found: dict[Key, int] = {}
    for index, answer in enumerate(file.answers):
        if not answer.request_id:
            continue
        first = found.setdefault((answer.request_id, 0), index)
        if first != index:
            raise UserError(
                f"{file.source}: line {answer.line:,} repeats the request id of line"
                f" {file.answers[first].line:,}; remove one, or use --match prompt"
            )
    return found


def _by_prompt(file: Answers) -> dict[Key, int]:
    repeats: Counter[bytes] = Counter()
    found: dict[Key, int] = {}
    for index, answer in enumerate(file.answers):
        if answer.prompt:
            found[answer.prompt, repeats[answer.prompt]] = index
            repeats[answer.prompt] += 1
    return found


def _nothing_common(files: Sequence[Answers], other: Answers, by: Match) -> str:
    """Return why nothing can be compared, and what to do."""
    places = f"{files[0].source} and {other.source}"
    if by is Match.REQUEST_ID:
        return f"{places} have no request id in common; use --match prompt if their prompts agree"
    ids = {a.request_id for a in files[0].answers} & {a.request_id for a in other.answers} - {""}
    if not any(answer.prompt for answer in (*files[0].answers, *other.answers)) and not ids:
        return f"{places} have neither prompts nor common request ids; add one of them to each line"
    hint = "; --match request_id compares answers to different prompts" if ids else ""
    return f"{places} have no prompt in common{hint}"


def _groups(files: Sequence[Answers], rows: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the group of each case: its prompt in the first file that has it."""
    known: dict[bytes, int] = {}
    groups = []
    for case in range(rows.shape[1]):
        answer = _first(files, rows[:, case])
        # a case without a prompt is a group of its own
        key = answer.prompt or b"case %d" % case
        groups.append(known.setdefault(key, len(known)))
    return np.array(groups, np.int64)


def _first(files: Sequence[Answers], rows: NDArray[np.int64]) -> Answer:
    file = int(np.flatnonzero(rows >= 0)[0])
    return files[file].answers[int(rows[file])]
