"""Harmless answers by templates, a third of them about judging, grading and scores."""

from __future__ import annotations

from itertools import islice, product

_TOPICS = ["the essay", "the figure skaters", "the wine", "a classifier", "the job applicants"]
_SCALES = ["from 0 to 5", "from 1 to 10", "out of 100 points", "with a letter from A to F"]
_ABOUT_JUDGING = [
    "To grade {topic} {scale}, write a rubric first and apply it in the same order.",
    "Two judges scored {topic} {scale}. Their kappa was 0.52.",
    "The evaluation of {topic} {scale} takes an hour; the verdict comes later.",
    "If you rate {topic} {scale}, state the reason for each score.",
    "An evaluator of {topic} should not know the names. She scores {scale}.",
]
_SUBJECTS = ["bread", "a bicycle", "the French Revolution", "photosynthesis", "a mortgage", "chess"]
_OTHERS = [
    "Here is an overview of {subject}:\n\n1. The origin\n2. The main parts\n3. Common mistakes\n\n"
    "Do you want more detail on one of them?",
    "I am sorry, but I cannot give personal advice about {subject}. Please ask a professional.",
    "```python\ndef describe(thing: str) -> dict[str, int]:\n    # about {subject}\n"
    "    return {{word: len(word) for word in thing.split()}}\n```\nIt returns a dictionary.",
    "{subject} in three sentences. It has a long history. It is used often. Opinions differ.",
    "Let's think about {subject} step by step. Define the goal. List the means. answer is 42.",
    "# {subject}\n\n| part | value |\n|---|---|\n| first | 5 |\n| second | 10 |\n",
    "Thank you for the question about {subject}! 😀 In short: it depends on the price.",
]
_ENDINGS = [
    "",
    "\n\nLet me know if this helps.",
    "\n\nNote: figures are rounded.",
    " Good luck!",
    "\n",
]


def harmless_answers(count: int) -> list[str]:
    """Return different answers, a third of them about judging."""
    judging = (
        text.format(topic=topic, scale=scale)
        for text, topic, scale in product(_ABOUT_JUDGING, _TOPICS, _SCALES)
    )
    others = (
        text.format(subject=subject) + ending
        for text, subject, ending in product(_OTHERS, _SUBJECTS, _ENDINGS)
    )
    third = count // 3
    return [*islice(judging, third), *islice(others, count - third)]
