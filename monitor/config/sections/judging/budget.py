"""The sections `judges.budget` and `judges.prices`: what judging may cost."""

from __future__ import annotations

from typing import Annotated, Final, Self

from pydantic import Field, model_validator

from monitor.config.sections.base.fields import Positive
from monitor.config.sections.base.section import Section, invalid

_Price = Annotated[float, Field(ge=0, allow_inf_nan=False)]
_Share = Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)]

_WRITE_5M: Final = 1.25
_WRITE_1H: Final = 2.0


class ModelPrice(Section):
    """Price of a model, in dollars per million tokens."""

    input: _Price = Field(
        description="Input, in dollars per million tokens. 0 on your own machine."
    )
    output: _Price = Field(description="Output, in dollars per million tokens.")
    cache_write_5m: _Price | None = Field(
        default=None, description="Writing to the prompt cache for 5 minutes; 1.25 times `input`."
    )
    cache_write_1h: _Price | None = Field(
        default=None, description="Writing to the prompt cache for an hour; twice `input`."
    )
    cache_read: _Price | None = Field(
        default=None,
        description="Reading from the prompt cache; as `input`, although providers charge less.",
    )

    def by_kind(self) -> tuple[float, float, float, float, float]:
        """Return the prices of input, output, both cache writes, and cache reads."""
        given = self.cache_write_5m, self.cache_write_1h, self.cache_read
        defaults = _WRITE_5M * self.input, _WRITE_1H * self.input, self.input
        write_5m, write_1h, read = (
            default if price is None else price
            for price, default in zip(given, defaults, strict=True)
        )
        return self.input, self.output, write_5m, write_1h, read


class BudgetShares(Section):
    """Parts of the budget that are kept for a purpose. Uniform samples have the rest."""

    critical: _Share = Field(default=0.1, description="Reserve for critical samples.")
    boosted: _Share = Field(
        default=0.1, description="Other boosted samples: those with errors, refusals or an alarm."
    )
    golden: _Share = Field(default=0.05, description="The golden set, judged on a schedule.")
    canary: _Share = Field(default=0.02, description="Canary attacks on the judge.")
    batch: _Share = Field(default=0.1, description="Batches at half price.")
    command_line: _Share = Field(default=0.1, description="Commands, such as `judge run`.")
    generation: _Share = Field(default=0.04, description="Generation of test cases.")
    replay: _Share = Field(default=0.04, description="Scoring of replayed answers.")

    @model_validator(mode="after")
    def _check_sum(self) -> Self:
        shares = self.by_purpose()
        if sum(shares.values()) >= 1:
            raise invalid(
                f"are {sum(shares.values()):g} together, which leaves nothing for live samples;"
                " they must be less than 1",
                "judges.budget.shares",
            )
        return self

    def by_purpose(self) -> dict[str, float]:
        """Return the share of each purpose."""
        return {
            "critical": self.critical,
            "boosted": self.boosted,
            "golden": self.golden,
            "canary": self.canary,
            "batch": self.batch,
            "command_line": self.command_line,
            "generation": self.generation,
            "replay": self.replay,
        }


class BudgetConfig(Section):
    """What judging may cost. It is never passed, by any number of processes."""

    usd_per_day: Positive = Field(
        default=20.0, description="Dollars per day of UTC, for all purposes together."
    )
    usd_per_month: Positive | None = Field(
        default=None, description="Dollars per calendar month of UTC. By default without a limit."
    )
    shares: BudgetShares = Field(default=BudgetShares(), description=BudgetShares.__doc__)
