"""Whether a value behind the name of a password is one, or a word, a type or a placeholder."""

from __future__ import annotations

import re

from monitor.redaction.rules.credentials.names import NAMES, SHORT_NAMES
from monitor.redaction.rules.secrecy import is_placeholder

MIN_CHARS = 5
MIN_DIGITS = 5
STATES = frozenset(  # what a field of this name may contain instead of a password
    {"hidden", "reset", "field", "input", "changed", "invalid", "incorrect", "expired", "missing"}
    | {"manager", "protected", "encrypted", "hashed", "forgotten", "policy", "strength", "number"}
    | {"boolean", "object", "varchar", "textfield", "getpass", "prompt", "false", "passwordfield"}
    | {"default", "disabled", "enabled", "unknown", "nothing", "something", "integer", "unset"}
)
_FUNCTION_WORDS = """
    the and for with that this from are was were not but you your his her its our their has have
    had will would can could should must may might shall used been being into onto when where which
    who what how why then than them they she him any all some more most less least only also
"""
_STOP_WORDS = frozenset(_FUNCTION_WORDS.split())
marks = re.compile(r"[!@#$%^&*?+=~|]").search
_side_by_side = re.compile(
    r"[A-Za-z]\d|\d[A-Za-z]|[A-Za-z]{3}[-_.]\d{1,}(?![A-Za-z0-9])|\A\d{3,}[-_.][A-Za-z]{3}"
    r"|[A-Za-z]{2}[-_.]\d{2,}[-_.][A-Za-z]"
).search
_joined = re.compile(r"[A-Za-z]{2,}(?:[-_.][A-Za-z]{2,}){2,}").fullmatch  # a passphrase of words
_technical = re.compile(
    r"v?\d+(?:\.\d+)+\w*|\d{4}-\d\d-\d\d.*|\d{1,2}(?:st|nd|rd|th)|\d+(?:ms|s|m|h|d|x|px|%|kb|mb)"
    r"|\d+(?:[-–]\d+)?[ -]?(?:char|digit|letter|byte|bit|day|hour|min|month|year|sign|symbol|word"
    r"|time)\w*|pbkdf2[\w-]*|(?:sha|md|utf|aes|base|rsa|ed|x|argon|oauth|ntlmv?|bcrypt|scrypt|win|id|ipv|iso)"
    r"-?\d{1,5}(?:id|[-_/](?:\w{1,6}|hashed|encoded|encrypted))?"
    r"|(?:min|max|varchar|char|string|text|field|input|pass(?:word|wd)?|pw|arg|param|user|step|line"
    r"|option|test|tls|ssl|http|wpa|wep|kdbx)[-_]?\d{1,4}|\$?\d[\d.,]*%?|[a-z]+@[a-z]+\.[a-z]+",
    re.IGNORECASE,
).fullmatch
_tag = re.compile(r"!!?[A-Za-z][A-Za-z/_]*|[a-z]+(?:\|[a-z:\d]+)+").fullmatch
"""!vault, !Ref of YAML; required|min:8, a rule of validation."""


_has_expression = re.compile(r"[$#]\{|\{\{|\$\(|%\(|\$[A-Z][A-Z_]").search
_is_name = re.compile(
    rf"[a-z_]{{0,12}}(?:{'|'.join((*NAMES, *SHORT_NAMES))})[a-z_]{{0,8}}", re.IGNORECASE
).fullmatch


def stands_for_one(value: str) -> bool:
    """Return whether a value stands for a password. `Adm1n!Pass9` does not, despite its word."""
    if "://" in value or _tag(value) or _is_name(value) or _has_expression(value):
        return True
    if value[:1] in ".,;:&/\\)]}+-":
        return True
    if len(value) <= 8 and value.isalnum() and 2 <= len(set(value)) <= 3:
        return False  # 112233, webweb
    chosen = marks(value) and _side_by_side(value) and value[0] not in "$%<{"
    known = value.strip("!?").replace("_", "").replace("-", "").lower()
    return is_placeholder(value) and not (chosen and not known.isalpha())


def is_mixed(value: str) -> bool:
    """Return whether a value has letters and digits, or a mark: no word looks like it."""
    value = value.strip("*")  # emphasis of Markdown
    if len(value) < MIN_CHARS or _technical(value):
        return False
    return bool(_side_by_side(value) or (marks(value) and any(map(str.isalnum, value))))


def is_number(value: str) -> bool:
    """Return whether a value is digits only, and enough of them for a password."""
    return len(value) >= MIN_DIGITS and value.isdigit() and len(set(value)) > 1


def is_word(value: str) -> bool:
    """Return whether a value is one word, and no state of a field."""
    return value.isalpha() and len(value) >= 6 and value.lower() not in STATES


def is_pair(value: str) -> bool:
    """Return whether a value is two words joined by a hyphen or an underscore."""
    words = re.split(r"[-_]", value.lower())
    plain = len(words) == 2 and all(len(word) >= 3 and word.isalpha() for word in words)
    return plain and not ({*words} & STATES or any(map(is_placeholder, words)))


def is_joined(value: str) -> bool:
    """Return whether a value is a passphrase: words joined by hyphens, dots or underscores."""
    words = {*re.split(r"[-_.]", value.lower())}
    return bool(_joined(value)) and not (words & STATES or is_placeholder(value))


def is_chosen(value: str) -> bool:
    """Return whether a value is a few words with a digit and a mark, and no sentence."""
    words = value.lower().split()
    few = len(words) <= 5 and not {*words} & (_STOP_WORDS | STATES)
    return few and bool(marks(value)) and any(map(str.isdigit, value))


def is_phrase(value: str) -> bool:
    """Return whether a value is a passphrase: four or more lower-case words with a meaning."""
    words = value.split()
    plain = all(word.isalpha() and word.islower() and len(word) >= 3 for word in words)
    return len(words) >= 4 and plain and not {*words} & (_STOP_WORDS | STATES)
