"""Human labels: a file with a JSON object on each line."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import msgspec
from msgspec import Meta

from judges.trust.calibration.report import printable
from monitor.errors import UserError, os_error_reason

MAX_LINE_BYTES = 1 << 20
MAX_ERRORS = 20
UNIT_SCALE = 0.0, 1.0
RUBRIC_SCALE = 0.0, 5.0
_Name = Annotated[str, Meta(min_length=1, max_length=200)]


def scale_of(rubric: str) -> tuple[float, float]:
    """Return the lowest and highest score of a rubric, a metric of RAGAS or a check."""
    return UNIT_SCALE if rubric.startswith(("ragas.", "check.")) else RUBRIC_SCALE


class Label(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """What a person says about one answer.

    dimension: empty for the answer as a whole.
    score: on the scale of the rubric. passed: whether the answer is good enough. At least one of
        them is given.
    inclusion: probability, 0 to 1, with which the case was chosen for labelling.
    rater: who labelled, where several people did.
    metadata: groups of the case, such as topic or user_group.
    judge_score, judge_passed: what the judge said about the case, if the file has it.
    Raises ValueError, whose text contains no value of the label, if a value is out of range.
    """

    request_id: _Name
    rubric: _Name
    dimension: Annotated[str, Meta(max_length=200)] = ""
    score: float | None = None
    passed: bool | None = None
    inclusion: float = 1.0
    rater: Annotated[str, Meta(max_length=200)] = ""
    metadata: dict[str, str] = {}
    judge_score: float | None = None
    judge_passed: bool | None = None

    def __post_init__(self) -> None:
        """Check the values."""
        if self.score is None and self.passed is None:
            raise ValueError("score or passed is required")
        lowest, highest = scale_of(self.rubric)
        for name in ("score", "judge_score"):
            score = getattr(self, name)
            if score is not None and not lowest <= score <= highest:
                raise ValueError(
                    f"{name} must be from {lowest:g} to {highest:g}, the scale of its rubric"
                )
        if not 0 < self.inclusion <= 1:
            raise ValueError("inclusion must be above 0 and at most 1")

    @property
    def key(self) -> tuple[str, str, str]:
        """Request, rubric and dimension."""
        return self.request_id, self.rubric, self.dimension

    @property
    def judged(self) -> bool:
        """Whether the file has the verdict of the judge."""
        return self.judge_score is not None or self.judge_passed is not None


def read_labels(path: Path) -> list[Label]:
    """Read a file of labels. Raises UserError with the place and the reason of each wrong line."""
    try:
        data = path.read_bytes()
    except OSError as error:
        raise UserError(f"{path}: {os_error_reason(error)}") from None
    labels: list[Label] = []
    errors: list[str] = []
    first_line: dict[tuple[object, ...], int] = {}
    for number, line in enumerate(data.splitlines(), start=1):
        if not line.strip():
            continue
        try:
            label = _parsed(line)
        except ValueError as error:
            errors.append(f"{path}:{number}: {error}")
            continue
        earlier = first_line.setdefault((*label.key, label.rater), number)
        if earlier == number:
            labels.append(label)
        else:
            errors.append(
                f"{path}:{number}: repeats line {earlier}: same request_id, rubric, dimension and"
                " rater; give each person a rater"
            )
    if errors:
        more = f"\n... and {len(errors) - MAX_ERRORS} more" if len(errors) > MAX_ERRORS else ""
        raise UserError("\n".join(errors[:MAX_ERRORS]) + more)
    if not labels:
        raise UserError(f"{path}: contains no labels")
    return labels


_decoder = msgspec.json.Decoder(Label)


def _parsed(line: bytes) -> Label:
    """Decode a line. Raises ValueError, whose text contains no value of the line."""
    if len(line) > MAX_LINE_BYTES:
        raise ValueError(f"the line is longer than {MAX_LINE_BYTES} bytes")
    try:
        return _decoder.decode(line)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        text = str(error) if isinstance(error, msgspec.ValidationError) else "it is not valid JSON"
        raise ValueError(printable(text[:200])) from None
