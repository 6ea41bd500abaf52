"""Keys with a known form: cloud providers, model providers, chat, payments, JWT, private keys."""

from __future__ import annotations

import base64
import binascii
import json
import re

from monitor.redaction.rules.rule import Check, Rule, Span, words
from monitor.redaction.rules.secrecy import entropy, is_placeholder

_MIN_BITS = 2.5  # per character; random keys have more, repeated characters less


def _begins(first: str) -> str:
    """Return a pattern: `first` begins a token, also behind a percent-encoded character."""
    return rf"(?:(?<![A-Za-z0-9]{first})|(?<=%[0-9A-Fa-f][0-9A-Fa-f]{first}))"


_AWS_ID = (
    rf"A{_begins('A')}(?:KIA|SIA|BIA|CCA|GPA|IDA|ROA|IPA|NPA|NVA)[A-Z0-9]{{16}}(?![A-Za-z0-9])"
)
_AWS_SECRET = (
    rf"{words('aws[A-Za-z_ -]{0,30}(?:key|secret)', 'secret[_ -]?access[_ -]?key')}"
    r"[\"']?\s{0,3}(?:=>|[:=>]|is)\s{0,3}[\"']?"
    r"(?P<secret>[A-Za-z0-9/+]{40})(?![A-Za-z0-9/+=_-])"
)
_GITHUB = rf"g{_begins('g')}(?:h[pousr]_[A-Za-z0-9]{{30,}}|ithub_pat_[A-Za-z0-9_]{{30,}})"
_OPENAI = (
    rf"sk-{_begins('sk-')}(?:(?:proj|svcacct|admin|None)-[A-Za-z0-9_-]{{20,}}"
    r"|[A-Za-z0-9]{20,}(?![A-Za-z0-9-]))"
)
_ANTHROPIC = rf"sk-ant-{_begins('sk-ant-')}[A-Za-z0-9_-]{{20,}}"
_GOOGLE = (
    rf"[AyG]{_begins('[AyG]')}(?:(?<=A)Iza[A-Za-z0-9_-]{{30,45}}(?![A-Za-z0-9_-])"
    r"|(?<=y)a29\.[A-Za-z0-9_-]{20,}"
    r"|(?<=G)OCSPX-[A-Za-z0-9_-]{20,})"
)
_SLACK = (
    rf"[xh]{_begins('[xh]')}(?:(?<=x)ox[abceoprs](?:\.xox[bp])?-[A-Za-z0-9-]{{10,}}"
    r"|(?<=x)app-\d-[A-Za-z0-9-]{10,}|(?<=h)ooks\.slack\.com/(?:services|workflows|triggers)/[A-Za-z0-9/]{20,})"
)
_STRIPE = (
    rf"[rpsw]{_begins('[rpsw]')}(?:(?<=[rps])k_(?:live|test)_[A-Za-z0-9]{{16,}}"
    r"|(?<=w)hsec_[A-Za-z0-9+/=]{20,})"
)
_JWT = (
    rf"eyJ{_begins('eyJ')}[A-Za-z0-9_-]{{8,}}\.[A-Za-z0-9_-]{{8,}}\.(?:[A-Za-z0-9_-]{{1,}}"
    r"(?:\.[A-Za-z0-9_-]{1,}){0,2})?"
)
_OTHER = (  # of GitLab and Hugging Face
    rf"[gh]{_begins('[gh]')}(?:(?<=g)lpat-[A-Za-z0-9_-]{{20,}}|(?<=h)f_[A-Za-z0-9]{{30,}})"
)
_PEM = r"-----BEGIN (?:[A-Z0-9]{1,20} ){0,3}PRIVATE KEY(?: BLOCK)?-----"


def _key(chars: int, *, digit: bool = False) -> Check:
    """Return a check that rejects placeholders. The first `chars` characters are the prefix."""

    def check(match: re.Match[str]) -> Span | None:
        name = "secret" if "secret" in match.re.groupindex else 0
        body = match[name][chars:]
        if digit and not any(map(str.isdigit, body)):
            return None
        harmless = is_placeholder(body) or "EXAMPLE" in body or entropy(body) < _MIN_BITS
        return None if harmless else match.span(name)

    return check


def _jwt(match: re.Match[str]) -> Span | None:
    """Accept a token whose header is a JSON object (RFC 7519)."""
    header = match[0].partition(".")[0]
    try:
        decoded = json.loads(base64.urlsafe_b64decode(header + "=" * (-len(header) % 4)))
    except (binascii.Error, ValueError, RecursionError):
        return None
    return match.span() if isinstance(decoded, dict) else None


_MAX_PEM_CHARS = 20_000
_base64_line = re.compile(
    r"[A-Za-z0-9+/=]{16}|(?=[A-Za-z0-9+/=]{8})[A-Za-z0-9+/=]*(?:[A-Z]{2}[a-z]|[a-z][A-Z]|\d)"
).search
_base64_lines = re.compile(
    r"(?:(?:\s|\\n|\\r){0,8}(?:(?:Proc-Type|DEK-Info|Version|Comment): ?[^\n\\]{0,200}(?:\n|\\n)"
    r"|[A-Za-z0-9+/=]{16,}))*"
).match
_pem_end = re.compile(r"-----END [A-Z0-9 ]{0,60}PRIVATE KEY(?: BLOCK)?-----").search


def _pem(match: re.Match[str]) -> Span | None:
    """Accept a private key up to its end marker or, if it is cut, its last line of base64."""
    text, start = match.string, match.end()
    limit = min(len(text), start + _MAX_PEM_CHARS)
    following = text.find("-----BEGIN ", start, limit)
    if following >= 0:
        limit = following
    found = _pem_end(text, start, limit)
    if found and _base64_line(text, start, found.start()):
        return match.start(), found.end()
    lines = _base64_lines(text, start)
    end = lines.end() if lines else start
    return (match.start(), end) if _base64_line(text, start, end) else None


RULES = (
    Rule("private_key", _PEM, _pem),
    Rule("jwt", _JWT, _jwt),
    Rule("anthropic_key", _ANTHROPIC, _key(7), reach=40),
    Rule("openai_key", _OPENAI, _key(3), reach=40),
    Rule("github_token", _GITHUB, _key(4), reach=50),
    Rule("google_key", _GOOGLE, _key(4), reach=60),
    Rule("slack_token", _SLACK, _key(5, digit=True), reach=60),
    Rule("stripe_key", _STRIPE, _key(8), reach=40),
    Rule("api_key", _OTHER, _key(6), reach=40),
    Rule("aws_key", _AWS_ID, _key(4), reach=30),
    Rule("aws_key", _AWS_SECRET, _key(0, digit=True), reach=120),
)
