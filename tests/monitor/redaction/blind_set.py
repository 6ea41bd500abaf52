"""Texts with and without secrets, written without knowledge of the rules: `blind_set.yaml`.

In the file a secret stands between ⟦ and ⟧, and random parts are written as `<<A36>>` (36 letters
and digits), so that no scanner takes the file for leaked keys. All secrets are invented.
"""

from __future__ import annotations

import base64
import json
import random
import re
import string
from collections import Counter
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import NamedTuple

import yaml

LETTERS = string.ascii_letters + string.digits
ALPHABETS = {
    "A": LETTERS,
    "B": LETTERS + "+/",
    "D": string.digits,
    "H": "0123456789abcdef",
    "L": LETTERS + "-_",
    "U": string.ascii_uppercase + "234567",
    "V": string.ascii_uppercase + string.digits,
    "W": "0123456789ABCDEF",
}
KEYS = {
    *("aws_key", "github_token", "openai_key", "anthropic_key", "google_key", "slack_token"),
    *("stripe_key", "jwt", "private_key", "password", "authorization", "api_key"),
}
"""Kinds that may overlap: a key in an Authorization header may be counted as either."""


class Example(NamedTuple):
    """A text of a kind. secrets: what must be replaced."""

    kind: str
    text: str
    secrets: tuple[str, ...] = ()


class Measured(NamedTuple):
    """Results of a kind. missed: positives; false: (text, kind of the text) with a wrong hit."""

    recall: float
    precision: float
    missed: list[str]
    false: list[str]


def load(path: Path) -> list[Example]:
    """Return the examples of a file, the same at each call."""
    rng = random.Random(20261129)
    examples = []
    for kind, lists in yaml.safe_load(path.read_text()).items():
        for template in lists["positives"]:
            text = _fill(template, rng)
            secrets = tuple(re.findall("⟦(.*?)⟧", text, re.DOTALL))
            examples.append(Example(kind, text.replace("⟦", "").replace("⟧", ""), secrets))
        examples += [Example(kind, _fill(each, rng)) for each in lists["negatives"]]
    return examples


def measure(
    examples: list[Example], redact: Callable[[str], tuple[str, Mapping[str, int]]]
) -> dict[str, Measured]:
    """Return recall and precision by kind.

    Recall: share of the positives whose secrets are all gone. Precision: share of all places
    counted as the kind, in all texts, that are a secret of that kind.
    """
    results = {kind: Measured(0, 0, [], []) for kind in dict.fromkeys(e.kind for e in examples)}
    true: Counter[str] = Counter()
    counted: Counter[str] = Counter()
    positives = Counter(each.kind for each in examples if each.secrets)
    for example in examples:
        text, counts = redact(example.text)
        gone = sum(not _remains(secret, text) for secret in example.secrets)
        if gone < len(example.secrets):
            results[example.kind].missed.append(example.text)
        for kind, places in counts.items():
            same = kind == example.kind or {kind, example.kind} <= KEYS
            right = min(places, gone) if same else 0
            counted[kind] += places
            true[kind] += right
            if places > right and kind in results:
                results[kind].false.append(example.text)
    return {
        kind: Measured(
            1 - len(row.missed) / positives[kind],
            true[kind] / counted[kind] if counted[kind] else 1.0,
            row.missed,
            row.false,
        )
        for kind, row in results.items()
    }


def _remains(secret: str, text: str) -> bool:
    """Return whether a secret, or a line of a secret of several lines, is still there.

    A line without a letter or a digit, such as the `>` of a quotation, is no secret.
    """
    lines = re.split(r"-----[A-Z0-9 ]+-----|\\r|\\n|\n", secret)
    return any(line.strip() in text for line in lines if re.search(r"\w", line))


def _fill(template: str, rng: random.Random) -> str:
    def random_part(match: re.Match[str]) -> str:
        return _part(match[1], rng)

    return re.sub(r"<<([^<>]+)>>", random_part, template)


def _part(code: str, rng: random.Random) -> str:
    """Return what stands for a code: C a card number, X a wrong one, I an IBAN, P lines of PEM."""
    if code.startswith(("C:", "X:")):
        return _card(code[2:], wrong=code[0] == "X")
    if code.startswith("I:"):
        return _iban(code[2:])
    if code.startswith("P"):
        count = int(code.strip("PN"))
        lines = [_random("B", 64, rng) for _ in range(count)]
        return ("\\n" if "N" in code else "\n").join(lines)
    if code in {"J", "JE"}:
        return _token(rng, encrypted=code == "JE")
    return _random(code[0], int(code[1:]), rng)


def _random(alphabet: str, length: int, rng: random.Random) -> str:
    return "".join(rng.choice(ALPHABETS[alphabet]) for _ in range(length))


def _card(template: str, *, wrong: bool) -> str:
    """Return a card number with the check digit of Luhn in place of `?`."""
    digits = [int(each) for each in template if each.isdigit()]
    doubled = [
        each * 2 - 9 * (each > 4) if i % 2 == 0 else each for i, each in enumerate(digits[::-1])
    ]
    check = -sum(doubled) % 10
    return template.replace("?", str((check + 3 * wrong) % 10))


def _iban(template: str) -> str:
    """Return an IBAN with its check digits (ISO 7064, mod 97) in place of `??`."""
    plain = "".join(each for each in template.upper() if each.isalnum())
    number = "".join(str(int(each, 36)) for each in plain[2:] + plain[:2] + "00")
    return template.replace("??", f"{98 - int(number) % 97:02}")


def _token(rng: random.Random, *, encrypted: bool) -> str:
    header = {"alg": "RSA-OAEP", "enc": "A256GCM"} if encrypted else {"alg": "HS256", "typ": "JWT"}
    first = base64.urlsafe_b64encode(json.dumps(header).encode()).decode().rstrip("=")
    if encrypted:
        return ".".join([first, *(_random("L", n, rng) for n in (342, 16, 90, 22))])
    claims = json.dumps({"sub": _random("D", 9, rng), "exp": 1790000000}).encode()
    return (
        f"{first}.{base64.urlsafe_b64encode(claims).decode().rstrip('=')}.{_random('L', 43, rng)}"
    )
