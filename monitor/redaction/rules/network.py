"""IP addresses of version 4 and 6. Version, section and slice expressions are not addresses."""

from __future__ import annotations

import ipaddress
import re

from monitor.redaction.rules.rule import Rule, Span, before

_V4 = r"\d(?<![\w.+~^]\d)\d{0,2}\.(?:\d{1,3}\.){2}\d{1,3}(?![\w]|\.\w|-[a-z])"
_V6 = (
    r"[0-9A-Fa-f:](?<![\w:.][0-9A-Fa-f:])(?:(?<=:):|(?<!:)[0-9A-Fa-f]{0,3}:)(?:[0-9A-Fa-f]{1,4}:|:){1,7}(?:[0-9A-Fa-f]{1,4}|(?:\d{1,3}\.){3}\d{1,3})?"
    r"(?![\w:]|\.\d)"
)
# words in front of a version or section number
_NUMBERED_WORDS = """
    v ver vers version versions versión versão versione versie wersja release releases rel build
    revision rev firmware driver kernel patch update upgraded section sections sec chapter figure
    fig table clause appendix article paragraph annex step item rule requirement abschnitt kapitel
    sección capítulo ios android python java node openssl linux windows macos chrome firefox safari
    package chapitre версия версии раздел § 版本 バージョン 버전
"""
_NUMBERED = frozenset(_NUMBERED_WORDS.split())
_FILLERS = frozenset({"is", "was", "no", "number", "nr", "v", "to"})
_words = re.compile(r"[^\W\d_]+|§").finditer
_MAX_GAP = 6
_product = re.compile(r"[A-Za-z][\w.]{0,40}/\Z|[A-Za-z]-\Z|[<>=~!^]=\s?[\"']?\Z").search
_heading = re.compile(r"(?:^|\n)[ \t#*]{0,8}\Z").search
_capitalised = re.compile(r"[ \t]+[A-Z][a-z]").match
_MASK = 255
_MAX_HEADING_NUMBER = 20
_MAX_VERSION_NUMBER = 30
_word = re.compile(r"([^\W\d_][\w.+#-]{0,30})[ \u00a0]\Z").search
_NETWORK_WORDS = """
    ip ipv4 addr address addresses adresse host hosts hostname server nameserver resolver dns ping
    traceroute mtr dig nslookup ssh curl gateway gw router route peer client proxy node src source
    dst dest destination remote local inet network subnet listen bind allow deny block blocked from
    to at by via on with in for is was the and or of use user using set through connect connected
    von an auf de desde a da di par vers i z od
"""
_NETWORK = frozenset(_NETWORK_WORDS.split())
_RESOLVERS = frozenset({"1.1.1.1", "1.0.0.1", "8.8.8.8", "8.8.4.4", "9.9.9.9", "9.9.9.10"})


def _is_numbered(head: str) -> bool:
    """Return whether the last words of a text announce a version or section number."""
    end = len(head)
    for word in reversed(list(_words(head.lower()))):
        if end - word.end() > _MAX_GAP or "\n" in head[word.end() : end]:
            return False
        if word[0] in _NUMBERED:
            return True
        if word[0] not in _FILLERS:
            return False
        end = word.start()
    return False


def _v4(match: re.Match[str]) -> Span | None:
    try:
        address = ipaddress.IPv4Address(match[0])
    except ValueError:
        return None
    if address.is_unspecified or address.is_loopback or address.packed[0] == _MASK:
        return None  # identifies no machine
    head = before(match, 40)
    if _is_numbered(head) or (_product(head) and "://" not in head[-12:]):
        return None
    small = max(address.packed) <= _MAX_HEADING_NUMBER
    if _is_version(address, head):
        return None
    if small and _heading(head) and _capitalised(match.string, match.end()):
        return None
    return match.span()


def _is_version(address: ipaddress.IPv4Address, head: str) -> bool:
    """Return whether the name of a product is in front of small numbers: CUDA 12.4.1.3.

    Of the public addresses one in 4,000 has four numbers up to 30, of the versions nearly all.
    """
    numbers = address.packed
    small = max(numbers) <= _MAX_VERSION_NUMBER or not any(numbers[2:])
    if not small or address.is_private or str(address) in _RESOLVERS:
        return False
    word = _word(head)
    return word is not None and word[1].lower() not in _NETWORK


def _v6(match: re.Match[str]) -> Span | None:
    try:
        address = ipaddress.IPv6Address(match[0])
    except ValueError:
        return None
    groups = [group for group in match[0].split(":") if group]
    if address.is_unspecified or address.is_loopback or not any(map(str.isdigit, match[0])):
        return None
    if len(groups) < 3 and max(map(len, groups)) < 3:  # a slice, x[1::2]
        return None
    if len(groups) < 3 and all(map(str.isdecimal, groups)) and len(groups[0]) < 4:
        return None
    return match.span()


RULES = (
    Rule("ip_address", _V4, _v4, retry=True, reach=20),
    Rule("ip_address", _V6, _v6, retry=True, reach=70),
)
