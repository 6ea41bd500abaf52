"""Passwords in sentences: behind their purpose, in front of their name, next to an account."""

from __future__ import annotations

import re

from monitor.redaction.rules.credentials import names, value
from monitor.redaction.rules.credentials.assigned import OPEN
from monitor.redaction.rules.rule import Rule, Span, before, words

_ALL_NAMES = (*names.NAMES, *names.DIRECTIVES, *names.WEAK_NAMES, *names.SHORT_NAMES, "pw")
_NOT_VALUES = "(?i:hash|length|field|age|polic|version|limit|strength|manager|format|type|reset)"
_STATED = (
    rf"{words(*_ALL_NAMES)}(?:\s(?:[0579]\s)?(?:(?P<purpose>(?:"
    r"(?i:for|of|to|on|at|in|fürs?|beim|im|am|zum|zur|vom|von|de|del|della|dello|d[oae]|para|per|pour|du|des|til"
    r"|till|från|voor|van|od|do|z|na|от|для|к|из|của|untuk|saya|tôi|i)\s[^\n:=?]{1,40}?"
    r"|(?i:temp|prov|actu|aktu|inic|init|neu|nuev|nouv|nov|new|old)[^\W\d_]{0,10}"
    rf"|(?!{_NOT_VALUES})[^\W\d_][\w.-]{{1,15}}(?:\s[^\W\d_][\w.-]{{1,15}})?)"
    rf"(?:\s(?i:{names.IS})\s(?:(?i:{names.NOW})\s)?(?:\S{{4,14}}\s(?i:to|in|auf|à|na|a|en|em|naar)\s)?|\s?:\s|\s[-–—]\s))"
    r"|(?:(?i:changed|reset|set|updated|geändert)\s)?(?i:to|in|auf|à|na|a|en|em|from|von)\s"
    r"|(?i:wi-?fi|wlan|e?-?mail|gmail|router|admin|root|vpn|server)\s)?"
    rf"\s{{0,3}}(?:{OPEN}|\[)?|\s{{2,8}}|[,;.]?\s[^\n]{{0,30}}?\sone\s(?:is|was)\s)"
    r"(?P<secret>[^\s\"'`,;<>\[\]{}():=]{5,})"
)
_short = re.compile(rf"(?i:{'|'.join((*names.SHORT_NAMES, 'pw'))})\s").match
_set_to = re.compile(r"\s(?i:to|in|auf|à|na|a|en|em|from|von)\s").search
_leet = re.compile(r"[A-Za-z]\d{1,3}[A-Za-z]|[A-Za-z]{2}[-_.]\d{2,}[-_.][A-Za-z]").search
_owned = re.compile(rf"(?<![^\W\d_])(?:{names.POSSESSIVES})\s\Z", re.IGNORECASE).search
_identifier = re.compile(r"[\w.-]*[a-z._-]\Z").search
_inflected = re.compile(r"(?i:şifre|parola)m\s|(?i:salasana|jelszava)(?:ni|m)\s").match
_account = re.compile(
    r"(?i:user(?:name)?|login|usuario|utilisateur|benutzer|account|username)\W{1,3}"
    r"[\w.@+-]{2,40}[\s,;]{1,3}"
    r"(?i:and\s|with\s|und\s|y\s|et\s)?\Z"
).search


def _stated(match: re.Match[str]) -> Span | None:
    """Accept a password behind its purpose, or behind "to" or a blank if no word looks like it."""
    found = match["secret"].rstrip(".!?。*")
    start = match.start("secret")
    if value.stands_for_one(found) or len(found) < value.MIN_CHARS or "/" in found:
        return None
    name = match[0].lower()
    inside = before(match, 1).isalpha()
    if inside and not (match[0][0].isupper() and before(match, 1).islower()):
        return None
    if match["purpose"]:
        known = not _short(match[0]) and match.string[match.end() : match.end() + 1] != "("
        return (start, start + len(found)) if known and value.is_mixed(found) else None
    given = match[0][: start - match.start()]
    if _is_certain(match, name, given) and value.is_mixed(found):
        return start, start + len(found)
    if inside or len(found) < 6:
        return None
    marked = value.marks(match["secret"] if _set_to(match[0]) else found)
    both = any(map(str.isalpha, found)) and any(map(str.isdigit, found))
    secret = both and (marked or len(found) >= (8 if _short(match[0]) else 6))
    return (start, start + len(found)) if secret and value.is_mixed(found) else None


def _is_certain(match: re.Match[str], name: str, given: str) -> bool:
    """Return whether a name is followed by its value although nothing but a blank joins them."""
    front = before(match, 60)
    directive = name.startswith(("requirepass", "masterauth", "bind", "rootpw", "root_pw", "wpa_"))
    return bool(
        directive
        or not match[0][0].isascii()
        or " one " in given
        or _owned(front)
        or _inflected(match[0])
        or _set_to(given)
        or (_identifier(front) and not name.startswith("passwords"))
        or _account(front)
    )


