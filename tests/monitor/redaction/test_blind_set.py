"""Recall and precision on texts that were written without knowledge of the rules.

The bounds are the results of the first run, before any rule was changed for these texts.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from monitor.redaction.redactor import Redactor
from tests.monitor.redaction.blind_set import Measured, load, measure

HERE = Path(__file__).parent
FIRST_RUN = {
    "email": (0.966, 1.0),
    "phone": (1.0, 0.882),
    "credit_card": (0.933, 0.965),
    "iban": (1.0, 1.0),
    "ip_address": (1.0, 1.0),
    "us_ssn": (0.933, 0.933),
    "aws_key": (0.966, 0.928),
    "github_token": (1.0, 1.0),
    "openai_key": (1.0, 1.0),
    "anthropic_key": (1.0, 0.967),
    "google_key": (0.966, 1.0),
    "slack_token": (0.966, 1.0),
    "stripe_key": (1.0, 1.0),
    "jwt": (0.966, 1.0),
    "private_key": (1.0, 1.0),
    "password": (0.7, 1.0),
    "authorization": (0.866, 0.961),
    "api_key": (1.0, 0.97),
}
"""Recall and precision by kind, rounded down."""
THIRD_RUN = {
    "email": (0.976, 0.954),
    "phone": (1.0, 0.937),
    "credit_card": (1.0, 1.0),
    "iban": (1.0, 1.0),
    "ip_address": (1.0, 0.936),
    "us_ssn": (0.952, 0.952),
    "aws_key": (1.0, 1.0),
    "github_token": (1.0, 1.0),
    "openai_key": (1.0, 1.0),
    "anthropic_key": (1.0, 1.0),
    "google_key": (1.0, 1.0),
    "slack_token": (1.0, 1.0),
    "stripe_key": (1.0, 1.0),
    "jwt": (1.0, 1.0),
    "private_key": (0.926, 0.926),
    "password": (0.916, 0.977),
    "authorization": (0.857, 1.0),
    "api_key": (0.928, 0.976),
}
"""The same for the first run over the third set, after the mending for the sets 1 and 2.

Three private keys counted as missed because of a `>`, `+` or backslash in front of a line, which
is no longer measured. `phone 555-0142` and `token 7BGJ...` are wrongly listed as negatives.
"""
FOURTH_RUN = {
    "email": (1.0, 1.0),
    "phone": (1.0, 0.882),
    "ip_address": (1.0, 0.937),
    "us_ssn": (1.0, 0.882),
    "private_key": (0.933, 1.0),
    "password": (0.933, 1.0),
    "authorization": (1.0, 0.937),
    "api_key": (1.0, 1.0),
}
"""The same for the first run over the fourth set, after the mending for the third.

It has 15 texts of each sort for a kind: one text is 7 %. No rule was changed for these texts.
Its author knew the rules; that of the others did not.
"""
FIFTH_RUN = {
    "email": (1.0, 1.0),
    "phone": (1.0, 0.961),
    "credit_card": (0.958, 1.0),
    "iban": (1.0, 1.0),
    "ip_address": (1.0, 0.96),
    "us_ssn": (0.956, 0.956),
    "aws_key": (1.0, 1.0),
    "github_token": (1.0, 1.0),
    "openai_key": (1.0, 1.0),
    "anthropic_key": (1.0, 1.0),
    "google_key": (1.0, 1.0),
    "slack_token": (1.0, 1.0),
    "stripe_key": (1.0, 1.0),
    "jwt": (1.0, 1.0),
    "private_key": (1.0, 1.0),
    "password": (0.884, 1.0),
    "authorization": (1.0, 1.0),
    "api_key": (0.961, 1.0),
}
"""The same for the first run over the fifth set, whose author had not read the rules.

