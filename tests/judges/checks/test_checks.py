"""Deterministic checks."""

from __future__ import annotations

import json
import socket
import time
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from judges.checks.build import build
from judges.checks.language import KNOWN, language
from judges.checks.paraphrases import ParaphraseConsistency, consistency, content
from judges.checks.specifications import (
    JsonSchemaCheck,
    KeywordCheck,
    LanguageCheck,
    LengthCheck,
    ParaphraseCheck,
    Specification,
    TrapCheck,
)
from monitor.records import ChatMessage, Inclusion, Sample

SCHEMA = {
    "type": "object",
    "properties": {"city": {"type": "string"}, "people": {"type": "integer", "minimum": 0}},
    "required": ["city"],
    "additionalProperties": False,
}


def sample(response: str | None, prompt: Any = "What?", **fields: Any) -> Sample:
    """Return a sample."""
    values = {"request_id": "r1", "timestamp": 1.7e9, "model": "m", **fields}
    return Sample(inclusion=Inclusion(True, 0.1), prompt=prompt, response=response, **values)


def value(check: Specification, response: str | None, prompt: Any = "What?") -> float | None:
    """Build a check and return its value."""
    return build(check)(sample(response, prompt))


@pytest.mark.parametrize(
    ("response", "expected"),
    [
        ('{"city": "Bonn", "people": 3}', 1),
        ('```json\n{"city": "Bonn"}\n```', 1),
        ('\n ```\n{"city": "Bonn"}\n``` \n', 1),
        ('Here it is: {"city": "Bonn"}', 0),
        ('{"city": 3}', 0),
        ('{"city": "Bonn", "people": NaN}', 0),
        ('{"city": "Bonn", "more": 1}', 0),
        ("[" * 100_000, 0),
        ('{"city": "' + "x" * 1_000_001 + '"}', 0),
        ("", 0),
        (None, None),
    ],
)
def test_json_schema(response: str | None, expected: float | None) -> None:
    """The whole response, or its only block, must be JSON that matches the schema."""
    assert value(JsonSchemaCheck("json", SCHEMA), response) == expected


def test_schemas_that_cannot_work() -> None:
    """A schema that is not valid is an error."""
    with pytest.raises(ValueError, match="not a JSON schema"):
        build(JsonSchemaCheck("json", {"type": "objekt"}))


@pytest.mark.parametrize("pattern", ["(?=a)b", "(a)\\1", "(", "(a{1000}){1000}"])
def test_patterns_that_need_more_than_linear_time(pattern: str) -> None:
    """They are an error: a response of a stranger could hold the role for hours."""
    with pytest.raises(ValueError, match="not a JSON schema"):
        build(JsonSchemaCheck("json", {"type": "string", "pattern": pattern}))


@pytest.mark.parametrize(
    ("schema", "response", "expected"),
    [
        ({"uniqueItems": True}, f"[{','.join(map(str, range(120_000)))}]", 1),
        ({"uniqueItems": True}, json.dumps([{"a": i} for i in range(60_000)]), 1),
        ({"pattern": "^(a+)+$"}, f'"{"a" * 900_000}!"', 0),
        ({"patternProperties": {"^(a|a)*$": {"type": "null"}}}, f'{{"{"a" * 900_000}!":1}}', 1),
        ({"multipleOf": 0.01}, "1e400", 0),
        ({"multipleOf": 0.01}, "1e308", 1),
        ({"multipleOf": 3}, "9" * 5_000, 0),
        ({"type": "number"}, "-" + "1" * 900_000, 0),
        ({"$defs": {"n": {"items": {"$ref": "#/$defs/n"}}}, "$ref": "#/$defs/n"}, "[" * 900, 0),
        ({}, '"\\ud800"', 0),
    ],
)
def test_responses_made_to_hurt(schema: dict[str, Any], response: str, expected: float) -> None:
    """Each is checked in a fraction of a second, and raises nothing."""
    check = build(JsonSchemaCheck("json", schema))
    started = time.process_time()
    assert check(sample(response)) == expected
    assert time.process_time() - started < 2


def test_no_reference_is_loaded(monkeypatch: pytest.MonkeyPatch) -> None:
    """A reference to another document is an error, and nothing is opened."""

    opened = []

    def connect(_: socket.socket, address: object) -> None:
        opened.append(address)
        raise OSError

    monkeypatch.setattr(socket.socket, "connect", connect)
    with pytest.raises(ValueError, match="not loaded"):
        build(JsonSchemaCheck("json", {"$ref": "http://127.0.0.1:9/schema.json"}))
    assert opened == []


