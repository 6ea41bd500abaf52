"""The report of a calibration: typed results that turn into JSON and into text."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from monitor.statistics.agreement import Estimate, Undefined

Result = Estimate | Undefined
MIN_KAPPA = 0.4
"""Below this kappa of pass verdicts a judge is called unreliable (Landis and Koch: fair)."""


@dataclass(frozen=True, slots=True)
class Confusion:
    """Pass verdicts of the judge against those of people: numbers of cases.

    The rates weigh each case by 1 / its inclusion probability; None without such cases.
    """

    both_passed: int
    both_failed: int
    wrongly_passed: int
    wrongly_failed: int
    sensitivity: float | None
    specificity: float | None
    human_pass_rate: float
    judge_pass_rate: float


@dataclass(frozen=True, slots=True)
class GroupBias:
    """Mean of judge less human in one group of cases, such as a topic."""

    key: str
    value: str
    cases: int
    bias: Result


@dataclass(frozen=True, slots=True)
class PassMark:
    """Score from which on the judge should pass an answer.

    It maximises balanced accuracy, the mean of sensitivity and specificity, of `score >= mark`
    against the pass verdicts of people. Of equal marks it is the one whose pass rate is nearest to
    that of people.
    """

    mark: float
    balanced_accuracy: float
    judge_pass_rate: float


@dataclass(frozen=True, slots=True)
class Calibration:
    """How a judge compares with people in one dimension of a rubric.

    cases: number with a label and a verdict. unjudged: labelled cases without a verdict.
    alpha: Krippendorff's alpha of the scores (interval scale). kappa: Cohen's kappa of the scores,
    quadratic weights. pass_kappa, pass_ac1: of the pass verdicts. people_alpha: among people.
    judges: number of judges of a panel, 0 without one. effective_votes: how many independent judges
    would be as precise, from their errors against people.
    bias: mean of judge less human score.
    """

    rubric: str
    dimension: str
    cases: int
    unjudged: int
    alpha: Result
    kappa: Result
    pass_kappa: Result
    pass_ac1: Result
    people_alpha: Result
    judges: int
    effective_votes: float | Undefined
    bias: Result
    confusion: Confusion | Undefined
    pass_mark: PassMark | Undefined
    groups: list[GroupBias] = field(default_factory=list)
    groups_left_out: int = 0


def to_json(calibrations: list[Calibration]) -> dict[str, Any]:
    """Return the report as JSON values. An undefined value is {"undefined": reason}."""
    return {"calibrations": [json_value(each) for each in calibrations]}


def json_value(value: Any) -> Any:
    """Return a result as JSON values. An undefined value is {"undefined": reason}."""
    if isinstance(value, Undefined):
        return {"undefined": value.reason}
    if isinstance(value, list):
        return [json_value(each) for each in value]
    if hasattr(value, "__dataclass_fields__"):
        return {name: json_value(getattr(value, name)) for name in value.__dataclass_fields__}
    return value


def to_text(calibrations: list[Calibration]) -> str:
    """Return the report as lines for a console, without control characters."""
    return "\n\n".join("\n".join(_lines(each)) for each in calibrations) + "\n"


def _lines(found: Calibration) -> Iterator[str]:
    name = f"{found.rubric} / {found.dimension}" if found.dimension else found.rubric
    yield f"{printable(name)}: {found.cases} cases with label and verdict"
    if found.unjudged:
        yield f"  labelled, but not judged        {found.unjudged}"
    yield f"  alpha of scores                 {shown(found.alpha)}"
    yield f"  kappa of scores (quadratic)     {shown(found.kappa)}"
    yield f"  kappa of pass verdicts          {shown(found.pass_kappa)}"
    yield f"  AC1 of pass verdicts            {shown(found.pass_ac1)}"
    if not isinstance(found.people_alpha, Undefined):
        yield f"  alpha among people              {shown(found.people_alpha)}"
    if found.judges:
        yield f"  effective votes of {found.judges:3d} judges   {_votes(found.effective_votes)}"
    yield f"  bias, judge less human          {shown(found.bias, sign=True)}"
    yield from _confusion_lines(found.confusion)
    if isinstance(found.pass_mark, Undefined):
        yield f"  suggested pass mark             undefined: {found.pass_mark.reason}"
    else:
        mark = found.pass_mark
        yield (
            f"  suggested pass mark             {mark.mark:g} (balanced accuracy"
            f" {mark.balanced_accuracy:.2f}, judge passes {mark.judge_pass_rate:.0%})"
        )
    for group in found.groups:
        title = printable(f"{group.key} = {group.value}")[:40]
        yield f"  bias in {title}, {group.cases} cases: {shown(group.bias, sign=True)}"
    if found.groups_left_out:
        yield f"  {found.groups_left_out} small groups are left out"
    if isinstance(found.pass_kappa, Estimate) and found.pass_kappa.value < MIN_KAPPA:
        yield f"  warning: kappa below {MIN_KAPPA}: do not rely on this judge's pass verdicts"


def _confusion_lines(found: Confusion | Undefined) -> Iterator[str]:
    if isinstance(found, Undefined):
        yield f"  confusion                       undefined: {found.reason}"
        return
    yield "                                  people pass   people fail"
    yield f"  judge passes                    {found.both_passed:11d}   {found.wrongly_passed:11d}"
    yield f"  judge fails                     {found.wrongly_failed:11d}   {found.both_failed:11d}"
    rates = f"{_share(found.sensitivity)}, {_share(found.specificity)}"
    yield f"  sensitivity, specificity        {rates}"
    yield (
        f"  pass rate                       people {found.human_pass_rate:.1%},"
        f" judge {found.judge_pass_rate:.1%}"
    )


def _votes(value: float | Undefined) -> str:
    return f"undefined: {value.reason}" if isinstance(value, Undefined) else f"{value:.1f}"


def _share(value: float | None) -> str:
    return "undefined" if value is None else f"{value:.2f}"


def shown(result: Result, *, sign: bool = False) -> str:
    """Return a result as text: 0.61 (0.48 to 0.72), or why it is undefined."""
    if isinstance(result, Undefined):
        return f"undefined: {result.reason}"
    form = "+.2f" if sign else ".2f"
    if result.lower is None or result.upper is None:
        return f"{result.value:{form}} (too few cases for an interval)"
    return f"{result.value:{form}} ({result.lower:{form}} to {result.upper:{form}})"


def printable(text: str) -> str:
    """Return a text from a file with `?` in place of characters that a terminal may obey."""
    return "".join(character if character.isprintable() else "?" for character in text)
