"""Error messages: every unknown key is located, and no message shows a type of pydantic."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import assume, given
from hypothesis import strategies as st

from monitor.config.draft import ConfigError, Problem
from monitor.config.keys import KNOWN_KEYS
from monitor.config.load import load
from monitor.config.schema import describe
from tests.monitor.config.config_files import problems

SECTIONS = sorted({str(key[0]) for key in KNOWN_KEYS if len(key) == 2})
KEYS = st.text(st.characters(codec="utf-8"), max_size=30) | st.sampled_from(
    [str(key[-1]) for key in KNOWN_KEYS]
)


@given(st.none() | st.sampled_from(SECTIONS), KEYS, st.integers(0, 3))
def test_any_unknown_key_is_rejected_with_its_line(
    tmp_path_factory: pytest.TempPathFactory, section: str | None, name: str, above: int
) -> None:
    """An unknown key is reported with its line, whatever its name and place."""
    key = (name,) if section is None else (section, name)
    assume(key not in KNOWN_KEYS)
    document: dict[str, Any] = {name: 1} if section is None else {section: {name: 1}}
    text = "# \n" * above + ("" if section is None else f"{section}:\n  ")
    path = tmp_path_factory.getbasetemp() / "random.yaml"
    path.write_text(text + json.dumps(name) + ": 1\n", encoding="utf-8")
    assume(yaml.safe_load(path.read_text(encoding="utf-8")) == document)
    line = above + (1 if section is None else 2)
    shown = "".join(
        char if char.isprintable() else "?" for char in ".".join(k or "''" for k in key)
    )
    found = problems(path)
    assert any(problem.startswith(f"{path}:{line}: {shown}: ") for problem in found)


@pytest.mark.parametrize("key", ["windows.records", "alarms.min_psi", "http.port"])
@pytest.mark.parametrize(
    ("text", "hint"),
    [
        ("1e3", "without an exponent"),
        ("1E-3", "without an exponent"),
        ("2.5e3", "without an exponent"),
        ("09464", "remove the zeros"),
        ('"0100"', "remove the zeros"),
        ("0100", "without zeros at its beginning"),
        ("1:30", "without colons"),
        ('"1000"', "remove the quotes"),
        ('"1,000"', "without separators"),
        ("10s", "without a unit"),
        ("5 %", "without a unit"),
        ("many", ""),
    ],
)
def test_a_number_in_an_unusual_notation_gets_a_hint(
    tmp_path: Path, key: str, text: str, hint: str
) -> None:
    """The hint fits the notation, in the file and in the environment."""
    section, name = key.split(".")
    path = tmp_path / "c.yaml"
    path.write_text(f"{section}: {{{name}: {text}}}")
    [problem] = problems(path)
    assert hint in problem
    if not hint:
        assert problem.endswith(("a whole number", "a number"))
    variable = f"PLUMBLINE__{section}__{name}".upper()
    with pytest.raises(ConfigError) as caught:
        load(None, {variable: text})
    assert str(caught.value).startswith(f"{variable}: ")
    assert hint in str(caught.value)


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner),
    max_leaves=6,
)


@given(st.sampled_from(sorted(KNOWN_KEYS, key=str)), VALUES)
def test_any_value_is_accepted_or_explained(
    tmp_path_factory: pytest.TempPathFactory, key: tuple[str, ...], value: object
) -> None:
    """Any value loads or raises ConfigError, and no message contains text of pydantic."""
    document = {key[0]: value} if len(key) == 1 else {key[0]: {key[1]: value}}
    path = tmp_path_factory.getbasetemp() / "values.yaml"
    path.write_text(yaml.safe_dump(document), encoding="utf-8")
    found: tuple[Problem, ...] = ()
    try:
        json.dumps(describe(load(path, {})))
    except ConfigError as error:
        found = error.problems
    for problem in found:
        assert problem.line, problem
        assert not re.search(r"pydantic|Input should|is not valid", str(problem))
