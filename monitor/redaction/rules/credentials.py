"""Credentials that are recognised by what stands in front of them: URLs, headers, assignments."""

from __future__ import annotations

import base64
import binascii
import re

from monitor.redaction.rules.rule import Rule, Span, before, words
from monitor.redaction.rules.secrecy import is_placeholder, is_random

_URL = (
    r"(?<![A-Za-z0-9+.-])[A-Za-z][A-Za-z0-9+.-]{1,20}://[^\s/:@?#\[\]<>\"']{0,100}"
    r":(?P<secret>[^\s/@\[\]<>\"']{1,200})@(?=[A-Za-z0-9\[])"
)


def _url_password(match: re.Match[str]) -> Span | None:
    value = match["secret"]
    literal = value.strip("*xX.").lower() in {"", "password", "pass", "passwd", "pwd", "secret"}
    return None if literal or value[0] in "$%{<" else match.span("secret")


_AUTHORIZATION = (
    r"[aAbB](?:(?<=[aA])(?i:uthorization)[\"']?\s{0,3}(?:[:=]|%3A|%3D)(?:\s|%20|\+){0,3}[\"']?"
    r"(?:(?i:bearer|basic|token|apikey|key)(?:\s|%20|\+){1,3})?"
    r"|(?:(?<![\w-][bB])|(?<=oauth2-[bB]))(?<=[bB])(?i:earer)(?:[ :]|%20)\s{0,3})"
    r"[\"']?(?P<secret>[A-Za-z0-9._~+/-]{8,}={0,2})"
)


_parameter = re.compile(r"\s{1,3}[A-Za-z_-]{1,40}=").match


def _authorization(match: re.Match[str]) -> Span | None:
    if _parameter(match.string, match.end()):
        return None  # the value is a scheme with parameters: see `_signature`
    value = match["secret"].rstrip(".")
    start = match.start("secret")
    header = match[0][:1] in "aA"
    basic = header and "basic" in match[0][: start - match.start()].lower()
    if (basic and _is_basic(value)) or is_random(value):
        return start, start + len(value)
    digits = any(map(str.isdigit, value)) and any(map(str.isalpha, value))
    formed = digits or any(map(value.__contains__, "._~+/="))
    accepted = header and formed and not is_placeholder(value)
    return (start, start + len(value)) if accepted else None


_SIGNATURE = (
    r"[rRsS](?:(?<=[rR])(?i:esponse)|(?<=[sS])(?i:ignature))=[\"']?"
    r"(?P<secret>[A-Za-z0-9+/_-]{32,}={0,2})"
)
_header = re.compile(r"authorization[\"']?\s{0,3}[:=][^\n]*\Z", re.IGNORECASE).search


def _signature(match: re.Match[str]) -> Span | None:
    """Accept the proof in a header with parameters: Digest (RFC 7616), AWS4-HMAC-SHA256."""
    return match.span("secret") if _header(before(match, 600)) else None


def _is_basic(value: str) -> bool:
    """Return whether a value is `user:password` in base64 (RFC 7617)."""
    try:
        return b":" in base64.b64decode(value + "=" * (-len(value) % 4))
    except (binascii.Error, ValueError):
        return False


_NAMES = (
    *("passwords?", "passwd", "passphrase", "passcode", "passwort", "pass", "pwd", "kennwort"),
    *("contraseña", "contrasena", "mot de passe", "senha", "wachtwoord", "hasło", "пароль"),
    *("parola", "şifre", "lösenord", "passord", "adgangskode", "heslo", "jelszó", "salasana"),
    *("密码", "密碼", "パスワード", "비밀번호"),
)
_PASSWORD = (
    rf"{words(*_NAMES)}[\"']?\s{{0,3}}"
    r"(?:(?:=>|:=|[:=>]|(?i:is|ist|es|est|é|è|jest|lautet)\s|[是は는은])\s{0,3}[\"'`]?|[\"'`])"
    r"(?P<secret>[^\s\"'`,;<>\[\]{}()]{5,})"
)
_STATES = frozenset(  # what a field of this name may contain instead of a password
    {"hidden", "reset", "field", "input", "changed", "invalid", "incorrect", "expired", "missing"}
    | {"manager", "protected", "encrypted", "hashed", "forgotten", "policy", "strength", "number"}
    | {"boolean", "object", "varchar", "textfield", "getpass", "prompt", "false", "passwordfield"}
)
_marks = re.compile(r"[!@#$%^&*?+=~|]").search
_mixed = re.compile(
    r"[A-Za-z]\d|\d[A-Za-z]|[A-Za-z]{3}[-_.]\d{3,}\Z|\A\d{3,}[-_.][A-Za-z]{3}"
).search

