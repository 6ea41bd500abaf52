"""Judged samples of one model: ordinal scores, means in 0 to 1, and unscored samples."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from detectors.arrays import Floats
from monitor.config.schema import Config
from monitor.config.sections.detection import AlarmsConfig
from monitor.config.sections.judging.budget import ModelPrice
from monitor.config.sections.judging.client import JudgeClientConfig
from monitor.config.sections.judging.section import JudgesConfig
from monitor.ingest.chunks.columns import CategoryColumn, Columns
from monitor.ingest.sampling.examples import Examples
from monitor.records import Source

START = 1_700_000_000.0
RATE = 0.5
"""Judged samples a second: one in a hundred of 50 records a second."""
REFERENCE, WINDOW, STRIDE = 2000, 200, 20
FEATURES = ("judge.answer_quality", "judge.tone", "ragas.faithfulness", "ragas.relevancy")


@dataclass(frozen=True)
class Quality:
    """Distribution of the answer quality before it is rounded to 0 to 5."""

    mean: float
    sd: float


GOOD, WORSE = Quality(4.2, 0.8), Quality(3.4, 1.1)


LOCAL_JUDGE: dict[str, Any] = {
    "model": "judge",
    "client": JudgeClientConfig(base_url="http://127.0.0.1:8000"),
    "prices": {"judge": ModelPrice(input=0.0, output=0.0)},
}
"""What rubrics require: a model, its price, and an endpoint that needs no key."""


def config(
    *, segments: tuple[str, ...] = (), alarms: AlarmsConfig | None = None, enabled: bool = True
) -> Config:
    """Return a configuration with judges, and the default windows of judged samples."""
    judges = JudgesConfig(rubrics=("answer_quality",), **LOCAL_JUDGE) if enabled else JudgesConfig()
    return Config(judges=judges, segments=segments, alarms=alarms or AlarmsConfig())


def samples(
    n: int,
    *,
    seed: int = 0,
    first: int = 0,
    quality: Quality = GOOD,
    model: str = "m",
    unscored: float = 0.02,
    source: Source = Source.JUDGE,
) -> Columns:
    """Return n judged samples.

    first: number of the first one. unscored: share of samples without a score of a judge.
    """
    rng = np.random.default_rng(seed)
    number = np.arange(first, first + n)
    tone = rng.choice(6, n, p=[0.01, 0.01, 0.03, 0.05, 0.2, 0.7]).astype(float)
    claims = rng.integers(1, 7, n)
    values = np.stack(
        [
            _ordinal(rng, n, quality),
            tone,
            rng.binomial(claims, 0.9) / claims,  # share of the statements that a context supports
            rng.beta(8, 2, n),  # cosine of questions
        ]
    )
    values[:2, rng.random(n) < unscored] = np.nan
    return Columns(
        model=model,
        positions=number + 1,
        times=START + number / RATE,
        numeric=FEATURES,
        binary=(),
        values=values,
        categories=(
            CategoryColumn("finish_reason", ("stop", "length"), _codes(rng, n)),
            CategoryColumn("metadata.route", ("web", "api"), _codes(rng, n)),
        ),
        examples=Examples(
            np.arange(n, dtype=np.int32), tuple(f"judged-{i}" for i in number.tolist())
        ),
        source=source,
    )


def _ordinal(rng: np.random.Generator, n: int, quality: Quality) -> Floats:
    return np.clip(np.rint(rng.normal(quality.mean, quality.sd, n)), 0, 5)


def _codes(rng: np.random.Generator, n: int) -> np.ndarray[tuple[int], np.dtype[np.int16]]:
    return rng.integers(2, size=n).astype(np.int16)
