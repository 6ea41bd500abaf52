"""The comparison by people, L3: pairs of answers to label, and the labels as scores.

The answers of a pair are in an order that a hash decides, and neither names its model. Pairs are
drawn by a hash, so that the same results give the same pairs. Equal answers are a tie, which needs
no label.
"""

from __future__ import annotations

import hashlib
import math
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final, Literal

import msgspec

from monitor.errors import UserError, os_error_reason
from replay.results import ItemScore, RunError, TaskScores

TASK: Final = "people"
"""Name of the task of the comparison."""
MAX_BYTES: Final = 16 << 20
"""Largest file of labels."""

_Key = tuple[str, int, str]


class Pair(msgspec.Struct, frozen=True, kw_only=True):
    """Two answers to one prompt, as exported. prompt: empty if it is not known.

    pair: hash of the task, the item and both answers: labels of other answers do not fit.
    """

    pair: str
    task: str
    item: str
    prompt: str
    first: str
    second: str
    candidate_first: bool

    @property
    def exported(self) -> dict[str, str]:
        """The pair as people see it: without the answer's origin."""
        return {
            "pair": self.pair,
            "task": self.task,
            "prompt": self.prompt,
            "first": self.first,
            "second": self.second,
        }


class Label(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The label of one person for one pair. by: name of the person."""

    pair: str
    better: Literal["first", "second", "tie"]
    by: str = ""


class Review(msgspec.Struct, frozen=True, kw_only=True):
    """Where people compare pairs, other than with a file.

    place: its name in messages. compare: adds pairs that are new there, and returns the labels of
    those that are done.
    """

    place: str
    compare: Callable[[Sequence[Pair]], Sequence[Label]]


_decoder = msgspec.json.Decoder(Label)


def draw(
    candidate: Sequence[TaskScores],
    baseline: Sequence[TaskScores],
    count: int,
) -> list[Pair]:
    """Return up to `count` pairs of usable answers to the same items.

    Raises RunError if there are none.
    """
    answers = dict(_answers(baseline))
    pairs = [_pair(key, own, answers[key]) for key, own in _answers(candidate) if key in answers]
    if not pairs:
        raise RunError("no_items", "no item has a response of both models to compare")
    return sorted(pairs, key=lambda pair: pair.pair)[:count]


def different(pairs: Sequence[Pair]) -> list[Pair]:
    """Return the pairs whose answers differ; the others are ties."""
    return [pair for pair in pairs if pair.first != pair.second]


def export(path: Path, pairs: Sequence[Pair]) -> int:
    """Write the pairs whose answers differ as JSON lines. Return their number.

    The folder is made if it is absent. Raises UserError if the file cannot be written.
    """
    shown = [pair.exported for pair in different(pairs)]
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"".join(msgspec.json.encode(pair) + b"\n" for pair in shown))
    except OSError as error:
        raise UserError(f"{path}: cannot be written: {os_error_reason(error)}") from None
    return len(shown)


def read_labels(path: Path) -> list[tuple[int, Label]]:
    """Return the labels of a file with their lines. Raises UserError with the line of a problem."""
    try:
        with path.open("rb") as file:
            content = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise UserError(f"{path}: cannot be read: {os_error_reason(error)}") from None
    if len(content) > MAX_BYTES:
        raise UserError(f"{path}: is larger than {MAX_BYTES >> 20} MiB")
    labels = []
    for number, line in enumerate(content.splitlines(), start=1):
        if line.strip():
            try:
                labels.append((number, _decoder.decode(line)))
            except (msgspec.MsgspecError, ValueError, RecursionError) as error:
                raise UserError(f"{path}:{number}: is not a label: {error}") from None
    return labels


def scores(
    pairs: Sequence[Pair], labels: Sequence[tuple[int, Label]], path: Path | str
) -> tuple[TaskScores, TaskScores, int]:
    """Return the scores of candidate and baseline, and how many pairs have no label.

    The better answer has 1, the other one 0; both have 0 in a tie. Several labels of a pair are
    averaged. path: where the labels are, for errors. Raises UserError for labels that do not fit.
    """
    given = _by_pair(pairs, labels, path)
    own, other, missing = [], [], 0
    for position, pair in enumerate(pairs):
        if pair.first == pair.second:
            wins, losses = 0.0, 0.0
        elif pair.pair in given:
            found = given[pair.pair]
            wins = sum(_wins(pair, label) for label in found) / len(found)
            losses = sum(_loses(pair, label) for label in found) / len(found)
        else:
            missing += 1
            continue
        own.append(_score(pair, position, wins))
        other.append(_score(pair, position, losses))
    return _task(own), _task(other), missing


def _answers(tasks: Sequence[TaskScores]) -> Iterator[tuple[_Key, ItemScore]]:
    """Yield the first usable answer to each item."""
    seen = set()
    for task in tasks:
        for score in task.scores:
            key = (task.task, score.doc_id, score.prompt_hash)
            if not score.failed and score.response and key not in seen:
                seen.add(key)
                yield key, score


def _pair(key: _Key, own: ItemScore, other: ItemScore) -> Pair:
    content = msgspec.json.encode((key, _text(own.response), _text(other.response)))
    digest = hashlib.sha256(content).digest()
    candidate_first = bool(digest[-1] & 1)
    texts = (_text(own.response), _text(other.response))
    return Pair(
        pair=digest.hex()[:24],
        task=key[0],
        item=own.item,
        prompt=_text(own.prompt or other.prompt),
        first=texts[0 if candidate_first else 1],
        second=texts[1 if candidate_first else 0],
        candidate_first=candidate_first,
    )


def _text(text: str) -> str:
    """Return text that UTF-8 can hold."""
    return text.encode("utf-8", "replace").decode("utf-8")


def _by_pair(
    pairs: Sequence[Pair], labels: Sequence[tuple[int, Label]], path: Path | str
) -> Mapping[str, list[Label]]:
    known = {pair.pair for pair in pairs}
    found: defaultdict[str, list[Label]] = defaultdict(list)
    for number, label in labels:
        if label.pair not in known:
            raise UserError(
                f"{path}:{number}: no such pair; labels belong to the answers that were exported"
            )
        if any(label.by == earlier.by for earlier in found[label.pair]):
            raise UserError(f"{path}:{number}: the same person labels this pair again")
        found[label.pair].append(label)
    return found


def _wins(pair: Pair, label: Label) -> float:
    return float(label.better == ("first" if pair.candidate_first else "second"))


def _loses(pair: Pair, label: Label) -> float:
    return float(label.better == ("second" if pair.candidate_first else "first"))


def _score(pair: Pair, position: int, value: float) -> ItemScore:
    if not math.isfinite(value):
        raise ValueError("a score is not finite")
    return ItemScore(
        item=pair.item,
        doc_id=position,
        prompt_hash=pair.pair,
        target_hash="",
        metrics={"preferred": value},
    )


def _task(scores: Sequence[ItemScore]) -> TaskScores:
    binary = all(score.metrics["preferred"] in {0.0, 1.0} for score in scores)
    return TaskScores(task=TASK, metric="preferred", binary=binary, scores=tuple(scores))
