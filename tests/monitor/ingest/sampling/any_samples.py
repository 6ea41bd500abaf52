"""Strategies of whole records and samples."""

from __future__ import annotations

from hypothesis import strategies as st

from monitor.records import ChatMessage, Inclusion, Sample

TEXTS = st.text(max_size=60) | st.text('"\\\n\x00é🙂', max_size=200) | st.just("long " * 2_000)
NUMBERS = st.none() | st.floats(allow_nan=False, allow_infinity=False)
NAMES = st.text(max_size=12)

MESSAGES = st.builds(ChatMessage, role=st.sampled_from(["user", "system", ""]), content=TEXTS)
INCLUSIONS = st.builds(
    Inclusion,
    uniform=st.booleans(),
    probability=st.floats(0, 1),
    boosted=st.lists(st.sampled_from(["error", "refusal"]), unique=True).map(tuple),
)
SAMPLES = st.builds(
    Sample,
    request_id=st.text(max_size=40),
    timestamp=st.floats(0, 4e9),
    model=st.text(min_size=1, max_size=40),
    inclusion=INCLUSIONS,
    prompt=st.none() | TEXTS | st.lists(MESSAGES, max_size=6),
    response=st.none() | TEXTS,
    contexts=st.none() | st.lists(TEXTS, max_size=6),
    reference=st.none() | TEXTS,
    experiments=st.none() | st.dictionaries(NAMES, NAMES, max_size=4),
    user=st.none() | st.just("0" * 32),
    session_id=st.none() | TEXTS,
    latency_ms=NUMBERS,
    cost_usd=NUMBERS,
    finish_reason=st.none() | st.sampled_from(["stop", "length"]),
    error=st.none() | TEXTS,
    scores=st.none() | st.dictionaries(NAMES, st.floats(-1e6, 1e6), max_size=4),
    feedback=NUMBERS,
    metadata=st.none() | st.dictionaries(NAMES, TEXTS | st.floats(-1e6, 1e6), max_size=4),
)
