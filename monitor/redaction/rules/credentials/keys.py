"""Keys of APIs behind a name, such as api_key=... and client_secret: ..."""

from __future__ import annotations

import re

from monitor.redaction.rules.rule import QUOTE, Rule, Span, words
from monitor.redaction.rules.secrecy import is_random

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
    rf"(?:{QUOTE})?\]?\s{{0,3}}(?:=>|:=|[:=>]|(?i:is|ist|es|est|é)\s|\s)\s{{0,3}}(?:{QUOTE})?"
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


RULES = (Rule("api_key", _API_KEY, _api_key, reach=80),)
