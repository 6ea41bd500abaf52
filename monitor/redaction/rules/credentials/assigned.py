"""Passwords behind a name and a separator: password=..., "password": "...", my password is ..."""

from __future__ import annotations

import re

from monitor.redaction.rules.credentials import names, value
from monitor.redaction.rules.rule import QUOTE, Rule, Span, before, words

MAX_CHARS = 200
OPEN = rf"(?:[A-Za-z@$]?{QUOTE}|[“”„«‘’「『])"  # also N'...' of SQL, b'...', @"..."
_BLANKS = r"(?:[ \t]{0,24}|\s{0,3})"  # settings stand in columns
_CLOSING = {"“": "”", "„": "“", "«": "»", "‘": "’", "「": "」", "『": "』"}
_GIVEN = (
    # the end of the name: quoted, an index, followed by a remark, in bold, in an element
    rf"{names.END}(?:_(?i:prod|dev|test|staging|root|admin|old|new)|[12])?(?:{QUOTE})?(?:\]|\[\d*\])?"
    rf"(?:\s?\([^()\n]{{1,30}}\))?(?:\*\*|__)?(?:</\w{{1,10}}>)?{_BLANKS}"
    # what joins name and value: a sign, a word, `value` as a name, an argument, the next element
    # the name of a type or another value may come first
    rf"(?::\s?[\w<>\[\].?]{{2,24}}\s?=\s?{QUOTE}"
    rf"|(?:=\s?[\w.$\[\]\"']{{3,60}}\s?)?(?:\|\||\?\?|\bor)\s?{QUOTE}"
    rf"|(?:=>|:=|={{1,3}}|[:>]|\||(?<=\s)-\s|(?i:{names.IS})\s?:?\s(?:(?i:{names.NOW})\s)?|[是は는은为為])"
    rf"(?:\*\*|__|</\w{{1,10}}>)?{_BLANKS}(?:{OPEN})?"
    rf"|,?\s{{0,20}}(?:{QUOTE})?(?i:value)(?:{QUOTE})?\s?[:=]\s{{0,3}}(?:{OPEN})?"
    rf"|(?<=\s)\("
    rf"|<\w{{1,10}}>|(?:{QUOTE})?\)?,\s?{QUOTE}|\({QUOTE}"
    rf"|\s?\{{[^{{}}\"]{{0,60}}default\s?=\s?{QUOTE}"
    rf"|\)?\.(?i:send_?keys|fill|type|set_?value|val|set_?text)\({QUOTE}"
    rf"|\s{{1,4}}{QUOTE}|(?<=[\"'`]))"
    r"(?P<secret>[^\s\"'`,;<>\[\]{}()]{5,}|(?<=[\"'`])[^\s\"'`\\]{5,100})"
)
_PASSWORD = (
    words(*names.NAMES, *names.DIRECTIVES, *names.WEAK_NAMES, *names.SHORT_NAMES, "pw") + _GIVEN
)
_separated = re.compile(rf"[:=>|(.-]|[是は는은为為]|\b(?:{names.IS})\s|,", re.IGNORECASE).search
_prefixed = re.compile(
    r"(?<![a-z])(?:db|my|sql|user|admin|root|smtp|ftp|mail|wifi|ssh|app)\Z"
).search
_counted = re.compile(
    r"\b(?i:first|second|third|last|next|final|single|one|two|each|this|another)[ -]\Z"
).search
_setter = re.compile(r"(?i:(?:\A|[^a-z])(?:set|with|using)?_?)\Z").search
_parameter = re.compile(r"&[\w.-]{1,40}=").search
_variable = re.compile(
    r"(?:\A|[\n\"']|(?:export|set|ENV|-e|-) )[ \t]{0,8}(?:- )?[A-Z][A-Z0-9_]{0,40}\Z"
).search
_rest_of_variable = re.compile(r"[^\s\"'`;<>|&]*").match
_account = re.compile(
    r"(?i:user|login|e?mail|uid|account|benutzer|usuario|utilisateur|identifiant|utente|gebruiker"
    r"|usuário|пользователь|логин)(?i:name|kennung|[-_ ]?id)?(?:</?\w{1,10}>|[\"'\s=:]){1,8}"
    r"[\w.@+\\-]{2,40}(?:</?\w{1,10}>|[\"'\s;,&]){1,24}[\w.-]{0,12}\Z"
).search
_text_of_element = re.compile(r"[^\s<>]{5,200}(?=</)").match
_TYPES = frozenset({"string", "text", "bytes", "email", "password", "number", "secretstr", "token"})