@pytest.mark.parametrize("response", ["NaN", "[Infinity]", "-Infinity"])
def test_nan_is_not_json(response: str) -> None:
    """Names that JSON does not have are no JSON, whatever the schema."""
    assert value(JsonSchemaCheck("json", {}), response) == 0


TEXTS = {
    "en": "The answer is that you can use this with your phone, and it is not for the web.",
    "de": "Die Antwort ist, dass Sie es mit dem Telefon nutzen und nicht auf der Seite.",
    "fr": "La réponse est que vous pouvez le faire dans les réglages, mais pas avec une tablette.",
    "es": "La respuesta es que puede hacerlo en los ajustes, por lo que no se pierde nada.",
    "pt": "A resposta é que você não precisa de um aparelho para isso, mas os dados são do banco.",
    "it": "La risposta è che non serve un altro dispositivo, per questo il sistema è più semplice.",
    "nl": "Het antwoord is dat je een telefoon kunt gebruiken, maar het is niet voor op de site.",
    "pl": "Odpowiedź jest taka, że nie trzeba tego robić, ale to zależy od systemu.",
    "sv": "Svaret är att du inte kan göra det med en telefon, och det är för att jag har en.",
    "tr": "Bu çok güzel bir soru ve bunun için daha iyi bir yol var ama kolay değil.",
    "id": "Jawabannya adalah tidak, dan ini bisa dilakukan dengan aplikasi yang ada di ponsel.",
    "ru": "Ответ в том, что это не так, и для вас он будет на русском.",
    "uk": "Відповідь є такою, що це не так, і для вас він буде на іншій мові та до кінця.",
    "zh": "答案是你可以在设置中完成这个操作。",
    "ja": "答えは、設定で変更できるということです。",
    "ko": "정답은 설정에서 변경할 수 있다는 것입니다.",
    "ar": "الإجابة هي أنه يمكنك القيام بذلك من الإعدادات.",
    "he": "התשובה היא שאפשר לעשות זאת בהגדרות.",
    "el": "Η απάντηση είναι ότι μπορείτε να το κάνετε.",
    "hi": "उत्तर यह है कि आप यह सेटिंग में कर सकते हैं।",
    "th": "คำตอบคือคุณสามารถทำได้ในการตั้งค่า",
}


@pytest.mark.parametrize("name", TEXTS)
def test_languages(name: str) -> None:
    """Each language is recognised in a sentence, also around code."""
    assert language(TEXTS[name]) == name
    code = "```python\nfor the in that: is_it(of, to)\nand the = 3 is not for you\n```"
    assert language(f"{TEXTS[name]}\n{code}") == name


def test_unclear_language() -> None:
    """Short texts, numbers and code have no language."""
    mixed = (
        "the and of to is in that the and of to with der die und das ist nicht ein eine zu mit den"
    )
    for text in ("", "OK", "42", "`the the the`", "SELECT name FROM users WHERE id = 3", mixed):
        assert language(text) is None


def test_language_check() -> None:
    """The response is in a given language, or in that of the last message of the user."""
    german = LanguageCheck("german", ("de", "en"))
    assert value(german, TEXTS["de"]) == 1
    assert value(german, TEXTS["fr"]) == 0
    assert value(german, "OK") is None
    assert value(german, None) is None
    same = LanguageCheck("same")
    chat = [ChatMessage("system", TEXTS["en"]), ChatMessage("user", TEXTS["it"])]
    assert value(same, TEXTS["it"], chat) == 1
    assert value(same, TEXTS["en"], chat) == 0
    assert value(same, TEXTS["en"], "42?") is None
    assert value(same, TEXTS["en"], [ChatMessage("system", TEXTS["en"])]) is None
    assert {"en", "zh"} <= KNOWN
    with pytest.raises(ValueError, match="cannot recognise xx"):
        build(LanguageCheck("x", ("xx",)))


@pytest.mark.parametrize(
    ("limits", "response", "expected"),
    [
        (LengthCheck("l", max_words=3), "one two three", 1),
        (LengthCheck("l", max_words=3), "one two three four", 0),
        (LengthCheck("l", min_chars=5), "four", 0),
        (LengthCheck("l", min_chars=1), "", 0),
        (LengthCheck("l", min_chars=2, max_chars=4, min_words=2), "a b", 1),
        (LengthCheck("l", max_chars=4), None, None),
    ],
)
def test_length(limits: LengthCheck, response: str | None, expected: float | None) -> None:
    """Limits are inclusive and all of them count."""
    assert value(limits, response) == expected


