"""What a judge transaction writes: evaluations, score chunks, exposures and state."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence

import numpy as np

from judges.live.partition import Commit, Pending
from monitor.events.evaluations import encode_evaluation
from monitor.experiments.exposures.columns import Exposures, encode_within, key_of
from monitor.ingest.chunks.chunk import encode_chunks
from monitor.ingest.chunks.columns import CategoryColumn, Columns
from monitor.ingest.sampling.examples import Examples, is_valid_id
from monitor.kafka.topics import Topics
from monitor.records import Sample, Source
from monitor.roles.late_exposures import late_exposures

CHUNK_BYTES = 900_000
"""Maximum size of a chunk; below the default message size limit of a broker."""
Outgoing = tuple[str, bytes | None, bytes, int | None]
"""Topic, value, key and partition of a message; the key decides if there is no partition."""


def messages(
    topics: Topics,
    commits: Mapping[int, Commit],
    segments: Sequence[str],
    epoch: str,
    experiments: Collection[str] = (),
) -> Iterator[Outgoing]:
    """Yield the messages of a transaction.

    commits: content by partition of the samples topic. segments: keys by which traffic is divided.
    epoch: version of the pinned evaluators. experiments: names of those that are configured.
    """
    finished = [each for commit in commits.values() for each in commit.finished]
    for pending in finished:
        for evaluation in pending.evaluations:
            key = evaluation.request_id.encode()
            yield topics.evaluations, encode_evaluation(evaluation), key, None
    for columns in score_columns(finished, segments, epoch):
        for payload in encode_chunks(columns, CHUNK_BYTES):
            yield topics.features, payload, columns.model.encode(), None
    for exposures in score_exposures(finished, experiments):
        key = key_of(exposures.experiment, exposures.shard)
        for payload in encode_within(exposures, CHUNK_BYTES):
            yield topics.exposures, payload, key, None
    for number, commit in commits.items():
        for state_key, value in commit.messages.items():
            yield topics.judge_state, value, state_key, number


def score_columns(
    finished: Iterable[Pending], segments: Sequence[str], epoch: str
) -> list[Columns]:
    """Return the scores of uniform samples as columns, one set per model.

    Only samples drawn uniformly represent the traffic. A sample without a score is a record whose
    value is missing.
    """
    by_model: dict[str, list[tuple[Pending, Sample]]] = defaultdict(list)
    for pending in finished:
        sample = pending.sample
        if sample is not None and sample.inclusion.uniform and pending.evaluations:
            by_model[sample.model].append((pending, sample))
    return [_columns(model, rows, segments, epoch) for model, rows in by_model.items()]


def score_exposures(finished: Iterable[Pending], experiments: Collection[str]) -> list[Exposures]:
    """Return the scores of uniform samples as exposures, by experiment, phase and shard.

    A metric has its own number of requests, so the scores need no join with the exposures of the
    log. Samples without a score are left out.
    """
    rows = (
        (
            pending.sample.exposures,
            pending.sample.timestamp,
            {e.name: e.score for e in pending.evaluations if e.score is not None},
        )
        for pending in finished
        if pending.sample is not None and pending.sample.inclusion.uniform
    )
    return late_exposures(rows, experiments, Source.JUDGE)


def _columns(
    model: str, rows: Sequence[tuple[Pending, Sample]], segments: Sequence[str], epoch: str
) -> Columns:
    names = sorted({each.name for pending, _ in rows for each in pending.evaluations})
    values = np.full((len(names), len(rows)), np.nan)
    for column, (pending, _) in enumerate(rows):
        for each in pending.evaluations:
            if each.score is not None:
                values[names.index(each.name), column] = each.score
    samples = [sample for _, sample in rows]
    scored = ~np.isnan(values).all(axis=1) if names else np.zeros(0, bool)
    return Columns(
        model,
        np.array([pending.offset + 1 for pending, _ in rows], np.int64),
        np.array([sample.timestamp for sample in samples], np.float64),
        tuple(name for name, kept in zip(names, scored.tolist(), strict=True) if kept),
        (),
        values[scored],
        tuple(_category(name, samples) for name in segments),
        _examples(samples),
        source=Source.JUDGE,
        epoch=epoch,
    )


def _category(name: str, samples: Sequence[Sample]) -> CategoryColumn:
    """Return a field by which traffic is divided: `finish_reason` or `metadata.KEY`."""
    texts = [_text(name, sample) for sample in samples]
    vocabulary = tuple(dict.fromkeys(text for text in texts if text is not None))
    codes = [-1 if text is None else vocabulary.index(text) for text in texts]
    return CategoryColumn(name, vocabulary, np.array(codes, np.int32))


def _text(name: str, sample: Sample) -> str | None:
    if name == "finish_reason":
        return sample.finish_reason
    value = (sample.metadata or {}).get(name.removeprefix("metadata."))
    return None if value is None else str(value)


def _examples(samples: Sequence[Sample]) -> Examples:
    """Return the request ids of all samples: few records are judged, so none is left out."""
    chosen = [
        (index, sample.request_id)
        for index, sample in enumerate(samples)
        if is_valid_id(sample.request_id)
    ]
    indices = np.array([index for index, _ in chosen], np.int32)
    return Examples(indices, tuple(request_id for _, request_id in chosen))
