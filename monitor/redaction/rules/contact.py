"""E-mail addresses and US social security numbers."""

from __future__ import annotations

import re

from monitor.redaction.rules.rule import Rule, Span, before

_LETTERS = (  # Latin, combining marks, Greek, Cyrillic
    "A-Za-z\u00c0-\u00d6\u00d8-\u00f6\u00f8-\u024f\u0300-\u036f\u0370-\u04ff"
)
_LABEL = rf"[{_LETTERS}0-9](?:[{_LETTERS}0-9-]{{0,61}}[{_LETTERS}0-9])?"
_EMAIL = (
    rf"(?<![{_LETTERS}0-9_.%+@-])[{_LETTERS}0-9_%+](?:[{_LETTERS}0-9_.%+'-]{{0,63}})"
    rf"@(?:{_LABEL}\.){{1,8}}(?:xn--[a-z0-9]{{2,40}}|[{_LETTERS}]{{2,24}})(?![{_LETTERS}0-9_])"
)
_userinfo = re.compile(r"://[^\s/@?#]{0,200}\Z").search
_version = re.compile(r"\d+\.\d+\.|\d+x\.").match
_UNITS = "service|socket|timer|mount|slice|scope|device"  # of systemd: user@1000.service
_unit = re.compile(rf"[\w-]+\.(?:{_UNITS})").fullmatch
_TOOL_ACCOUNTS = frozenset({"git", "hg", "svn"})


def _email(match: re.Match[str]) -> Span | None:
    local, _, domain = match[0].partition("@")
    rest = match.string[match.end() : match.end() + 1]
    if rest == "(" or _version(domain) or _unit(domain) or _userinfo(before(match, 200)):
        return None  # a call (a@b.dot(c)), package@1.2.beta, icon@2x.png, https://user@host
    if rest == ":" and local in _TOOL_ACCOUNTS:  # git@host.org:path
        return None
    return match.span()


_SSN = r"\d(?<![\w+/-]\d)\d\d(?:-\d\d-|(?: - | )\d\d(?: - | )|\.\d\d\.|\d\d)\d{4}(?![\w]|[-/.]\d)"
_named = re.compile(
    r"(?<![a-z])(?:ssn|social[ _-]?security(?:[ _-]?(?:number|num|no))?|soc[ .-]?sec|taxpayer|itin)"
    r"(?![a-z])[^\n.;]{0,40}\Z",
    re.IGNORECASE,
).search
_digit_before = re.compile(r"\d \Z").search
_digit_after = re.compile(r" \d").match
_decimal = re.compile(r"(?:\A|[\d.])\.\Z").search
_value_after = re.compile(r",\d").match
_other_number = re.compile(
    r"(?:order|part|sku|invoice|tracking|model|serial|item|product|catalog(?:ue)?|batch|lot|case"
    r"|ticket|isbn|version|build|room|zip|postcode|article)"
    r"(?:\s+(?:no|nr|num|number|code|id|is|was))*\.?\s*[:#=]?\s*#?\Z",
    re.IGNORECASE,
).search


def _ssn(match: re.Match[str]) -> Span | None:
    """Check the ranges that the Social Security Administration assigns."""
    digits = re.sub(r"\D", "", match[0])
    area, group, serial = digits[:3], digits[3:5], digits[5:]
    if area in {"000", "666"} or area[0] == "9" or group == "00" or serial == "0000":
        return None
    context = before(match, 60)
    if _other_number(context) or _decimal(context):
        return None
    if "-" in match[0]:
        return match.span()
    if context[-1:] == "," or _value_after(match.string, match.end()):
        return None
    row = _digit_before(context) or _digit_after(match.string, match.end())
    form = " " in match[0] and not row
    return match.span() if form or _named(context) else None


RULES = (
    Rule("email", _EMAIL, _email, anchor="@", reach=64),
    Rule("us_ssn", _SSN, _ssn, retry=True, reach=20),
)