def test_keywords() -> None:
    """Words are whole, in any case, with any white space; punctuation of keywords is literal."""
    check = KeywordCheck("k", ("terms of service", "C++"), ("guarantee",))
    assert value(check, "Our Terms\nof  SERVICE cover C++.") == 1
    assert value(check, "Our terms of services cover C++.") == 0
    assert value(check, "Terms of service, C++, and we guarantee it") == 0
    assert value(check, "Terms of service, C++, guaranteed") == 1
    assert value(KeywordCheck("k", ("不知道",)), "我不知道。") == 1
    assert value(check, None) is None


def test_traps() -> None:
    """Only prompts with a term are traps; the answer must admit that it does not know."""
    check = TrapCheck("trap", ("Zorblax 9000",))
    assert value(check, "I don’t know that product.", "What does the zorblax 9000 cost?") == 1
    assert value(check, "It costs 99 euros.", "What does the Zorblax 9000 cost?") == 0
    assert value(check, "It costs 99 euros.", "What does the phone cost?") is None
    assert value(check, None, "Zorblax 9000") is None


@pytest.mark.parametrize(
    "wrong",
    [
        LengthCheck("l"),
        LengthCheck("l", min_chars=5, max_chars=4),
        LengthCheck("l", max_words=-1),
        KeywordCheck("k"),
        KeywordCheck("k", (" ",)),
        TrapCheck("t", ()),
        TrapCheck("t", ("x",), ()),
        ParaphraseCheck("p", ""),
        ParaphraseCheck("p", "key", 0),
        KeywordCheck("", ("x",)),
    ],
)
def test_specifications_that_cannot_work(wrong: Specification) -> None:
    """They are errors when the check is built."""
    with pytest.raises(ValueError, match=r"\w"):
        build(wrong)


def test_consistency() -> None:
    """Other wording agrees, another number less, and yes against no not at all."""
    first = content("Yes, the Rhine is 1,230 kilometres long and flows through Germany.")
    reworded = content("Through Germany flows the Rhine, which is 1230 kilometres long.")
    other = content("Through Germany flows the Rhine, which is 820 kilometres long.")
    same, changed = consistency(first, reworded), consistency(first, other)
    assert same is not None
    assert changed is not None
    assert same > 0.8 > changed
    assert consistency(content("Yes, of course."), content("No, of course.")) == 0
    assert consistency(content(""), content("?")) is None


@settings(deadline=None)
@given(st.text(max_size=60), st.text(max_size=60))
def test_consistency_is_symmetric_and_bounded(first: str, second: str) -> None:
    """The value is between 0 and 1, the same in both orders, and 1 for equal texts."""
    a, b = content(first), content(second)
    found = consistency(a, b)
    assert found == consistency(b, a)
    assert found is None or 0 <= found <= 1
    assert consistency(a, a) in {None, 1.0}


def test_paraphrases_are_paired() -> None:
    """The second response of a pair gets the value; other models and repeats do not."""
    check = build(ParaphraseCheck("p", "pair"))

    def paired(request: str, response: str | None, model: str = "m") -> float | None:
        return check(sample(response, request_id=request, model=model, metadata={"pair": "7"}))

    assert paired("a", "Paris is the capital") is None
    assert paired("a", "Paris is the capital") is None
    assert paired("b", "Lyon, surely", "other") is None
    assert paired("c", None) is None
    assert paired("d", "The capital is Paris") == 1
    assert paired("e", "Paris") is None
    assert check(sample("Paris")) is None


def test_pending_responses_are_bounded() -> None:
    """The oldest waiting response is dropped and counted."""
    check = ParaphraseConsistency("pair", pending=2)
    for pair in "abc":
        check(sample("text here", request_id=pair, metadata={"pair": pair}))
    assert check.dropped == 1
    assert check(sample("text here", request_id="x", metadata={"pair": "c"})) == 1
    assert check(sample("text here", request_id="y", metadata={"pair": "a"})) is None


def test_time_is_bounded() -> None:
    """A response of a million characters takes less than a second in each check."""
    long = "the and `x ``` " * 66_000
    checks: list[Specification] = [LanguageCheck("l"), LengthCheck("n", 1)]
    checks += [KeywordCheck("k", ("terms of service",)), JsonSchemaCheck("j", SCHEMA)]
    started = time.process_time()
    for check in (*checks, ParaphraseCheck("p", "pair")):
        build(check)(sample(long, long, metadata={"pair": "1"}))
    assert time.process_time() - started < 3
