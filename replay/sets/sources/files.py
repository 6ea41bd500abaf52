"""Items from files: prompts with targets, and question-and-answer pairs with contexts."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final, Literal

import msgspec

from monitor.errors import UserError, os_error_reason
from monitor.records import ChatMessage
from replay.sets.item import Item, Provenance, Scoring
from replay.sets.sources.samples import scoring_of
from replay.sets.task.folder import MOST_CHOICES

PROMPT: Final = ("prompt", "question", "user_input", "input", "messages")
TARGET: Final = ("target", "answer", "reference", "ground_truth", "expected")
CONTEXTS: Final = ("contexts", "retrieved_contexts", "context")
"""Names of a value, the first one that a row has counts."""
SLICE: Final = "slice."
"""Prefix of the names of slices, such as slice.language."""
MAX_ROW_BYTES: Final = 4 * 1024 * 1024
_CSV: Final = {".csv": ",", ".tsv": "\t"}

Row = Mapping[str, Any]


def items_of_file(
    path: Path, origin: Literal["file", "pair"] = "file", scoring: Scoring | None = None
) -> Iterator[Item]:
    """Yield the items of a file of JSON lines, or of CSV or TSV with a header.

    origin: `pair` for question-and-answer pairs, which need an answer and contexts.
    scoring: of rows without one; None chooses by target, choices and format.
    Raises UserError with the line of what is not an item.
    """
    for number, row in rows(path):
        try:
            yield _item(row, origin, scoring, f"{path.name}:{number}")
        except (msgspec.ValidationError, ValueError) as error:
            raise UserError(f"{path}:{number}: {error}") from None


def rows(path: Path) -> Iterator[tuple[int, Row]]:
    """Yield the rows of a file of JSON lines, CSV or TSV with their lines, from 1 on.

    Raises UserError if the file cannot be read, or a line is no row.
    """
    delimiter = _CSV.get(path.suffix.lower())
    try:
        yield from _json_rows(path) if delimiter is None else _csv_rows(path, delimiter)
    except OSError as error:
        raise UserError(f"{path}: cannot be read: {os_error_reason(error)}") from None
    except UnicodeDecodeError:
        raise UserError(f"{path}: is not UTF-8") from None


def _json_rows(path: Path) -> Iterator[tuple[int, Row]]:
    decode = msgspec.json.Decoder(dict[str, Any]).decode
    with path.open("rb") as file:
        number = 0
        while line := file.readline(MAX_ROW_BYTES + 1):
            number += 1
            if len(line) > MAX_ROW_BYTES:
                raise UserError(f"{path}:{number}: is longer than {MAX_ROW_BYTES:,} bytes")
            if not line.strip():
                continue
            try:
                yield number, decode(line)
            except (msgspec.MsgspecError, ValueError, RecursionError) as error:
                raise UserError(f"{path}:{number}: is not a JSON object: {error}") from None


def _csv_rows(path: Path, delimiter: str) -> Iterator[tuple[int, Row]]:
    with path.open(encoding="utf-8-sig", newline="") as file:
        reader = csv.DictReader(file, delimiter=delimiter, strict=True)
        try:
            for row in reader:
                if None in row or None in row.values():
                    raise UserError(f"{path}:{reader.line_num}: has another number of columns")
                # an empty cell is a missing value
                yield reader.line_num, {name: cell for name, cell in row.items() if cell != ""}
        except csv.Error as error:
            raise UserError(f"{path}:{reader.line_num}: {error}") from None


def _item(row: Row, origin: Literal["file", "pair"], scoring: Scoring | None, detail: str) -> Item:
    """Return the item of a row. Raises ValueError."""
    prompt, answer = _prompt(row)
    target = _first(row, TARGET)
    target = answer if target is None else str(target)
    contexts = _texts(row, CONTEXTS)
    if origin == "pair" and (target is None or not contexts):
        raise ValueError("a pair needs an answer and contexts")
    choices = _texts(row, ("choices",))
    given = {
        "prompt": prompt,
        "target": target,
        "contexts": contexts,
        "choices": choices,
        "format": _value(row, "format", {}),
        "slices": _value(row, "slices", {}) | _slices(row),
        "cluster": str(row.get("cluster", "")),
    }
    given["scoring"] = row.get("scoring") or _scoring(given, scoring)
    found = msgspec.convert(given | {"provenance": Provenance(origin=origin, detail=detail)}, Item)
    _check(found)
    if target is None:
        return found
    accepted = msgspec.structs.replace(found.provenance, accepted_by="reference")
    return msgspec.structs.replace(found, provenance=accepted)


def _prompt(row: Row) -> tuple[str | list[ChatMessage], str | None]:
    """Return the prompt, and the answer of the assistant if that ends its messages."""
    value = _first(row, PROMPT)
    if isinstance(value, str) and value.strip():
        return value, None
    if not isinstance(value, list) or not value:
        raise ValueError(f"has no prompt; name it one of {', '.join(PROMPT)}")
    messages = msgspec.convert(value, list[ChatMessage])
    if messages[-1].role == "assistant":
        return messages[:-1], messages[-1].content
    return messages, None


def _first(row: Row, names: tuple[str, ...]) -> Any:
    return next((row[name] for name in names if row.get(name) is not None), None)


def _texts(row: Row, names: tuple[str, ...]) -> tuple[str, ...]:
    """Return a list of texts: a list, the text of a JSON list, or one text."""
    value = _first(row, names)
    if value is None:
        return ()
    if isinstance(value, str) and value.lstrip().startswith("["):
        try:
            value = msgspec.json.decode(value)
        except msgspec.DecodeError:
            return (value,)
    return (value,) if isinstance(value, str) else tuple(msgspec.convert(value, list[str]))


def _value(row: Row, name: str, default: dict[str, Any]) -> dict[str, Any]:
    """Return an object, which is a JSON text in CSV. Raises ValueError."""
    value = row.get(name, default)
    if isinstance(value, str):
        value = msgspec.json.decode(value)
    return msgspec.convert(value, dict[str, Any])


def _slices(row: Row) -> dict[str, str]:
    return {
        name.removeprefix(SLICE): str(value)
        for name, value in row.items()
        if name.startswith(SLICE)
    }


def _scoring(given: Mapping[str, Any], scoring: Scoring | None) -> Scoring:
    """Return the scoring of a row without one."""
    if given["format"]:
        return "format"
    if given["choices"]:
        return "choice"
    if given["target"] is None:
        return "judge"
    return scoring or scoring_of(given["target"])


def _check(item: Item) -> None:
    """Raise ValueError if an item cannot be asked or scored: as one of a set, it ends each run."""
    if not isinstance(item.prompt, str) and all(each.role != "user" for each in item.prompt):
        raise ValueError("the messages have none of a user")
    if item.scoring == "choice" and not 2 <= len(item.choices) <= MOST_CHOICES:
        raise ValueError(f"a choice has 2 to {MOST_CHOICES} choices")
    if item.scoring == "choice" and item.target not in item.choices:
        raise ValueError("the target is none of the choices")
    if item.scoring == "format" and "name" not in item.format:
        raise ValueError('the format has no "name"')
    without = item.scoring in {"refuses", "complies", "format", "judge"}
    if item.target is None and not without:
        raise ValueError(f"has no target, which {item.scoring} needs")
