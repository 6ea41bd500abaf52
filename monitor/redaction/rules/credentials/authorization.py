"""Credentials in Authorization headers, of any scheme."""

from __future__ import annotations

import base64
import binascii
import re

from monitor.redaction.rules.rule import QUOTE, Rule, Span, before
from monitor.redaction.rules.secrecy import is_placeholder, is_random

_BLANKS = r"(?:\s|%20|\+)"
_AUTHORIZATION = (
    # the name of the header, and then : or =, or a second argument, or value= of the same element
    rf"[aAbB](?:(?<=[aA])(?i:uthorization)(?:(?:{QUOTE})?\]?\s{{0,3}}(?:=>|[:=]|%3A|%3D){_BLANKS}{{0,3}}"
    rf"|{QUOTE}\]?\s{{0,3}},?\s{{0,3}}(?:{QUOTE})?(?i:value)(?:{QUOTE})?\s?[:=]\s{{0,3}}"
    rf"|{QUOTE},\s{{0,3}}(?={QUOTE}))\[?(?:{QUOTE})?(?P<scheme>[A-Za-z][A-Za-z0-9_-]{{1,20}}{_BLANKS}{{1,3}})?"
    # a scheme alone, also as the first of two arguments
    r"|(?:(?<![\w-][bB])|(?<=oauth2-[bB]))(?<=[bB])(?i:earer|asic)"
    rf"(?:(?:[ :]|%20)\s{{0,3}}|{QUOTE},\s{{0,3}}(?={QUOTE})))"
    rf"(?:{QUOTE})?(?P<secret>[A-Za-z0-9._~+/-]{{8,}}={{0,2}})"
)
_SCHEMES = frozenset({"bearer", "basic", "token", "apikey", "key"})
"""Schemes whose value need not be random: nothing but a credential follows them."""


_parameter = re.compile(r"\s{1,3}[A-Za-z_-]{1,40}=").match


def _authorization(match: re.Match[str]) -> Span | None:
    if _parameter(match.string, match.end()):
        return None  # the value is a scheme with parameters: see `_signature`
    value = match["secret"].rstrip(".")
    start = match.start("secret")
    header = match[0][:1] in "aA"
    scheme = _letters((match["scheme"] or "").replace("%20", "") if header else match[0][:5])
    if scheme == "basic" and _is_basic(value, text_only=not header):
        return start, start + len(value)
    if is_random(value) and (header or scheme != "basic"):
        return start, start + len(value)
    digits = any(map(str.isdigit, value)) and any(map(str.isalpha, value))
    formed = digits or any(map(value.__contains__, "._~+/="))
    known = header and (not scheme or scheme in _SCHEMES)
    return (start, start + len(value)) if known and formed and not is_placeholder(value) else None


def _letters(text: str) -> str:
    return "".join(filter(str.isalpha, text)).lower()


_SIGNATURE = (
    r"[aAmMrRsStT](?:(?<=[aA])(?i:uth)|(?<=[mM])(?i:ac)|(?<=[rR])(?i:esponse)"
    r"|(?<=[sS])(?i:ig(?:nature)?)|(?<=[tT])(?i:oken))=[\"']?"
    r"(?P<secret>[A-Za-z0-9+/_-]{16,}={0,2})"
)
_MIN_SIGNATURE_CHARS = 32
_header = re.compile(r"authorization[\"']?\s{0,3}[:=][^\n]*\Z", re.IGNORECASE).search


def _signature(match: re.Match[str]) -> Span | None:
    """Accept the proof in a header with parameters: Digest (RFC 7616), AWS4-HMAC-SHA256, Hawk."""
    value = match["secret"]
    secret = len(value) >= _MIN_SIGNATURE_CHARS or is_random(value)
    return match.span("secret") if secret and _header(before(match, 600)) else None


def _is_basic(value: str, *, text_only: bool) -> bool:
    """Return whether a value is `user:password` in base64 (RFC 7617).

    text_only: without the name of the header in front, both must be printable ASCII.
    """
    try:
        decoded = base64.b64decode(value + "=" * (-len(value) % 4))
    except (binascii.Error, ValueError):
        return False
    return b":" in decoded and (not text_only or all(32 <= byte < 127 for byte in decoded))


RULES = (
    Rule("authorization", _AUTHORIZATION, _authorization, reach=120),
    Rule("authorization", _SIGNATURE, _signature, reach=60),
)
