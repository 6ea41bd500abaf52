"""Answers are matched by request id or prompt, and what has no partner is counted."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from monitor.errors import UserError
from monitor.experiments.compare.matching import Match, match
from tests.monitor.experiments.compare.files import read

Lines = list[dict[str, Any]]


def ids(names: list[str], prompt: str = "p-") -> Lines:
    """Return answers with request ids and prompts of their own."""
    return [{"request_id": name, "prompt": prompt + name, "response": "r"} for name in names]


def prompts(names: list[str]) -> Lines:
    """Return answers without request ids."""
    return [{"prompt": name, "response": "r"} for name in names]


def test_common_request_ids_with_equal_prompts_identify(tmp_path: Path) -> None:
    """The order of the files does not matter, and answers without a partner are counted."""
    files = [read(tmp_path / "a", ids(["1", "2", "3"])), read(tmp_path / "b", ids(["3", "1"]))]
    found = match(files)
    assert found.by is Match.REQUEST_ID
    assert found.rows.tolist() == [[0, 2], [1, 0]]
    assert found.unmatched == (1, 0)
    assert found.groups.tolist() == [0, 1]


def test_request_ids_of_other_prompts_do_not_identify(tmp_path: Path) -> None:
    """Files that number their lines are matched by prompt, unless the user says otherwise."""
    first = [{"request_id": "1", "prompt": "x"}, {"request_id": "2", "prompt": "y"}]
    second = [{"request_id": "1", "prompt": "y"}, {"request_id": "2", "prompt": "x"}]
    files = [read(tmp_path / "a", first), read(tmp_path / "b", second)]
    found = match(files)
    assert found.by is Match.PROMPT
    assert found.rows.tolist() == [[0, 1], [1, 0]]
    assert match(files, Match.REQUEST_ID).rows.tolist() == [[0, 1], [0, 1]]


def test_repeated_prompts_are_pairs_of_one_group(tmp_path: Path) -> None:
    """The first answer is compared with the first, the second with the second."""
    files = [
        read(tmp_path / "a", prompts(["x", "y", "x", "x"])),
        read(tmp_path / "b", prompts(["x", "x", "y"])),
    ]
    found = match(files)
    assert found.rows.tolist() == [[0, 1, 2], [0, 2, 1]]
    assert found.groups.tolist() == [0, 1, 0]
    assert found.unmatched == (1, 0)


def test_cases_of_several_files_need_two_of_them(tmp_path: Path) -> None:
    """A prompt that two variants have and the control has not still compares the two."""
    files = [read(tmp_path / name, prompts(list(name[1:]))) for name in ("axy", "bxz", "cxz")]
    found = match(files)
    assert found.rows.tolist() == [[0, -1], [0, 1], [0, 1]]
    assert found.unmatched == (1, 0, 0)


@pytest.mark.parametrize(
    ("first", "second", "by", "error"),
    [
        (prompts(["x"]), prompts(["y"]), Match.AUTO, "have no prompt in common"),
        (ids(["1"]), ids(["1"], "q-"), Match.AUTO, "--match request_id compares answers to"),
        (ids(["1"]), ids(["2"]), Match.REQUEST_ID, "no request id in common; use --match prompt"),
        ([{"response": "r"}], [{"response": "r"}], Match.AUTO, "neither prompts nor common"),
        (
            ids(["1", "2", "1"]),
            ids(["1"]),
            Match.AUTO,
            "a: line 3 repeats the request id of",
        ),
    ],
)
def test_files_that_cannot_be_matched_are_explained(
    tmp_path: Path, first: Lines, second: Lines, by: Match, error: str
) -> None:
    """The error names the files and what to do, and no request id or prompt."""
    files = [read(tmp_path / "a", first), read(tmp_path / "b", second)]
    with pytest.raises(UserError, match=error):
        match(files, by)
