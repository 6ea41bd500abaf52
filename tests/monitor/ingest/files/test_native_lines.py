"""Records are written as lines that decode to the same records."""

from __future__ import annotations

import json
import math
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from monitor.ingest.decode.inference import Inference, ModelNaming, whole_record
from monitor.ingest.decode.native.decoder import NativeDecoder
from monitor.ingest.files.native_lines import native_line
from monitor.records import ChatMessage

text = st.text(max_size=20)
number = st.none() | st.floats() | st.integers(-(10**18), 10**18)
name = st.text("abc", min_size=1, max_size=5)
INFERENCES = st.fixed_dictionaries(
    {
        "request_id": st.text(min_size=1, max_size=20),
        "timestamp": st.floats(0, 7e9),
        "model": st.text("abc-/.:", min_size=1, max_size=20),
    },
    optional={
        "prompt": text | st.lists(st.builds(ChatMessage, st.text(max_size=32), text), max_size=3),
        "contexts": st.lists(text, max_size=2),
        "experiments": st.dictionaries(name, name, max_size=2),
        "scores": st.dictionaries(name, st.floats() | st.integers(-(10**18), 10**18), max_size=2),
        "metadata": st.dictionaries(name, text | st.floats() | st.integers(), max_size=3),
        **dict.fromkeys(("response", "reference", "user_id", "session_id", "trace_id"), text),
        **dict.fromkeys(("span_id", "finish_reason", "error"), text),
        **dict.fromkeys(("latency_ms", "time_to_first_token_ms", "input_tokens"), number),
        **dict.fromkeys(("output_tokens", "cost_usd", "feedback"), number),
    },
)
"""Fields of inferences as a format may find them, with numbers that are none."""


@given(INFERENCES)
def test_written_records_are_native_records(fields: dict[str, Any]) -> None:
    """The line of a record decodes to it, with or without texts, and has no NaN."""
    record = whole_record(Inference(**fields), ModelNaming())
    line = native_line(record)
    assert line.count(b"\n") == 1
    json.loads(line, parse_constant=lambda constant: math.nan / 0)  # refuses NaN and Infinity
    decoder = NativeDecoder()
    assert decoder.whole(line) == record
    assert native_line(decoder.whole(line)) == line
    assert decoder(line).timestamp == record.timestamp


@given(INFERENCES)
def test_native_records_stay_the_same(fields: dict[str, Any]) -> None:
    """A native record is written as it was decoded, whatever else it contains."""
    printable = {
        key: None if isinstance(value, float) and not math.isfinite(value) else value
        for key, value in fields.items()
        if key not in {"prompt", "scores", "metadata"}
    }
    decoder = NativeDecoder()
    record = decoder.whole(json.dumps(printable | {"unknown": [1, {}]}).encode())
    assert decoder.whole(native_line(record)) == record