_PRESENTED = (  # as an assistant does: here is a password that you can use: **...**
    rf"{words(*names.NAMES, 'pw')}{names.END}[^\n:=?]{{0,80}}:\s{{1,4}}"
    r"(?P<mark>\*\*|`)(?P<secret>[^\s`]{10,64}?)(?P=mark)"
)


def _presented(match: re.Match[str]) -> Span | None:
    """Accept what no name of a function or an algorithm looks like."""
    found = match["secret"]
    classes = str.islower, str.isupper, str.isdigit
    strong = all(any(map(each, found)) for each in classes) and value.is_mixed(found)
    code = before(match, 1).isalpha() or value.stands_for_one(found) or found.endswith(")")
    return match.span("secret") if strong and not code else None


_GENERATED = (  # in the log of a program: is generated for root@localhost: ...
    rf"{words(*names.NAMES)}{names.END}\s(?i:is|was|has been)\s"
    r"(?i:generated|created|set|reset|issued|assigned)\s(?i:for|to)\s[^\s=?]{1,60}:\s"
    r"(?P<secret>\S{6,64})"
)
_ANSWERED = (  # what's the password?, and the next line of the chat
    rf"{words(*names.NAMES, 'pw')}{names.END}\s?\?\s{{0,2}}\n[^\n]{{0,24}}?[\w.-]{{1,24}}[:>]\s"
    r"(?P<secret>\S{6,64})(?=\s{0,2}(?:\n|\Z))"
)


def _given(match: re.Match[str]) -> Span | None:
    found = match["secret"].rstrip(".")
    start = match.start("secret")
    secret = value.is_mixed(found) and not value.stands_for_one(found)
    return (start, start + len(found)) if secret and not before(match, 1).isalpha() else None


_LOGINS = (
    *("user(?:name)? ?/ ?pass(?:word)?", "creds?", "credentials?", "log(?:ged)?[ -]?(?:in|on)"),
    *("logins?", "sign(?:ed)?[ -]?in"),
)
_ACCOUNT = (  # admin / secret, behind a word that announces it
    rf"{words(*_LOGINS)}(?i:\s(?:details|data|info|information))?"
    r"(?:\s(?i:for|to|of)\s[^\n.:/]{1,30}?(?=\s(?i:is|are)))?"
    r"(?i:\s(?:are|is|as|with|using|via|me|it)){0,4}\s?[:=]?\s{1,3}[\"'`(]?"
    r"(?P<user>[\w.@+-]{2,40})[\"'`]?"
    r"(?:\s?[/:|]\s?|\s(?i:and|with|und|y|et)\s(?i:(?:the\s|my\s)?(?:password|pw|pass)\s)?)"
    r"[\"'`]?(?P<secret>[^\s\"'`,;<>\[\]{}()/]{5,64})"
)


def _account_password(match: re.Match[str]) -> Span | None:
    found = match["secret"].rstrip(".?!:")
    start = match.start("secret")
    if before(match, 1).isalpha() or value.stands_for_one(found) or match["user"].isdigit():
        return None
    rest = match.string[start + len(found) : start + len(found) + 1]
    mixed = value.is_mixed(found) and len(found) >= 6
    fits = (mixed or ("@" in match["user"] and value.is_number(found))) and rest not in {"/", "("}
    return (start, start + len(found)) if fits else None


_REVERSED = (
    r"(?:[aA](?:s|ls)|[iI](?:s|st)|[wW]a[sr]|[fF](?:or|ür)|[eE]s|[cC]om[eo]|é|è|="
    r"|a(?=\s(?:good|strong|weak|secure|safe|bad|terrible|decent|better|common)\s))\s"
    rf"(?i:(?:{names.POSSESSIVES}|the|a|new|old|current|user and|username and"
    r"|login and|root|admin|wifi|temporary|default|das|la|le|el|neues|altes|good|strong"
    r"|weak|secure|safe|bad|terrible|decent|better|common)\s){0,3}"
    rf"{words(*names.NAMES, 'pw')}{names.END}(?P<rest>\s?[^\W\d_]{{0,12}})"
)
_in_front = re.compile(
    r"(?:\A|[\s\"'`(:„“«])(?P<secret>[^\s\"'`(„“«]{5,64}?)[\"'`),“”»]{0,2}\s\Z"
).search
_compounds = (
    "hash",
    "field",
    "manager",
    "policy",
    "reset",
    "protect",
    "generator",
    "input",
    "less",
)


def _reversed(match: re.Match[str]) -> Span | None:
    """Accept a password in front of its name: hunter22 is my password."""
    front = _in_front(before(match, 80))
    if front is None or before(match, 1).isalpha() or match["rest"].strip().startswith(_compounds):
        return None
    found = front["secret"].rstrip(",")
    if value.stands_for_one(found) or "/" in found or not value.is_mixed(found):
        return None
    start = match.start() - len(before(match, 80)) + front.start("secret")
    return start, start + len(found)


