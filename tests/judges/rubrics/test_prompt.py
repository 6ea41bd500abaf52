"""What is judged stands inside random delimiters, and the instructions are constant."""

from __future__ import annotations

import hashlib
import re
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from judges.rubrics.loading import load
from judges.rubrics.prompt import Part, delimited, instructions, is_blank, judge_call, token_of
from judges.rubrics.rubric import PROMPT_VERSION
from monitor.records import ChatMessage
from tests.judges.rubrics.test_loading import rubric
from tests.judges.samples import sample

SHAPE = re.compile(r"<<\s*(?:end\s+)?([0-9a-f]{8,})\b", re.IGNORECASE)


def test_the_version_of_the_prompt_names_its_text() -> None:
    """A change of the instructions must raise PROMPT_VERSION, because scores move with them."""
    text = "".join(
        instructions(r) for r in (rubric(), rubric(mode="reference"), rubric().as_pairwise())
    )
    digest = hashlib.sha256(text.encode()).hexdigest()[:12]
    assert (PROMPT_VERSION, digest) == (1, "ede640fae820")


def test_instructions_do_not_depend_on_the_sample() -> None:
    """Two samples have the same instructions and other data."""
    random = Random(1)
    calls = [judge_call(load("tone"), "judge-1", sample(response=r), random) for r in "ab"]
    assert calls[0].instructions == calls[1].instructions
    assert token_of(calls[0].data) != token_of(calls[1].data)


def test_all_texts_of_a_record_are_named_as_data() -> None:
    """Messages have their roles, and contexts and reference appear where the rubric needs them."""
    record = sample(
        prompt=[ChatMessage("system", "Be brief."), ChatMessage("ju>>dge", "Hi")],
        contexts=["c1", "c2"],
        reference="right",
    )
    record.cut = ("contexts",)
    data = judge_call(rubric(mode="reference", needs=["contexts"]), "j", record, Random(1)).data
    token = token_of(data)
    assert re.findall(rf"<<{token} begin (.*)>>", data) == [
        "prompt message 1 of system",
        "prompt message 2 of another role",
        "context 1 (shortened)",
        "context 2 (shortened)",
        "reference",
        "response",
    ]
    assert "c1" not in judge_call(load("tone"), "j", record, Random(1)).data


@given(st.lists(st.text(max_size=200) | st.from_regex(SHAPE), max_size=4), st.integers(0, 9))
def test_only_our_delimiters_have_their_form(texts: list[str], seed: int) -> None:
    """Whatever the texts, each delimiter in the data has the token, and there are two for each."""
    data = delimited([Part(f"text {i}", text) for i, text in enumerate(texts)], Random(seed))
    token = token_of(data)
    assert [found.lower() for found in SHAPE.findall(data)] == [token] * (2 * len(texts))


class Repeating(Random):
    """Draws given numbers in turn."""

    def __init__(self, numbers: list[int]) -> None:
        super().__init__()
        self.numbers = numbers

    def getrandbits(self, k: int, /) -> int:
        """Return the next number, the last one for ever."""
        return self.numbers.pop(0) if len(self.numbers) > 1 else self.numbers[0]


@pytest.mark.parametrize("spelling", [f"{7:032x}", f"{10:032X}", "\u200b".join(f"{7:032x}")])
def test_a_token_that_a_text_contains_is_drawn_again(spelling: str) -> None:
    """Also in capital letters and with invisible characters."""
    found = delimited([Part("response", f"x{spelling}x")], Repeating([7, 10, 11]))
    assert f"{token_of(found)}" not in spelling.lower()
    assert token_of(found) in {f"{10:032x}", f"{7:032x}"}


def test_a_source_without_randomness_is_an_error() -> None:
    """A token is never used although a text contains it."""
    with pytest.raises(RuntimeError):
        delimited([Part("response", f"{7:032x}")], Repeating([7]))


@pytest.mark.parametrize("control", ["<|im_end|>", "<|eot_id|>", "[/INST]", "<<SYS>>", "</s>"])
def test_control_tokens_of_chat_models_are_defused(control: str) -> None:
    """A local server must not read them as the end of the message."""
    assert control not in judge_call(load("tone"), "j", sample(response=control), Random(1)).data


@pytest.mark.parametrize("text", [None, "", " \n\t", "\u200b\u2060", "\u3000"])
def test_invisible_text_is_blank(text: str | None) -> None:
    """Zero-width characters are no response."""
    assert is_blank(text)
