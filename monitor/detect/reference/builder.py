"""Build a reference profile from columns."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from detectors.arrays import Floats, Ints
from detectors.categorical_stream import CategoricalStream, build_categorical_stream
from detectors.conditional_stream import ConditionalStream, build_conditional_stream
from detectors.kinds import Kind
from detectors.numeric_stream import NumericStream, build_numeric_stream
from detectors.strata import candidates
from monitor.detect.reference.groups import SPARSE_SHARE
from monitor.detect.reference.profile import Profile
from monitor.ingest.chunks.columns import Columns
from monitor.ingest.fields.limits import Dropped
from monitor.ingest.style.names import PROMPT_PREFIX
from monitor.records import Source

_SCORE = "score."
FALLBACK_RATE = 100.0
"""Records per second assumed for a reference whose records all have the same time."""


def build(
    pieces: Sequence[Columns],
    *,
    segment: str,
    window: int,
    categories: int,
    scores: int | None = None,
    dropped: Dropped | None = None,
) -> Profile:
    """Return the profile of the records in `pieces`, which belong to one model and are in order.

    window: records per window that will be compared with the profile.
    categories: maximum number of categories per feature, the most frequent ones.
    scores: maximum number of scores, those with most values; None: all.
    dropped: receives the names that these limits cut off.
    """
    dropped = dropped or Dropped()
    times = np.concatenate([piece.times for piece in pieces])
    kinds = {name: Kind.NUMERIC for piece in pieces for name in piece.numeric}
    kinds |= {name: Kind.BINARY for piece in pieces for name in piece.binary}
    conditional: list[ConditionalStream] = []
    if pieces[0].source is Source.STYLE:
        conditional = _within_strata(pieces, kinds, window)
        kinds = {}
    # sorted by kind and name, as in a chunk: the id of the profile depends on the order
    numeric = [
        build_numeric_stream(
            name, kind, np.concatenate([piece.row(name) for piece in pieces]), window
        )
        for name, kind in sorted(kinds.items(), key=lambda row: (row[1] is Kind.BINARY, row[0]))
    ]
    names = sorted({column.name for piece in pieces for column in piece.categories})
    categorical = []
    for name in names:
        vocabulary, codes = _category_codes(pieces, name)
        stream = build_categorical_stream(
            name, vocabulary, codes, window, max_categories=categories
        )
        categorical.append(stream)
        _note_categories(dropped, stream, vocabulary, codes)
    # a piece may name a feature without any value: leave it out
    return Profile.from_streams(
        pieces[0].model,
        segment,
        times,
        _records_per_second(times),
        _most_frequent_scores([stream for stream in numeric if stream.count], scores, dropped),
        [stream for stream in categorical if stream.count],
        conditional,
    )


def _within_strata(
    pieces: Sequence[Columns], kinds: Mapping[str, Kind], window: int
) -> list[ConditionalStream]:
    """Return the references of the style: of answers with strata by prompts, of prompts without.

    Markers that are constant or that many records lack are left out.

    kinds: of all features. window: records of the windows to compare with them.
    """
    rows = {name: np.concatenate([piece.row(name) for piece in pieces]) for name in sorted(kinds)}
    known = {name: row for name, row in rows.items() if np.isnan(row).mean() < SPARSE_SHARE}
    prompts = [(name, row) for name, row in known.items() if name.startswith(PROMPT_PREFIX)]
    by_prompt, whole = candidates(prompts), candidates([])

    def of(name: str) -> Floats:
        return known[name]

    streams = [
        build_conditional_stream(
            name, kinds[name], of, whole if name.startswith(PROMPT_PREFIX) else by_prompt, window
        )
        for name in known
    ]
    return [stream for stream in streams if stream is not None]


def _most_frequent_scores(
    streams: Sequence[NumericStream], limit: int | None, dropped: Dropped
) -> list[NumericStream]:
    """Return the streams without the scores beyond the limit, in their order."""
    scores = [stream for stream in streams if stream.name.startswith(_SCORE)]
    if limit is None or len(scores) <= limit:
        return list(streams)
    by_count = sorted(scores, key=lambda stream: (-stream.count, stream.name))
    cut = {stream.name: stream.count for stream in by_count[limit:]}
    for name, count in cut.items():
        dropped.scores.add(name.removeprefix(_SCORE), count)
    return [stream for stream in streams if stream.name not in cut]


def _note_categories(
    dropped: Dropped, stream: CategoricalStream, vocabulary: Sequence[str], codes: Ints
) -> None:
    """Note the categories that the stream does not keep, the most frequent first."""
    if not stream.other:
        return
    kept = set(stream.categories)
    counts = np.bincount(codes[codes >= 0], minlength=len(vocabulary)).tolist()
    rest = [(-n, name) for name, n in zip(vocabulary, counts, strict=True) if name not in kept]
    for count, name in sorted(rest):
        dropped.add_category(stream.name, name, -count)


def _records_per_second(times: Floats) -> float:
    """Return the rate between the 5 % and 95 % quantiles of time, robust against wrong clocks."""
    early, late = np.quantile(times, [0.05, 0.95]).tolist()
    return 0.9 * len(times) / (late - early) if late > early else FALLBACK_RATE


def _category_codes(pieces: Sequence[Columns], name: str) -> tuple[tuple[str, ...], Ints]:
    """Return a vocabulary of all pieces and the codes of their records; -1 where missing."""
    code_of: dict[str, int] = {}
    codes = []
    for piece in pieces:
        column = next((c for c in piece.categories if c.name == name), None)
        if column is None:
            codes.append(np.full(len(piece), -1, np.intp))
            continue
        # code -1 (missing) indexes the last entry
        table = [*(code_of.setdefault(each, len(code_of)) for each in column.vocabulary), -1]
        codes.append(np.array(table, np.intp)[column.codes])
    return tuple(code_of), np.concatenate(codes)
