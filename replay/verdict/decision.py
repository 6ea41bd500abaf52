"""The decision on a run: its verdict, and the numbers and items behind it.

Differences are the candidate's score less the baseline's, in the metric's own direction: -0.062 is
a loss of 6.2 points of accuracy, and 0.3 of perplexity is a loss as well.
"""

from __future__ import annotations

from typing import Literal

import msgspec

from replay.verdict.criteria import Criteria

Outcome = Literal["regressed", "not_regressed", "inconclusive"]
"""The part of `replay.results.Verdict` that follows from scores."""

Flag = Literal["small_drop", "few_items", "stopped_early", "failed_answers"]
"""`small_drop`: a drop is proven, and also that it is within the margin. `few_items`: fewer than
`Criteria.min_items`. `stopped_early`: not all planned items were run, because the verdict was
known. `failed_answers`: some answers were unusable, and their items were left out."""

Method = Literal["tango", "paired_t", "cluster_t"]


class Flip(msgspec.Struct, frozen=True, kw_only=True):
    """An item whose score changed. loss: how much worse the candidate is; negative if better.

    The responses are cut to `replay.verdict.detail.MAX_TEXT` characters. They are hostile text.
    """

    item: str
    doc_id: int
    baseline: float
    candidate: float
    loss: float
    baseline_response: str = ""
    candidate_response: str = ""
    slices: dict[str, str] = {}


class SliceScores(msgspec.Struct, frozen=True, kw_only=True):
    """The scores of the items with one value of one dimension, such as language: de.

    n: pairs. lower, upper: of the difference of this slice alone; None if n is 1.
    few: whether n is below `Criteria.min_items`. A slice has no verdict.
    """

    dimension: str
    value: str
    n: int
    baseline_mean: float
    candidate_mean: float
    difference: float
    lower: float | None
    upper: float | None
    few: bool


class TaskDecision(msgspec.Struct, frozen=True, kw_only=True):
    """The comparison of one task.

    n: pairs with two usable scores. clusters: independent groups of them, equal to n without any.
    planned: pairs of the whole run. failed, baseline_failed: unusable answers.
    baseline_mean, candidate_mean, difference: over pairs; None without pairs.
    lower, upper: bounds of the difference, each wrong with a probability of at most alpha, at
        whatever look the run stopped. None if the data do not determine it.
    p_value: of "the candidate is not worse", one-sided, valid at every look; p_adjusted: by Holm,
        over tasks. p_margin: of "the candidate is worse by the margin or more".
    mcnemar: two-sided p-value of McNemar's exact test, of binary scores without clusters. It is
        for comparison with other tools, ignores that there were looks, and decides nothing.
    e_regressed, e_not_regressed: largest evidence at a look; 20 is strong. None without looks.
    required_n: pairs that an inconclusive task would take, as far as can be estimated.
    lost, gained: pairs that became worse, and better. flips: those of the largest loss first, then
        those of the largest gain. flips_left_out, slices_left_out: beyond the limits.
    """

    task: str
    metric: str
    binary: bool
    higher_is_better: bool
    verdict: Outcome
    flags: tuple[Flag, ...]
    margin: float
    method: Method
    n: int
    clusters: int
    planned: int
    failed: int
    baseline_failed: int
    baseline_mean: float | None
    candidate_mean: float | None
    difference: float | None
    lower: float | None
    upper: float | None
    p_value: float
    p_adjusted: float
    p_margin: float
    mcnemar: float | None
    e_regressed: float | None
    e_not_regressed: float | None
    required_n: int | None
    lost: int
    gained: int
    flips: tuple[Flip, ...]
    flips_left_out: int
    slices: tuple[SliceScores, ...]
    slices_left_out: int
    bounded: bool
    """Whether all scores are from 0 to 1, so that differences are written as points."""


class Decision(msgspec.Struct, frozen=True, kw_only=True):
    """The verdict on a run. looks: how often the scores were looked at before the end."""

    verdict: Outcome
    flags: tuple[Flag, ...]
    tasks: tuple[TaskDecision, ...]
    criteria: Criteria
    looks: int
