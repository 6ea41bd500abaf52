"""Values at paths are those that a plain walk through the decoded JSON finds."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from monitor.config.sections.ingest.paths import EVERY, Path, Step
from monitor.ingest.decode.formats.mapping.places import Place, Places
from monitor.ingest.decode.json_decoding import json_decoder
from monitor.records import RejectedRecord

NAMES = ("a", "b", "a.b", 'q"', "")


def _shapes(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    nested = st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(NAMES), inner)
    return nested | nested.map(json.dumps)


DOCUMENTS = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 9) | st.text("ab{[", max_size=3) | st.just("{}"),
    _shapes,
    max_leaves=12,
)
"""JSON of any shape, also within text."""
STEPS = st.lists(st.sampled_from((*NAMES, 0, 1, EVERY)), min_size=1, max_size=4).map(tuple)
PATHS = st.builds(Path, STEPS, st.booleans())


def plain(values: list[Any], steps: tuple[Step, ...]) -> list[Any]:
    """Return the values at the end of steps, by the definition of a path."""
    for step in steps:
        opened = [unwrapped(value) if isinstance(value, str) else value for value in values]
        if step == EVERY:
            values = [each for value in opened if isinstance(value, list) for each in value]
        elif isinstance(step, int):
            values = [v[step] for v in opened if isinstance(v, list) and step < len(v)]
        else:
            values = [v[step] for v in opened if isinstance(v, dict) and step in v]
    return [value for value in values if value is not None]


def unwrapped(text: Any) -> Any:
    """Return the value of JSON in a text, up to three layers deep; None if there is none."""
    for _ in range(3):
        if isinstance(text, str):
            try:
                text = json.loads(text)
            except ValueError:
                return None
    return None if isinstance(text, str) else text


@given(DOCUMENTS, st.lists(PATHS, min_size=1, max_size=4), st.none() | STEPS)
def test_paths_find_what_a_plain_walk_finds(
    document: Any, paths: list[Path], records: tuple[Step, ...] | None
) -> None:
    """Typed decoding and its fallback find exactly the values of a walk through decoded JSON."""
    places = Places(None if records is None else str(Path(records)))
    readers = [places.reader(str(path)) for path in paths]
    places.seal()
    payload = json.dumps(document).encode()
    try:
        root = json_decoder(places.root.kind)(payload)
    except RejectedRecord:  # of another shape than the paths expect
        root = json.loads(payload)
    texts: dict[int, Any] = {}
    try:
        found = list(places.records(root, texts))
    except RejectedRecord:
        found = []
    expected = expected_records(document, records)
    assert len(found) == len(expected)
    for record, plain_record in zip(found, expected, strict=True):
        place = Place(record, root, texts)
        for path, reader in zip(paths, readers, strict=True):
            wanted = plain([document if path.from_root else plain_record], path.steps)
            assert reader.all(place) == wanted
            assert reader.first(place) == (wanted[0] if wanted else None)


def expected_records(document: Any, records: tuple[Step, ...] | None) -> list[Any]:
    """Return the records of a document: the elements of lists, and what is in no list."""
    if records is None:
        return [document]
    steps = records[:-1] if records[-1] == EVERY else records
    ends = []
    for end in plain([document], steps):
        opened = unwrapped(end) if isinstance(end, str) else end
        ends += opened if isinstance(opened, list) else [opened]
    return ends
