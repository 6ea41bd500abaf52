"""Paths are written and read alike, and the short forms of a mapping mean the long ones."""

from __future__ import annotations

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from monitor.config.load import load
from monitor.config.schema import Config, describe
from monitor.config.sections.ingest.mapping import MappingConfig, keys_of
from monitor.config.sections.ingest.paths import EVERY, Path, PathError, parse_path
from tests.monitor.config.config_files import DATA, load_variables

NAMES = st.text(st.characters(exclude_categories=["Cs"]), max_size=8) | st.text(
    'ab."\\[]$*0 ', max_size=5
)
STEPS = NAMES | st.integers(0, 99_999) | st.just(EVERY)


@given(st.lists(STEPS, min_size=1, max_size=6).map(tuple), st.booleans())
def test_every_path_can_be_written(steps: tuple[str | int, ...], from_root: bool) -> None:
    """A path of any names and positions, written as text, is read as the same path."""
    path = Path(steps, from_root)
    assert parse_path(str(path)) == path


@given(st.text("ab.[]*0\"\\ $'", max_size=12) | st.text(max_size=12))
def test_any_text_is_a_path_or_an_error_with_a_column(text: str) -> None:
    """A text is a path, or an error with a column within it and another suggestion."""
    try:
        path = parse_path(text)
    except PathError as error:
        column = int(str(error).split()[1])
        assert 1 <= column <= len(text) + 1
        _, found, suggestion = str(error).rpartition("did you mean ")
        if found and "\\" not in suggestion:
            assert suggestion.removesuffix("?")[1:-1] != text
    else:
        assert parse_path(str(path)) == path


@pytest.mark.parametrize(
    ("text", "better"),
    [
        ("a..b", "a.b"),
        ("a.", "a"),
        (".a", "a"),
        ("a b", '"a b"'),
        ("a['b']", 'a."b"'),
        ("a[]", "a[*]"),
        ("a.[0]", "a[0]"),
        ("a.*", "a[*]"),
        ("a.0.b", "a[0].b"),
        ('"a', '"a"'),
        ("a.'b'", 'a."b"'),
        ("a[0]b", "a[0].b"),
    ],
)
def test_suggestions_are_paths(text: str, better: str) -> None:
    """The usual mistakes have a suggestion, which is a path."""
    with pytest.raises(PathError, match="did you mean") as caught:
        parse_path(text)
    assert repr(better) in str(caught.value)
    parse_path(better)


def test_short_and_long_forms_are_the_same() -> None:
    """A path alone is a list with one source, and loading what is described gives the same."""
    config = load(DATA / "mapping.yaml", {})
    described = describe(config)
    assert Config.model_validate(described) == config
    assert described["format"]["request_id"] == [{"path": "call.id"}]
    assert described["format"]["where"][0]["in"] == ["llm", 7]
    assert [each["path"] for each in described["format"]["model"]] == ["deployment", "model"]
    text = yaml.safe_dump(described["format"], default_flow_style=True)
    assert load_variables(FORMAT=text).format == config.format


def test_the_keys_of_each_section_are_known() -> None:
    """Suggestions for misspelt keys come from the fields of the section."""
    assert set(keys_of(())) == set(MappingConfig.model_fields)
    assert set(keys_of(("where", 0))) == {"path", "equals", "in", "exists", "kind"}
    assert set(keys_of(("latency_ms",))) >= {"path", "sum", "start", "end", "unit"}