def _password(match: re.Match[str]) -> Span | None:
    start, end = match.span("secret")
    given, rest = match[0][: start - match.start()], match.string[end : end + 1]
    if rest in {"(", "["} or not _is_name_of_password(match, given):
        return None
    if given.endswith(">") and match["secret"][0] == "@":
        return None  # a place in a URL: <name>:<password>@host
    quoted = _until_quote(match.string, start, given[-1])
    if quoted is not None:
        accepted = _is_quoted_password(quoted, given)
        return (start, start + len(quoted)) if accepted else None
    if given[-1] in "\"'`" and not _separated(given):
        return None  # password "must ..."
    found = _unquoted(match, given)
    return (start, start + len(found)) if _is_unquoted_password(match, found, given) else None


def _is_name_of_password(match: re.Match[str], given: str) -> bool:
    """Return False for a part of another word, such as compass=, and behind another element."""
    inside = before(match, 1).isalpha() and match[0][0].islower()
    if match[0].lower().startswith("pass:") and _counted(before(match, 10)):
        return False  # the second pass: ...
    if match[0].lower().startswith("clave") and before(match, 8).lower().endswith("palabra "):
        return False
    if given.endswith(('("', "('", "(`")) and not _setter(before(match, 12)):
        return False
    if (
        inside
        and not _prefixed(before(match, 8))
        and not match[0].lower().startswith(("password", "passwd", "passphrase", "pw"))
    ):
        return False
    element = ">" in given and "=>" not in given and "</" not in given
    return not element or before(match, 1) == "<" or '">' in given


def _until_quote(text: str, start: int, mark: str) -> str | None:
    """Return what stands between a quotation mark in front of a place and the next; None if not."""
    if mark not in "\"'`“”„«‘’「『":
        return None
    close = _CLOSING.get(mark, mark)
    end = text.find(close, start, start + MAX_CHARS)
    while end > 0 and mark == "'" and text.startswith("''", end):  # a quotation mark of YAML
        end = text.find(close, end + 2, start + MAX_CHARS)
    found = text[start:end].rstrip("\\") if end > 0 else ""
    return found if found and "\n" not in found else None


def _is_quoted_password(found: str, given: str) -> bool:
    """Return whether a text within quotation marks is a password rather than a message."""
    if value.stands_for_one(found):
        return False
    if " " in found:
        chosen = given.endswith(('="', "='")) and value.is_chosen(found)
        return bool(_separated(given)) and (chosen or value.is_phrase(found))
    if value.is_mixed(found) or value.is_joined(found):
        return True
    if "=" in given and "," not in given and value.is_pair(found):
        return True
    if "," in given or not _separated(given):
        return value.is_number(found) or (value.is_word(found) and "," not in given)
    both = any(map(str.isdigit, found)) and any(map(str.isalpha, found))
    return value.is_word(found) or value.is_number(found) or (both and len(found) >= 8)


def _unquoted(match: re.Match[str], given: str) -> str:
    """Return the value of a match without what follows it."""
    start = match.start("secret")
    found = match["secret"]
    if _is_variable(match, given):
        rest = _rest_of_variable(match.string, start, start + MAX_CHARS)
        return rest[0] if rest else found
    if given.endswith(">") and (text := _text_of_element(match.string, start)):
        return text[0]
    if following := _parameter(found):
        return found[: following.start()]
    return found.rstrip(".:!?)*|”’»“」』。")


def _is_unquoted_password(match: re.Match[str], found: str, given: str) -> bool:
    """Return whether a value without quotation marks is a password."""
    if len(found) < value.MIN_CHARS or value.stands_for_one(found) or found.lower() in _TYPES:
        return False
    if value.is_mixed(found):
        return True
    if value.is_number(found) and _may_be_number(match[0].lower()):
        return True
    return _is_plain_password(match, found, given)


def _is_variable(match: re.Match[str], given: str) -> bool:
    """Return whether a match is the assignment of an environment variable."""
    return given.endswith("=") and _variable(before(match, 48) + given[:-1]) is not None


def _may_be_number(name: str) -> bool:
    """Return False for a count of several, and for "pass", which precedes the number of passes."""
    return not name.startswith(("passwords", "pass ", "pass:", "pass="))


def _is_plain_password(match: re.Match[str], found: str, given: str) -> bool:
    """Return whether a word is a password because of its place, such as behind an account."""
    end = match.start("secret") + len(found)
    rest = match.string[end : end + 2]
    if _is_variable(match, given) and found.isalpha():
        return len(found) >= 6 and found.lower() not in value.STATES
    word = found.isalpha() and found[1:] in {found[1:].lower(), found[1:].upper()}
    if not (word or value.is_joined(found)) or found.lower() in value.STATES:
        return False
    if not match[0][0].isascii() and found.isascii() and rest[:1] in {"", "\n", *"」』。、，"}:
        return True
    if given.endswith(">") and rest == "</":
        return len(found) >= 6
    ends = not rest.strip() or rest[0] in "\n;&,.\"'"
    option = given.endswith("=") and given[:-1].isalpha() and before(match, 2) == "--"
    return option or (ends and _account(before(match, 120)) is not None)


RULES = (Rule("password", _PASSWORD, _password, hints=names.HINTS, reach=names.HINT_CHARS),)