_OWNERS = (
    *("my", "our", "her", "his", "their", "the", "meine", "mi", "mon"),
    *("card", "door", "sim", "bank", "atm", "debit"),
)
_PIN = (
    rf"{words(*_OWNERS)}"
    r"\s(?:[a-z]{3,8}\s){0,2}(?:PIN|pin|Pin|passcode)(?:[ -](?:number|code))?"
    r"(?:\s(?i:is|was|ist|es|est)\s|\s?[:=]\s?|\s)\s{0,2}[\"'`]?(?P<secret>\d{4,8})(?![\w.]|,\d)"
)
_WORD = (
    rf"{words('passwords?', 'passphrase', 'passcode', 'pw', 'kennwort', 'passwort')}"
    r"\s(?i:(?:for|of|to)\s[^\n.:=?]{1,30}\s)?(?i:is|was|ist|lautet|will be)\s{1,2}"
    r"(?P<secret>[a-z]{6,24}|[A-Z][a-z]{5,24})(?P<rest>[.!]?\s|[.!,]?\Z|,\s)"
)
_ENDINGS = (
    "ed ing able ible ive less ful ous al ent ant ory ct ly ic ary en ure er est ish ert lich ig"
    " isch bar elt iert"
)
_endings = tuple(_ENDINGS.split())
_ADJECTIVES = """
    simple unique random secret public private common obsolete unclear obscure somewhere something
    nothing anything everything useless complete visible empty blank available complex mixed weak
    null undefined stronger another strange harmless whatever enough mine yours theirs plaintext
    wrong invalid expired stolen broken stuck falsch korrekt leer sicher unsicher dieses immer
    always never still really already almost required optional string number twelve eleven unknown
"""
_WORDS = frozenset(_ADJECTIVES.split())


def _word(match: re.Match[str]) -> Span | None:
    """Accept one plain word at the end of a clause: the password is oktoberfest."""
    found = match["secret"]
    rest = match["rest"].strip()
    ends = not rest or rest[0] in ".!,"
    following = match.string[match.end() : match.end() + 12].lstrip().lower()
    ends = ends and (
        bool(rest)
        or match.end() >= len(match.string)
        or "\n" in match["rest"]
        or following.startswith(("and ", "but ", "yesterday", "today", "now ", "und ", "aber "))
    )
    plain = found.lower()
    if not ends or plain in _WORDS or plain in value.STATES or plain.endswith(_endings):
        return None
    return (
        None if value.stands_for_one(found) or before(match, 1).isalpha() else match.span("secret")
    )


_PHRASES = ("pass[ -]?phrases?", "seed phrase", "mnemonic(?: phrase)?", "recovery phrase")
_PHRASE = (
    rf"{words(*_PHRASES)}"
    r"(?:\s(?i:is|was|:)|\s?[:=])\s{0,3}[\"'`]?(?P<secret>[a-z]{3,12}(?:\s[a-z]{3,12}){3,23})"
    r"(?![^\s\"'`.,;!?)])"
)
_PHRASE_HINTS = (r"(?i:pass[ -]?phrase|seed phrase|mnemonic|recovery phrase)",)
_MIN_SEED_WORDS = 12


def _phrase(match: re.Match[str]) -> Span | None:
    """Accept a passphrase of words: at the end of a line, or the twelve words of a wallet."""
    found = match["secret"]
    rest = match.string[match.end() : match.end() + 2]
    whole = not rest or rest[0] in "\n\"'`.,;!?)"
    seed = len(found.split()) >= _MIN_SEED_WORDS
    return match.span("secret") if value.is_phrase(found) and (whole or seed) else None


_LOGIN_HINTS = (rf"(?i:{'|'.join(_LOGINS)})[^a-z]",)
_PIN_HINTS = (r"(?:PIN|pin|Pin|passcode)[^a-z]",)

RULES = (
    Rule("password", _STATED, _stated, hints=names.HINTS, reach=names.HINT_CHARS),
    *(
        Rule("password", pattern, check, hints=names.HINTS, reach=names.HINT_CHARS)
        for pattern, check in (
            (_PRESENTED, _presented),
            (_GENERATED, _given),
            (_ANSWERED, _given),
        )
    ),
    Rule("password", _ACCOUNT, _account_password, retry=True, hints=_LOGIN_HINTS, reach=32),
    Rule("password", _REVERSED, _reversed, hints=names.HINTS, reach=64 + names.HINT_CHARS),
    Rule("password", _PIN, hints=_PIN_HINTS, reach=48),
    Rule("password", _WORD, _word, hints=names.HINTS, reach=names.HINT_CHARS),
    Rule("password", _PHRASE, _phrase, hints=_PHRASE_HINTS, reach=24),
)
