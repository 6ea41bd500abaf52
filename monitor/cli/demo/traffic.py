"""Synthetic traffic: two models in one stream; one of them becomes slower from a given record on.

The requests of the other model are part of an experiment, whose treatment has better scores.

All texts and requests are generated. The distributions follow published figures, so that the demo
has the skewed, clustered and clipped numbers of production.

Token counts: Azure LLM inference trace 2023 (github.com/Azure/AzurePublicDataset, "conversation"
and "code"; Patel et al., "Splitwise", arxiv 2311.18677). `PUBLISHED` contains summaries of the
trace, computed from its 19,366 and 8,819 requests. Each count is drawn from a mixture of lognormals
fitted to the trace by expectation maximisation (the upper part of the conversation prompts by hand,
to match their 95th percentile) and clipped to its range.

Serving times: NVIDIA's published NIM measurements (docs.nvidia.com/nim/benchmarking/llm/1.0.0/
performance, NIM 1.8.0). Llama 3.3 70B at 5,000 input tokens and 1 to 25 concurrent requests takes
407 to 689 ms to the first token (so about 0.1 ms per prompt token) and 19 to 39 ms per output
token; Llama 3.1 8B at 1 to 100 concurrent requests takes 10 to 120 ms and 4.6 to 7.6 ms.
`chat-large` is in the first range (560 ms at 5,000 prompt tokens, 30 ms per output token),
`code-small` in the second (45 ms, 6 ms). The prices are invented.

Records before the change are independent and identically distributed, and so are those after it.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import repeat
from typing import Final, TypeVar

import msgspec
import numpy as np
from numpy.typing import NDArray

from monitor.cli.demo.experiment import EFFECT

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]
Flags = NDArray[np.bool_]
T = TypeVar("T")

BLOCK: Final = 4096  # records drawn at once; the output depends on it
USERS: Final = 500
ERROR_SHARE: Final = 0.005
SCORED_SHARE: Final = 0.3
FINISH_REASONS: Final = ("stop", "length", "content_filter")
FINISH_SHARES: Final = (0.967, 0.03, 0.003)
PROMPT_CHARS: Final = 240  # maximum length: short texts keep a demo of a million records small
RESPONSE_CHARS: Final = 160
ERRORS: Final = ("upstream timeout", "out of memory", "connection reset")


@dataclass(frozen=True, slots=True)
class InjectedDrift:
    """The drift in the traffic: the latency of one model is multiplied by `factor`.

    It affects two features: `latency_ms`, and `tokens_per_second`, which the daemon derives as
    output tokens over latency. An alarm on either is true, any other alarm is false.
    """

    model: str
    features: tuple[str, ...]
    factor: float
    cause: str

    def explains(self, model: str, feature: str) -> bool:
        """Return whether an alarm on this stream is true, if it opens after the change."""
        return model == self.model and feature in self.features


INJECTED: Final = InjectedDrift(
    model="chat-large",
    features=("latency_ms", "tokens_per_second"),
    factor=1.6,
    cause="every response takes 1.6 times as long",
)


@dataclass(frozen=True, slots=True)
class Mixture:
    """A clipped mixture of lognormals over token counts.

    parts: weight, median and standard deviation of the logarithm of each.
    """

    parts: tuple[tuple[float, float, float], ...]
    minimum: int
    maximum: int

    def draw(self, rng: np.random.Generator, size: int) -> Integers:
        """Draw token counts, shape (size,)."""
        weights, medians, sigmas = (np.array(column) for column in zip(*self.parts, strict=True))
        part = rng.choice(len(weights), size=size, p=weights)
        values = medians[part] * np.exp(sigmas[part] * rng.standard_normal(size))
        clipped: Floats = np.clip(np.rint(values), self.minimum, self.maximum)
        return clipped.astype(np.int64)


@dataclass(frozen=True, slots=True)
class SyntheticModel:
    """The behaviour of one model. Times are in ms, prices in USD per million tokens."""

    name: str
    share: float  # of the stream
    input_tokens: Mixture
    output_tokens: Mixture
    first_token_ms: float  # for an empty prompt
    prefill_ms: float  # per prompt token
    decode_ms: float  # per output token
    input_price: float
    output_price: float
    relevance: tuple[float, float]  # parameters of a beta distribution
    routes: tuple[str, ...]
    words: tuple[str, ...]


MODELS: Final = (
    SyntheticModel(
        name="chat-large",
        share=0.6,
        input_tokens=Mixture(
            (
                (0.19, 226, 1.0),
                (0.24, 399, 0.06),
                (0.40, 1092, 0.10),
                (0.10, 2550, 0.35),
                (0.07, 4090, 0.03),
            ),
            minimum=2,
            maximum=14050,
        ),
        output_tokens=Mixture(
            ((0.02, 15.3, 0.19), (0.65, 95.7, 0.47), (0.05, 536, 0.19), (0.28, 406, 0.06)), 7, 1000
        ),
        first_token_ms=60.0,
        prefill_ms=0.1,
        decode_ms=30.0,
        input_price=1.0,
        output_price=4.0,
        relevance=(8.0, 2.0),
        routes=("web", "mobile", "api"),
        words=("bramo", "tilu", "sende", "karu", "oveld", "minta", "quero", "pash", "vitteren"),
    ),
    SyntheticModel(
        name="code-small",
        share=0.4,
        input_tokens=Mixture(
            ((0.32, 253, 1.29), (0.625, 1926, 0.63), (0.055, 7278, 0.06)), 3, 7437
        ),
        output_tokens=Mixture(((0.10, 6.3, 0.07), (0.57, 11.6, 0.34), (0.33, 38.4, 0.88)), 6, 1899),
        first_token_ms=15.0,
        prefill_ms=0.02,
        decode_ms=6.0,
        input_price=0.1,
        output_price=0.4,
        relevance=(6.0, 3.0),
        routes=("editor", "ci"),
        words=("zun(klo)", "=", "vek.tib[3];", "def", "mirp(ga):", "yelt", "+=", "1", "// osk"),
    ),
)


@dataclass(frozen=True, slots=True)
class TokenStatistics:
    """Summary of a token count in the published trace."""

    p50: float
    mean: float
    p95: float


# Azure LLM inference trace 2023: "conversation" for chat-large, "code" for code-small
PUBLISHED: Final = {
    ("chat-large", "input_tokens"): TokenStatistics(p50=1020, mean=1154.7, p95=4083),
    ("chat-large", "output_tokens"): TokenStatistics(p50=129, mean=211.1, p95=451),
    ("code-small", "input_tokens"): TokenStatistics(p50=1469, mean=2047.8, p95=7303),
    ("code-small", "output_tokens"): TokenStatistics(p50=13, mean=27.9, p95=90),
}


class NativeRecord(msgspec.Struct, omit_defaults=True):
    """A record in the native format; fields that are None are not encoded."""

    request_id: str
    timestamp: float
    model: str
    user_id: str
    prompt: str
    metadata: dict[str, str]
    latency_ms: float
    input_tokens: int
    response: str | None = None
    time_to_first_token_ms: float | None = None
    output_tokens: int | None = None
    cost_usd: float | None = None
    finish_reason: str | None = None
    error: str | None = None
    scores: dict[str, float] | None = None
    experiments: dict[str, str] | None = None


class _Model(msgspec.Struct):
    model: str


def model_of(line: bytes) -> str:
    """Return the model of an encoded record, which is the key of its message."""
    return msgspec.json.decode(line, type=_Model).model


@dataclass(frozen=True, slots=True)
class DrawnColumns:
    """The records of one model in a block, as columns of shape (n,); times are in ms."""

    input_tokens: Integers
    output_tokens: Integers
    first_token: Floats
    latency: Floats
    cost: Floats
    finish: Integers  # index into FINISH_REASONS
    failed: Flags
    fault: Integers  # index into ERRORS
    user: Integers
    route: Integers  # index into SyntheticModel.routes
    scored: Flags
    relevance: Floats  # in [0, 1]
    prompt_at: Integers  # start of the text in the pool
    response_at: Integers


def traffic(
    records: int, *, change_at: int, seed: int, rate: float, start: float
) -> Iterator[bytes]:
    """Yield `records` native JSON records, one bytes object each, of both models interleaved.

    Record i (counted from 0) has the event time `start + i / rate` (epoch seconds; `rate` in
    records per second). The drift `INJECTED` begins at record `change_at`; there is none if
    `change_at >= records`. The same arguments give the same bytes. Streams that differ only in
    `records` and `change_at` differ only in their length and in the injected latency.
    Raises ValueError for arguments out of range.
    """
    if records < 0 or change_at < 0:
        raise ValueError(f"records and change_at must not be negative: {records}, {change_at}")
    if not (rate > 0 and np.isfinite(rate) and np.isfinite(start)):
        raise ValueError(f"rate must be positive, rate and start finite: {rate}, {start}")
    return _stream(records, change_at, seed, rate, start)


def _stream(records: int, change_at: int, seed: int, rate: float, start: float) -> Iterator[bytes]:
    rng = np.random.default_rng(seed)
    writers = [_Writer(model, seed, change_at, rate, start) for model in MODELS]
    shares = [model.share for model in MODELS]
    for first in range(0, records, BLOCK):
        # draw whole blocks, so that a shorter stream is a prefix of a longer one
        chosen = rng.choice(len(writers), size=BLOCK, p=shares)
        block = [b""] * BLOCK
        for index, writer in enumerate(writers):
            places = np.flatnonzero(chosen == index)
            lines = writer.write(rng, first + places)
            for place, line in zip(places.tolist(), lines, strict=True):
                block[place] = line
        yield from block[: records - first]


class _Writer:
    """Draws the records of one model and encodes them as JSON."""

    def __init__(
        self, model: SyntheticModel, seed: int, change_at: int, rate: float, start: float
    ) -> None:
        self.model = model
        self.seed = seed
        self.change_at = change_at
        self.rate = rate
        self.start = start
        self.pool, self.word_starts = _pool(model.words)
        self.encode = msgspec.json.Encoder().encode
        self.users = [f"user-{number:03d}" for number in range(USERS)]
        part = model.name == EFFECT.model
        self.variants = EFFECT.variants(self.users) if part else [None] * USERS

    def write(self, rng: np.random.Generator, index: Integers) -> Iterator[bytes]:
        """Yield the records at these positions of the stream, shape (n,), as JSON."""
        columns = self._draw(rng, len(index))
        latency = np.where(index >= self.change_at, self._slowdown(), 1.0) * columns.latency
        timestamps = np.round(self.start + index / self.rate, 6)
        return map(self.encode, self._records(columns, np.round(latency, 3), index, timestamps))

    def _slowdown(self) -> float:
        return INJECTED.factor if self.model.name == INJECTED.model else 1.0

    def _draw(self, rng: np.random.Generator, n: int) -> DrawnColumns:
        m = self.model
        tokens_in, tokens_out = m.input_tokens.draw(rng, n), m.output_tokens.draw(rng, n)
        first = (m.first_token_ms + m.prefill_ms * tokens_in) * rng.lognormal(0.0, 0.25, n)
        decode = m.decode_ms * tokens_out * rng.lognormal(0.0, 0.15, n)
        failed = rng.random(n) < ERROR_SHARE
        cost = (m.input_price * tokens_in + m.output_price * tokens_out) / 1e6
        return DrawnColumns(
            input_tokens=tokens_in,
            output_tokens=tokens_out,
            first_token=np.round(first, 3),
            latency=np.where(failed, first, first + decode),  # a failed request has no tokens
            cost=np.round(cost, 7),
            finish=rng.choice(len(FINISH_REASONS), size=n, p=FINISH_SHARES),
            failed=failed,
            fault=rng.integers(len(ERRORS), size=n),
            user=rng.integers(USERS, size=n),
            route=rng.integers(len(m.routes), size=n),
            scored=rng.random(n) < SCORED_SHARE,
            relevance=np.round(rng.beta(*m.relevance, n), 3),
            prompt_at=rng.choice(self.word_starts, size=n),
            response_at=rng.choice(self.word_starts, size=n),
        )

    def _records(
        self, c: DrawnColumns, latency: Floats, index: Integers, timestamps: Floats
    ) -> Iterator[NativeRecord]:
        served = (~c.failed).tolist()
        filtered = c.finish == FINISH_REASONS.index("content_filter")
        response_chars = _chars(c.output_tokens, RESPONSE_CHARS, self._typical("output_tokens"))
        # the content filter removes the text, but its tokens were generated and are billed
        response = self._texts(c.response_at, np.where(filtered, 0, response_chars))
        variants = [self.variants[user] for user in c.user.tolist()]
        scores = [{EFFECT.score: value} for value in self._scores(c, variants)]
        routes = [{"route": route} for route in self.model.routes]
        return map(
            NativeRecord,  # one list per field, in their order
            [f"demo-{self.seed}-{i:08d}" for i in index.tolist()],
            timestamps.tolist(),
            repeat(self.model.name),
            [self.users[user] for user in c.user.tolist()],
            self._texts(
                c.prompt_at, _chars(c.input_tokens, PROMPT_CHARS, self._typical("input_tokens"))
            ),
            [routes[route] for route in c.route.tolist()],
            latency.tolist(),
            c.input_tokens.tolist(),
            _where(served, response),
            _where(served, c.first_token.tolist()),
            _where(served, c.output_tokens.tolist()),
            _where(served, c.cost.tolist()),
            _where(served, [FINISH_REASONS[reason] for reason in c.finish.tolist()]),
            _where(c.failed.tolist(), [ERRORS[fault] for fault in c.fault.tolist()]),
            _where((c.scored & ~c.failed).tolist(), scores),
            [None if each is None else {EFFECT.experiment: each} for each in variants],
        )

    def _scores(self, c: DrawnColumns, variants: list[str | None]) -> list[float]:
        treated = [variant == EFFECT.treatment for variant in variants]
        better = c.relevance + EFFECT.part * (1.0 - c.relevance)
        found: list[float] = np.round(np.where(treated, better, c.relevance), 3).tolist()
        return found

    def _texts(self, starts: Integers, chars: Integers) -> list[str]:
        ends = (starts + chars).tolist()
        return [self.pool[a:b] for a, b in zip(starts.tolist(), ends, strict=True)]

    def _typical(self, feature: str) -> float:
        return PUBLISHED[self.model.name, feature].p50


def _where(present: list[bool], values: list[T]) -> list[T | None]:
    return [value if here else None for here, value in zip(present, values, strict=True)]


def _chars(tokens: Integers, cap: int, typical: float) -> Integers:
    """Return lengths of shortened texts, shape (n,), which grow with the tokens up to `cap`.

    They saturate instead of being cut off, so that long texts differ in length.
    """
    return np.maximum(1, np.rint(cap * tokens / (tokens + typical))).astype(np.int64)


def _pool(words: tuple[str, ...]) -> tuple[str, Integers]:
    """Return a long text of invented words, and the positions where words start, shape (k,)."""
    picks = np.random.default_rng(0).integers(len(words), size=2000).tolist()
    chosen = [words[pick] for pick in picks]
    starts = np.cumsum([0, *(len(word) + 1 for word in chosen[:-1])])
    text = " ".join(chosen)
    return text, starts[starts < len(text) - max(PROMPT_CHARS, RESPONSE_CHARS)]
