"""The redactor: replacements, positions, idempotence, time, and both prefilters."""

from __future__ import annotations

import random
import re
import sys
import time
from functools import cache

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from monitor.redaction.normalization import normalized
from monitor.redaction.prefilter import hyperscan_installed
from monitor.redaction.redactor import Redactor, redact
from monitor.redaction.rules.registry import KINDS, RULES
from tests.monitor.redaction.blind.sets import CONTEXTS, SETS, blind_set

needs_hyperscan = pytest.mark.skipif(not hyperscan_installed(), reason="hyperscan is not installed")
FRAGMENTS = (
    *("@", "://", "+", "-", " ", ".", ":", "/", "=", '"', "(", ")", "[email]", "[", "]", "\n", "#"),
    *("1", "07", "555-123-4567", "+44 20 7946 0958", "a@b.io", "4111 1111 1111 1111", "192.0.2.7"),
    *("password", "api_key", "token", "Authorization: Bearer ", "sk-", "AKIA", "-----BEGIN "),
    *("PRIVATE KEY-----", "eyJhbGciOiJub25lIn0", "DE89", "123-45-6789", "é", "\u200b", "４", "漢"),
    *(
        "hunter2",
        "postgres",
        "x",
        "9f8b3c2d1e0a4b5c6d7e8f90a1b2c3d4",
        "order",
        "phone",
        "ﬁ",
        "\ud800",
    ),
)
NAMED = (
    *(
        "password",
        "Passwords",
        "pass",
        "пароль",
        "ｐｗ",
        "mot de passe",
        "密码",
        "PIN",
        "login",
        "auth",
    ),
    *(
        "is ",
        "Is ",
        " is ",
        "=",
        ": ",
        "=>",
        " or ",
        "value",
        "1",
        "_prod",
        " for ",
        " to ",
        "my ",
        "(",
    ),
    *(
        "hunter2!x",
        "secretA9",
        "4711",
        "“",
        '"',
        "'",
        " ",
        "\n",
        "|",
        "a@b.co",
        "://",
        "\u200b",
        "\ud800",
    ),
)
texts = st.lists(st.one_of(st.sampled_from(FRAGMENTS), st.text(max_size=3)), max_size=24).map(
    "".join
)


@cache
def plain() -> Redactor:
    """Return a redactor without Hyperscan."""
    return Redactor(hyperscan=False)


@cache
def fast() -> Redactor:
    """Return a redactor with Hyperscan."""
    return Redactor(hyperscan=True)


def mixed_text(seed: int) -> str:
    """Return a text with data of several kinds in random contexts."""
    rng = random.Random(seed)
    kinds = rng.sample(sorted(SETS), 4)
    return "\n".join(case.text for kind in kinds for case in blind_set(kind, 2, seed))


def test_replaces_and_counts() -> None:
    """Each place is replaced by its kind and counted; the rest of the text stays."""
    found = redact("Mail jo@ex.org or sue@ex.org, order 12345, card 4111-1111-1111-1111.")
    assert found.text == "Mail [email] or [email], order 12345, card [credit_card]."
    assert found.counts == {"email": 2, "credit_card": 1}


@pytest.mark.parametrize(
    "text", ["glpat-aB3dE5fG7hJ9kL1mN2pQ", "hf_aBcDeFgHiJkLmNoPqRsTuVwXyZ012345"]
)
def test_tokens_without_a_name(text: str) -> None:
    """The prefix of the provider suffices."""
    assert redact(f"use {text}, please").text == "use [api_key], please"
    assert redact(f"use {text[:9]}, please").text == f"use {text[:9]}, please"


def test_clean_text_is_unchanged() -> None:
    """A text without data is returned as it is, characters that NFKC would change included."""
    text = "ﬁve ½ litres，２ cups — naïve\u200b café™"
    assert redact(text) == (text, {})


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("ﬁnd ｊｏ＠ｅｘ．ｏｒｇ ½", "ﬁnd [email] ½"),
        ("jo@ex\u200bam\u00adple.org!", "[email]!"),
        ("call ٠٥٥-٥١٢-٣٤٥٦ or ＋４４ ２０ ７９４６ ０９５８", "call [phone] or [phone]"),
        ("４１１１\u00a0１１１１\u2009１１１１\u202f１１１１", "[credit_card]"),
        ("tel. +49–30–1234567", "tel. [phone]"),
        ("𝐣𝐨@𝐞𝐱.𝐨𝐫𝐠", "[email]"),
        ("jose\u0301@example.com", "[email]"),
        (
            "a\u200b\u200bAKIA\u200bQ3EGRZ7VXYHJ2MNP\u200b.",
            "a\u200b\u200bAKIA\u200bQ3EGRZ7VXYHJ2MNP\u200b.",
        ),
    ],
)
def test_disguised_data_is_found(text: str, expected: str) -> None:
    """Full-width characters, other digits, dashes and invisible characters hide nothing."""
    assert redact(text).text == expected


