"""Passwords in addresses, in options of commands, in statements and in calls of functions."""

from __future__ import annotations

import re

from monitor.redaction.rules.credentials import value
from monitor.redaction.rules.rule import Rule, Span
from monitor.redaction.rules.secrecy import is_placeholder

_URL = (
    r"(?<![A-Za-z0-9+.-])[A-Za-z][A-Za-z0-9+.-]{1,20}://[^\s/:@?#\[\]<>\"']{0,100}"
    r":(?P<secret>[^\s/@\[\]<>\"']{1,200})@(?=[A-Za-z0-9\[])"
)


def _url_password(match: re.Match[str]) -> Span | None:
    found = match["secret"]
    literal = found.strip("*xX.").lower() in {"", "password", "pass", "passwd", "pwd", "secret"}
    return None if literal or found[0] in "$%{<" else match.span("secret")


_VALUE = r"(?P<secret>[^\s\"'<>$]{5,100})"
_NEAR = r"[^\n|;]{0,200}?\s"
_Q = r"[\"']?"
_TOOLS = ("podman", "az", "oc", "cf")
_OPTIONS = (  # command, and what stands between it and the password
    ("curl", rf"curl{_NEAR}--?u(?:ser)?[ =]{{0,2}}{_Q}[^\s:\"'$<]{{1,64}}:"),
    ("wpa_passphrase", r"wpa_passphrase\s[\"']?\S{1,32}\s[\"']?"),
    ("mysql", rf"mysql{_NEAR}-p(?:{_Q}|\s(?=\d{{5,20}}(?:\s|\Z)))"),
    ("mysqladmin", rf"mysqladmin{_NEAR}password\s{_Q}"),
    ("maria", rf"mariadb{_NEAR}-p{_Q}"),
    *((f"{tool} login", rf"{tool} login{_NEAR}-p[ =]?{_Q}") for tool in _TOOLS),
    ("docker", rf"docker\s{{1,3}}login{_NEAR}-p[ =]?{_Q}"),
    ("zip", rf"zip\s{{1,3}}(?:-\w{{1,3}}\s)?-P ?{_Q}"),
    ("7z", rf"7za?\s{_NEAR[:-2]}(?<=\s)-p{_Q}"),
    ("rar ", rf"rar \w{_NEAR}-h?p{_Q}"),
    ("sshpass", rf"sshpass\s{{1,3}}-p ?{_Q}"),
    ("redis-cli", rf"redis-cli{_NEAR}(?:-a|--pass)[ =]{_Q}"),
    ("sqlcmd", rf"sqlcmd{_NEAR}-P ?{_Q}"),
    ("mongo", rf"mongo(?:sh|dump|restore|import|export|s)?\s{_NEAR[:-2]}(?<=\s)-p ?{_Q}"),
    ("ldap", rf"ldap(?:search|add|modify|delete|whoami|passwd){_NEAR}-w ?{_Q}"),
    ("pass:", rf"-pass(?:in|out)?[ =]{_Q}pass:"),
    ("storepass", rf"storepass(?:word)?[ =]{{1,2}}{_Q}(?:pass:)?"),
    ("keypass", rf"-\w{{0,5}}keypass(?:word)?[ =]{{1,2}}{_Q}(?:pass:)?"),
    ("-U", rf"-U\s?{_Q}[^\s%\"'$]{{1,64}}%"),
    ("net user", r"net user\s\S{1,64}\s"),
    ("net use", r"net use\s(?:[A-Za-z*]:?\s)?\\{2,8}\S{3,100}\s(?:/user:\S{1,60}\s)?(?!/)"),
    ("htpasswd", r"htpasswd\s-\w{0,4}b\w{0,4}\s\S{1,100}\s\S{1,64}\s"),
    ("ipmitool", rf"ipmitool{_NEAR}-P ?{_Q}"),
    ("freerdp", rf"freerdp{_NEAR}/p:{_Q}"),
    ("lftp", rf"lftp{_NEAR}-u ?{_Q}[^\s,\"']{{1,64}},"),
    ("chpasswd", rf"chpasswd\s?<<<\s?{_Q}[\w.-]{{1,32}}:"),
    ("openssl passwd", rf"openssl passwd\s(?:-\w{{1,8}}\s){{0,3}}{_Q}"),
    ("sqlplus", rf"sqlplus\s(?:-\w{{1,8}}\s){{0,3}}{_Q}\w{{1,40}}/"),
    ("--pass", rf"--pass(?:word|wd|phrase)?[ =]{_Q}"),
    (
        "echo",
        rf"echo\s(?:-\w\s)?{_Q}(?:[\w.-]{{1,32}}:)?(?P<secret>[^\s\"'<>$|]{{5,100}}){_Q}"
        r"\s{0,2}\|\s{0,2}(?:sudo\s(?:-\w\s){0,2})?"
        r"(?:(?:chpasswd|passwd|kinit|cryptsetup|su)\b|(?<=-S )\w|docker\s{1,3}login)",
    ),
)


