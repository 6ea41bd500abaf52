"""Draw samples: decide by hashes and features, then decode the drawn messages whole."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from detectors.arrays import Floats
from monitor.config.sections.ingest.sampling import SamplingConfig
from monitor.ingest.fields.fields import Fields
from monitor.ingest.fields.hashing import both_numbers
from monitor.ingest.sampling.cut import TooLargeError, fit
from monitor.ingest.sampling.privacy import Clean, Redact, redact_sample, user_hash
from monitor.ingest.sampling.rates import Boosts, Rates
from monitor.records import (
    Inclusion,
    RejectedRecord,
    Sample,
    UnitExposure,
    WholeRecord,
)

UNIFORM = "uniform"
BOOSTED = "boosted"
DROPPED = ("too_large", "refused", "undecodable")
"""Reasons for which a drawn record is not written: a sample is larger than allowed even without its
texts; the broker refuses samples; the message could not be decoded again."""


@dataclass(slots=True)
class SampleCounts:
    """Numbers of samples.

    written: by UNIFORM or BOOSTED. redacted: replaced places, by kind. cut: samples with cut texts.
    dropped: records that were drawn and not written, by reason: see DROPPED.
    """

    written: Counter[str] = field(default_factory=lambda: Counter({UNIFORM: 0, BOOSTED: 0}))
    redacted: Counter[str] = field(default_factory=Counter)
    cut: int = 0
    dropped: Counter[str] = field(default_factory=lambda: Counter(dict.fromkeys(DROPPED, 0)))

    def add(self, sample: Sample) -> None:
        """Count a sample that is written."""
        self.written[UNIFORM if sample.inclusion.uniform else BOOSTED] += 1
        self.redacted.update(sample.redacted)
        self.cut += bool(sample.cut)

    def update(self, other: SampleCounts) -> None:
        """Add the numbers of another object."""
        self.written.update(other.written)
        self.redacted.update(other.redacted)
        self.cut += other.cut
        self.dropped.update(other.dropped)


@dataclass(frozen=True, slots=True)
class Candidate:
    """A record that is probably drawn. whole: the record, or the message that contains it.

    size: of the message, in bytes. number: of the uniform draw. reasons: to draw it in addition.
    """

    whole: WholeRecord | bytes
    size: int
    number: float
    reasons: Sequence[str]
    exposures: dict[str, UnitExposure]


class Sampler:
    """Draws samples.

    whole: returns all fields of a message that is a record.
    redact: of texts; None if they are not redacted.
    clean: returns whether certainly nothing in some texts would be redacted; to save time.
    alarmed: returns the models with an open drift alarm.
    """

    def __init__(
        self,
        config: SamplingConfig,
        whole: Callable[[bytes], WholeRecord],
        redact: Redact | None,
        clean: Clean | None = None,
        alarmed: Callable[[], Collection[str]] = frozenset,
    ) -> None:
        self._rates = Rates(config)
        self._boosts = Boosts(config.boost, alarmed)
        self._whole = whole
        self._redact = redact
        self._clean = clean
        key = config.user_key
        self._user_key = None if key is None else key.get_secret_value()

    def candidates(
        self,
        records: Fields,
        payloads: Sequence[bytes],
        wholes: Mapping[int, WholeRecord | bytes],
        features: tuple[Floats, Floats],
        exposures: Callable[[int], dict[str, UnitExposure]] = lambda _: {},
    ) -> list[Candidate]:
        """Return the candidates among n records, in order. Nothing else of a record is decoded.

        payloads: the messages of the records. wholes: records that are not decoded from their
        message again, by index; bytes are decoded instead of the message.
        features: errors and refusals, each of shape (n,): 1 if the record is one.
        exposures: returns the exposures of the record with an index.
        """
        uniform, boosted = both_numbers(records.ids)
        maybe_uniform = uniform < self._rates.bounds(records.models)
        reasons = self._boosts.reasons(records, payloads, boosted, features)
        # a record is touched only if it is chosen: most of a batch is not
        for index in maybe_uniform.nonzero()[0].tolist():
            reasons.setdefault(index, [])
        return [
            Candidate(
                wholes.get(index, payloads[index]),
                len(payloads[index]),
                float(uniform[index]),
                reasons[index],
                exposures(index),
            )
            for index in sorted(reasons)
        ]

    def draw(
        self, candidates: Sequence[Candidate], max_bytes: int, dropped: Counter[str]
    ) -> Iterator[tuple[Sample, bytes]]:
        """Yield the samples of candidates, redacted and cut, with their JSON.

        Pass many at a time: each step then works for all of them, with its tables in the CPU's
        cache. max_bytes: maximum size of a sample as JSON.
        dropped: the reason is counted here for each drawn record without a sample.
        """
        drawn: list[Sample] = []
        for each in candidates:
            try:
                whole = each.whole
                record = self._whole(whole) if isinstance(whole, bytes) else whole
                sample = self._sample(record, each.number, each.reasons)
            except RejectedRecord:
                dropped["undecodable"] += 1
            else:
                if sample is not None:
                    sample.exposures = each.exposures
                    drawn.append(sample)
        if self._redact is not None:
            for sample in drawn:
                redact_sample(sample, self._redact, max_bytes, self._clean)
        for sample in drawn:
            try:
                yield sample, fit(sample, max_bytes)
            except TooLargeError:
                dropped["too_large"] += 1

    def _sample(self, record: WholeRecord, number: float, reasons: Sequence[str]) -> Sample | None:
        """Return the sample of a record, as logged; None if it is not drawn."""
        rate = self._rates.of(record)
        boosted = self._boosts.confirmed(reasons, record)
        inclusion = Inclusion(number < rate, rate, boosted)
        if not (inclusion.uniform or boosted):
            return None
        return _as_sample(record, inclusion, self._user_key)


def _as_sample(record: WholeRecord, inclusion: Inclusion, user_key: str | None) -> Sample:
    user = record.user_id
    return Sample(  # by name: `replace` or a loop over the fields takes five times as long
        request_id=record.request_id,
        timestamp=record.timestamp,
        model=record.model,
        inclusion=inclusion,
        prompt=record.prompt,
        response=record.response,
        contexts=record.contexts,
        reference=record.reference,
        experiments=record.experiments,
        user=None if user is None else user_hash(user, user_key),
        session_id=record.session_id,
        latency_ms=record.latency_ms,
        time_to_first_token_ms=record.time_to_first_token_ms,
        input_tokens=record.input_tokens,
        output_tokens=record.output_tokens,
        cost_usd=record.cost_usd,
        finish_reason=record.finish_reason,
        error=record.error,
        scores=record.scores,
        feedback=record.feedback,
        metadata=record.metadata,
    )
