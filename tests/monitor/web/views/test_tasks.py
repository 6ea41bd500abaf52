"""Answers in terms of what was shown, and of the candidates behind it."""

from __future__ import annotations

import pytest

from monitor.web.review.answers import InvalidAnswer
from monitor.web.review.model import TIE
from monitor.web.views.tasks import ShownAnswer, ShownSpan, stored


@pytest.mark.parametrize("shown", [0, 1])
@pytest.mark.parametrize(
    "answer",
    [
        ShownAnswer(preferences={"overall": "second"}),
        ShownAnswer(ranking=[[9]]),
        ShownAnswer(ranking=[[-1]]),
        ShownAnswer(spans=[ShownSpan(1, 0, 3, "wrong", "minor")]),
    ],
)
def test_an_answer_about_a_response_that_was_not_shown_is_invalid(
    answer: ShownAnswer, shown: int
) -> None:
    """It is no error of the server, whatever the task shows."""
    with pytest.raises(InvalidAnswer, match="there is no response"):
        stored(answer, range(shown))


def test_an_answer_is_stored_in_terms_of_the_candidates() -> None:
    """The order in which they were shown does not matter."""
    answer = ShownAnswer(preferences={"a": "first", "b": "tie"}, ranking=[[0], [1]])
    found = stored(answer, (1, 0))
    assert found.preferences == {"a": 1, "b": TIE}
    assert found.ranking == ((1,), (0,))
