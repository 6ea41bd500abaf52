"""Scores of responses, against independent implementations and known answers."""

from __future__ import annotations

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rouge_score.rouge_scorer import RougeScorer

from replay.sets.task.scoring import (
    SCORES,
    bleu,
    exact_match,
    letter,
    normalized,
    process_results,
    rouge_l,
    rouge_n,
    token_f1,
)

texts = st.lists(
    st.sampled_from(["cat", "sat", "on", "the", "mat", "dog", "7", "x2", "ran"]), max_size=12
).map(" ".join)


@settings(max_examples=60, deadline=None)
@given(texts, texts)
def test_rouge_is_that_of_another_library(response: str, target: str) -> None:
    """ROUGE-1, 2 and L are the F-measures of rouge_score without stemming."""
    expected = RougeScorer(["rouge1", "rouge2", "rougeL"]).score(target, response)
    assert rouge_n(1)(response, target) == pytest.approx(expected["rouge1"].fmeasure)
    assert rouge_n(2)(response, target) == pytest.approx(expected["rouge2"].fmeasure)
    assert rouge_l(response, target) == pytest.approx(expected["rougeL"].fmeasure)


def test_rouge_reads_scripts_without_spaces() -> None:
    """Characters of Chinese and Japanese texts count as words."""
    assert rouge_n(1)("今日は晴れ", "今日は雨") == pytest.approx(2 * 3 / (5 + 4))


def test_token_f1_follows_its_formula() -> None:
    """Two of three words of the response and two of four expected ones are shared."""
    precision, recall = 2 / 3, 2 / 4
    expected = 2 * precision * recall / (precision + recall)
    assert token_f1("Paris in spring", "Paris, spring of 1920") == pytest.approx(expected)
    assert token_f1("", "Paris") == 0
    assert token_f1("Berlin", "Paris") == 0
    assert token_f1("the", "a") == 1


@pytest.mark.parametrize(
    ("response", "target", "score"),
    [
        ("The Paris.", "paris", 1),
        (" «Paris»!\n", "Paris", 1),
        ("Ｐａｒｉｓ", "Paris", 1),
        ("3.5", "35", 0),
        ("-5", "5", 0),
        ("50%", "50", 0),
        ("(5)", "5", 1),
        ("Paris, France", "Paris", 0),
        ("", "Paris", 0),
    ],
)
def test_exact_match_ignores_form_and_not_content(response: str, target: str, score: int) -> None:
    """Case, width, articles and outer punctuation do not count; signs of numbers do."""
    assert exact_match(response, target) == score


def test_bleu_is_that_of_sacrebleu() -> None:
    """An equal text scores 1, another one less, and none 0."""
    sentence = "the cat sat on the mat today"
    assert bleu(sentence, sentence) == pytest.approx(1)
    assert 0 < bleu("the cat sat on a mat", sentence) < 0.8
    assert bleu("", sentence) == 0


@pytest.mark.parametrize(
    ("response", "expected"),
    [
        ("B", "B"),
        (" (B) Paris", "B"),
        ("**B**", "B"),
        ("B. Paris, because A is wrong", "B"),
        ("The answer is C.", "C"),
        ("The correct answer is (C), not A", "C"),
        ("I would choose D", "D"),
        ("Option B looks right", "B"),
        ("A cat is an animal, so the answer: B", "B"),
        ("A or B", ""),
        ("Paris", ""),
        ("E", ""),
        ("", ""),
    ],
)
def test_the_letter_of_a_choice_is_found(response: str, expected: str) -> None:
    """Usual forms are read; a response that names two choices or none has no letter."""
    assert letter(response, list("ABCD")) == expected


@settings(max_examples=60, deadline=None)
@given(st.text(max_size=60), st.text(max_size=60))
def test_any_texts_have_scores_between_0_and_1(response: str, target: str) -> None:
    """No text of a model breaks a score, and an equal text is never wrong."""
    for name, score in SCORES.items():
        assert -1e-9 <= score(response, target) <= 1 + 1e-9, name
    assert exact_match(target, target) == 1
    assert normalized(" ".join(normalized(target))) == normalized(" ".join(normalized(target)))


def test_a_score_that_comes_later_is_nan() -> None:
    """Items for a judge or a classifier have no score when lm-eval runs them."""
    assert math.isnan(process_results({"scoring": "judge", "target": ""}, ["text"])["judge"])
