"""Refusals: languages, marks, quotations, patterns of the user, and their cost."""

from __future__ import annotations

import time

import pytest

from benchmarks.refusals.__main__ import HELD_OUT, RESPONSES, labelled
from monitor.config.sections.base.fields import regex_search
from monitor.ingest.refusals.classifier import (
    LANGUAGES,
    MARKUP,
    OPENINGS,
    RefusalClassifier,
    answer_start,
    normalized,
)
from monitor.ingest.refusals.language import Language

ENGLISH = "I'm sorry, but I can't help with that."
LABELLED = [*labelled(RESPONSES), *labelled(HELD_OUT)]
classifier = RefusalClassifier()


def is_refusal(text: str) -> bool:
    """Return whether the classifier finds a refusal in one response."""
    [flag] = classifier.flags([text])
    return flag


@pytest.mark.parametrize("language", sorted({each.language for each in LABELLED}))
def test_precision_and_recall(language: str) -> None:
    """In every language nearly all labelled refusals are found, and nearly no other response."""
    own = [each for each in LABELLED if each.language == language]
    flags = classifier.flags([each.text for each in own])
    pairs = list(zip([each.declines for each in own], flags, strict=True))
    found, missed, wrong = (pairs.count(p) for p in [(True, True), (True, False), (False, True)])
    assert found + missed >= 9
    assert len(own) - found - missed >= 8
    assert found / (found + missed) >= 0.9
    assert found / (found + wrong) >= 0.9


def test_every_language_is_labelled() -> None:
    """There are labelled responses for every language, and for no other."""
    assert {each.language for each in LABELLED} == {language.name for language in LANGUAGES}


MARKS = [
    *(
        "⚠️ ",
        "🚫",
        "\u00a0",
        "\u2003",
        "\ufeff",
        "**",
        "> ",
        "# ",
        "- ",
        "_",
        "`",
        "…",
        "¡",
        "(",
        "👩‍👩‍👧 ",
    ),
    *("<p>", "<P>", "<div><p>\n", '<p class="answer">**', "<br/><br />", "<h2>⚠️ "),
    *(
        "<think>Bad.</think>\n\n",
        "\n<thinking>\nNo.\n</thinking>",
        "[THINK]x[/THINK]",
        "<think></think>",
    ),
    "<think>" + "It asks for a/b. " * 1000 + "</think>**",
]


@pytest.mark.parametrize("mark", MARKS)
@pytest.mark.parametrize(
    "text", [ENGLISH, "Lo siento, pero no puedo ayudarte.", "对不起，我不能帮你。"]
)
def test_marks_before_a_refusal_are_ignored(mark: str, text: str) -> None:
    """Emoji, blanks, Markdown, tags and a closed part of reasoning may precede a refusal."""
    assert is_refusal(mark + text)
    assert not is_refusal(mark + "Sure, here it is: " + text)


@pytest.mark.parametrize("apostrophe", ["'", "’", "‘", "ʼ"])
@pytest.mark.parametrize("form", ["I{}m sorry, but I can{}t.", "Je n{}ai pas la possibilité de {}"])
def test_all_apostrophes_are_equal(form: str, apostrophe: str) -> None:
    """A refusal is recognized with straight and typographic apostrophes."""
    assert is_refusal(form.replace("{}", apostrophe))


@pytest.mark.parametrize(
    "text",
    [
        f'"{ENGLISH}" is how models refuse.',
        f"“{ENGLISH}” sounds cold; try another wording.",
        f"'{ENGLISH}' is a refusal.",
        "«Lo siento, no puedo ayudarte» es un rechazo.",
        "„Ich kann Ihnen nicht helfen“ ist eine Ablehnung.",
        "「お応えできません」は断り文句です。",
    ],
)
def test_quotation_that_goes_on_is_no_refusal(text: str) -> None:
    """A response that quotes a refusal and goes on discusses it."""
    assert not is_refusal(text)


@pytest.mark.parametrize("quotes", ['""', "“”", "''", "«»", "「」"])
def test_refusal_in_quotes_is_a_refusal(quotes: str) -> None:
    """A response that is nothing but a quoted refusal is one."""
    assert is_refusal(f"{quotes[0]}{ENGLISH}{quotes[1]}")


@pytest.mark.parametrize(
    "text",
    [
        f"<think>{ENGLISH}",
        f"<think>{ENGLISH}</think>Sure.",
        f"<think>{ENGLISH} I use /think here.",
        f"<div>{'x' * 300}</div>{ENGLISH}",
    ],
)
def test_reasoning_is_not_the_answer(text: str) -> None:
    """Reasoning that declines, or that is not closed, is no refusal."""
    assert not is_refusal(text)


def test_answer_begins_after_the_first_close() -> None:
    """The answer begins after the first closing tag of the same name."""
    assert answer_start("Yes") == 0
    assert answer_start("<think>a</think>b</think>c") == len("<think>a</think>")
    assert answer_start("<think>a</thinking>b") is None


def test_beginnings_are_openings() -> None:
    """Every labelled refusal that is found begins with an opening: the reader keeps no others."""
    for each in LABELLED:
        if each.declines and is_refusal(each.text):
            start = answer_start(each.text) or 0
            body = normalized(each.text[start:]).lstrip('\n *_<>#"⚠️🚫🙏😔-—')
            assert body.startswith((*OPENINGS, *MARKUP)), each.text


def test_patterns_of_the_user() -> None:
    """A pattern finds refusals in any language, in any case, after marks and reasoning."""
    own = RefusalClassifier(["^samahani\\b", "policy [0-9]+ forbids"])
    texts = [
        "Samahani, siwezi.",
        "**SAMAHANI**",
        "<think>x</think> samahani!",
        "Policy 7 forbids it.",
    ]
    assert own.flags(texts) == [True] * 4
    assert own.flags(["Sure.", "x" * 300 + "policy 7 forbids", ENGLISH]) == [False, False, True]
    assert classifier.flags(texts) == [False] * 4


@pytest.mark.parametrize("pattern", ["(a+)+$", "(a|a)*b", "(.*)*(.*)*x", "(a?){80}a{80}"])
@pytest.mark.timeout(20)
def test_patterns_cannot_stall(pattern: str) -> None:
    """Patterns that take exponential time elsewhere take linear time, on bounded text."""
    own = RefusalClassifier([pattern])
    own.flags(["a" * 1_000_000] * 1000)


@pytest.mark.parametrize("pattern", ["(", "a(?=b)", r"(a)\1", "[z-a]", "a{1000}{1000}{1000}"])
def test_invalid_patterns_are_rejected(pattern: str) -> None:
    """A pattern that does not compile raises ValueError with a reason."""
    with pytest.raises(ValueError, match=r"\w"):
        regex_search(pattern)


@pytest.mark.parametrize("language", LANGUAGES, ids=[each.name for each in LANGUAGES])
@pytest.mark.timeout(60)
def test_no_response_is_slow(language: Language) -> None:
    """A response that repeats beginnings of refusals takes at most some milliseconds."""
    gaps = ("", " ", ", ")
    texts = [(opening + gap) * 100 for opening in language.openings for gap in gaps]
    started = time.process_time()
    classifier.flags(texts)
    assert (time.process_time() - started) / len(texts) < 0.005