All kinds but `password` are at .95 or above. A false IP address is a wrong label: `192.168.12.44`
stands among the texts without a telephone number.
"""
PASSWORDS = {
    "blind_set_6.yaml": (0.675, 1.0),
    "blind_set_7.yaml": (0.9, 1.0),
    "blind_set_8.yaml": (0.766, 0.958),
    "blind_set_9.yaml": (0.623, 0.979),
    "blind_set_10.yaml": (0.906, 1.0),
    "blind_set_11.yaml": (0.72, 0.96),
    "blind_set_13.yaml": (0.833, 1.0),
    "blind_set_14.yaml": (0.933, 0.97),
    "blind_set_15.yaml": (0.95, 0.984),
}
"""First runs over sets of passwords alone, stated in ways that the other sets lack.
The rules were mended after each of them but the last. The author of the sets 10 and 11 knew the
rules, those of the sets 13 to 15 had seen neither them nor the other sets."""
PASSWORDS_AFTER_MENDING = (*PASSWORDS, "blind_set_2.yaml", "blind_set_4.yaml", "blind_set_12.yaml")
"""Set 12 has the forms that were missed, or wrongly marked, in public source code."""
SECOND = ("phone", "credit_card", "us_ssn", "aws_key", "password", "authorization")
"""Kinds below .95 in the first run. The rules were mended after a look at both sets."""


def results(name: str) -> dict[str, Measured]:
    """Measure the redactor on a file of examples."""
    redactor = Redactor()

    def redact(text: str) -> tuple[str, dict[str, int]]:
        redacted = redactor.redact(text)
        return redacted.text, dict(redacted.counts)

    return measure(load(HERE / name), redact)


@pytest.mark.parametrize(
    ("name", "bounds"),
    [
        ("blind_set.yaml", FIRST_RUN),
        ("blind_set_3.yaml", THIRD_RUN),
        ("blind_set_4.yaml", FOURTH_RUN),
        ("blind_set_5.yaml", FIFTH_RUN),
        *((name, {"password": bounds}) for name, bounds in PASSWORDS.items()),
    ],
)
def test_is_as_good_as_in_the_first_run(name: str, bounds: dict[str, tuple[float, float]]) -> None:
    """Neither recall nor precision of any kind falls below the first run."""
    measured = results(name)
    for kind, (recall, precision) in bounds.items():
        assert measured[kind].recall >= recall, measured[kind].missed
        assert measured[kind].precision >= precision, measured[kind].false


@pytest.mark.parametrize("name", ["blind_set.yaml", "blind_set_2.yaml"])
def test_kinds_that_were_mended_reach_the_promise(name: str) -> None:
    """In both sets together with what cannot be recognised, such as `user/pass: kay / ...`."""
    measured = results(name)
    for kind in SECOND:
        assert measured[kind].recall >= 0.9, measured[kind].missed
        assert measured[kind].precision >= 0.85, measured[kind].false


@pytest.mark.parametrize("name", ["blind_set_3.yaml", "blind_set_5.yaml", "blind_set_7.yaml"])
def test_every_kind_reaches_the_promise_after_the_mending(name: str) -> None:
    """With the wrong labels."""
    for kind, measured in results(name).items():
        assert measured.recall >= 0.95, (kind, measured.missed)
        assert measured.precision >= 0.95, (kind, measured.false)


@pytest.mark.parametrize("name", PASSWORDS_AFTER_MENDING)
def test_passwords_reach_the_promise_after_the_mending(name: str) -> None:
    """In every set."""
    measured = results(name)["password"]
    assert measured.recall >= 0.95, measured.missed
    assert measured.precision >= 0.95, measured.false


@pytest.mark.parametrize("name", ["blind_set_9.yaml", "blind_set_10.yaml", "blind_set_11.yaml"])
def test_sets_of_passwords_are_large(name: str) -> None:
    """At least sixty texts with and sixty without a password."""
    secrets = [bool(each.secrets) for each in load(HERE / name)]
    assert sum(secrets) >= 60
    assert len(secrets) - sum(secrets) >= 60


def test_each_kind_has_thirty_texts_with_and_thirty_without_a_secret() -> None:
    """The shares are those of enough texts."""
    examples = load(HERE / "blind_set.yaml")
    for kind in FIRST_RUN:
        secrets = [bool(each.secrets) for each in examples if each.kind == kind]
        assert (sum(secrets), len(secrets)) == (30, 60)


def test_each_kind_of_the_third_set_has_forty_texts_with_and_forty_without_a_secret() -> None:
    """At least: no text of this set was left out."""
    examples = load(HERE / "blind_set_3.yaml")
    for kind in THIRD_RUN:
        secrets = [bool(each.secrets) for each in examples if each.kind == kind]
        assert min(sum(secrets), len(secrets) - sum(secrets)) >= 40


def test_a_text_kept_as_it_is_lowers_recall() -> None:
    """Without redaction recall is 0: the measure notices what remains."""
    examples = load(HERE / "blind_set.yaml")
    kept = measure(examples, lambda text: (text, {}))
    assert {row.recall for row in kept.values()} == {0.0}
