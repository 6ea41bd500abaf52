"""By which names and values the fields of a record are recognized in logs of unknown layout."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from monitor.ingest.files.sniff.observation import Seen, opened


@dataclass(frozen=True, slots=True)
class Rule:
    """How a field is recognized.

    names: patterns of the last name (`Seen.forms`), the best first.
    context: pattern of words before it that the path must have, or must not have (`without`).
    fits: whether the values can be those of the field.
    """

    names: tuple[str, ...]
    fits: Callable[[Seen], bool]
    context: str = ""
    without: str = r"(?!)"

    def rank(self, seen: Seen) -> int | None:
        """Return how well a path matches: 0 is best; None if it does not."""
        context = "_".join(seen.context)
        if re.search(self.without, "_".join((*seen.context, *seen.words))):
            return None
        if not re.search(self.context, context):
            return None
        for rank, pattern in enumerate(self.names):
            if any(re.fullmatch(pattern, form) for form in seen.forms) and self.fits(seen):
                return rank
        return None


def _ids(seen: Seen) -> bool:
    known = [value for value in seen.values if isinstance(value, str | int) and value is not True]
    return len(known) == len(seen.values) and all(0 < len(str(v)) <= 500 for v in known)


def _unique(seen: Seen) -> bool:
    return _ids(seen) and len(set(map(str, seen.values))) >= 0.9 * len(seen.values)


def _label(seen: Seen) -> bool:
    return seen.share(str) == 1 and all(len(v) <= 200 and v.isprintable() for v in seen.values)


def _text(seen: Seen) -> bool:
    return seen.share((str, list, dict)) == 1


def _messages(seen: Seen) -> bool:
    def has_role(value: object) -> bool:
        value = opened(value)
        first = value[0] if isinstance(value, list) and value else None
        return isinstance(first, str) or (isinstance(first, dict) and "role" in first)

    return _text(seen) and all(isinstance(v, str) or has_role(v) for v in seen.values)


def _list(seen: Seen) -> bool:
    return all(isinstance(opened(value), list) for value in seen.values)


def _amount(seen: Seen) -> bool:
    numbers = seen.numbers()
    return bool(numbers) and len(numbers) >= 0.9 * len(seen.values) and min(numbers) >= 0


def _count(seen: Seen) -> bool:
    return _amount(seen) and all(number.is_integer() for number in seen.numbers())


def _rating(seen: Seen) -> bool:
    return seen.share(bool) == 1 or len(seen.numbers()) == len(seen.values) > 0


def _status(seen: Seen) -> bool:
    return seen.share((str, int, dict)) + seen.share(bool) >= 0.99


_TOKENS = r"(tokens?|toks?)(_count|_used|_total|_num)?"
_PROMPT = r"(prompt|input|request|in)"
_OUTPUT = r"(completion|output|response|generated|generation|candidates|out)"
_CACHED = r"cache|detail|total|max_|limit|reasoning"
_SIZE = r"tokens|count|length|size|chars|bytes|_id$|hash|cost|price|time|model|type|status|format"

RULES: Final[dict[str, Rule]] = {
    "request_id": Rule(
        (
            r"request_id|req_id|requestid|x_request_id",
            r"(call|completion|inference|generation|llm_call|invocation)_?id",
            r"id|uuid|guid",
            r"(correlation|message|event|log|response|transaction)_?id",
            r"trace_?id|span_?id",
        ),
        _unique,
        without=r"user|session|conversation|choices|tool",
    ),
    "model": Rule(
        (
            r"model|model_name|model_id|modelid",
            r"(requested|request|llm)_model|deployment(_name|_id)?",
            r"engine|llm|model_group",
        ),
        _label,
        without=r"response|completion_|embedding|judge|provider",
    ),
    "responded_model": Rule(
        (r"(response|responded|actual)_model(_name)?", r"model"),
        _label,
        context=r"^$|response|completion|resp\b|output",
        without=r"request|requested",
    ),
    "prompt": Rule(
        (
            r"messages|input_messages|prompt_messages|chat_history",
            r"(user_)?prompt(_text)?",
            r"(user_)?(input|question|query|message|instruction)(_text)?",
            r"contents",
        ),
        _messages,
        without=rf"response|output|completion|system_prompt|{_SIZE}",
    ),
    "response": Rule(
        (
            r"(response|completion|answer|output|generated|reply|assistant)_(text|content|message)",
            r"completion|answer|response|output|reply|generation|generated",
            r"content|text|message",
        ),
        _text,
        without=rf"request|prompt|input|error|{_SIZE}",
    ),
    "contexts": Rule(
        (r"contexts?|(retrieved_)?(documents|docs|passages|chunks|contexts)|retrieval",), _list
    ),
    "reference": Rule(
        (r"reference(_answer)?|ground_truth|expected(_answer|_output)?|gold(en)?(_answer)?",), _text
    ),
    "user_id": Rule(
        (r"(end_)?user_?id|end_user", r"user|uid|customer_?id|account_?id|username"), _ids
    ),
    "session_id": Rule((r"(session|conversation|thread|chat|dialog)_?id", r"session|thread"), _ids),
    "trace_id": Rule((r"(otel_)?trace_?id",), _ids),
    "span_id": Rule((r"span_?id",), _ids),
    "input_tokens": Rule(
        (
            rf"{_PROMPT}_{_TOKENS}|tokens_{_PROMPT}|prompt_eval_count",
            rf"(num|n|count|nr)_{_PROMPT}_"
            rf"{_TOKENS}|{_PROMPT}",
        ),
        _count,
        without=_CACHED,
    ),
    "output_tokens": Rule(
        (
            rf"{_OUTPUT}_{_TOKENS}|tokens_{_OUTPUT}|eval_count",
            rf"(num|n|count|nr)_{_OUTPUT}_"
            rf"{_TOKENS}|{_OUTPUT}",
        ),
        _count,
        without=_CACHED,
    ),
    "cost_usd": Rule(
        (
            r"(total_|response_|request_)?cost(_usd|_in_usd)?|usd|cost_dollars",
            r"price|spend|amount_usd",
            r"total",
        ),
        _amount,
        without=r"token_|tokens|rate|limit|budget|per_",
    ),
    "finish_reason": Rule(
        (r"(finish|stop|completion|done|end)_reasons?|stop_?reason|finishreason",),
        lambda seen: seen.share((str, list)) == 1,
    ),
    "error": Rule(
        (
            r"error_(type|class|code|name|kind)|exception(_type|_class)?",
            r"error|failure|err",
            r"status_code|http_status(_code)?|response_code|http_code",
            r"status|outcome|success_code",
        ),
        _status,
        without=r"span|finish",
    ),
    "feedback": Rule(
        (r"(user_)?(feedback|rating|thumbs?|stars)(_score|_value)?",), _rating, without=r"scores"
    ),
    "scores": Rule(
        (r"scores|evaluations?|evals?|quality_scores|metrics",),
        lambda seen: all(
            isinstance(value, dict)
            and value
            and all(isinstance(each, int | float) for each in value.values())
            for value in seen.values
        ),
    ),
    "experiments": Rule(
        (r"experiments?|ab_tests?|variants?|arms?|flags",),
        lambda seen: all(
            isinstance(value, dict) and value and all(isinstance(v, str) for v in value.values())
            for value in seen.values
        ),
    ),
}
"""Field -> how it is recognized, without times and durations."""
LABELS: Final = re.compile(
    r"(metadata_)?(region|environment|env|tenant|team|route|endpoint|(app|api|model|prompt)_version"
    r"|version|app|application|service|provider|language|locale|feature|channel|platform|stage"
    r"|prompt_(name|id|template)|template|use_case|workflow|agent|cluster|namespace)(_name|_id)?"
)
"""Names of labels that are worth watching, as metadata."""
OBJECTS: Final = re.compile(r"metadata|labels|tags|extra|custom(_dimensions)?|dimensions")
"""Names of objects with such labels."""
KINDS: Final = re.compile(
    r"((event|call|span|operation|request|log|message|record|object)_)?(type|kind|event|operation"
    r"|object|category|op)"
)
"""Names of fields that tell inferences from other entries."""