def _option(match: re.Match[str]) -> Span | None:
    """Accept the password of a command: curl -u name:..., mysql -p..., docker login -p ..."""
    found = match["secret"]
    start = match.start("secret")
    if match[0].startswith("sqlplus"):
        found = found.partition("@")[0]
    found = found.rstrip("`,)")
    if is_placeholder(found) or len(found) < value.MIN_CHARS:
        return None
    certain = match[0].startswith(("sshpass", "redis-cli", "mysqladmin")) and "/" not in found
    plain = value.is_word(found) or value.is_joined(found) or value.is_pair(found)
    secret = value.is_mixed(found) or value.is_number(found) or (certain and plain)
    return (start, start + len(found)) if secret else None


_SQL = (
    r"(?i:identified\s{1,3}(?:with\s{1,3}\S{1,40}\s{1,3})?by)\s{1,3}"
    r"(?P<secret>'[^'\s<$]{5,100}'|\"[^\"\s<$]{5,100}\"|[A-Za-z][\w#$!]{4,60})"
)


def _statement(match: re.Match[str]) -> Span | None:
    """Accept the password of a statement of SQL. Without quotation marks it must be no word."""
    start, end = match.span("secret")
    if match["secret"][0] not in "'\"":
        return match.span("secret") if value.is_mixed(match["secret"]) else None
    return None if is_placeholder(match.string[start + 1 : end - 1]) else (start + 1, end - 1)


_ARGUMENT = r"(?:[\"'][^\"'\n]{0,120}[\"'](?:\.\w{1,20}\(\))?|[\w.$:\[\]]{1,60})\s{0,2},\s{0,8}"
_LITERAL = (  # or an application password of Google
    r"@?[\"'](?P<secret>[^\"'\s]{5,100}|[a-z]{4}(?: [a-z]{4}){3})[\"']"
)
_ACCOUNT = (  # a name and a password
    r"(?:[aA]uth\s{0,2}[=:]\s{0,2}[(\[]|(?:[lL]ogin|[sS]ign_?[iI]n|[aA]uth|[aA]uthenticate"
    r"|asic_?[aA]uth\w{0,12}"
    r"|[cC]redentials?(?:::\w{1,12})?|asswordAuthentication|asswordCredentials?)\(\s{0,8})"
    rf"{_ARGUMENT}{_LITERAL}"
)
_CONNECTION = (  # an address, a name and a password
    r"(?:[cC]onnect|[gG]etConnection|mysqli|PDO|mysqli_connect|mysql_connect)\(\s{0,8}"
    rf"{_ARGUMENT}{_ARGUMENT}{_LITERAL}"
)
_SECURE = r"SecureString[ (]{1,3}(?:-String )?[\"'](?P<secret>[^\"'\n$]{5,100})[\"']"


def _argument(match: re.Match[str]) -> Span | None:
    """Accept a string that stands in the place of a password among the arguments of a call."""
    found = match["secret"]
    if value.stands_for_one(found) or "/" in found[:1]:
        return None
    word = match[0].lower().startswith(("auth", "asic", "secure")) and value.is_word(found)
    certain = word or " " in found
    return match.span("secret") if certain or value.is_mixed(found) else None


_CALL_HINTS = (
    r"(?i:auth\w{0,16}\s{0,2}[=:]?\s{0,2})[(\[]",
    r"(?i:login|sign_?in|credentials?(?:::\w{1,12})?|authentication|connect(?:ion)?|mysqli|pdo)\s{0,2}[(\[]",
)
URLS = (Rule("password", _URL, _url_password, anchor="://", reach=21),)
RULES = (
    *(
        Rule(
            "password",
            pattern if "secret" in pattern else pattern + _VALUE,
            _option,
            anchor=anchor,
            reach=24,
        )
        for anchor, pattern in _OPTIONS
    ),
    Rule("password", _SQL, _statement, reach=80),
    Rule("password", _ACCOUNT, _argument, hints=_CALL_HINTS, reach=40),
    Rule("password", _CONNECTION, _argument, hints=_CALL_HINTS, reach=40),
    Rule("password", _SECURE, _argument, anchor="SecureString", reach=12),
)
