"""The section `replay.actions`: signed webhooks that follow from a verdict."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, Field, model_validator

from monitor.config.sections.base.fields import NonEmptyUniqueTuple, Secret
from monitor.config.sections.base.section import Section, invalid
from monitor.config.sections.notifications import check_token, check_url

ReplayOutcome = Literal["regressed", "not_regressed", "inconclusive", "error"]
"""Verdicts that an action can follow from. A cancelled run has no action."""

_Url = Annotated[str, AfterValidator(check_url)]


class PromoteAction(Section):
    """The webhook that promotes the model, such as from a canary to all traffic."""

    url: _Url = Field(description="URL that receives a signed POST. https, except on this machine.")
    verdicts: NonEmptyUniqueTuple[ReplayOutcome] = Field(
        default=("not_regressed",), description="Verdicts that it is called for."
    )


class RollBackAction(PromoteAction):
    """The webhook that rolls the model back."""

    verdicts: NonEmptyUniqueTuple[ReplayOutcome] = Field(
        default=("regressed",), description="Verdicts that it is called for."
    )


class RetrainAction(PromoteAction):
    """The webhook that starts a training or an adaptation."""

    verdicts: NonEmptyUniqueTuple[ReplayOutcome] = Field(
        default=("regressed",), description="Verdicts that it is called for."
    )


class ActionsConfig(Section):
    """Webhooks that are called after a replay, by action and verdict."""

    secret: Annotated[Secret, AfterValidator(check_token)] | None = Field(
        default=None,
        description="Key of the signatures (HMAC-SHA256). A secret.",
    )
    promote: PromoteAction | None = Field(default=None, description=PromoteAction.__doc__)
    roll_back: RollBackAction | None = Field(default=None, description=RollBackAction.__doc__)
    retrain: RetrainAction | None = Field(default=None, description=RetrainAction.__doc__)

    @model_validator(mode="after")
    def _check_secret(self) -> Self:
        if self.secret is None and any(True for _ in self.configured()):
            raise invalid(
                "is missing: webhooks are signed; give it in the environment as"
                " PLUMBLINE__REPLAY__ACTIONS__SECRET, or as {file: PATH}",
                "replay.actions.secret",
            )
        return self

    def configured(self) -> Iterator[tuple[str, PromoteAction]]:
        """Yield the configured actions with their names."""
        for name in ("promote", "roll_back", "retrain"):
            action = getattr(self, name)
            if action is not None:
                yield name, action
