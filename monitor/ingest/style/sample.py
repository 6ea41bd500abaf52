"""A sample of records as columns of the source `style`.

One record in SAMPLE_ONE_IN is drawn by the hash that also chooses the examples, from its event
time and some features. The choice depends on nothing else, so that a back-test draws the same
records, and the records of a session, which resemble each other, are drawn independently.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from detectors.arrays import Floats, Ints
from monitor.ingest.chunks.columns import Columns
from monitor.ingest.features import Batch
from monitor.ingest.fields.limits import OTHER
from monitor.ingest.sampling import examples
from monitor.ingest.sampling.examples import Examples
from monitor.ingest.style import markers
from monitor.ingest.style.counts import counts
from monitor.ingest.style.texts import answer_text, prompt_text
from monitor.records import RejectedRecord, Source, Texts, WholeRecord

SAMPLE_ONE_IN = 16
"""All examples are in the sample, which is larger."""
MAX_SAMPLES = 128
"""Samples of a chunk from which on groups of records are passed over before the next chunk. The
cost of the style must be small under a backlog, and so many show a swap within seconds."""
FIRST_SAMPLES = 6_000
"""Samples of a model before any group is passed over: a reference and some windows must not take
longer because traffic waits when Plumbline is started."""
MAX_FIRST_SAMPLES = 20_000
"""The same of all models of a process; they take less than a second."""


@dataclass(frozen=True, slots=True)
class StyleBatch:
    """The counts of n sampled records of several models.

    prompts, answers: shape (n, columns). The other fields are as in `Batch`.
    """

    models: tuple[str, ...]
    codes: NDArray[np.int16]
    positions: NDArray[np.int64]
    times: Floats
    prompts: NDArray[np.int32]
    answers: NDArray[np.int32]
    examples: Examples


class StyleSampler:
    """Counts the texts of sampled records.

    texts: returns the texts of a native record as JSON. Raises RejectedRecord if it has none.
    one_in: one of so many groups of records is sampled from.
    begins: whether a model of the last group has fewer than FIRST_SAMPLES, within the limit of all.
    """

    def __init__(self, texts: Callable[[bytes], Texts]) -> None:
        self._texts = texts
        self.one_in = 1
        self.begins = True
        self._taken = Counter[str]()
        self._groups = 0

    def adapt(self, records: int) -> None:
        """Pass over so many groups that chunks like the last one have about MAX_SAMPLES samples.

        records: of the last chunk.
        """
        self.one_in = 1
        while not self.begins and records > MAX_SAMPLES * SAMPLE_ONE_IN * self.one_in:
            self.one_in *= 2

    def takes_next(self) -> bool:
        """Return whether the next group of records is sampled from."""
        self._groups += 1
        return self._groups % self.one_in == 0

    def sample(
        self, batch: Batch, payloads: Sequence[bytes], wholes: Mapping[int, WholeRecord | bytes]
    ) -> StyleBatch | None:
        """Return the sampled records of a batch that have an answer; None if none has.

        payloads: the messages of the records. wholes: records that are not decoded from their
        message again, by index; bytes are decoded instead of the message.
        """
        chosen, prompts, answers = [], [], []
        for index in self.sampled(batch).tolist():
            texts = self._texts_of(wholes.get(index, payloads[index]))
            if texts.response:
                chosen.append(index)
                prompts.append(prompt_text(texts.prompt))
                answers.append(answer_text(texts.response))
        if not chosen:
            return None
        rows = counts([*prompts, *answers])
        indices = np.array(chosen)
        self._count(batch.models, batch.codes[indices])
        return StyleBatch(
            batch.models,
            batch.codes[indices],
            batch.positions[indices],
            batch.times[indices],
            rows[: len(chosen)],
            rows[len(chosen) :],
            batch.examples.take(indices, len(batch.codes)),
        )

    def sampled(self, batch: Batch) -> Ints:
        """Return the indices of the sampled records of a batch: those of named models."""
        drawn = np.flatnonzero(batch.hashes < np.uint64(2**64 // SAMPLE_ONE_IN))
        named = batch.codes[drawn] != batch.models.index(OTHER)
        return np.asarray(drawn[named], np.intp)

    def _count(self, models: Sequence[str], codes: NDArray[np.int16]) -> None:
        """Count the first samples of each model. codes: of the models of some samples."""
        if self._taken.total() >= MAX_FIRST_SAMPLES:
            self.begins = False
            return
        found = {models[code]: times for code, times in Counter(codes.tolist()).items()}
        self._taken.update(found)
        self.begins = any(self._taken[model] < FIRST_SAMPLES for model in found)

    def _texts_of(self, whole: WholeRecord | bytes) -> Texts | WholeRecord:
        if isinstance(whole, WholeRecord):
            return whole
        try:
            return self._texts(whole)
        except RejectedRecord:  # a message that is a record for features only: it has no sample
            return Texts()


def columns(batches: Sequence[StyleBatch]) -> Iterator[Columns]:
    """Yield the columns of sampled records by model, each with its records in order."""
    if batches:
        yield from _by_model(_joined(batches))


def _joined(batches: Sequence[StyleBatch]) -> StyleBatch:
    """Concatenate batches of one extractor, which only adds models."""
    if len(batches) == 1:
        return batches[0]
    return StyleBatch(
        batches[-1].models,
        np.concatenate([batch.codes for batch in batches]),
        np.concatenate([batch.positions for batch in batches]),
        np.concatenate([batch.times for batch in batches]),
        np.concatenate([batch.prompts for batch in batches]),
        np.concatenate([batch.answers for batch in batches]),
        examples.join([(batch.examples, len(batch.codes)) for batch in batches]),
    )


def _by_model(batch: StyleBatch) -> Iterator[Columns]:
    """Yield the columns of each model, with its records in the order of the log."""
    values = markers.values(batch.prompts, batch.answers)
    for code in np.unique(batch.codes).tolist():
        own = np.flatnonzero(batch.codes == code)
        yield Columns(
            batch.models[code],
            batch.positions[own],
            batch.times[own],
            markers.NUMERIC,
            markers.BINARY,
            values[:, own],
            (),
            batch.examples.take(own, len(batch.codes)),
            Source.STYLE,
            markers.EPOCH,
        )
