"""Prices: costs by kind of token, and a bound that no request passes."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from judges.budget.prices import NANODOLLARS, Price, Prices
from judges.calls import Call, Usage
from monitor.errors import UserError

PRICE = Price(1.0, 5.0, 1.25, 2.0, 0.1)
SCHEMA: dict[str, Any] = {"type": "object", "properties": {"score": {"type": "integer"}}}
CALL = Call("haiku", "Judge.", "text", SCHEMA, 100)
PRICES = Prices({"haiku": PRICE})
COUNT = st.integers(0, 10_000)


def test_a_million_tokens_of_each_kind_cost_their_price() -> None:
    """The prices are dollars per million tokens."""
    million = 1_000_000
    usage = Usage(million, million, million, million, million)
    assert PRICES.cost(CALL, usage) == round((1 + 5 + 1.25 + 2 + 0.1) * NANODOLLARS)
    assert PRICES.cost(CALL, Usage(million), batch=True) == NANODOLLARS // 2
    assert PRICES.cost(CALL, Usage(requests=0)) == 0


def test_unknown_usage_costs_the_worst_case() -> None:
    """Each request that may have been charged counts fully, beside those that are known."""
    worst = PRICES.worst_case(CALL)
    assert PRICES.cost(CALL, Usage(1000, unmetered=2)) == 1_000_000 + 2 * worst
    assert PRICES.worst_case(CALL, requests=3) == 3 * worst
    assert PRICES.worst_case(CALL, batch=True) < worst


@given(
    data=st.text(max_size=200),
    price=st.builds(Price, *[st.floats(0, 100)] * 5),
    parts=st.lists(st.floats(0, 1), min_size=4, max_size=4),
    output=st.floats(0, 1),
    batch=st.booleans(),
)
def test_no_usage_within_the_bound_costs_more_than_the_worst_case(
    data: str, price: Price, parts: list[float], output: float, batch: bool
) -> None:
    """However the input is divided into kinds, and up to the last token."""
    call = Call("haiku", "Judge.", data, SCHEMA, 100)
    prices = Prices({"haiku": price})
    tokens = prices.most_input_tokens(call)
    assert tokens >= len((call.instructions + data).encode())
    kinds = [int(tokens * part / max(sum(parts), 1e-9)) for part in parts]
    usage = Usage(kinds[0], int(100 * output), kinds[1], kinds[2], min(kinds[3], tokens))
    if sum(kinds) > tokens:  # rounding of the test
        return
    assert prices.cost(call, usage, batch=batch) <= prices.worst_case(call, batch=batch)
    largest = Usage(tokens, 100)
    assert prices.cost(call, largest, batch=batch) <= prices.worst_case(call, batch=batch)


def test_the_bound_holds_for_a_real_tokenizer() -> None:
    """A byte-level tokenizer makes fewer tokens than bytes, also of unusual text."""
    tokenizers = pytest.importorskip("tokenizers")
    tokenizer = tokenizers.Tokenizer(tokenizers.models.BPE())
    tokenizer.pre_tokenizer = tokenizers.pre_tokenizers.ByteLevel(add_prefix_space=False)
    trainer = tokenizers.trainers.BpeTrainer(
        vocab_size=600, initial_alphabet=tokenizers.pre_tokenizers.ByteLevel.alphabet()
    )
    tokenizer.train_from_iterator(["the judge reads the text and the score"] * 5, trainer)
    for text in ("the text", "𝔘𝔫𝔲𝔰𝔲𝔞𝔩 ☃", "\x00\x01\x02", "ฉันรักคุณ" * 5, "a" * 50):
        tokens = len(tokenizer.encode(text).ids)
        assert 0 < tokens <= len(text.encode())


def test_a_model_without_a_price_is_refused() -> None:
    """The error names the models and the key of the configuration."""
    with pytest.raises(UserError, match=r"no price is configured for 'a', 'b'.*judges\.prices"):
        PRICES.require(["haiku", "b", "a", "b"])
    with pytest.raises(UserError, match="'opus'"):
        PRICES.worst_case(Call("opus", "", "", SCHEMA))
    PRICES.require(["haiku"])


def test_lone_surrogates_have_a_length() -> None:
    """A text that is not valid Unicode does not break the bound."""
    assert PRICES.most_input_tokens(Call("haiku", "", "\ud800", SCHEMA)) > 3