@settings(deadline=None)
@given(st.text(alphabet=st.sampled_from("ab ½ﬁ\u200b㎏１é漢𝐣\U000e0061\u00ad"), max_size=30))
def test_positions_of_the_normal_form(text: str) -> None:
    """The normal form is that of each character; each of its positions leads to its origin."""
    plain_form = normalized(text)
    origins = [
        (index, piece)
        for index, character in enumerate(text)
        for piece in normalized(character).text
    ]
    assert plain_form.text == "".join(piece for _, piece in origins)
    assert [plain_form.original(i) for i in range(len(origins))] == [index for index, _ in origins]


@needs_hyperscan
@settings(max_examples=150, deadline=None)
@given(texts)
def test_hyperscan_changes_nothing(text: str) -> None:
    """With and without Hyperscan, results are the same on texts made to hurt."""
    assert fast().redact(text) == plain().redact(text)


@needs_hyperscan
def test_hyperscan_changes_nothing_in_real_texts() -> None:
    """With and without Hyperscan, results are the same on texts with data of all kinds."""
    for seed in range(40):
        text = mixed_text(seed)
        found = fast().redact(text)
        assert found.counts
        assert found == plain().redact(text)


@needs_hyperscan
def test_hyperscan_changes_nothing_near_names() -> None:
    """With and without Hyperscan, results are the same where names, what joins them to a value, and
    values follow each other in any order, with and without blanks.
    """
    rng = random.Random(3)
    for _ in range(4_000):
        text = "".join(rng.choice(NAMED) for _ in range(rng.randint(2, 9)))
        assert fast().redact(text) == plain().redact(text)


HINTS = sorted({(hint, rule.reach) for rule in RULES for hint in rule.hints})


@settings(max_examples=2_000, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.data())
def test_the_reach_of_hints(data: st.DataObject) -> None:
    """A match of a hint is not longer than the reach of its rule: a match begins within it."""
    hint, reach = data.draw(st.sampled_from(HINTS))
    assert len(data.draw(st.from_regex(re.compile(hint, re.ASCII), fullmatch=True))) <= reach


@settings(max_examples=150, deadline=None)
@given(texts)
def test_idempotent_on_fragments(text: str) -> None:
    """A redacted text has nothing more to redact."""
    once = redact(text).text
    assert redact(once) == (once, {})


@settings(max_examples=100, deadline=None)
@given(st.integers(0, 10**6))
def test_idempotent_on_real_texts(seed: int) -> None:
    """A redacted text has nothing more to redact, for data of all kinds."""
    once = redact(mixed_text(seed)).text
    assert redact(once) == (once, {})


def test_works_without_hyperscan(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the package, the default redactor works."""
    monkeypatch.setitem(sys.modules, "hyperscan", None)
    assert not hyperscan_installed()
    assert Redactor().redact("jo@ex.org").text == "[email]"


def test_longer_match_of_another_kind_wins() -> None:
    """Matches that overlap are replaced once; the more specific rule names them."""
    token = "ghp_16C7e42F292c6912E7710c838347Ae178B4a"
    assert redact(f"Authorization: Bearer {token}").counts == {"github_token": 1}
    assert (
        redact(f"https://me:{token}@github.com/x").text == "https://me:[github_token]@github.com/x"
    )


HOSTILE = {
    "one letter": "a",
    "digits": "1",
    "groups of digits": "12 34-",
    "e-mail without end": "a@b.",
    "at signs": "@",
    "local parts": "a.b",
    "URLs": "a://b:",
    "PEM beginnings": "-----BEGIN PRIVATE KEY-----\n",
    "PEM bodies": "-----BEGIN PRIVATE KEY-----\nQUJDREVGR0hJSktMTU5PUA==\n",
    "JWT beginnings": "eyJabcdefgh.",
    "keys": "sk-",
    "AWS names": "aws_secret_access_key ",
    "authorization": "Authorization: Bearer ",
    "passwords": "password=",
    "hex groups": "ab:",
    "octets": "1.",
    "IBAN": "DE89 ",
    "full width": "１＠",
    "invisible": "a\u200b",
    "brackets": "[email]",
    "tokens": "api_key = token ",
    "found": "a@b.io ",
    "phones": "+44 20 7946 0958, ",
}


@pytest.mark.parametrize("name", HOSTILE)
def test_time_is_linear(name: str) -> None:
    """Four times the text takes at most some eight times as long, for patterns that hurt."""

    def seconds(chars: int) -> float:
        text = (HOSTILE[name] * (chars // len(HOSTILE[name]) + 1))[:chars]
        started = time.process_time()
        redact(text)
        return time.process_time() - started

    redact("warm")
    short = min(seconds(10_000) for _ in range(2))
    assert min(seconds(40_000) for _ in range(2)) < 8 * short + 0.02


def test_every_kind_has_a_replacement_of_its_own() -> None:
    """The blind set covers all kinds."""
    assert sorted(SETS) == sorted(KINDS)
    assert len(CONTEXTS) > 10
