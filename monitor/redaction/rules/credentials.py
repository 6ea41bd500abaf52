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


_QUOTE = r"\\{0,2}[\"'`]"
_BLANKS = r"(?:\s|%20|\+)"
_AUTHORIZATION = (
    # the name of the header, and then : or =, or a second argument, or value= of the same element
    rf"[aAbB](?:(?<=[aA])(?i:uthorization)(?:(?:{_QUOTE})?\]?\s{{0,3}}(?:=>|[:=]|%3A|%3D){_BLANKS}{{0,3}}"
    rf"|{_QUOTE}\]?\s{{0,3}},?\s{{0,3}}(?:{_QUOTE})?(?i:value)(?:{_QUOTE})?\s?[:=]\s{{0,3}}"
    rf"|{_QUOTE},\s{{0,3}}(?={_QUOTE}))\[?(?:{_QUOTE})?(?P<scheme>[A-Za-z][A-Za-z0-9_-]{{1,20}}{_BLANKS}{{1,3}})?"
    # a scheme alone, also as the first of two arguments
    r"|(?:(?<![\w-][bB])|(?<=oauth2-[bB]))(?<=[bB])(?i:earer|asic)"
    rf"(?:(?:[ :]|%20)\s{{0,3}}|{_QUOTE},\s{{0,3}}(?={_QUOTE})))"
    rf"(?:{_QUOTE})?(?P<secret>[A-Za-z0-9._~+/-]{{8,}}={{0,2}})"
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


_NAMES = (
    *("passwords?", "passwd", "passphrase", "passcode", "passwort", "kennwort"),
    *("contraseña", "contrasena", "mot de passe", "senha", "wachtwoord", "hasło", "пароль"),
    *("parol[aă]", "şifre", "lösenord", "passord", "adgangskode", "kodeord", "heslo", "jelszó"),
    *("salasana", "salasõna", "slaptažodis", "lozinka", "лозинка", "geslo", "парола"),
    *("contrasenya", "palavra-passe", "mật khẩu", "kata sandi", "סיסמה", "पासवर्ड"),
    *("كلمة المرور", "كلمة السر", "รหัสผ่าน", "密码", "密碼", "パスワード", "비밀번호"),
)
_SHORT_NAMES = ("pass", "pwd", "mdp")
_IS = "is|ist|es|est|é|è|jest|lautet|är|er|je|là|adalah"
_GIVEN = (
    rf"(?:{_QUOTE})?\]?\s{{0,3}}"
    rf"(?:(?:=>|:=|[:=>]|(?i:{_IS})\s|[是は는은])\s{{0,3}}(?:{_QUOTE})?|[\"'`])"
    r"(?P<secret>[^\s\"'`,;<>\[\]{}()]{5,})"
)
_PASSWORD = words(*_NAMES, *_SHORT_NAMES) + _GIVEN
_PW = words("pw") + _GIVEN  # apart: with the other first letters the prefilter is half as fast
_STATES = frozenset(  # what a field of this name may contain instead of a password
    {"hidden", "reset", "field", "input", "changed", "invalid", "incorrect", "expired", "missing"}
    | {"manager", "protected", "encrypted", "hashed", "forgotten", "policy", "strength", "number"}
    | {"boolean", "object", "varchar", "textfield", "getpass", "prompt", "false", "passwordfield"}
)
_marks = re.compile(r"[!@#$%^&*?+=~|]").search
_mixed = re.compile(
    r"[A-Za-z]\d|\d[A-Za-z]|[A-Za-z]{3}[-_.]\d{3,}\Z|\A\d{3,}[-_.][A-Za-z]{3}"
).search
_tag = re.compile(r"!!?[A-Za-z][A-Za-z/]*").fullmatch  # of YAML: !vault, !Ref
_separated = re.compile(rf"[:=>是は는은]|\b(?:{_IS})\s", re.IGNORECASE).search


def _password(match: re.Match[str]) -> Span | None:
    value = match["secret"].rstrip(".:!?)")
    if before(match, 40).rpartition(" ")[2].rpartition("\n")[2].find("?") >= 0:
        value = value.partition("&")[0]  # a parameter of a URL
    start = match.start("secret")
    rest = match.string[match.end("secret") : match.end("secret") + 1]
    if rest in {"(", "["} or is_placeholder(value) or "://" in value or _tag(value):
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


_STATED = (
    rf"{words(*_NAMES)}\s(?:(?P<purpose>(?i:for|of|to|on|für|zum|vom|von|del?|d[oa]|para|pour|du|per)"
    rf"\s[^\n:=?]{{1,40}}?\s(?i:{_IS})\s)|(?i:to|auf|à|na)\s)?"
    r"\s{0,2}[\"'`]?(?P<secret>[^\s\"'`,;<>\[\]{}():=]{6,})"
)
_leet = re.compile(r"[A-Za-z]\d[A-Za-z]").search


def _stated(match: re.Match[str]) -> Span | None:
    """Accept a password behind its purpose, or behind "to" or a blank if no word looks like it."""
    value = match["secret"].rstrip(".!?")
    start = match.start("secret")
    if is_placeholder(value) or before(match, 1).isalpha() or len(value) < 6:
        return None
    if match["purpose"]:
        secret = _mixed(value) or (_marks(value) and any(map(str.isalnum, value)))
    else:
        letters, digits = any(map(str.isalpha, value)), any(map(str.isdigit, value))
        both = not (value.islower() or value.isupper()) and _leet(value)
        secret = len(value) >= 8 and letters and digits and (_marks(value) or both)
    return (start, start + len(value)) if secret and "/" not in value else None


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
    rf"(?:{_QUOTE})?\]?\s{{0,3}}(?:=>|:=|[:=>]|(?i:is|ist|es|est|é)\s|\s)\s{{0,3}}(?:{_QUOTE})?"
    r"(?P<secret>(?:\d{6,12}:)?[A-Za-z0-9_./+~-]{12,}={0,2})"
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
    Rule("authorization", _AUTHORIZATION, _authorization, reach=120),
    Rule("authorization", _SIGNATURE, _signature, reach=60),
    Rule("password", _PASSWORD, _password, reach=80),
    Rule("password", _PW, _password, reach=80),
    Rule("password", _STATED, _stated, reach=160),
    Rule("password", _CURL, _option, anchor="curl", reach=4),
    Rule("password", _MYSQL, _option, anchor="mysql", reach=5),
    Rule("password", _SSHPASS, _option, anchor="sshpass", reach=7),
    Rule("api_key", _API_KEY, _api_key, reach=80),
)