_separated = re.compile(
    r"[:=>是は는은]|\b(?:is|ist|es|est|jest|lautet)\s|[éè]\s", re.IGNORECASE
).search


def _password(match: re.Match[str]) -> Span | None:
    value = match["secret"].rstrip(".:!?)")
    if before(match, 40).rpartition(" ")[2].rpartition("\n")[2].find("?") >= 0:
        value = value.partition("&")[0]  # a parameter of a URL
    start = match.start("secret")
    rest = match.string[match.end("secret") : match.end("secret") + 1]
    if rest in {"(", "["} or is_placeholder(value) or "://" in value:
        return None
    if before(match, 1).isalpha() and match[0][0].islower():  # compass=...
        return None
    given = match[0][: start - match.start()]
    if ">" in given and "=>" not in given and before(match, 1) != "<":  # not <password>
        return None
    word = given[-2:] in {'="', "='", '"', "'"} or given[-1] in "='\"`"
    if word and value.isalpha() and len(value) >= 6 and value.lower() not in _STATES:
        return start, start + len(value)
    if given[-1] in "\"'`" and not _separated(given) and rest != given[-1]:
        return None  # password "must ..."
    secret = _mixed(value) or (_marks(value) and any(map(str.isalnum, value)))
    return (start, start + len(value)) if secret and len(value) >= 5 else None


_named = re.compile(
    r"(?:(?:api|access|secret|private|signing|encryption|master|auth|license|subscription|account"
    r"|storage|shared|webhook|session|client|refresh|bearer|id|bot|deploy|personal)[ _-]?"
    r"(?:keys?|tokens?|secrets?)|(?<![a-z])(?:tokens?|secrets?|credentials?|apikey)"
    r"|(?:clave|clé|chave|chiave|ключ)(?: de| la| d'|'){0,2} ?api|api[ -]?(?:schlüssel|ключ)"
    r"|api ?(?:密钥|密鑰|キー|키))[\W_]{0,9}(?:(?:is|ist|es|est|é)[\W_]{1,6})?\Z",
    re.IGNORECASE,
).search
_NAME_CHARS = 24
_NAMES_OF_KEYS = (
    *("keys?", "tokens?", "secrets?", "credentials?", "apikey", "api", "schlüssel", "ключ"),
)
_API_KEY = (
    rf"{words(*_NAMES_OF_KEYS)}"
    r"(?: ?(?:密钥|密鑰|キー|키))?"
    r"[\"']?\s{0,3}(?:=>|:=|[:=>]|(?i:is|ist|es|est|é)\s|\s)\s{0,3}[\"'`]?"
    r"(?P<secret>[A-Za-z0-9_./+~-]{12,}={0,2})"
)


def _api_key(match: re.Match[str]) -> Span | None:
    value = match["secret"].rstrip(".")
    start = match.start("secret")
    rest = match.string[match.end("secret") : match.end("secret") + 1]
    if rest in {"(", "["} or value.startswith(("/", "./")) or not is_random(value):
        return None
    name = match.string[max(0, match.start() - _NAME_CHARS) : start]
    return (start, start + len(value)) if _named(name) else None


_VALUE = r"(?P<secret>[^\s\"'<>$]{5,100})"
_CURL = rf"curl[^\n|;]{{0,200}}?\s--?u(?:ser)?[ =]{{0,2}}[\"']?[^\s:\"'$<]{{1,64}}:{_VALUE}"
_MYSQL = rf"mysql[^\n|;]{{0,200}}?\s-p[\"']?{_VALUE}"
_SSHPASS = rf"sshpass\s{{1,3}}-p ?[\"']?{_VALUE}"


def _option(match: re.Match[str]) -> Span | None:
    """Accept the password of a command: curl -u name:..., mysql -p..., sshpass -p ..."""
    value = match["secret"]
    secret = _mixed(value) or _marks(value)
    return match.span("secret") if secret and not is_placeholder(value) else None


RULES = (
    Rule("password", _URL, _url_password, anchor="://", reach=21),
    Rule("authorization", _AUTHORIZATION, _authorization, reach=60),
    Rule("authorization", _SIGNATURE, _signature, reach=60),
    Rule("password", _PASSWORD, _password, reach=80),
    Rule("password", _CURL, _option, anchor="curl", reach=4),
    Rule("password", _MYSQL, _option, anchor="mysql", reach=5),
    Rule("password", _SSHPASS, _option, anchor="sshpass", reach=7),
    Rule("api_key", _API_KEY, _api_key, reach=60),
)
