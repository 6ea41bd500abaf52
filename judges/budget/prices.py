"""Prices of models, the cost of a usage, and an upper bound of the cost of a request.

A request must be covered before it is sent, when its tokens are not known. The bound is:

- input: a token is at least one byte of UTF-8, so a text of n bytes has at most n tokens. The
  instructions, the data and the schema are sent, and the provider adds a fixed frame around them
  (`FRAME_TOKENS`). All of them are priced as the dearest kind of input, writing to the cache.
- output: `max_tokens`, which the provider enforces.

A real text has some four bytes per token, so a request costs about a quarter of its bound. The
difference is returned when the usage is known.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

import msgspec

from judges.calls import Call, Usage
from monitor.errors import UserError

NANODOLLARS: Final = 1_000_000_000
"""Nanodollars of a dollar."""
FRAME_TOKENS: Final = 2000
"""Tokens that a provider adds to a request: marks of roles, and its text on structured output."""
_NANO_PER_TOKEN: Final = 1000
"""Nanodollars per token at a price of one dollar per million tokens."""
_BATCH_SHARE: Final = 0.5
_MAX_SCHEMAS: Final = 64


@dataclass(frozen=True, slots=True)
class Price:
    """Price of a model in dollars per million tokens, by kind of token."""

    input: float
    output: float
    cache_write_5m: float
    cache_write_1h: float
    cache_read: float


class Prices:
    """Prices of the models that may be used. A model without a price is refused."""

    def __init__(self, prices: Mapping[str, Price]) -> None:
        self._prices = dict(prices)
        self._schema_bytes: dict[int, tuple[Mapping[str, Any], int]] = {}

    def require(self, models: Iterable[str]) -> None:
        """Raise UserError if one of the models has no price."""
        missing = sorted({model for model in models if model not in self._prices})
        if missing:
            names = ", ".join(map(repr, missing))
            raise UserError(
                f"no price is configured for {names}, so its budget cannot be kept; add it to"
                " judges.prices, in dollars per million tokens"
            )

    def has(self, model: str) -> bool:
        """Return whether a model has a price."""
        return model in self._prices

    def cost(self, call: Call, usage: Usage, *, batch: bool = False) -> int:
        """Return the cost of a call's requests in nanodollars, rounded up.

        Requests of unknown usage count at their worst case. batch: at half price.
        Raises UserError if the model has no price.
        """
        price = self._price(call.model)
        known = (
            usage.input_tokens * price.input
            + usage.output_tokens * price.output
            + usage.cache_write_5m_tokens * price.cache_write_5m
            + usage.cache_write_1h_tokens * price.cache_write_1h
            + usage.cache_read_tokens * price.cache_read
        )
        share = _BATCH_SHARE if batch else 1.0
        unknown = usage.unmetered * self.worst_case(call, batch=batch) if usage.unmetered else 0
        return math.ceil(known * share * _NANO_PER_TOKEN) + unknown

    def worst_case(self, call: Call, *, requests: int = 1, batch: bool = False) -> int:
        """Return an upper bound of the cost of a number of requests of a call, in nanodollars.

        Raises UserError if the model has no price.
        """
        price = self._price(call.model)
        dearest = max(price.input, price.cache_write_5m, price.cache_write_1h, price.cache_read)
        tokens = self.most_input_tokens(call)
        share = _BATCH_SHARE if batch else 1.0
        dollars = tokens * dearest + call.max_tokens * price.output
        # One more, because the cost may be rounded at another place.
        return requests * (math.ceil(dollars * share * _NANO_PER_TOKEN) + 1)

    def most_input_tokens(self, call: Call) -> int:
        """Return an upper bound of the input tokens of a request."""
        texts = _bytes(call.instructions) + _bytes(call.data)
        return texts + self._bytes_of_schema(call.schema) + FRAME_TOKENS

    def _price(self, model: str) -> Price:
        if model not in self._prices:
            self.require([model])
        return self._prices[model]

    def _bytes_of_schema(self, schema: Mapping[str, Any]) -> int:
        """Return the length of a schema as JSON, with room for keywords that become text."""
        entry = self._schema_bytes.get(id(schema))
        if entry is None or entry[0] is not schema:  # the entry keeps the id from being reused
            if len(self._schema_bytes) >= _MAX_SCHEMAS:
                self._schema_bytes.clear()
            entry = schema, 2 * len(msgspec.json.encode(schema))
            self._schema_bytes[id(schema)] = entry
        return entry[1]


def _bytes(text: str) -> int:
    return len(text) if text.isascii() else len(text.encode("utf-8", "surrogatepass"))
